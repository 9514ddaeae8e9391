"""A journal gives back what was written to it, whatever happened to its file."""

import errno
import fcntl
import os

import numpy as np
import pytest

from symgnn.barriers.event import Event
from symgnn.barriers.journal import Journal
from symgnn.errors import InputError

WORK = {"seed": 1, "structure": "abc"}


def event(search: int) -> Event:
    generator = np.random.default_rng(search)
    displacement = generator.normal(size=(4, 3)).astype("<f4")
    return Event(
        atom=7,
        search=search,
        status=0,
        barrier=generator.random(),
        curvature=-1.0,
        force_max=0.01,
        final_energy=float("nan"),
        connected=True,
        displacement_max=1.0,
        target_displacement=0.5,
        pushed_share=0.8,
        force_evaluations=300,
        saddle_evaluations=200,
        lanczos_evaluations=100,
        moved_atoms=np.arange(4, dtype="<i4"),
        saddle_displacement=displacement,
        final_displacement=2 * displacement,
    )


def assert_same(one: Event, other: Event) -> None:
    for name, value in vars(one).items():
        np.testing.assert_array_equal(value, getattr(other, name), err_msg=name)


def written(path, count: int) -> None:
    with Journal(path, WORK) as journal:
        for search in range(count):
            journal.add(event(search))


def test_events_come_back_to_the_last_digit(tmp_path) -> None:
    path = tmp_path / "journal"
    written(path, 3)
    with Journal(path, WORK) as journal:
        assert sorted(journal.events) == [(7, 0), (7, 1), (7, 2)]
        for search in range(3):
            assert_same(journal.events[7, search], event(search))


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_a_torn_end_costs_one_search(tmp_path, cut) -> None:
    path = tmp_path / "journal"
    written(path, 3)
    os.truncate(path, path.stat().st_size - cut)
    with Journal(path, WORK) as journal:
        assert sorted(journal.events) == [(7, 0), (7, 1)]
        journal.add(event(2))
    with Journal(path, WORK) as journal:
        assert sorted(journal.events) == [(7, 0), (7, 1), (7, 2)]


def test_a_damaged_line_costs_only_itself(tmp_path) -> None:
    path = tmp_path / "journal"
    written(path, 3)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b'"barrier": 0.', b'"barrier": 9.')
    path.write_bytes(b"".join(lines))
    with Journal(path, WORK) as journal:
        assert sorted(journal.events) == [(7, 0), (7, 2)]


def test_a_journal_of_other_work_is_set_aside_and_comes_back(tmp_path, capsys) -> None:
    path = tmp_path / "journal"
    written(path, 2)
    other = {**WORK, "seed": 2}
    with Journal(path, other) as journal:
        assert journal.events == {}
        journal.add(event(5))
    assert "journal: of other work; kept as journal." in capsys.readouterr().err
    assert len(list(tmp_path.iterdir())) == 2
    with Journal(path, WORK) as journal:
        assert sorted(journal.events) == [(7, 0), (7, 1)]
        journal.add(event(2))
    with Journal(path, other) as journal:
        assert sorted(journal.events) == [(7, 5)]
    with Journal(path, WORK) as journal:
        assert sorted(journal.events) == [(7, 0), (7, 1), (7, 2)]


def copies(folder, into) -> None:
    """A folder as a kill would leave it now."""
    into.mkdir()
    for one in folder.iterdir():
        (into / one.name).write_bytes(one.read_bytes())


@pytest.mark.parametrize("then", [WORK, {**WORK, "seed": 2}, {**WORK, "seed": 3}])
def test_a_kill_while_journals_are_exchanged_loses_nothing(tmp_path, monkeypatch, then) -> None:
    """Before and after every change of a file, and within every write."""
    first, other = tmp_path / "before", {**WORK, "seed": 2}
    first.mkdir()
    with Journal(first / "journal", other) as journal:
        journal.add(event(5))
        journal.add(event(6))
    written(first / "journal", 3)
    killed = []

    def watch(name: str) -> None:
        call = getattr(os, name)

        def watched(*arguments):
            killed.append(tmp_path / f"killed-{len(killed)}")
            copies(first, killed[-1])
            if name == "write":  # torn
                header = arguments[1].find(b"\n")
                for part in (1, header, header + 1, len(arguments[1]) // 2, len(arguments[1]) - 1):
                    killed.append(tmp_path / f"killed-{len(killed)}")
                    copies(first, killed[-1])
                    with open(killed[-1] / "journal", "ab") as stream:
                        stream.write(arguments[1][:part])
            return call(*arguments)

        monkeypatch.setattr(os, name, watched)

    with monkeypatch.context():
        for name in ("write", "ftruncate", "replace", "unlink"):
            watch(name)
        Journal(first / "journal", other).close()
        monkeypatch.undo()
    assert len(killed) >= 7
    for folder in killed:
        Journal(folder / "journal", then).close()
        with Journal(folder / "journal", WORK) as journal:
            assert sorted(journal.events) == [(7, 0), (7, 1), (7, 2)]
        with Journal(folder / "journal", other) as journal:
            assert sorted(journal.events) == [(7, 5), (7, 6)]


def test_a_damaged_first_line_loses_no_searches(tmp_path, capsys) -> None:
    path = tmp_path / "journal"
    written(path, 2)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"seed"', b'"need"', 1))
    with Journal(path, WORK) as journal:
        assert journal.events == {}
    assert "its first line is damaged; kept as journal." in capsys.readouterr().err
    (kept,) = (one for one in tmp_path.iterdir() if one != path)
    assert kept.read_bytes().splitlines()[1:] == whole.splitlines()[1:]


def test_other_work_without_a_search_leaves_nothing(tmp_path) -> None:
    path = tmp_path / "journal"
    written(path, 0)
    with Journal(path, {**WORK, "seed": 2}):
        assert [one.name for one in tmp_path.iterdir()] == ["journal"]


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch) -> None:
    def unknown(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", unknown)
    with pytest.raises(InputError, match=r"locks no files \(Function not implemented\)"):
        Journal(tmp_path / "journal", WORK)


def test_a_second_copy_is_kept_off(tmp_path) -> None:
    path = tmp_path / "journal"
    with Journal(path, WORK), pytest.raises(InputError, match="another process is at this work"):
        Journal(path, WORK)
    written(path, 1)


def test_a_full_disk_leaves_no_half_line(tmp_path, monkeypatch) -> None:
    path = tmp_path / "journal"
    journal = Journal(path, WORK)
    journal.add(event(0))
    write, calls = os.write, []

    def full(file: int, data: bytes) -> int:
        calls.append(data)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return write(file, data[:50])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match=r"No space left on device: '.*journal'"):
            journal.add(event(1))
    journal.add(event(2))
    journal.close()
    with Journal(path, WORK) as again:
        assert sorted(again.events) == [(7, 0), (7, 2)]
