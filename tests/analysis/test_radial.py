"""Radial distribution functions: an ideal gas, crystals, and sums that must hold."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from symgnn.analysis.radial import (
    RadialDistribution,
    first_peak,
    mean_distribution,
    radial_distribution,
)


def _ideal_gas(atoms: int, seed: int) -> Atoms:
    random = np.random.default_rng(seed)
    cell = np.array([[24.0, 0, 0], [5.0, 22.0, 0], [-4.0, 3.0, 23.0]])
    symbols = np.where(random.random(atoms) < 0.64, "Cu", "Zr")
    return Atoms(symbols, positions=random.random((atoms, 3)) @ cell, cell=cell, pbc=True)


def test_an_ideal_gas_in_a_triclinic_cell_has_g_of_one():
    found = radial_distribution(_ideal_gas(atoms=3000, seed=1), bin_width=0.5)
    # 3,000 atoms at 0.25 / Å^3: the last shell counts about 2.8e5 directed pairs, each twice, so
    # a standard deviation of 0.4 %; at 3 Å shells count about 2e4 and scatter by 1 %.
    far = found.distance > 3
    assert found.total[far] == pytest.approx(1.0, abs=0.04)
    for g in found.partial.values():
        assert g[far] == pytest.approx(1.0, abs=0.1)


def test_peaks_of_fcc_lie_at_its_shells_and_hold_its_coordination_numbers():
    constant = 3.61
    crystal = bulk("Cu", "fcc", a=constant, cubic=True) * (4, 4, 4)
    found = radial_distribution(crystal, longest=5.0, bin_width=0.05)
    g = found.partial["Cu", "Cu"]
    assert np.array_equal(g, found.total)
    shells = constant * np.sqrt([0.5, 1.0, 1.5])
    filled = found.distance[g > 0]
    assert filled == pytest.approx(shells, abs=0.025)
    density = len(crystal) / crystal.cell.volume
    volume = 4 / 3 * np.pi * np.diff(np.linspace(0, 5, 101) ** 3)
    assert (g * volume * density)[g > 0] == pytest.approx([12, 6, 24])


def test_a_cell_smaller_than_the_distance_gives_the_same_as_its_supercell():
    small = bulk("CuZr", "cesiumchloride", a=3.26)
    one, many = radial_distribution(small), radial_distribution(small * (3, 3, 3))
    assert set(one.partial) == {("Cu", "Cu"), ("Cu", "Zr"), ("Zr", "Zr")}
    for pair, g in one.partial.items():
        assert g == pytest.approx(many.partial[pair], rel=1e-12)


def test_the_total_is_the_weighted_sum_of_the_partials():
    gas = _ideal_gas(atoms=400, seed=2)
    found = radial_distribution(gas)
    x = {s: (np.array(gas.get_chemical_symbols()) == s).mean() for s in ("Cu", "Zr")}
    total = sum((1 if a == b else 2) * x[a] * x[b] * g for (a, b), g in found.partial.items())
    assert total == pytest.approx(found.total, rel=1e-12)


def test_the_mean_is_over_the_structures_that_have_the_pair():
    r = np.array([0.5, 1.5])
    one = RadialDistribution(r, {("Cu", "Cu"): np.array([1.0, 3.0])}, np.array([1.0, 3.0]))
    two = RadialDistribution(
        r,
        {("Cu", "Cu"): np.array([3.0, 5.0]), ("Cu", "Zr"): np.array([7.0, 9.0])},
        np.array([2.0, 4.0]),
    )
    mean = mean_distribution([one, two])
    assert mean.partial["Cu", "Cu"].tolist() == [2.0, 4.0]
    assert mean.partial["Cu", "Zr"].tolist() == [7.0, 9.0]
    assert mean.total.tolist() == [1.5, 3.5]


def test_the_peak_of_a_parabola_is_found_between_bins():
    r = np.linspace(2.0, 3.0, 21)
    position, height = first_peak(r, 4.0 - 20 * (r - 2.47) ** 2)
    assert position == pytest.approx(2.47, abs=1e-9)
    assert height == pytest.approx(4.0, abs=1e-9)
    assert np.isnan(first_peak(r, np.zeros(21))).all()


def test_the_peak_of_a_noisy_curve_is_that_of_the_curve():
    """Counts of 3,000 atoms in a first shell; the fit has a tenth of the highest bin's scatter."""
    r = np.arange(0.025, 8, 0.05)
    smooth = np.where(r > 2, 0.6 + 4.0 * np.exp(-((r - 2.583) ** 2) / 0.06), 0)
    random = np.random.default_rng(0)
    found = []
    for _ in range(50):
        counts = random.poisson(400 * smooth * r**2 / 6)
        found.append(first_peak(r, counts * 6 / 400 / r**2))
    position, height = np.transpose(found)
    assert position == pytest.approx(2.583, abs=0.02)
    assert position.std() < 0.006
    # the quartic cuts the top of this curve by 1 %; a bin of 1,800 counts scatters by 2.3 %
    assert height.mean() == pytest.approx(4.6, rel=0.015)
    assert height.std() / height.mean() < 0.016
