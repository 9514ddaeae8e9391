"""The batch engine gives the compiled engine's forces, and its searches do not know their batch."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms

from symgnn import cli
from symgnn.barriers import stage
from symgnn.barriers.batched import engine as batched
from symgnn.barriers.batched.engine import GIB, STATE_BYTES, BatchedEngine, make_plan
from symgnn.barriers.eam_engine import RegionEngine
from symgnn.barriers.event import Event
from symgnn.barriers.lammps_engine import LammpsEngine
from symgnn.barriers.protocol import Protocol, Status
from symgnn.barriers.searches import Searches
from symgnn.errors import InputError, TimeBudgetReached
from symgnn.lammps_interface import LammpsForces
from symgnn.potentials import Potential
from symgnn.progress import TimeBudget
from symgnn.structures import write_structure
from tests.barriers.test_eam import displaced, write_potential


def open_rows(
    atoms: Atoms, potential: Potential, targets: list[int], radius: float, **options: object
):
    """An engine on the processor, its rows, and an open search in each of the first ones."""
    engine = BatchedEngine(atoms, potential, radius=radius, device="cpu", **options)
    rows = engine.rows(len(targets), engine.capacity)
    searches = [engine.open(target) for target in targets]
    for row, search in enumerate(searches):
        rows.take(row, search)
    return engine, rows, searches


def forces_at(engine, rows, positions: list[np.ndarray], order: list[int] | None = None):
    """Energies, forces and validity of all rows, asked for in an order."""
    trial = torch.zeros(len(positions), 3 * engine.capacity, dtype=torch.float64)
    for row, position in enumerate(positions):
        trial[row, : position.size] = torch.from_numpy(position.ravel())
    asked = torch.tensor(range(len(positions)) if order is None else order)
    energy, force, inside = rows.of(asked, trial)
    back = torch.argsort(asked)
    force = [
        force[back][row, : position.size].view(-1, 3).numpy()
        for row, position in enumerate(positions)
    ]
    return energy[back].numpy(), force, inside[back].numpy()


def full_system(
    atoms: Atoms, potential: Potential, search, position: np.ndarray
) -> tuple[float, np.ndarray]:
    """What LAMMPS says with all atoms: the change of the energy, and forces on the free atoms."""
    moved = atoms.positions.copy()
    moved[search.atoms] += position - search.position
    with LammpsForces(atoms, potential) as full:
        start, _ = full.energy_and_forces(atoms.positions)
        energy, force = full.energy_and_forces(moved)
    return energy - start, force[search.atoms]


@pytest.mark.parametrize("radius", [5.0, 9.0])
def test_forces_are_those_of_the_compiled_engine_and_of_lammps(disordered, cu_zr, radius) -> None:
    """A cell of 13.2 Å: images of free atoms are among the sites."""
    targets = [0, 77, 31]
    engine, rows, searches = open_rows(disordered, cu_zr, targets, radius)
    positions = [displaced(search, seed) for seed, search in enumerate(searches)]
    energy, force, inside = forces_at(engine, rows, positions)
    peer = RegionEngine(disordered, cu_zr, radius=radius)
    assert inside.all()
    for k, target in enumerate(targets):
        other = peer.open(target)
        np.testing.assert_array_equal(other.atoms, searches[k].atoms)
        theirs, their_force = other(positions[k])
        np.testing.assert_allclose(force[k], their_force, rtol=0, atol=1e-9)
        assert energy[k] == pytest.approx(theirs, abs=1e-9)
        full, full_force = full_system(disordered, cu_zr, searches[k], positions[k])
        np.testing.assert_allclose(force[k], full_force, rtol=0, atol=1e-9)
        assert energy[k] == pytest.approx(full, abs=1e-8)  # of 600 eV that LAMMPS adds up


@pytest.mark.parametrize("style", ["eam/fs", "eam/alloy"])
def test_asymmetric_and_alloy_files_agree_with_lammps(tmp_path, disordered, cu_zr, style) -> None:
    potential = write_potential(tmp_path / f"test.{style.replace('/', '.')}", cu_zr, style)
    engine, rows, (search,) = open_rows(disordered, potential, [9], 6.0)
    position = displaced(search, seed=9)
    (energy,), (force,), _ = forces_at(engine, rows, [position])
    full, full_force = full_system(disordered, potential, search, position)
    np.testing.assert_allclose(force, full_force, rtol=0, atol=1e-9)
    assert energy == pytest.approx(full, abs=1e-8)


def test_mixed_precision_is_near_double(disordered, cu_zr) -> None:
    """Forces within 1e-4 of the largest; energies within 1 meV, at moves as large as a saddle's."""
    for scale in (0.2, 1.0, 3.0):
        found = []
        for precision in ("double", "mixed"):
            engine, rows, (search,) = open_rows(disordered, cu_zr, [5], 9.0, precision=precision)
            position = search.position + scale * (displaced(search, 3) - search.position)
            found.append(forces_at(engine, rows, [position])[:2])
        ((energy,), (force,)), ((mixed,), (mixed_force,)) = found
        assert not np.array_equal(force, mixed_force)
        assert np.abs(mixed_force - force).max() < 1e-4 * np.abs(force).max()
        # float32 errs by 6e-8 of each term, and so in a sum that is large where atoms collide
        assert mixed == pytest.approx(energy, abs=1e-3, rel=1e-6)


