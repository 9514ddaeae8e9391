"""The hop of an atom into a vacancy: saddle searches against nudged elastic bands.

Recipe of the reference: relax the crystal with its vacancy and the same with the neighbour in the
vacancy's place (ASE LBFGS, 0.001 eV/Å); five images between them, interpolated linearly; ASE's NEB
with a climbing image (improved tangent) to 0.01 eV/Å, forces of LAMMPS on all atoms.
"""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.mep import NEB
from ase.optimize import FIRE, LBFGS

from symgnn.barriers.eam_engine import RegionEngine
from symgnn.barriers.protocol import Protocol
from symgnn.barriers.searches import Searches
from symgnn.lammps_interface import LammpsForces
from symgnn.potentials import Potential
from tests.calculators import ForcesCalculator

CRYSTALS = {
    "fcc Cu": bulk("Cu", "fcc", a=3.639, cubic=True).repeat(3),
    "hcp Zr": bulk("Zr", "hcp", a=3.22, c=5.18).repeat((4, 4, 3)),
}


def with_vacancy(crystal: Atoms) -> tuple[Atoms, int, np.ndarray]:
    """The crystal without its first atom, a neighbour of the hole, and the way into the hole."""
    distance = crystal.get_distances(0, range(1, len(crystal)), mic=True)
    neighbor = 1 + int(distance.argmin())
    hop = crystal.get_distance(neighbor, 0, mic=True, vector=True)
    atoms = crystal.copy()
    del atoms[0]
    return atoms, neighbor - 1, hop


def relax(atoms: Atoms, forces: LammpsForces) -> None:
    atoms.calc = ForcesCalculator(forces)
    assert LBFGS(atoms, logfile=None).run(fmax=1e-3, steps=500)


def band_barrier(start: Atoms, end: Atoms, forces: LammpsForces) -> float:
    images = [start, *(start.copy() for _ in range(5)), end]
    for image in images:
        image.calc = ForcesCalculator(forces)
    band = NEB(
        images, climb=True, method="improvedtangent", allow_shared_calculator=True, parallel=False
    )
    band.interpolate(mic=True)
    assert FIRE(band, logfile=None).run(fmax=0.01, steps=500)
    energies = [image.get_potential_energy() for image in images]
    return max(energies) - energies[0]


@pytest.mark.parametrize("name", CRYSTALS)
def test_a_vacancy_hop_costs_what_the_elastic_band_says(name: str, cu_zr: Potential) -> None:
    start, neighbor, hop = with_vacancy(CRYSTALS[name])
    with LammpsForces(start, cu_zr) as forces:
        relax(start, forces)
        end = start.copy()
        end.positions[neighbor] += hop
        relax(end, forces)
        reference = band_barrier(start, end, forces)
    start.calc = None
    engine = RegionEngine(start, cu_zr, radius=20.0)  # every atom is free
    protocol = Protocol(force_tolerance=0.005, push_radius=1.0, activation=-0.5)
    searches = Searches(start, engine, protocol=protocol, seed=0)
    hops = []
    for event in searches.run([(neighbor, search) for search in range(16)]):
        if not event.connected or neighbor not in event.moved_atoms:
            continue
        moved = event.final_displacement[event.moved_atoms == neighbor][0]
        if np.linalg.norm(moved - hop) < 0.3:
            hops.append(event.barrier)
            assert event.second_curvature > 0.0
            # the crystal with its hole elsewhere; both minima are relaxed to 0.005 eV/Å
            assert event.final_energy == pytest.approx(0.0, abs=1e-3)
    assert hops, "no search went into the vacancy"
    np.testing.assert_allclose(hops, reference, rtol=0, atol=0.005)


def test_the_way_down_may_be_made_in_a_region(cu_zr: Potential) -> None:
    """Its end, relaxed once more with all atoms free, is the crystal with its hole elsewhere."""
    start, neighbor, _ = with_vacancy(bulk("Cu", "fcc", a=3.639, cubic=True).repeat(5))
    with LammpsForces(start, cu_zr) as forces:
        relax(start, forces)
    start.calc = None
    protocol = Protocol(push_radius=1.0, minimum_tolerance=1e-3)
    found = {}
    for descending in (0, 1):
        engine = RegionEngine(start, cu_zr, radius=4.5)
        assert len(engine.confirming) == 2
        assert engine.descending == 1  # a region of 9 Å is too small to be left alone
        engine.descending = descending
        searches = Searches(start, engine, protocol=protocol, seed=0)
        events = searches.run([(neighbor, search) for search in range(4)])
        found[descending] = sorted(events, key=lambda event: event.search)
    hops = 0
    for region, full in zip(*found.values(), strict=True):
        assert region.connected == full.connected
        np.testing.assert_equal(region.barrier, full.barrier)  # found before the way down
        if full.connected and full.displacement_max < 2.0:
            hops += 1
            for event in (region, full):
                assert event.final_energy == pytest.approx(0.0, abs=1e-3)
            np.testing.assert_array_equal(region.moved_atoms, full.moved_atoms)
            np.testing.assert_allclose(
                region.final_displacement, full.final_displacement, atol=0.02
            )
    assert hops
