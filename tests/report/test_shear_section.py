"""The section on shear: what it says of curves and barriers whose answer is known."""

import numpy as np
import pytest

from symgnn.report.page import Figure, Table, render
from symgnn.report.shear import FEWEST_LABELLED, foresight, section
from symgnn.shear.storage import Shear


def curve(atoms=50, steps=20):
    """A sawtooth with four drops of 0.05 GPa; atom k moves k times as far as atom 1."""
    strain = np.linspace(0, 0.1, steps + 1)
    stress = 10 * strain - 0.1 * np.floor(np.arange(steps + 1) / 5)
    far = np.arange(atoms, dtype=float)
    return Shear(
        "xz",
        strain,
        stress,
        -4.4 + strain,
        np.outer(np.arange(1.0, steps + 1), far + 1),
        np.array([0.0, 0.05, 0.1]),
        np.array([0 * far, far, 2 * far]),
    )


def test_barriers_that_fall_with_motion_foretell_it():
    barrier = 2.0 - 0.01 * np.arange(50)
    barrier[::7] = np.nan
    found = foresight(curve(), barrier)
    assert found.strain == pytest.approx([0.05, 0.1])
    assert found.correlation == pytest.approx([-1, -1])
    assert found.area == pytest.approx([1, 1])
    assert found.atoms == np.isfinite(barrier).sum()


def test_unrelated_barriers_foretell_nothing_and_few_are_not_judged():
    barrier = np.random.default_rng(0).random(5000)
    found = foresight(curve(atoms=5000), barrier)
    # standard errors: 1/sqrt(5000) of the correlation, sqrt(1/12/500) of the area
    assert found.correlation[-1] == pytest.approx(0, abs=4 / 5000**0.5)
    assert found.area[-1] == pytest.approx(0.5, abs=4 * (1 / 12 / 500) ** 0.5)
    few = np.full(50, np.nan)
    few[: FEWEST_LABELLED - 1] = 1.0
    assert foresight(curve(), few) is None


def test_section_counts_drops_and_names_what_is_missing():
    made = section({"glass": curve()}, {})
    table = next(block for block in made.blocks if isinstance(block, Table))
    assert table.rows[0][:2] == ("glass", "xz")
    assert table.rows[0][-2:] == ("4", "0.050")
    assert table.rows[0][3] == "10.0"
    assert any("no sheared glass" in str(block).lower() for block in made.blocks)
    made = section({"glass": curve()}, {"glass": 2.0 - 0.01 * np.arange(50)})
    assert [block.name for block in made.blocks if isinstance(block, Figure)] == [
        "stress-strain",
        "foresight",
    ]
    assert "\N{MINUS SIGN}1.00 and 1.00" in made.findings[0]
    assert "stress of the sheared plane" in render("page", [made]).lower()
