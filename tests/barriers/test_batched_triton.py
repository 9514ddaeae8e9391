"""The Triton kernels, in Triton's interpreter where there is no GPU, and compiled for one."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms

from symgnn.barriers.batched.engine import STATE_BYTES, BatchedEngine
from symgnn.barriers.eam_engine import RegionEngine
from symgnn.potentials import Potential
from tests.barriers.test_eam import displaced, write_potential

pytest.importorskip("triton", reason="Triton is not installed", exc_type=ImportError)
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"  # there in Triton's interpreter


class Case:
    """Rows of the Triton kernels, each with an open search."""

    def __init__(self, atoms: Atoms, potential: Potential, targets: list[int], **options: object):
        options = {"radius": 4.5, **options}
        self.engine = BatchedEngine(atoms, potential, device=DEVICE, kernel="triton", **options)
        self.rows = self.engine.rows(len(targets), self.engine.capacity)
        self.searches = [self.engine.open(target) for target in targets]
        for row, search in enumerate(self.searches):
            self.rows.take(row, search)

    def __call__(self, positions: dict[int, np.ndarray]) -> dict[int, tuple]:
        """Energy, force and validity of some rows."""
        shape = len(self.searches), 3 * self.engine.capacity
        trial = torch.zeros(shape, dtype=torch.float64, device=DEVICE)
        for row, position in positions.items():
            trial[row, : position.size] = torch.from_numpy(position.ravel()).to(DEVICE)
        rows = torch.tensor(list(positions), device=DEVICE)
        found = [part.cpu().numpy() for part in self.rows.of(rows, trial)]
        return {
            row: (energy, force[: position.size].reshape(-1, 3), inside)
            for (row, position), energy, force, inside in zip(
                positions.items(), *found, strict=True
            )
        }


@pytest.mark.parametrize("radius", [4.5, 8.0])
def test_forces_are_those_of_the_compiled_engine(disordered, cu_zr, radius) -> None:
    """A cell of 13.2 Å: images of free atoms are among the sites."""
    case = Case(disordered, cu_zr, [77], radius=radius)
    position = displaced(case.searches[0], 1)
    energy, force, inside = case({0: position})[0]
    peer = RegionEngine(disordered, cu_zr, radius=radius).open(77)
    theirs, their_force = peer(position)
    assert inside
    np.testing.assert_allclose(force, their_force, rtol=0, atol=1e-9)
    assert energy == pytest.approx(theirs, abs=1e-9)


def test_asymmetric_densities(tmp_path, disordered, cu_zr) -> None:
    potential = write_potential(tmp_path / "test.eam.fs", cu_zr, "eam/fs")
    case = Case(disordered, potential, [9])
    position = displaced(case.searches[0], 9)
    energy, force, _ = case({0: position})[0]
    theirs, their_force = RegionEngine(disordered, potential, radius=4.5).open(9)(position)
    np.testing.assert_allclose(force, their_force, rtol=0, atol=1e-9)
    assert energy == pytest.approx(theirs, abs=1e-9)


def test_mixed_precision_is_near_double(disordered, cu_zr) -> None:
    case = Case(disordered, cu_zr, [5], precision="mixed")
    position = displaced(case.searches[0], 3)
    energy, force, _ = case({0: position})[0]
    theirs, their_force = RegionEngine(disordered, cu_zr, radius=4.5).open(5)(position)
    assert 0.0 < np.abs(force - their_force).max() < 1e-4 * np.abs(their_force).max()
    assert energy == pytest.approx(theirs, abs=1e-3)


def test_forces_hold_far_from_the_start_and_a_far_journey_is_reported(disordered, cu_zr) -> None:
    """New lists, and new candidates for them."""
    case = Case(disordered, cu_zr, [17])
    peer = RegionEngine(disordered, cu_zr, radius=4.5).open(17)
    position = case.searches[0].position.copy()
    for reach in (0.8, 2.2, 4.6):
        position[0] = np.array((0.48, -0.6, 0.64)) * reach
        energy, force, inside = case({0: position})[0]
        theirs, their_force = peer(position)
        scale = max(1.0, np.abs(their_force).max())
        np.testing.assert_allclose(force, their_force, rtol=0, atol=1e-9 * scale)
        assert energy == pytest.approx(theirs, abs=1e-9 * scale)
        assert inside == peer.inside == (reach < 4.0)


def test_a_row_does_not_depend_on_the_others(disordered, cu_zr) -> None:
    """To the last bit, in a batch of any size and order, and in a row that was used before."""
    targets = [3, 50, 3]
    case = Case(disordered, cu_zr, targets)
    positions = [displaced(search, k) for k, search in enumerate(case.searches)]
    together = case({2: positions[2], 0: positions[0], 1: positions[1]})
    case.rows.leave(1)
    case.rows.take(1, case.engine.open(3))
    again = case({1: positions[2]})[1]
    alone = Case(disordered, cu_zr, targets[:1])({0: positions[2]})[0]
    for one in (again, alone):
        assert one[0] == together[2][0]
        np.testing.assert_array_equal(one[1], together[2][1])


def test_where_too_many_atoms_meet_the_energy_is_no_number(disordered, cu_zr, monkeypatch) -> None:
    case = Case(disordered, cu_zr, [3, 50])
    position = [search.position.copy() for search in case.searches]
    position[0] *= 0.2  # all free atoms within 1 Å, which brings frozen ones into no list
    case.rows.listed = case.rows.listed[:, :, :96].contiguous()  # as if there were so few slots
    case.rows._sizes = case.rows._sizes._replace(slots=96)
    case.rows._listed_at[:] = torch.inf
    found = case(dict(enumerate(position)))
    assert np.isnan(found[0][0])


def test_a_start_with_too_many_neighbours_has_no_energy(disordered, cu_zr, monkeypatch) -> None:
    monkeypatch.setattr("symgnn.barriers.batched.triton_eam.CROWDED", 0.3)
    case = Case(disordered, cu_zr, [3])
    assert np.isnan(case({0: case.searches[0].position})[0][0])


def test_a_crowded_start_spoils_no_other_one(disordered, cu_zr) -> None:
    case = Case(disordered, cu_zr, [3])
    for bench in case.engine._kernel._benches.values():
        bench._crowded[0] = True
    search = case.engine.open(50)
    case.rows.take(0, search)
    assert case({0: search.position})[0][0] == 0.0


def test_rows_take_the_memory_that_was_said(disordered, cu_zr) -> None:
    case = Case(disordered, cu_zr, [3, 50, 7])
    held = sum(
        value.numel() * value.element_size()
        for value in vars(case.rows).values()
        if isinstance(value, torch.Tensor)
    )
    said = case.engine.plan.searches.row_bytes - STATE_BYTES * case.engine.capacity
    assert 0.9 * 3 * said < held < 3 * said


def test_the_kernels_compile_for_an_h100() -> None:
    """With no GPU at hand; numbers of tables and places arrive in float64."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.barriers.compiled_kernels"],
        cwd=Path(__file__).parents[2],
        env={key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 6 * 2 * 2
    assert all(int(line.split()[3]) < 48 * 1024 for line in lines)  # bytes of shared memory