def test_force_is_minus_the_gradient(disordered, cu_zr) -> None:
    engine, rows, (search,) = open_rows(disordered, cu_zr, [4], 8.0)
    position = displaced(search, seed=0)
    _, (force,), _ = forces_at(engine, rows, [position])
    step = 1e-4
    for atom, axis in ((0, 0), (3, 1), (len(position) - 1, 2)):
        ends = []
        for side in (step, -step):
            moved = position.copy()
            moved[atom, axis] += side
            ends.append(forces_at(engine, rows, [moved])[0][0])
        slope = (ends[0] - ends[1]) / (2 * step)
        assert slope == pytest.approx(-force[atom, axis], abs=2e-6)  # O(step²) of the splines


def test_forces_hold_far_from_the_start(disordered, cu_zr) -> None:
    """New lists, and new candidates for them: pairs come into reach that no list had."""
    engine, rows, (search,) = open_rows(disordered, cu_zr, [17], 5.0)
    position = search.position.copy()
    for _ in range(8):
        position[0] += (0.2, -0.25, 0.3)
        (energy,), (force,), (inside,) = forces_at(engine, rows, [position])
    assert inside
    full, full_force = full_system(disordered, cu_zr, search, position)
    scale = np.abs(full_force).max()  # eV/Å, large where atoms have come close
    np.testing.assert_allclose(force, full_force, rtol=0, atol=1e-9 * max(1.0, scale))
    assert energy == pytest.approx(full, abs=1e-8, rel=1e-10)


def test_forces_in_displaced_surroundings_are_those_of_the_compiled_engine(
    disordered, cu_zr
) -> None:
    atoms = disordered.repeat(2)
    engine = BatchedEngine(atoms, cu_zr, radius=5.0, device="cpu")
    displacement = np.random.default_rng(2).normal(scale=0.2, size=atoms.positions.shape)
    search = engine.open_displaced(40, 0, displacement)
    rows = engine.rows(1, engine.confirming[0])
    rows.take(0, search)
    position = displaced(search, 0)
    trial = torch.zeros(1, 3 * engine.confirming[0], dtype=torch.float64)
    trial[0, : position.size] = torch.from_numpy(position.ravel())
    energy, force, _ = rows.of(torch.tensor([0]), trial)
    peer = RegionEngine(atoms, cu_zr, radius=5.0).open_displaced(40, 0, displacement)
    expected, expected_force = peer(position)
    found = force[0, : position.size].view(-1, 3).numpy()
    np.testing.assert_allclose(found, expected_force, rtol=0, atol=1e-9)
    assert energy[0].item() == pytest.approx(expected, abs=1e-9)


def test_a_far_journey_is_reported(disordered, cu_zr) -> None:
    engine, rows, (search,) = open_rows(disordered, cu_zr, [0], 5.0, travel=2.0)
    position = search.position.copy()
    assert forces_at(engine, rows, [position])[2][0]
    position[1] += 2.5
    assert not forces_at(engine, rows, [position])[2][0]


