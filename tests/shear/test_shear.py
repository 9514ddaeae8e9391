"""Quasistatic shear: the work is the energy, restarts change nothing, snapshots are structures."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from typer.testing import CliRunner

from symgnn.cli import app
from symgnn.errors import InputError, TimeBudgetReached
from symgnn.lammps_interface import LammpsForces
from symgnn.potentials import find_potential
from symgnn.progress import TimeBudget
from symgnn.shear.nonaffine import neighbour_pairs, non_affine_displacement
from symgnn.shear.plasticity import (
    area_under_curve,
    plastic_drops,
    roc_curve,
    shear_modulus,
    yield_point,
)
from symgnn.shear.quasistatic import shear
from symgnn.shear.storage import read_shear, snapshot_folder, snapshot_structure
from symgnn.structures import read_structure, structure_hash, write_structure


def crystal(disorder=0.0):
    """B2 CuZr, 54 atoms, near its own lattice constant with this potential."""
    atoms = bulk("CuZr", "cesiumchloride", a=3.25, cubic=True).repeat(3)
    atoms.positions += disorder * np.random.default_rng(0).standard_normal((len(atoms), 3))
    return atoms


@pytest.mark.parametrize("plane", ["xy", "xz", "yz"])
def test_stress_is_the_slope_of_the_energy(potential, tmp_path, plane):
    """dE = V σ dγ along an athermal quasistatic path, here without plastic events."""
    atoms = crystal(0.1)
    rows, arrays, _ = shear(
        atoms,
        find_potential(potential),
        tmp_path / "shear.h5",
        plane=plane,
        strain=0.004,
        step=0.001,
        snapshot_strain=0.002,
        force_tolerance=1e-6,
    )
    energy = np.array([float(row["energy"]) for row in rows]) * len(atoms)
    stress = np.array([float(row[f"stress_{plane}"]) for row in rows]) / 160.21766
    work = atoms.get_volume() * 0.001 * (stress[2] + 4 * stress[1] + stress[0]) / 3
    # Simpson's rule is exact to the fourth order in the strain; energies hold 1e-9 eV
    assert energy[2] - energy[0] == pytest.approx(work, rel=1e-4, abs=1e-6)
    # volume is kept, and the snapshot's energy and stress are LAMMPS's on that structure
    atoms.set_cell(arrays["cell"][-1])
    atoms.positions = arrays["position"][-1]
    assert np.linalg.det(arrays["cell"][-1]) == pytest.approx(crystal().get_volume(), rel=1e-12)
    with LammpsForces(atoms, find_potential(potential)) as engine:
        found, forces = engine.energy_and_forces(atoms.positions)
        along, by = "xyz".index(plane[0]), "xyz".index(plane[1])
        assert engine.stress(atoms.positions)[along, by] == pytest.approx(
            float(rows[-1][f"stress_{plane}"]), abs=1e-7
        )
    assert found == pytest.approx(energy[-1], abs=1e-8)
    assert np.linalg.norm(forces, axis=1).max() < 1e-6


def test_stopped_shear_continues_bit_for_bit(potential, tmp_path):
    keywords = {
        "glass": crystal(0.2),
        "potential": find_potential(potential),
        "strain": 0.03,
        "step": 0.005,
        "snapshot_strain": 0.015,
        "restart_interval": 2,
    }
    rows, arrays, _ = shear(output=tmp_path / "whole.h5", **keywords)
    stops = 0
    while True:
        try:
            again, pieces, _ = shear(
                output=tmp_path / "pieces.h5", time_budget=TimeBudget(0), **keywords
            )
            break
        except TimeBudgetReached:
            stops += 1
    assert stops == 2
    assert [list(map(str, row.values())) for row in again] == (
        [list(map(str, row.values())) for row in rows]
    )
    assert arrays.keys() == pieces.keys()
    for name, values in arrays.items():
        np.testing.assert_array_equal(pieces[name], values)


def test_two_ranks_stop_and_continue_the_same_path(potential, tmp_path):
    """Under mpiexec of the mpich wheel: exit 75 at the budget, then the bytes of a whole run."""
    mpiexec = Path(sys.executable).with_name("mpiexec")
    if not mpiexec.exists():
        pytest.skip("no mpiexec beside this Python")
    write_structure(tmp_path / "glass.xyz", crystal(0.05))

    def run(output: str, *more: str) -> int:
        ranks = [mpiexec, "-n", "2", sys.executable, "-m", "symgnn.cli"]
        options = ["--strain=0.02", "--step=0.01", "--restart-interval=1", *more]
        options.append("--force-tolerance=0.01")  # few messages: busy ranks wait long for each
        files = ["shear", tmp_path / "glass.xyz", "--potential", potential, "-o", tmp_path / output]
        return subprocess.run([*ranks, *files, *options], capture_output=True).returncode

    assert run("whole.h5") == 0
    assert run("pieces.h5", "--time-budget=0.001") == 75
    assert not (tmp_path / "pieces.h5").exists()
    assert run("pieces.h5") == 0
    assert (tmp_path / "pieces.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()
    for path in snapshot_folder(tmp_path / "whole.h5").iterdir():
        again = snapshot_folder(tmp_path / "pieces.h5") / path.name
        assert again.read_bytes() == path.read_bytes()


def test_command_writes_curve_and_structures(potential, tmp_path):
    write_structure(tmp_path / "glass.xyz", crystal(0.1))
    output = tmp_path / "shear.h5"
    snapshot_folder(output).mkdir()
    (snapshot_folder(output) / "strain-0.0150.xyz").write_text("of an earlier run")
    options = ["--strain=0.02", "--step=0.005", f"--potential={potential}", "-o", str(output)]
    result = CliRunner().invoke(app, ["shear", str(tmp_path / "glass.xyz"), *options])
    assert result.exit_code == 0, result.output
    curve = read_shear(output)
    assert curve.strain == pytest.approx([0, 0.005, 0.01, 0.015, 0.02])
    assert curve.non_affine_step.shape == (4, 54)
    assert curve.snapshot_strain == pytest.approx([0, 0.01, 0.02])
    names = sorted(path.name for path in snapshot_folder(output).iterdir())
    assert names == ["strain-0.0000.xyz", "strain-0.0100.xyz", "strain-0.0200.xyz"]
    last = read_structure(snapshot_folder(output) / names[-1])
    assert last.info["shear_strain"] == pytest.approx(0.02)
    assert last.cell.array[2, 0] == pytest.approx(0.02 * 9.75)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "glass.xyz",
        "shear.h5",
        "shear.snapshots",
    ]


def test_a_sheared_snapshot_keeps_the_group_of_the_first_glass():
    glass = crystal(0.1)
    first = snapshot_structure(glass, glass.positions, glass.cell.array)
    second = snapshot_structure(first, 1.01 * glass.positions, 1.01 * glass.cell.array)
    assert first.info["group"] == second.info["group"] == structure_hash(glass)
    glass.info["group"] = "mine"
    assert snapshot_structure(glass, glass.positions, glass.cell.array).info["group"] == "mine"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"plane": "zx"}, "plane"),
        ({"strain": -0.1}, "strain"),
        ({"step": 0.0}, "step"),
        ({"strain": 0.0123456}, "multiple"),
        ({"snapshot_strain": 0.0005}, "snapshot_strain"),
        ({"glass": bulk("Al", cubic=True)}, "Al"),
        ({"glass": bulk("Cu")}, "lower-triangular"),
    ],
)
def test_bad_input_is_one_line(potential, tmp_path, change, message):
    keywords = {"glass": crystal(), "strain": 0.02, "step": 0.001} | change
    with pytest.raises(InputError, match=message):
        shear(potential=find_potential(potential), output=tmp_path / "s.h5", **keywords)
    assert list(tmp_path.iterdir()) == []


def test_affine_motion_has_no_non_affine_part():
    generator = np.random.default_rng(1)
    atoms = crystal(0.2)
    before = neighbour_pairs(atoms.positions, atoms.cell.array)
    deformation = np.eye(3) + 0.1 * generator.standard_normal((3, 3))
    moved = non_affine_displacement(
        before, atoms.positions @ deformation + 7.0, atoms.cell.array @ deformation
    )
    assert moved == pytest.approx(np.zeros(54), abs=1e-24 + 1e-12)


def test_non_affine_part_is_the_least_squares_residual():
    """numpy's lstsq, atom by atom, on the same neighbours; wrapping whole cells changes nothing."""
    generator = np.random.default_rng(2)
    atoms = crystal(0.2)
    cell = atoms.cell.array
    before = neighbour_pairs(atoms.positions, cell)
    later = atoms.positions + 0.2 * generator.standard_normal((54, 3))
    new_cell = cell @ (np.eye(3) + 0.05 * generator.standard_normal((3, 3)))
    found = non_affine_displacement(before, later, new_cell)
    for atom in (0, 13, 53):
        mine = before.source == atom
        old = before.vector[mine]
        new = later[before.target[mine]] - later[atom] + before.shift[mine] @ new_cell
        _, residual, _, _ = np.linalg.lstsq(old, new, rcond=None)
        assert found[atom] == pytest.approx(residual.sum() / mine.sum(), rel=1e-9)


