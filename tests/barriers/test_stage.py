"""The barriers stage: the same bytes however the work is cut, stopped, or handed out."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.io import read

from symgnn import cli, fields
from symgnn.barriers import pool
from symgnn.barriers.artn import Artn, Phase
from symgnn.barriers.confirmation import CHECK_EVALUATIONS
from symgnn.barriers.engines import LammpsEngine, RegionEngine, grown_radii
from symgnn.barriers.event import Event
from symgnn.barriers.events import (
    atom_means,
    counted,
    duplicates,
    merge_events,
    read_columns,
    read_events,
    weights,
)
from symgnn.barriers.first_order import FirstOrderArtn
from symgnn.barriers.protocol import Protocol, Status
from symgnn.barriers.searches import Searches, push_generator
from symgnn.barriers.stage import chosen_atoms, shard_of
from symgnn.errors import InputError
from symgnn.lammps_interface import LammpsForces
from symgnn.structures import write_structure

OPTIONS = (
    "--potential",
    "Cu-Zr-2009",
    "--atoms",
    "3",
    "--searches",
    "2",
    "--radius",
    "8",
    "--seed",
    "4",
    "--activation",  # of the protocol with which this seed finds an event of each kind
    "-0.2",
    "--climb-balance",
    "0.6",
)


@pytest.fixture(scope="module")
def glass(relaxed: Atoms, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("glass") / "glass.xyz"
    write_structure(path, relaxed)
    return path


def command(glass: Path, output: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "symgnn.cli", "barriers", str(glass), *options, "-o", str(output)]


def exit_code(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["symgnn", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code


@pytest.fixture(scope="module")
def whole(glass: Path, tmp_path_factory) -> Path:
    """All searches in one go."""
    output = tmp_path_factory.mktemp("whole") / "events.h5"
    subprocess.run(command(glass, output, *OPTIONS), check=True, capture_output=True)
    return output


def test_events_obey_their_meaning(whole: Path, relaxed: Atoms) -> None:
    columns = read_columns(whole)
    converged = columns[fields.STATUS] == 0
    assert converged.sum() >= 4
    connected = columns[fields.CONNECTED] == 1
    assert connected.any()
    assert (columns[fields.BARRIER][connected] > 0).all()
    assert (columns[fields.CURVATURE][converged] < 0).all()
    assert (columns[fields.FORCE_MAX][converged] < 0.01).all()  # the full system's tolerance
    assert np.isnan(columns[fields.BARRIER][~converged]).all()
    relaxed_sides = np.isfinite(columns[fields.FINAL_ENERGY])
    assert relaxed_sides.sum() >= 4
    assert (columns[fields.FINAL_ENERGY] < columns[fields.BARRIER])[connected].all()
    assert (connected <= relaxed_sides).all()
    assert (relaxed_sides <= converged).all()
    assert np.isfinite(columns[fields.SECOND_CURVATURE][converged]).all()
    assert (columns[fields.CHECK_EVALUATIONS][converged] > 0).all()
    # with all atoms free the saddle lies no higher; both are within F²/2k of theirs
    assert (columns[fields.BARRIER][converged] < columns[fields.REGION_BARRIER][converged]).all()
    with h5py.File(whole) as file:
        atoms = file[fields.ATOMS]
        assert len(atoms[fields.BARRIER_MEAN]) == len(relaxed)
        assert atoms[fields.SEARCHES][:].sum() == 6
        for atom in np.unique(columns[fields.ATOM]):
            mine = converged & (columns[fields.ATOM] == atom) & (columns[fields.BARRIER] > 0)
            single = mine & (columns[fields.DISPLACEMENT_MAX] < 2.5)
            share = columns[fields.PUSHED_SHARE]
            for name, chosen, weight in (
                (fields.BARRIER_MEAN, mine, np.ones_like(share)),
                ("barrier_mean_pushed", mine, share),
                ("barrier_mean_single", single, np.ones_like(share)),
            ):
                weight = weight[chosen]
                total = (weight * columns[fields.BARRIER][chosen]).sum()
                expected = total / weight.sum() if chosen.any() else np.nan
                np.testing.assert_allclose(atoms[name][atom], expected)


def test_the_share_of_the_pushed_atoms_is_that_of_the_kept_displacements(
    whole: Path, relaxed: Atoms
) -> None:
    found = [event for event in read_events(whole) if event.status == 0]
    assert len(found) >= 4
    for event in found:
        distance = relaxed.get_distances(event.atom, event.moved_atoms, mic=True)
        square = (event.saddle_displacement**2).sum(axis=1)
        share = square[distance < Protocol().push_radius].sum() / square.sum()
        assert event.pushed_share == pytest.approx(share, rel=1e-5)  # kept in single precision
    assert any(0.0 < event.pushed_share < 1.0 for event in found)


def test_a_saddle_is_one_of_the_full_system(relaxed: Atoms, cu_zr, monkeypatch) -> None:
    """LAMMPS on all atoms, where an event keeps all displacements: the energy is the barrier."""
    monkeypatch.setattr("symgnn.barriers.event.MOVED", -1.0)
    engine = RegionEngine(relaxed, cu_zr, radius=5.0)
    (event,) = Searches(relaxed, engine, protocol=Protocol(), seed=1).run([(77, 2)])
    assert event.status == 0
    with LammpsForces(relaxed, cu_zr) as forces:
        start, _ = forces.energy_and_forces(relaxed.positions)
        position = relaxed.positions.copy()
        position[event.moved_atoms] += event.saddle_displacement
        energy, force = forces.energy_and_forces(position)
    assert energy - start == pytest.approx(event.barrier, abs=1e-6)
    assert np.linalg.norm(force, axis=1).max() < Protocol().full_tolerance


def test_a_search_on_lammps_does_not_feel_the_others(relaxed: Atoms, cu_zr) -> None:
    """Also while their saddles are confirmed: the same bits alone and after others."""
    alone, after = (
        {event.atom: event for event in Searches(
            relaxed, LammpsEngine(relaxed, cu_zr), protocol=Protocol(), seed=1
        ).run([(atom, 0) for atom in atoms])}[8]
        for atoms in ([8], range(9))
    )  # fmt: skip
    for name, value in vars(alone).items():
        np.testing.assert_array_equal(getattr(after, name), value, err_msg=name)


def test_a_rank_sends_each_search_as_it_ends() -> None:
    """So that a kill loses none that has ended: told by a communicator that keeps a record."""

    class Record:
        rank, size = 1, 2

        def __init__(self) -> None:
            self.sent: list = []
            self.tasks = [[(0, 0), (0, 1)], []]

        def send(self, what: tuple, dest: int, tag: int) -> None:
            self.sent.append(what[0])

        def recv(self, source: int, tag: int) -> list:
            return self.tasks.pop(0)

    class Counts:
        @staticmethod
        def run(tasks, *, stop):
            for task in tasks:
                yield task
                assert record.sent[-1] == task

    record = Record()
    pool.run(Counts(), [], record=print, stop=lambda: False, communicator=record)
    assert record.sent == [None, (0, 0), (0, 1), None, None]


def test_shards_merge_to_the_same_bytes(glass, whole, tmp_path) -> None:
    shards = [tmp_path / f"shard-{k}.h5" for k in range(2)]
    for k, shard in enumerate(shards):
        subprocess.run(
            command(glass, shard, *OPTIONS, "--shard", f"{k}/2"), check=True, capture_output=True
        )
    merge_events(shards[::-1], tmp_path / "merged.h5")
    assert (tmp_path / "merged.h5").read_bytes() == whole.read_bytes()
    with pytest.raises(InputError, match="is in another shard too"):
        merge_events([shards[0], shards[0]], tmp_path / "twice.h5")


def test_two_ranks_give_the_same_bytes(glass, whole, tmp_path) -> None:
    mpiexec = Path(sys.executable).with_name("mpiexec")
    if not mpiexec.exists():
        pytest.skip("mpiexec is not beside this Python")
    output = tmp_path / "events.h5"
    subprocess.run(
        [str(mpiexec), "-n", "2", *command(glass, output, *OPTIONS)],
        check=True,
        capture_output=True,
    )
    assert output.read_bytes() == whole.read_bytes()


def test_a_killed_run_goes_on_and_repeats_nothing(glass, whole, tmp_path) -> None:
    output = tmp_path / "events.h5"
    journal = Path(f"{output}.journal")
    process = subprocess.Popen(command(glass, output, *OPTIONS), stderr=subprocess.DEVNULL)
    while process.poll() is None:
        if journal.exists() and journal.read_bytes().count(b"\n") >= 2:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.01)
    process.wait()
    before = journal.read_bytes()
    subprocess.run(command(glass, output, *OPTIONS), check=True, capture_output=True)
    assert output.read_bytes() == whole.read_bytes()
    kept = before[: before.rfind(b"\n") + 1]
    assert journal.read_bytes().startswith(kept)
    assert journal.read_bytes().count(b"\n") == 1 + 6


def test_more_searches_keep_those_that_are_done(glass, whole, tmp_path, monkeypatch) -> None:
    output = tmp_path / "events.h5"
    fewer = [*OPTIONS[:4], "--searches", "1", *OPTIONS[6:]]
    subprocess.run(command(glass, output, *fewer), check=True, capture_output=True)
    first = Path(f"{output}.journal").read_bytes()
    subprocess.run(command(glass, output, *OPTIONS), check=True, capture_output=True)
    assert Path(f"{output}.journal").read_bytes().startswith(first)
    assert output.read_bytes() == whole.read_bytes()


def test_the_time_budget_ends_with_75_and_no_output(glass, tmp_path, monkeypatch) -> None:
    output = tmp_path / "events.h5"
    arguments = command(glass, output, *OPTIONS, "--time-budget", "0")[3:]
    assert exit_code(monkeypatch, *arguments) == 75
    assert not output.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--potential", "absent.eam.fs"), "no such potential"),
        (("--potential", "Cu-Zr-2009", "--atoms", "0"), "must be from 1 to 128"),
        (("--potential", "Cu-Zr-2009", "--atoms", "5:500"), "within 0:128"),
        (("--potential", "Cu-Zr-2009", "--atoms", "few"), "must be all, a number N or a range"),
        (("--potential", "Cu-Zr-2009", "--shard", "2/2"), "i from 0 to n - 1"),
        (("--potential", "Cu-Zr-2009", "--engine", "magic"), "auto, cpu, gpu or lammps"),
        (
            ("--potential", "Cu-Zr-2009", "--label", "best"),
            "all, pushed, single, target, connected",
        ),
        (("--potential", "Cu-Zr-2009", "--searches", "0"), ""),
        (("--potential", "Cu-Zr-2009", "--push-radius", "0"), ""),
    ],
)
def test_bad_options_end_with_2(glass, tmp_path, monkeypatch, capsys, options, message) -> None:
    output = tmp_path / "events.h5"
    assert exit_code(monkeypatch, "barriers", str(glass), *options, "-o", str(output)) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_structure_off_its_minimum_is_refused(tmp_path, monkeypatch, capsys, disordered) -> None:
    path = tmp_path / "hot.xyz"
    write_structure(path, disordered)
    code = exit_code(monkeypatch, "barriers", str(path), *OPTIONS, "-o", str(tmp_path / "e.h5"))
    assert code == 2
    assert "largest force" in capsys.readouterr().err


def test_an_unknown_element_is_refused(tmp_path, monkeypatch, capsys) -> None:
    path = tmp_path / "al.xyz"
    write_structure(path, bulk("Al", cubic=True).repeat(3))
    code = exit_code(monkeypatch, "barriers", str(path), *OPTIONS, "-o", str(tmp_path / "e.h5"))
    assert code == 2
    assert "element Al" in capsys.readouterr().err


def test_the_choice_of_atoms_is_seeded_and_nested() -> None:
    few, more = chosen_atoms("20", 500, seed=3), chosen_atoms("60", 500, seed=3)
    assert set(few) <= set(more)
    assert not np.array_equal(few, chosen_atoms("20", 500, seed=4))
    np.testing.assert_array_equal(chosen_atoms("4:9", 500, seed=0), np.arange(4, 9))
    parts = [shard_of(more, f"{k}/7") for k in range(7)]
    np.testing.assert_array_equal(np.concatenate(parts), more)


def test_pushes_depend_on_seed_structure_atom_and_search_only() -> None:
    base = push_generator(1, "s", 2, 3).normal(size=5)
    np.testing.assert_array_equal(base, push_generator(1, "s", 2, 3).normal(size=5))
    for other in ((2, "s", 2, 3), (1, "t", 2, 3), (1, "s", 3, 3), (1, "s", 2, 4)):
        assert not np.array_equal(base, push_generator(*other).normal(size=5))


def test_lammps_and_a_region_of_all_atoms_find_the_same_saddle(relaxed, cu_zr) -> None:
    """The reference engine against the compiled one, on the same atoms and pushes."""
    protocol = Protocol(force_tolerance=0.002, push_step=0.5, activation=-0.2, climb_balance=0.6)
    found = []
    for engine in (LammpsEngine(relaxed, cu_zr), RegionEngine(relaxed, cu_zr, radius=20.0)):
        found.extend(Searches(relaxed, engine, protocol=protocol, seed=1).run([(40, 1)]))
    reference, compiled = found
    assert reference.status == compiled.status == 0
    # both are within F²/2k of the saddle
    assert compiled.barrier == pytest.approx(reference.barrier, abs=1e-3)
    assert compiled.curvature == pytest.approx(reference.curvature, rel=0.02)


def event_of(search: int, atom: int = 3, **changes: object) -> Event:
    """An event in which two atoms move."""
    way = np.array([[1.0, 0.0, 0.0], [0.0, 0.3, 0.0]])
    event = {
        "atom": atom,
        "search": search,
        "status": int(Status.CONVERGED),
        "barrier": 1.0,
        "curvature": -1.0,
        "force_max": 0.001,
        "final_energy": 0.4,
        "connected": True,
        "displacement_max": 1.0,
        "target_displacement": 1.0,
        "pushed_share": 1.0,
        "force_evaluations": 300,
        "saddle_evaluations": 300,
        "lanczos_evaluations": 100,
        "moved_atoms": np.array([3, 8]),
        "saddle_displacement": way,
        "final_displacement": 2 * way,
    }
    return Event(**(event | changes))


def test_equal_events_of_an_atom_count_once() -> None:
    """The same barrier is not enough, nor the same saddle; few millielectronvolts are allowed."""
    way = event_of(0).saddle_displacement
    events = [
        event_of(0, connected=False),  # does not count, so nothing is a duplicate of it
        event_of(1, barrier=1.008, final_energy=0.395),
        event_of(2, saddle_displacement=way + 0.05),
        event_of(3, saddle_displacement=way[::-1]),
        event_of(4, final_displacement=-way),
        event_of(5, final_energy=0.38),
        event_of(6, atom=4),
        event_of(7, target_displacement=0.1),
        # an atom that is kept here and was a little below the bound there
        event_of(
            8,
            moved_atoms=np.array([3, 5, 8]),
            saddle_displacement=np.insert(way, 1, [0.11, 0, 0], axis=0),
            final_displacement=np.insert(2 * way, 1, [0.11, 0, 0], axis=0),
        ),
    ]
    expected = [-1, -1, 1, -1, -1, -1, -1, -1, 1]
    np.testing.assert_array_equal(duplicates(events), expected)
    order = [8, 3, 0, 2, 7, 1, 6, 5, 4]
    shuffled = duplicates([events[k] for k in order])
    np.testing.assert_array_equal(shuffled, [expected[k] for k in order])


def test_a_second_copy_says_so(glass, tmp_path) -> None:
    import fcntl

    output = tmp_path / "events.h5"
    journal = os.open(f"{output}.journal", os.O_RDWR | os.O_CREAT)
    fcntl.flock(journal, fcntl.LOCK_EX)
    result = subprocess.run(command(glass, output, *OPTIONS), capture_output=True, text=True)
    os.close(journal)
    assert result.returncode == 2
    assert "another process is at this work" in result.stderr


def hessian_by_differences(forces: LammpsForces, position: np.ndarray) -> np.ndarray:
    """Of all atoms, (3 atoms, 3 atoms), eV/Å²."""
    hessian = np.empty((position.size, position.size))
    for k in range(position.size):
        step = np.zeros(position.size)
        step[k] = 0.002  # Å
        ahead, behind = (
            forces.energy_and_forces(position + sign * step.reshape(-1, 3))[1] for sign in (1, -1)
        )
        hessian[k] = (behind - ahead).ravel() / 0.004
    return 0.5 * (hessian + hessian.T)


def test_confirmed_saddles_are_those_of_the_full_system(relaxed, cu_zr, monkeypatch) -> None:
    """LAMMPS and its Hessian by finite differences, with all atoms free.

    Events say whether there is a second negative eigenvalue. Nearly all have none, also after they
    have left a place with two.
    """
    monkeypatch.setattr("symgnn.barriers.event.MOVED", -1.0)  # keep every atom's displacement
    leave, left = FirstOrderArtn._leave, []

    def note(artn: FirstOrderArtn, rows: torch.Tensor, vector: torch.Tensor) -> None:
        left.extend(rows.tolist())
        leave(artn, rows, vector)

    monkeypatch.setattr(FirstOrderArtn, "_leave", note)
    engine = RegionEngine(relaxed, cu_zr, radius=5.0)
    searches = Searches(relaxed, engine, protocol=Protocol(), seed=1)
    after_two, negative, number = 0, 0, 0
    with LammpsForces(relaxed, cu_zr) as forces:
        start, _ = forces.energy_and_forces(relaxed.positions)
        for atom in (0, 6, 18, 48, 66, 77, 78, 90):
            left.clear()
            (event,) = searches.run([(atom, 0)])
            if event.status != Status.CONVERGED:
                continue
            number += 1
            assert event.barrier < event.region_barrier  # more atoms give way
            saddle = relaxed.positions + event.saddle_displacement
            energy, force = forces.energy_and_forces(saddle)
            assert np.linalg.norm(force, axis=1).max() < 0.01 + 1e-7
            # displacements are exact here, and the splines are LAMMPS's
            assert event.barrier == pytest.approx(energy - start, abs=1e-6)
            values = np.linalg.eigvalsh(hessian_by_differences(forces, saddle))
            assert values[0] < -0.01
            # Lanczos iterations end where the eigenvalue moves by less than 0.03 eV/Å² a step
            assert event.curvature == pytest.approx(values[0], abs=0.1)
            # three others, next to zero, are translations
            second = np.sort(np.delete(values[1:], np.abs(values[1:]).argsort()[:3]))[0]
            assert (second < 0.0) == (event.second_curvature < 0.0)
            # no Ritz value is below the second eigenvalue but by the finite differences' error
            assert event.second_curvature > second - 5e-3
            # where the iterations end early it is proved to be negative, or clearly is not
            assert event.second_curvature == pytest.approx(second, abs=0.03)
            negative += second < 0.0
            after_two += second > 0.0 and len(left) > 0
    assert number >= 6
    assert negative <= 2
    assert after_two >= 2


def test_an_event_becomes_three_frames(
    whole: Path, glass: Path, tmp_path, monkeypatch, capsys
) -> None:
    columns = read_columns(whole)
    row = int(np.flatnonzero(columns[fields.CONNECTED] == 1)[0])
    atom, search = columns[fields.ATOM][row], columns[fields.SEARCH][row]
    output = tmp_path / "event.xyz"
    options = ("--events", str(whole), "-o", str(output))
    assert (
        exit_code(monkeypatch, "barriers", str(glass), "--export", f"{atom}:{search}", *options)
        == 0
    )
    minimum, saddle, final = read(output, index=":")
    assert saddle.info["energy_above_minimum"] == pytest.approx(columns[fields.BARRIER][row])
    assert final.info["energy_above_minimum"] == pytest.approx(columns[fields.FINAL_ENERGY][row])
    np.testing.assert_allclose(minimum.positions, read(glass).positions, atol=1e-7)
    moved = np.linalg.norm(saddle.positions - minimum.positions, axis=1)
    assert moved.max() == pytest.approx(columns[fields.DISPLACEMENT_MAX][row], abs=1e-5)
    assert minimum.arrays["target"].argmax() == atom
    assert exit_code(monkeypatch, "barriers", str(glass), "--export", "99:0", *options) == 2
    assert "there is no such search" in capsys.readouterr().err


def test_a_larger_region_in_between_changes_no_saddle(relaxed, cu_zr) -> None:
    atoms = relaxed.repeat(2)
    found = []
    for between in (True, False):
        engine = RegionEngine(atoms, cu_zr, radius=5.0)
        assert len(engine.confirming) == 3
        if not between:
            engine.confirming, engine.descending = engine.confirming[-1:], 0
        searches = Searches(atoms, engine, protocol=Protocol(full_tolerance=0.001), seed=1)
        found.append(sorted(searches.run([(77, 0), (77, 2)]), key=lambda event: event.search))
    for stepwise, direct in zip(*found, strict=True):
        assert stepwise.status == direct.status == 0
        assert stepwise.region_barrier == direct.region_barrier == direct.grown_barrier
        # the last region is nearer to the full system than the first, and not all of it
        assert stepwise.barrier < stepwise.grown_barrier < stepwise.region_barrier - 0.05
        # both are within F²/2k of the saddle: at 0.004 eV/Å that is 4 meV for a flat one
        assert stepwise.barrier == pytest.approx(direct.barrier, abs=1e-3)
        assert stepwise.connected == direct.connected


@pytest.mark.parametrize(("losses", "status"), [(1, Status.CONVERGED), (2, Status.NOT_CONFIRMED)])
def test_a_saddle_that_a_larger_system_loses_is_tried_again(
    relaxed, cu_zr, monkeypatch, losses: int, status: Status
) -> None:
    """A search that starts with all its force calls spent ends at the first look at its mode."""

    def found() -> Event:
        engine = RegionEngine(relaxed, cu_zr, radius=5.0)
        return next(Searches(relaxed, engine, protocol=Protocol(), seed=1).run([(77, 4)]))

    kept, admit, tries = found(), Artn.admit_saddle, []

    def spend(artn: Artn, row: int, *state: torch.Tensor, again: bool) -> None:
        admit(artn, row, *state, again=again)
        tries.append(again)
        artn.evaluations[row] = CHECK_EVALUATIONS if len(tries) <= losses else 0

    monkeypatch.setattr(Artn, "admit_saddle", spend)
    event = found()
    assert tries == [False, True]
    assert event.status == status
    assert event.full_evaluations > losses * CHECK_EVALUATIONS  # the calls of both tries
    if status == Status.CONVERGED:
        # the same saddle; its barrier is known to F²/2k
        assert event.barrier == pytest.approx(kept.barrier, abs=1e-3)
    else:
        assert np.isnan(event.barrier)


def test_regions_grow_as_far_as_the_cell_is_wide() -> None:
    def radii(*lengths: float) -> list[float]:
        return grown_radii(Atoms("Cu", cell=lengths, pbc=True), 8.0)

    assert radii(60, 60, 60) == [16.0, 25.0]
    assert radii(60, 60, 44) == pytest.approx([16.0, 22.0])
    assert radii(60, 60, 36) == [16.0]  # 18 Å is not worth a region of its own
    assert radii(60, 60, 30) == []
    sheared = Atoms("Cu", cell=[[60, 0, 0], [60, 60, 0], [0, 0, 60]], pbc=True)
    assert grown_radii(sheared, 8.0) == pytest.approx([16.0, 60 / 8**0.5])


def test_a_search_that_climbs_pushes_no_more(relaxed, cu_zr, monkeypatch) -> None:
    # Relaxation across the eigenvector can lead back to positive eigenvalues; pushes along the
    # first direction would then have to find the way out anew.
    seen: set[tuple[bool, bool]] = set()  # climbs, eigenvalue positive

    def advance(artn: Artn, rows: torch.Tensor, eigenvector: torch.Tensor) -> None:
        climbed = artn._climbs[rows].clone()
        original(artn, rows, eigenvector)
        assert not (climbed & (artn.phase[rows] == Phase.PUSHED)).any()
        positive = artn.curvature[rows] >= 0.0
        seen.update(zip(climbed.tolist(), positive.tolist(), strict=True))

    original = Artn._advance
    monkeypatch.setattr(Artn, "_advance", advance)
    engine = RegionEngine(relaxed, cu_zr, radius=5.0)
    searches = Searches(relaxed, engine, protocol=Protocol(), seed=1, check=False)
    events = list(searches.run([(atom, 0) for atom in range(8)]))
    assert (True, True) in seen
    assert sum(event.status == Status.CONVERGED for event in events) >= 7


def test_each_label_counts_its_searches() -> None:
    columns = {
        fields.ATOM: np.zeros(5, dtype=int),
        fields.STATUS: np.array([0, 0, 0, 1, 0]),
        fields.BARRIER: np.array([1.0, 2.0, 1.5, np.nan, -0.1]),
        fields.FINAL_ENERGY: np.array([0.1, 0.2, 0.3, np.nan, -0.2]),
        fields.DISPLACEMENT_MAX: np.array([1.0, 2.6, 1.1, np.nan, 1.0]),
        fields.TARGET_DISPLACEMENT: np.array([0.1, 0.9, 0.9, np.nan, 0.9]),
        fields.CONNECTED: np.array([1, 0, 1, 0, 1]),
        fields.DUPLICATE_OF: np.array([-1, -1, -1, -1, -1]),
        fields.PUSHED_SHARE: np.array([0.5, 0.25, 0.25, np.nan, 0.9]),
    }
    expected = {"all": [0, 1, 2], "single": [0, 2], "target": [1, 2], "connected": [2]}
    for label, rows in expected.items():
        assert np.flatnonzero(counted(columns, label)).tolist() == rows
        np.testing.assert_array_equal(weights(columns, label), counted(columns, label))
    assert weights(columns, "pushed").tolist() == [0.5, 0.25, 0.25, 0.0, 0.0]
    mean, deviation = atom_means(columns, 2, "pushed")
    np.testing.assert_allclose(mean, [1.375, np.nan])
    np.testing.assert_allclose(deviation[0], np.sqrt(0.5 * 0.375**2 + 0.25 * (0.625**2 + 0.125**2)))


def test_without_the_check_barriers_are_those_of_the_region(relaxed, cu_zr) -> None:
    checked, unchecked = (
        next(
            Searches(
                relaxed,
                RegionEngine(relaxed, cu_zr, radius=5.0),
                protocol=Protocol(),
                seed=1,
                check=check,
            ).run([(77, 0)])
        )
        for check in (True, False)
    )
    assert unchecked.full_evaluations == 0 < checked.full_evaluations
    assert unchecked.barrier == unchecked.region_barrier == checked.region_barrier
    assert checked.barrier < checked.region_barrier
