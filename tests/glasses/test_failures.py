"""Runs that go wrong: found, named, and no half-written glass."""

import ctypes
import os
import subprocess
import sys
from contextlib import closing

import mpi4py.MPI as MPI
import pytest
from ase import Atoms

from symgnn.errors import SimulationError
from symgnn.glasses.dynamics import THERMO_STYLE, Stage, run_stages
from symgnn.glasses.quench import melt_quench
from symgnn.glasses.restarts import Restarts
from symgnn.glasses.start import random_start
from symgnn.lammps_interface import load_structure, set_potential, start_lammps
from symgnn.potentials import find_potential
from symgnn.progress import TimeBudget
from symgnn.structures import write_structure

KEYWORDS = {
    "composition": "Cu64Zr36",
    "atoms": 100,
    "cooling_rate": 1e15,
    "seed": 3,
    "melt_time": 2.0,
    "melt_temperature": 1500.0,
    "final_temperature": 900.0,
}


def program(*words) -> subprocess.CompletedProcess:
    """The command line as users start it, with its exit codes."""
    return subprocess.run(
        [sys.executable, "-m", "symgnn.cli", *map(str, words)],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=300,
    )


def quench(potential, output, **changes) -> subprocess.CompletedProcess:
    keywords = KEYWORDS | changes
    options = [f"--{key.replace('_', '-')}={value}" for key, value in keywords.items()]
    return program("quench", *options, f"--potential={potential}", "-o", output)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pressure": 400.0}, "melt: the box collapsed by step"),
        ({"timestep": 60.0, "melt_time": 60.0, "cooling_rate": 1e13}, "melt: "),
    ],
    ids=["collapse", "explosion"],
)
def test_failed_run_exits_1_with_one_line_and_without_a_glass(potential, tmp_path, change, message):
    done = quench(potential, tmp_path / "glass.xyz", **change)
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("symgnn: ")]
    assert len(lines) == 1
    assert lines[0].startswith(f"symgnn: failed: {message}")
    assert "Traceback" not in done.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"glass.xyz.restart"}


def test_bad_input_exits_2_with_one_line(potential, tmp_path):
    done = quench(potential, tmp_path / "glass.xyz", package="nonsense 2")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("symgnn: error: suffix: 'opt', package: ['nonsense 2'], kokkos: ''")
    assert list(tmp_path.iterdir()) == []


def test_overlapping_atoms_are_not_sheared(potential, tmp_path):
    pair = Atoms("Cu2", [[0, 0, 0], [0.4, 0, 0]], cell=[12] * 3, pbc=True)
    write_structure(tmp_path / "glass.xyz", pair)
    shear = ["--potential", potential, "-o", tmp_path / "shear.h5"]
    done = program("shear", tmp_path / "glass.xyz", *shear)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.endswith("glass.xyz: atoms 0 and 1 overlap, distance 0.400 Å")
    assert [path.name for path in tmp_path.iterdir()] == ["glass.xyz"]


def lose_an_atom(lmp):
    """Let LAMMPS believe in one atom more than it has; an atom of a periodic box rarely leaves."""
    extract = lmp.lib.lammps_extract_global
    extract.restype = ctypes.POINTER(ctypes.c_int64)
    extract(lmp.lmp, b"natoms")[0] += 1


def spoil_a_position(lmp):
    lmp.numpy.extract_atom("x")[0] = float("nan")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lose_an_atom, "Lost atoms: original 101 current 100"),
        (spoil_a_position, "Non-numeric"),
    ],
)
def test_lost_atoms_are_named_with_their_stage(potential, tmp_path, harm, message):
    with closing(start_lammps()) as lmp:
        load_structure(lmp, random_start({"Cu": 100}, 0.06, 1), ("Cu",), tilted=False)
        set_potential(lmp, find_potential(potential), ("Cu",))
        lmp.commands_list(["minimize 0 1.0 100 1000", "reset_timestep 0", THERMO_STYLE])
        harm(lmp)
        restarts = Restarts(tmp_path / "glass.xyz", {}, MPI.COMM_SELF)
        stages = (Stage("melt", 0, 200, 1500.0, 1500.0),)
        named = rf"^melt: before step 20: LAMMPS fails: .*{message}"
        with pytest.raises(SimulationError, match=named):
            run_stages(
                lmp,
                stages,
                "0.1 iso 0 0 1.0",
                [],
                restarts,
                0,
                thermo_interval=20,
                restart_interval=100,
                time_budget=TimeBudget(None),
                watch=lambda row: None,
            )
    assert not list(restarts.folder.glob("step-*"))


def test_glass_that_cannot_be_relaxed_is_not_written(potential, tmp_path):
    keywords = KEYWORDS | {"melt_time": 0.1, "force_tolerance": 1e-15, "cooling_rate": 6e15}
    with pytest.raises(SimulationError, match=r"relaxation: after \d+ rounds the largest force"):
        melt_quench(potential=find_potential(potential), output=tmp_path / "glass.xyz", **keywords)
    assert [path.name for path in tmp_path.iterdir()] == ["glass.xyz.restart"]
