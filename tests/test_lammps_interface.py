"""LAMMPS through its module: independent oracles and the freedom of the cell."""

import subprocess
import sys
from pathlib import Path

import ase.units
import numpy as np
import pytest
from ase.build import bulk
from matscipy.calculators.eam import EAM

from symgnn.errors import InputError
from symgnn.lammps_interface import LammpsForces, lammps_cell, start_lammps
from symgnn.potentials import find_potential


def alloy(repeat=3, seed=0, strain=0.1):
    """A disordered Cu-Zr crystal in a triclinic cell that LAMMPS would not take as it is."""
    generator = np.random.default_rng(seed)
    atoms = bulk("Cu", cubic=True).repeat(repeat)
    atoms.numbers[generator.random(len(atoms)) < 0.36] = 40
    deformation = 1.08 * np.eye(3) + strain * generator.uniform(-1, 1, (3, 3))
    atoms.set_cell(atoms.cell.array @ deformation, scale_atoms=True)
    atoms.positions += 0.05 * generator.standard_normal((len(atoms), 3))
    return atoms


@pytest.mark.parametrize("repeat", [1, 2, 3])
def test_energy_forces_and_stress_agree_with_matscipy(potential, repeat):
    """Cells smaller than the cutoff (7.6 Å) included; matscipy reads the same tables."""
    atoms = alloy(repeat)
    atoms.calc = EAM(str(potential), kind="eam/fs")
    with LammpsForces(atoms, find_potential(potential)) as engine:
        energy, forces = engine.energy_and_forces(atoms.positions)
        energies = engine.energies(atoms.positions)
        stress = engine.stress(atoms.positions)
    # splines of the two codes differ by interpolation: 1e-6 eV an atom, 1e-4 eV/Å
    assert energy == pytest.approx(atoms.get_potential_energy(), abs=1e-6 * len(atoms))
    assert forces == pytest.approx(atoms.get_forces(), abs=2e-4)
    assert energies.sum() == pytest.approx(energy, abs=1e-9 * len(atoms))
    expected = atoms.get_stress(voigt=False) / ase.units.GPa
    assert stress == pytest.approx(expected, abs=2e-3)


def test_forces_are_the_gradient_of_the_energy(potential):
    atoms = alloy(2)
    direction = np.random.default_rng(1).standard_normal((len(atoms), 3))
    direction /= np.linalg.norm(direction)
    with LammpsForces(atoms, find_potential(potential)) as engine:
        _, forces = engine.energy_and_forces(atoms.positions)
        step = 1e-4
        above, _ = engine.energy_and_forces(atoms.positions + step * direction)
        below, _ = engine.energy_and_forces(atoms.positions - step * direction)
    slope = -(above - below) / (2 * step)
    assert np.vdot(forces, direction) == pytest.approx(slope, abs=1e-6)


def test_walk_through_the_box_equals_a_fresh_start(potential):
    """Atoms that leave the box and lists that are kept change nothing but rounding."""
    atoms = alloy(2)
    generator = np.random.default_rng(2)
    positions = atoms.positions.copy()
    with LammpsForces(atoms, find_potential(potential)) as engine:
        for _ in range(40):
            positions += 0.08 * generator.standard_normal(positions.shape) + 0.4
            walked, forces = engine.energy_and_forces(positions)
        engine.rebuild(positions)
        rebuilt, fresh = engine.energy_and_forces(positions)
    atoms.positions[:] = positions
    with LammpsForces(atoms, find_potential(potential)) as engine:
        expected, expected_forces = engine.energy_and_forces(positions)
    assert walked == pytest.approx(expected, abs=1e-9)
    assert rebuilt == pytest.approx(expected, abs=1e-9)
    assert forces == pytest.approx(expected_forces, abs=1e-10 * abs(expected_forces).max())
    assert fresh == pytest.approx(expected_forces, abs=1e-10 * abs(expected_forces).max())


def test_rebuild_makes_results_independent_of_what_came_before(potential):
    atoms = alloy(2)
    other = atoms.positions + np.random.default_rng(3).normal(0, 0.3, (len(atoms), 3))
    with LammpsForces(atoms, find_potential(potential)) as engine:
        first = engine.energy_and_forces(atoms.positions + 0.01)
        engine.energy_and_forces(other)
        engine.rebuild(atoms.positions)
        again = engine.energy_and_forces(atoms.positions + 0.01)
    assert again[0] == first[0]
    np.testing.assert_array_equal(again[1], first[1])


FORCES_AFTER = """
import sys
import numpy as np
from symgnn.lammps_interface import LammpsForces
from symgnn.potentials import find_potential
from tests.test_lammps_interface import alloy

atoms = alloy(2)
with LammpsForces(atoms, find_potential(sys.argv[1])) as engine:
    expected, force = engine.energy_and_forces(atoms.positions)
    for tallied in (engine.energies, engine.stress) * 2:
        tallied(atoms.positions)
        for _ in range(2):
            energy, again = engine.energy_and_forces(atoms.positions)
            np.testing.assert_allclose(again, force, rtol=0, atol=1e-12)
            np.testing.assert_allclose(energy, expected, rtol=1e-14)
"""


def test_forces_follow_energies_by_atom_and_stress(potential):
    """In a process of its own, which LAMMPS would take down."""
    done = subprocess.run(
        [sys.executable, "-c", FORCES_AFTER, str(potential)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("mirror", [1, -1])
def test_cell_in_lammps_frame_spans_the_same_lattice(mirror):
    cell = np.random.default_rng(4).uniform(-5, 5, (3, 3)) + 8 * np.eye(3)
    cell[2] += 3 * cell[0] - 2 * cell[1]
    cell[0] *= mirror
    lower, turn = lammps_cell(cell)
    assert np.triu(lower, 1) == pytest.approx(np.zeros((3, 3)), abs=1e-12)
    assert (np.diag(lower) > 0).all()
    assert abs(lower[1, 0]) <= 0.5 * lower[0, 0] + 1e-12
    assert abs(lower[2, 1]) <= 0.5 * lower[1, 1] + 1e-12
    change = lower @ turn.T @ np.linalg.inv(cell)
    assert change == pytest.approx(np.rint(change), abs=1e-9)
    assert abs(np.linalg.det(change)) == pytest.approx(1, abs=1e-9)


def test_unknown_element_and_unknown_suffix_are_refused(potential):
    atoms = bulk("Al", cubic=True)
    with pytest.raises(InputError, match="element Al"):
        LammpsForces(atoms, find_potential(potential))
    with pytest.raises(InputError, match="package"):
        start_lammps(package=("nonsense 1",))
