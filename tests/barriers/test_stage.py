"""The barriers stage: the same bytes however the work is cut, stopped, or handed out."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import read

from symgnn import cli, fields, progress
from symgnn.barriers import pool, stage
from symgnn.barriers.eam_engine import RegionEngine
from symgnn.barriers.event import region_number
from symgnn.barriers.events import (
    merge_events,
    read_columns,
    read_events,
    read_region,
)
from symgnn.barriers.journal import Journal
from symgnn.barriers.protocol import Protocol
from symgnn.barriers.searches import Searches
from symgnn.barriers.stage import chosen_atoms, shard_of
from symgnn.errors import InputError, TimeBudgetReached
from symgnn.progress import TimeBudget
from symgnn.provenance import stage_hash
from symgnn.structures import write_structure
from tests.barriers.stage_runs import OPTIONS, command


def exit_code(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["symgnn", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code


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


def test_further_searches_end_in_the_region(whole: Path, relaxed: Atoms, cu_zr) -> None:
    """They stand in a group of their own, and are what searches without confirmation are."""
    region, columns = read_region(whole), read_columns(whole)
    assert region[fields.ATOM].tolist() == np.unique(columns[fields.ATOM]).tolist()
    assert region[fields.SEARCH].tolist() == [0, 0, 0]
    with Journal(Path(f"{whole}.journal"), _work(whole)) as journal:
        ended = [event for event in journal.events.values() if event.search < 0]
    assert len(ended) == 3
    assert not any(len(event.moved_atoms) for event in ended)  # which nobody confirmed
    engine = RegionEngine(relaxed, cu_zr, radius=8.0)
    protocol = Protocol(activation=-0.2, climb_balance=0.6)
    alone = Searches(relaxed, engine, protocol=protocol, seed=2, check=False)
    keys = [(atom, region_number(0)) for atom in region[fields.ATOM].tolist()]
    found = {event.atom: event for event in alone.run(keys)}
    assert (region[fields.STATUS] == 0).sum() >= 2
    for k, (atom, status) in enumerate(
        zip(region[fields.ATOM], region[fields.STATUS], strict=True)
    ):
        assert found[atom].status == status
        np.testing.assert_array_equal(found[atom].barrier, region[fields.BARRIER][k])
        again = columns[fields.ATOM] == atom  # its pushes are not those of a confirmed search
        assert region[fields.BARRIER][k] not in columns[fields.REGION_BARRIER][again]


@pytest.mark.parametrize(
    "options",
    [
        ("--searches", "2", "--no-check"),
        ("--searches", "2", "--engine", "lammps"),
        ("--searches", "1"),
    ],
)
def test_no_region_no_further_searches(glass, tmp_path, options) -> None:
    """Without confirmation, where all atoms are free from the beginning, or without a slope."""
    output = tmp_path / "events.h5"
    few = ("--potential", "Cu-Zr-2009", "--atoms", "1", *options)
    subprocess.run(command(glass, output, *few), check=True, capture_output=True)
    assert len(read_region(output)[fields.ATOM]) == 0
    with h5py.File(output) as file:
        assert json.loads(file.attrs["protocol"])["region_searches"] == 0


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

        def bcast(self, number: int) -> int:
            return 2

    class Counts:
        @staticmethod
        def run(tasks, *, most, stop):
            assert most == 2
            for task in tasks:
                yield task
                assert record.sent[-1] == task

    record = Record()
    pool.run(Counts(), [], record=print, stop=lambda: False, communicator=record)
    assert record.sent == [None, (0, 0), (0, 1), None, None]


def test_rank_zero_keeps_to_its_share() -> None:
    """Of seven tasks on two ranks four are under way on it at most, and it waits for the other."""

    class Two:
        rank, size = 0, 2
        asked = 1

        def bcast(self, number: int) -> int:
            return number

        def Iprobe(self, tag: int, status: object) -> bool:
            self.asked -= 1
            return self.asked >= 0

        def Probe(self, source: int = 0, tag: int = 0) -> None: ...

        def recv(self, source: int, tag: int) -> tuple:
            return None, pool._Wants.TO_LEAVE

    class Counts:
        @staticmethod
        def run(tasks, *, most, between, stop):
            assert most == 4
            yield from tasks

    done: list[tuple[int, int]] = []
    tasks = [(atom, 0) for atom in range(7)]
    pool.run(Counts(), tasks, record=done.append, stop=lambda: False, communicator=Two())
    assert done == tasks


def test_progress_counts_atoms_that_are_done(glass: Path, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(stage, "Progress", partial(progress.Progress, interval=0.0))
    output = tmp_path / "events.h5"
    assert exit_code(monkeypatch, *command(glass, output, *OPTIONS)[3:]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("searches:")]
    log = tmp_path / "job.log"
    log.write_text("\n".join([*lines, "and something else", ""]))
    assert progress.last_progress(log) == lines[-1]
    assert progress.last_progress(tmp_path / "none.log") is None
    with Journal(Path(f"{output}.journal"), _work(output)) as journal:
        order = [atom for atom, _ in journal.events]
    for count, line in enumerate(lines[:-1], 1):
        done = sum(order[:count].count(atom) == 3 for atom in set(order))
        assert line.startswith(f"searches: {count}/9  ")
        assert f"  atoms {done}/3  converged " in line
    assert lines[-1].startswith("searches: 9/9  ")
    assert lines[-1].split("left 0 s")[1] == lines[-2].split("left 0 s")[1]  # figures stay


def _work(output: Path) -> dict:
    """The first line of a journal, without its checksum."""
    first = Path(f"{output}.journal").read_bytes().partition(b"\n")[0]
    return json.loads(first.partition(b" ")[2])["work"]


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
    with h5py.File(shards[1], "r+") as file:  # as made after an update
        used = json.loads(file.attrs["versions"])
        file.attrs["versions"] = json.dumps(used | {"numpy": "9.0"})
    merge_events(shards, tmp_path / "updated.h5")
    with h5py.File(tmp_path / "updated.h5") as file:
        assert json.loads(file.attrs["versions"])["numpy"] == f"{used['numpy']}, 9.0"
    with h5py.File(shards[1], "r+") as file:
        file.attrs["seed"] = 5
    with pytest.raises(InputError, match="seed differs from that of"):
        merge_events(shards, tmp_path / "other.h5")


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


def test_a_journal_outlives_edits_of_what_labels_are(whole) -> None:
    """Its searches depend on neither the table of events nor the means over it."""
    code = _work(whole)["code"]
    assert code == stage_hash("barriers", without=("events.py", "labels.py"))
    assert code != stage_hash("barriers", without=("events.py",)) != stage_hash("barriers")


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
            "controlled, all, pushed, single, target, connected",
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


def test_a_lone_atom_is_refused(tmp_path, monkeypatch, capsys) -> None:
    path = tmp_path / "lone.xyz"
    write_structure(path, Atoms("Cu", cell=[20.0] * 3, pbc=True))
    options = (*OPTIONS, "--atoms", "all", "-o", str(tmp_path / "e.h5"))
    code = exit_code(monkeypatch, "barriers", str(path), *options)
    assert code == 2
    assert "lone.xyz: one atom: a saddle needs two" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [path]


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


def test_a_second_copy_says_so(glass, tmp_path) -> None:
    import fcntl

    output = tmp_path / "events.h5"
    journal = os.open(f"{output}.journal", os.O_RDWR | os.O_CREAT)
    fcntl.flock(journal, fcntl.LOCK_EX)
    result = subprocess.run(command(glass, output, *OPTIONS), capture_output=True, text=True)
    os.close(journal)
    assert result.returncode == 2
    assert "another process is at this work" in result.stderr


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


def test_the_third_frame_says_what_it_is(whole: Path, glass: Path, tmp_path, monkeypatch, capsys):
    path, output = tmp_path / "events.h5", tmp_path / "event.xyz"
    path.write_bytes(whole.read_bytes())
    columns = read_columns(whole)
    row = int(np.flatnonzero(columns[fields.STATUS] == 0)[0])
    choice = f"{columns[fields.ATOM][row]}:{columns[fields.SEARCH][row]}"
    arguments = ("barriers", str(glass), "--events", str(path), "-o", str(output))
    for connected, energy, names in (
        (1, 0.25, ["minimum", "saddle point", "final minimum"]),
        (0, 0.25, ["minimum", "saddle point", "further minimum, start not joined"]),
        (0, np.nan, ["minimum", "saddle point"]),
    ):
        with h5py.File(path, "r+") as file:
            file[fields.EVENTS][fields.CONNECTED][row] = connected
            file[fields.EVENTS][fields.FINAL_ENERGY][row] = energy
        assert exit_code(monkeypatch, *arguments, "--export", choice) == 0
        frames = read(output, index=":")
        assert [frame.info["frame"] for frame in frames] == names
        assert ("no final minimum is known" in capsys.readouterr().err) == (len(names) == 2)
        if len(frames) == 3:
            assert frames[2].info["energy_above_minimum"] == energy
    assert exit_code(monkeypatch, *arguments) == 2
    assert "events: are for --export" in capsys.readouterr().err


def test_a_rank_that_runs_out_of_time_first_ends_the_work(relaxed, cu_zr, tmp_path, monkeypatch):
    """Its searches are missing when all ranks are done, whatever this rank's clock says."""
    monkeypatch.setattr(stage, "_complete", lambda *_: None)
    with pytest.raises(TimeBudgetReached, match="0 of 2 searches: stopped"):
        stage.search_barriers(
            relaxed,
            cu_zr,
            tmp_path / "events.h5",
            chosen=np.array([0]),
            searches=2,
            seed=0,
            protocol=Protocol(),
            radius=5.0,
            engine="cpu",
            check=False,
            label="all",
            budget=TimeBudget(None),
        )
    assert not (tmp_path / "events.h5").exists()
