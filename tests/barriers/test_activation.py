"""Barriers under strain: what the stress of a saddle says, against barriers of strained cells."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms, units
from ase.optimize import LBFGS

from symgnn.barriers.activation import AROUND_FORCE, Saddles, activation_volume
from symgnn.barriers.confirmation import Confirmation, Unconfirmed
from symgnn.barriers.eam_engine import RegionEngine
from symgnn.barriers.event import Event, without_saddle
from symgnn.barriers.protocol import Protocol, Status
from symgnn.barriers.searches import Searches
from symgnn.lammps_interface import LammpsForces
from symgnn.potentials import Potential
from tests.calculators import ForcesCalculator

STRICT = Protocol(full_tolerance=1e-3)


@pytest.fixture(scope="module")
def event(relaxed: Atoms, cu_zr: Potential) -> Event:
    engine = RegionEngine(relaxed, cu_zr, radius=6.0)
    searches = Searches(relaxed, engine, protocol=STRICT, seed=1)
    (found,) = searches.run([(77, 1)])
    assert found.status == Status.CONVERGED
    return found


def strained(
    atoms: Atoms, potential: Potential, event: Event, strain: np.ndarray, way: np.ndarray
) -> float:
    """The barrier of an event in a strained cell, its saddle found again from where it goes."""
    deformed = atoms.copy()
    deformed.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    with LammpsForces(deformed, potential) as forces:
        deformed.calc = ForcesCalculator(forces)
        LBFGS(deformed, logfile=None).run(fmax=1e-4, steps=2000)
        deformed.calc = None
    moved = way @ (np.eye(3) + strain)
    every, none = np.arange(len(atoms)), np.zeros(0, dtype=int)
    confirm = Confirmation(deformed, RegionEngine(deformed, potential, radius=6.0), STRICT)
    one = Unconfirmed(event, every, moved, moved / np.linalg.norm(moved), none)
    return confirm.find_again(one).event.barrier


def test_the_slope_is_that_of_barriers_in_strained_cells(relaxed, cu_zr, event) -> None:
    """Central differences over 2e-3; isotropic, along an axis, and a shear."""
    with Saddles(relaxed, cu_zr, STRICT.full_tolerance) as saddles:
        (way,) = saddles.displacements([event])
        (slope,) = saddles.strain_derivatives([event])
    np.testing.assert_allclose(slope, slope.T, atol=1e-9)
    shear = np.zeros((3, 3))
    shear[0, 2] = shear[2, 0] = 0.5
    for direction in (np.eye(3) / 3, np.diag([0.0, 1.0, 0.0]), shear):
        step = 1e-3 * direction
        up, down = (strained(relaxed, cu_zr, event, sign * step, way) for sign in (1, -1))
        assert (up - down) / 2e-3 == pytest.approx((slope * direction).sum(), rel=0.02, abs=0.02)


def test_all_displacements_come_back(relaxed, cu_zr, event) -> None:
    """The kept ones within 0.01 Å, and the energy of all of them is the barrier."""
    lost = without_saddle(event, Status.NOT_CONFIRMED)
    with Saddles(relaxed, cu_zr, STRICT.full_tolerance) as saddles:
        way, none = saddles.displacements([event, lost])
    assert np.isnan(none).all()
    np.testing.assert_allclose(way[event.moved_atoms], event.saddle_displacement, atol=0.01)
    with LammpsForces(relaxed, cu_zr) as forces:
        start, _ = forces.energy_and_forces(relaxed.positions)
        saddle, force = forces.energy_and_forces(relaxed.positions + way)
    assert np.linalg.norm(force, axis=1).max() < 1e-3
    assert saddle - start == pytest.approx(event.barrier, abs=1e-4)  # F² / 2k of either


def test_atoms_around_are_relaxed_before_the_saddle_is_looked_for(relaxed, cu_zr, event) -> None:
    """Those that are kept stand where they were, and no others feel a force."""
    others = np.setdiff1d(np.arange(len(relaxed)), event.moved_atoms)
    assert len(others) > 20
    with Saddles(relaxed, cu_zr) as saddles:
        guess = saddles._guess(event).saddle
    np.testing.assert_array_equal(guess[event.moved_atoms], event.saddle_displacement)
    alone = guess.copy()
    alone[others] = 0.0
    with LammpsForces(relaxed, cu_zr) as forces:
        kept, before = forces.energy_and_forces(relaxed.positions + alone)
        all_of_them, after = forces.energy_and_forces(relaxed.positions + guess)
    assert np.abs(before[others]).max() > 0.05
    assert np.abs(after[others]).max() < AROUND_FORCE
    assert all_of_them < kept


def test_another_saddle_is_not_taken_for_it(relaxed, cu_zr, event) -> None:
    """One that an atom reaches by a way that differs by more than 0.15 Å, or none at all."""
    way = event.saddle_displacement.copy()
    way[0, 0] += 0.2  # which the search for the saddle takes back
    other = replace(event, saddle_displacement=way)
    with Saddles(relaxed, cu_zr, STRICT.full_tolerance) as saddles:
        (slope,) = saddles.strain_derivatives([other])
    assert np.isnan(slope).all()
    with Saddles(relaxed, cu_zr, 1e-16) as saddles:
        (slope,) = saddles.strain_derivatives([event])
    assert np.isnan(slope).all()


def test_a_volume_is_minus_the_trace_over_three_moduli() -> None:
    """A solid that yields 1 eV a unit of volume strain gains -1 eV for each B of pressure."""
    assert activation_volume(np.eye(3), 1 / units.GPa) == pytest.approx(-1.0)