@pytest.mark.parametrize("kernel", ["torch", "triton"])
def test_a_row_has_the_bound_of_its_search(disordered, cu_zr, kernel) -> None:
    """That of a region of all atoms, and that of all atoms free, by turns in one row."""
    if kernel == "triton":
        pytest.importorskip("triton", reason="Triton is not installed", exc_type=ImportError)
    device = "cuda" if kernel == "triton" and torch.cuda.is_available() else "cpu"
    engine = BatchedEngine(disordered, cu_zr, radius=20.0, device=device, kernel=kernel)
    assert engine.capacity == len(disordered)
    rows = engine.rows(1, engine.capacity)
    for far in (False, True, False):
        last = len(engine.confirming) - 1
        search = engine.open_larger(0, last) if far else engine.open(0)
        rows.take(0, search)
        position = search.position.copy()
        position[1] += [4.6, 3.7, 1.1]  # 6 Å
        trial = torch.from_numpy(position.reshape(1, -1)).to(device)
        assert bool(rows.of(torch.tensor([0], device=device), trial)[2][0]) == far
        rows.leave(0)


def test_a_row_does_not_depend_on_the_others(disordered, cu_zr) -> None:
    """To the last bit, in a batch of any size and order."""
    targets = [3, 3, 50, 99]
    engine, rows, searches = open_rows(disordered, cu_zr, targets, 7.0)
    ways = [
        [displaced(search, 10 * k + way) for way in range(3)] for k, search in enumerate(searches)
    ]
    for way in range(3):
        energy, force, _ = forces_at(engine, rows, [w[way] for w in ways], order=[2, 0, 3, 1])
    for k, target in enumerate(targets):
        alone, row, _ = open_rows(disordered, cu_zr, [target], 7.0)
        for way in range(3):
            (one,), (own,), _ = forces_at(alone, row, [ways[k][way]])
        assert one == energy[k]
        np.testing.assert_array_equal(own, force[k])


def test_a_row_is_used_again(disordered, cu_zr) -> None:
    engine, rows, (first,) = open_rows(disordered, cu_zr, [3], 6.0)
    forces_at(engine, rows, [displaced(first, 0)])
    rows.leave(0)
    second = engine.open(80)
    rows.take(0, second)
    position = displaced(second, 1)
    (energy,), (force,), _ = forces_at(engine, rows, [position])
    fresh, own, _ = open_rows(disordered, cu_zr, [80], 6.0)
    (expected,), (expected_force,), _ = forces_at(fresh, own, [position])
    assert energy == expected
    np.testing.assert_array_equal(force, expected_force)


def run(atoms: Atoms, engine, tasks: list, **options: object) -> list[Event]:
    """The events of some searches, in the order of atom and search."""
    searches = Searches(atoms, engine, seed=1, **{"protocol": Protocol(), **options})
    return sorted(searches.run(tasks), key=lambda event: (event.atom, event.search))


TASKS = [(atom, search) for atom in (5, 40, 77, 101, 120) for search in range(4)]
# Tight, so that a saddle has one barrier: both are within F²/2k of it, summed over atoms.
TIGHT = {"protocol": Protocol(force_tolerance=0.01), "check": False}


@pytest.fixture(scope="module")
def found(relaxed: Atoms, cu_zr: Potential) -> list[Event]:
    """Twenty searches of the batch engine."""
    engine = BatchedEngine(relaxed, cu_zr, radius=6.0, device="cpu")
    return run(relaxed, engine, TASKS, **TIGHT)


def test_both_engines_find_the_same_saddles(relaxed, cu_zr, found) -> None:
    peer = run(relaxed, RegionEngine(relaxed, cu_zr, radius=6.0, hessians=False), TASKS, **TIGHT)
    assert sum(event.status == Status.CONVERGED for event in found) >= 15
    same = [
        a.status == b.status and (a.status != 0 or abs(a.barrier - b.barrier) < 0.005)
        for a, b in zip(found, peer, strict=True)
    ]
    # the last digits of the forces differ, and a search may take another way for it
    assert np.mean(same) >= 0.9