def test_drops_modulus_and_yield_of_a_known_curve():
    strain = np.linspace(0, 0.09, 10)
    stress = np.array([0.0, 0.3, 0.6, 0.5, 0.4, 0.7, 1.0, 0.9995, 1.3, 1.1])
    energy = -np.arange(10.0)
    drops = plastic_drops(strain, stress, energy)
    assert [(d.first, d.last) for d in drops] == [(2, 4), (8, 9)]
    assert [d.stress for d in drops] == pytest.approx([0.2, 0.2])
    assert [d.energy for d in drops] == pytest.approx([2, 1])
    assert shear_modulus(strain, stress, largest=0.02) == pytest.approx(30)
    assert yield_point(strain, stress) == pytest.approx((0.08, 1.3))


def test_roc_curve_agrees_with_the_rank_statistic():
    """The area is the chance that a positive scores above a negative, ties counting half."""
    generator = np.random.default_rng(3)
    positive = generator.random(300) < 0.2
    score = np.round(generator.random(300) + 0.3 * positive, 1)
    false, true = roc_curve(score, positive)
    above = score[positive][:, None] - score[~positive][None]
    chance = (above > 0).mean() + 0.5 * (above == 0).mean()
    assert area_under_curve(false, true) == pytest.approx(chance, abs=1e-12)
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
