"""Small structures for the barriers' tests."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.optimize import LBFGS

from symgnn.lammps_interface import LammpsForces
from symgnn.potentials import Potential, find_potential
from symgnn.structures import write_structure
from tests.barriers.stage_runs import OPTIONS, command
from tests.calculators import ForcesCalculator


@pytest.fixture(scope="session")
def cu_zr(potential: Path) -> Potential:
    """The Cu-Zr potential of 2009."""
    return find_potential(potential)


def random_alloy(repeat: int, seed: int) -> Atoms:
    """A body-centred CuZr crystal with its species shuffled and its atoms displaced."""
    atoms = bulk("Cu", "bcc", a=3.3, cubic=True).repeat(repeat)
    generator = np.random.default_rng(seed)
    atoms.numbers = generator.permutation(np.where(np.arange(len(atoms)) % 5 < 2, 40, 29))
    atoms.positions += generator.normal(scale=0.15, size=atoms.positions.shape)
    return atoms


@pytest.fixture(scope="session")
def disordered() -> Atoms:
    """128 atoms of both species at no minimum, in a cell of 13.2 Å: less than any region."""
    return random_alloy(4, seed=1)


@pytest.fixture(scope="session")
def relaxed(cu_zr: Potential) -> Atoms:
    """128 atoms of both species at a minimum."""
    atoms = random_alloy(4, seed=2)
    with LammpsForces(atoms, cu_zr) as forces:
        atoms.calc = ForcesCalculator(forces)
        LBFGS(atoms, logfile=None).run(fmax=1e-4, steps=3000)
        assert np.abs(atoms.get_forces()).max() < 1e-4
        atoms.calc = None
    atoms.positions = np.round(atoms.positions, 8)  # what a written file holds
    return atoms


@pytest.fixture(scope="session")
def glass(relaxed: Atoms, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("glass") / "glass.xyz"
    write_structure(path, relaxed)
    return path


@pytest.fixture(scope="session")
def whole(glass: Path, tmp_path_factory) -> Path:
    """All searches in one go."""
    output = tmp_path_factory.mktemp("whole") / "events.h5"
    subprocess.run(command(glass, output, *OPTIONS), check=True, capture_output=True)
    return output