def test_searches_do_not_depend_on_size_and_order_of_the_batch(relaxed, cu_zr, found) -> None:
    engine = BatchedEngine(relaxed, cu_zr, radius=6.0, device="cpu", searches=3)
    assert engine.batch == 3
    again = run(relaxed, engine, TASKS[::-1][:7], **TIGHT)
    for one, other in zip(again, found[-7:], strict=True):
        for name in vars(one):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def test_saddles_are_confirmed_as_by_the_compiled_engine(relaxed, cu_zr) -> None:
    """In a larger region first, then with all atoms free."""
    atoms = relaxed.repeat(2)
    confirmed = []
    for engine in (
        BatchedEngine(atoms, cu_zr, radius=5.0, device="cpu"),
        RegionEngine(atoms, cu_zr, radius=5.0, hessians=False),
    ):
        assert len(engine.confirming) == 3
        # at 0.004 eV/Å a flat saddle has a barrier within 4 meV only, which rounding decides on
        protocol = Protocol(full_tolerance=0.001)
        confirmed.append(run(atoms, engine, [(77, 0), (77, 2)], protocol=protocol))
    for batched_event, event in zip(*confirmed, strict=True):
        assert batched_event.status == event.status == 0
        assert batched_event.full_evaluations > 0
        assert batched_event.barrier < batched_event.region_barrier - 0.05
        assert batched_event.barrier == pytest.approx(event.barrier, abs=1e-3)


def test_the_memory_bound_holds() -> None:
    for memory in (0.25, 1.0, 40.0):
        plan = make_plan(
            1_200_000, [9_000_000, 33_000_000], memory=memory * GIB, most=8192, most_checks=256
        )
        assert plan.bytes <= memory * GIB
        assert plan.searches.rows >= 1
        assert min(share.rows for share in plan.checks) >= 1
    assert plan.searches.rows == 8192  # more are of no use
    with pytest.raises(InputError, match=r"must be at least 0\.241 GiB for one search"):
        make_plan(1_200_000, [9_000_000, 33_000_000], memory=0.24 * GIB, most=1, most_checks=1)


def test_the_engine_chooses_its_batch_from_the_memory(relaxed, cu_zr, monkeypatch) -> None:
    monkeypatch.setitem(batched.LARGEST_BATCH, "cpu", 8192)
    few, many = (
        BatchedEngine(relaxed, cu_zr, radius=5.0, device="cpu", memory=memory)
        for memory in (0.1, 0.4)
    )
    for engine, memory in ((few, 0.1), (many, 0.4)):
        assert engine.plan.bytes <= memory * GIB < 1.1 * engine.plan.bytes
        assert f"searches {engine.batch} of " in str(engine.plan)
    assert 3 < many.batch / few.batch < 6
    assert few.plan.searches.row_bytes > STATE_BYTES * few.capacity
    with pytest.raises(InputError, match="GiB for one search"):
        BatchedEngine(relaxed, cu_zr, radius=5.0, device="cpu", memory=1e-4)


def test_a_row_takes_no_more_memory_than_was_said(disordered, cu_zr) -> None:
    engine, rows, (search,) = open_rows(disordered, cu_zr, [3], 8.0)
    forces_at(engine, rows, [displaced(search, 0)])
    start, pairs = search.start, rows._evaluations[0]._pairs
    held = {
        id(value): value.numel() * value.element_size()
        for of in (start, start.layout, start.candidates, pairs, rows)
        for value in vars(of).values()
        if isinstance(value, torch.Tensor)
    }
    said = engine.plan.searches.row_bytes - STATE_BYTES * engine.capacity
    assert 0.3 * said < sum(held.values()) < said


def test_unknown_forms_are_sent_to_lammps(disordered, cu_zr) -> None:
    with pytest.raises(InputError, match="use engine lammps"):
        BatchedEngine(disordered, replace(cu_zr, style="meam"), radius=6.0, device="cpu")


def test_a_gpu_that_is_not_there_ends_with_2(relaxed, tmp_path: Path, monkeypatch, capsys) -> None:
    write_structure(tmp_path / "glass.xyz", relaxed)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    words = "barriers glass.xyz --potential Cu-Zr-2009 --atoms 1 --engine gpu -o events.h5"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["symgnn", *words.split()])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "engine: gpu: torch sees no CUDA device here" in line
    assert [path.name for path in tmp_path.iterdir()] == ["glass.xyz"]


def test_the_engine_hears_of_memory_and_precision(relaxed, tmp_path: Path, monkeypatch, capsys):
    """From the command on: too little memory for one search ends with 2."""
    asked = {}

    class OnProcessor(BatchedEngine):
        def __init__(self, *arguments, device, **options):
            asked.update(options)
            super().__init__(*arguments, device="cpu", **options)

    monkeypatch.setattr(stage, "BatchedEngine", OnProcessor)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (80 * GIB, 80 * GIB))
    write_structure(tmp_path / "glass.xyz", relaxed)
    words = "barriers glass.xyz --potential Cu-Zr-2009 --atoms 3 --searches 2 --engine gpu"
    words += " --memory 0.001 --precision mixed -o events.h5"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["symgnn", *words.split()])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert "memory: 0.001 GiB: must be at least" in capsys.readouterr().err
    assert (asked["precision"], asked["searches"]) == ("mixed", 3 * (2 + 8))  # and in the region


