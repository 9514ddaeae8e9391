"""Checks of glasses: the numbers of the analysis, and crystals that are called so."""

import numpy as np
import pytest
from ase.build import bulk

from symgnn.analysis.radial import radial_distribution
from symgnn.report.glass_checks import blocks, check, findings
from symgnn.report.inputs import Glass, read_glass


@pytest.fixture(scope="module")
def glasses(study):
    return [read_glass(path) for path in study.inputs.glasses]


@pytest.fixture(scope="module")
def checks(glasses):
    return check(glasses, {glass.name: radial_distribution(glass.atoms) for glass in glasses})


def test_neighbours_around_either_element_balance(checks):
    for one in checks:
        symbols = list(one.glass.atoms.symbols)
        bonds = one.coordination["Cu", "Zr"] * symbols.count("Cu")
        assert bonds == pytest.approx(one.coordination["Zr", "Cu"] * symbols.count("Zr"))


def test_the_table_holds_the_means_of_the_groups(page, checks):
    for row, rate in zip(page.rows("checks"), (1e14, 1e13), strict=True):
        own = [one for one in checks if one.glass.cooling_rate == rate]
        expected = np.mean([one.coordination["Cu", "Zr"] for one in own])
        assert float(row["Cu → Zr"]) == pytest.approx(expected, abs=0.006)
        largest = max(one.crystalline for one in own)
        assert float(row["crystal-like, %"]) == pytest.approx(100 * largest, abs=0.06)


def test_the_most_frequent_indices_are_drawn(page, checks):
    (bars,) = page.traces("voronoi", choice=1)
    own = np.concatenate([c.indices for c in checks if c.glass.cooling_rate == 1e13])
    first = np.array([int(part) for part in bars["y"][0].strip("⟨⟩").split(",")])
    assert bars["x"][0] == pytest.approx(100 * (own == first).all(axis=1).mean())
    assert list(bars["x"]) == sorted(bars["x"], reverse=True)


def test_a_straight_quench_has_no_transition(checks, page):
    assert all(np.isnan(one.transition) for one in checks)
    assert {row["transition, K"] for row in page.rows("checks")} == {"\N{EN DASH}"}


def test_a_crystal_is_called_one():
    atoms = bulk("Cu", "fcc", a=3.61, cubic=True) * (3, 3, 3)
    atoms.rattle(0.02, seed=1)
    crystal = Glass("copper", atoms, None)
    found = check([crystal], {"copper": radial_distribution(atoms)})
    assert any("copper has crystallised" in sentence for sentence in findings(found))
    assert found[0].coordination == {("Cu", "Cu"): pytest.approx(12)}
    assert len(blocks({"copper": found})) == 3  # no cooling rate: no figure against it
