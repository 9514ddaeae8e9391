"""Published glasses beside ours: the table is what was measured, the sentences follow from it."""

import pytest

from symgnn.analysis.radial import first_peak, radial_distribution
from symgnn.glasses.start import random_start
from symgnn.graphs.published import read_published
from symgnn.lammps_interface import LammpsForces
from symgnn.potentials import find_potential
from symgnn.report import glasses, references
from symgnn.report.inputs import Glass
from symgnn.report.page import Figure, Table


def glass(name, rate, energy, composition="Cu64Zr36"):
    atoms = random_start({"Cu": 64, "Zr": 36}, 0.06, 1)
    atoms.info |= {"composition": composition, "cooling_rate": rate, "energy_per_atom": energy}
    atoms.info["density"] = 0.06
    return Glass(name, atoms, None)


OURS = [glass("a", 1e13, -4.46559), glass("b", 1e13, -4.46559), glass("c", 1e14, -4.45)]


def test_table_is_what_is_measured_on_the_published_file(shared):
    graph = read_published(shared / "published" / "train4.pickle", cutoff=3.0)
    atoms = graph.atoms
    (held,) = (one for one in references.read_references() if one.name == "train4")
    with LammpsForces(atoms, find_potential("Cu-Zr-2009")) as engine:
        energy, _ = engine.energy_and_forces(atoms.positions)
    assert held.energy_per_atom == pytest.approx(energy / 8000, abs=6e-6)
    assert held.density == pytest.approx(8000 / atoms.get_volume(), abs=6e-6)
    found = radial_distribution(atoms, longest=4.5)
    for pair, (position, height) in held.peaks.items():
        peak = first_peak(found.distance, found.partial[pair])
        assert peak == pytest.approx((position, height), abs=6e-3)


def test_energy_is_compared_at_the_same_rate():
    sentences = references.comparison(OURS, references.beside(OURS))
    assert sentences[0].endswith(
        "lies 1.0 meV per atom above that of the published train4 at 10¹³ K/s."
    )
    # steps of 4.93, 4.61 and 6.71 meV over three decades
    assert "rise by 5.3 ± 0.2 meV per atom a decade" in sentences[1]


def test_section_shows_them_for_their_composition_only():
    made = glasses.section(OURS)
    tables = [block for block in made.blocks if isinstance(block, Table)]
    figures = [block for block in made.blocks if isinstance(block, Figure)]
    peaks = next(table for table in tables if table.name == "radial")
    published = [row for row in peaks.rows if row[0].startswith("published")]
    assert len(published) == 7
    assert published[0][0] == "published train6"
    assert ("published, rates inferred", references.COLOR) in figures[0].legend
    others = [glass("d", 1e13, -4.4, "Cu60Zr40"), glass("e", 1e12, -4.41, "Cu60Zr40")]
    assert references.beside(others) == []
    assert not any("published" in str(block) for block in glasses.section(others).blocks)