class StopsAfter(TimeBudget):
    """A budget that ends when it was asked so often."""

    def __init__(self, questions: float):
        super().__init__(None)
        self._left, self.asked = questions, 0

    def exhausted(self, reserve: float = 0.0) -> bool:
        self._left, self.asked = self._left - 1, self.asked + 1
        return self._left < 0

    def check(self, what: str) -> None:
        if self.exhausted():
            raise TimeBudgetReached(what)


def test_the_stage_goes_on_where_it_was_stopped(
    relaxed, cu_zr, tmp_path: Path, monkeypatch, capsys
) -> None:
    """The same journal and the same bytes; a journal of the compiled engine is other work."""

    def search(output: Path, budget: TimeBudget) -> None:
        stage.search_barriers(
            relaxed,
            cu_zr,
            output,
            chosen=np.array([40, 77]),
            searches=3,
            region_searches=1,
            seed=1,
            protocol=Protocol(),
            radius=5.0,
            engine="cpu",
            check=True,
            label="all",
            budget=budget,
        )

    compiled = tmp_path / "compiled.h5"
    search(compiled, TimeBudget(None))
    compiled_journal = Path(f"{compiled}.journal").read_bytes()

    def on_processor(name, *arguments, radius, searches, check, **_):
        engine = BatchedEngine(
            *arguments, radius=radius, device="cpu", searches=searches, check=check
        )
        engine.unconfirmed = 1  # saddles are confirmed one by one, so that some are done early
        return engine

    monkeypatch.setattr(stage, "make_engine", on_processor)
    whole, stopped, endless = tmp_path / "whole.h5", tmp_path / "stopped.h5", StopsAfter(np.inf)
    search(whole, endless)
    assert "symgnn: batches on cpu: searches 8 of " in capsys.readouterr().err
    journal = Path(f"{stopped}.journal")
    journal.write_bytes(compiled_journal)
    with pytest.raises(TimeBudgetReached):
        search(stopped, StopsAfter(0.7 * endless.asked))
    kept = journal.read_bytes()
    assert kept.splitlines()[0] != compiled_journal.splitlines()[0]
    assert 2 <= kept.count(b"\n") < 9
    search(stopped, TimeBudget(None))
    assert journal.read_bytes().startswith(kept)
    assert stopped.read_bytes() == whole.read_bytes()
    assert sorted(journal.read_bytes().splitlines()) == sorted(
        Path(f"{whole}.journal").read_bytes().splitlines()
    )


def test_engines_that_find_other_saddles_have_other_names(relaxed, cu_zr) -> None:
    """The journal goes on only where the name is the same."""
    engines = [RegionEngine(relaxed, cu_zr, radius=5.0, hessians=known) for known in (True, False)]
    engines += [
        BatchedEngine(relaxed, cu_zr, radius=5.0, device="cpu", precision=precision)
        for precision in ("double", "mixed")
    ]
    assert len({engine.name for engine in [*engines, LammpsEngine(relaxed, cu_zr)]}) == 5


def test_auto_takes_the_gpu_where_there_is_one(relaxed, cu_zr, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert stage.make_engine("auto", relaxed, cu_zr, radius=5.0).name == "RegionEngine"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(stage, "BatchedEngine", lambda *_, **options: options)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (80 * GIB, 80 * GIB))
    options = stage.make_engine("auto", relaxed, cu_zr, radius=5.0, rank=3, memory=8.0)
    assert options["device"] == "cuda:1"  # ranks take turns
    assert options["memory"] == 8.0
    options = stage.make_engine("gpu", relaxed, cu_zr, radius=5.0, rank=1, ranks=4)
    assert options["memory"] == pytest.approx(32.0)  # 0.8 of 80 GiB for two of them
    meam = replace(cu_zr, style="meam")
    monkeypatch.setattr(stage, "LammpsEngine", lambda *_: "lammps")
    assert stage.make_engine("auto", relaxed, meam, radius=5.0) == "lammps"
