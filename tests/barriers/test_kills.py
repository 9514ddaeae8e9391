"""A stage that is killed goes on where it was, and loses nothing that was finished."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.barriers.stage_runs import OPTIONS, command


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
    assert journal.read_bytes().count(b"\n") == 1 + 9


def test_kills_at_any_moment_change_nothing(glass, whole, tmp_path) -> None:
    """Each a little later than the one before, and so in searches and in confirmations."""
    output = tmp_path / "events.h5"
    journal = Path(f"{output}.journal")
    kept, kills = b"", 0
    for delay in np.linspace(0.0, 1.5, 6):
        process = subprocess.Popen(command(glass, output, *OPTIONS), stderr=subprocess.DEVNULL)
        while process.poll() is None and not has_open(process.pid, journal):
            time.sleep(0.01)
        time.sleep(delay)
        kills += process.poll() is None
        process.kill()
        process.wait()
        content = journal.read_bytes()
        assert content.startswith(kept)  # nothing that was finished is lost
        kept = content[: content.rfind(b"\n") + 1]
    assert kills >= 1  # the first one always
    subprocess.run(command(glass, output, *OPTIONS), check=True, capture_output=True)
    assert output.read_bytes() == whole.read_bytes()
    assert journal.read_bytes().count(b"\n") == 1 + 9  # nor made again


def test_a_killed_rank_ends_the_work_and_loses_nothing(glass, whole, tmp_path) -> None:
    mpiexec = Path(sys.executable).with_name("mpiexec")
    if not mpiexec.exists():
        pytest.skip("mpiexec is not beside this Python")
    output = tmp_path / "events.h5"
    journal = Path(f"{output}.journal")
    together = subprocess.Popen(
        [str(mpiexec), "-n", "2", *command(glass, output, *OPTIONS)], stderr=subprocess.DEVNULL
    )
    follower = None
    while follower is None or not has_open_journal(output):
        assert together.poll() is None
        ranks = (pid for pid in running(output) if b"PMI_RANK=1\0" in environment(pid))
        follower = next(ranks, None)
        time.sleep(0.01)
    os.kill(follower, signal.SIGKILL)
    assert together.wait(timeout=60) != 0  # and does not wait for the lost rank
    assert not output.exists()
    kept = journal.read_bytes()
    subprocess.run(command(glass, output, *OPTIONS), check=True, capture_output=True)
    assert journal.read_bytes().startswith(kept[: kept.rfind(b"\n") + 1])
    assert output.read_bytes() == whole.read_bytes()


def running(output: Path) -> list[int]:
    """Processes that write this file."""
    words = f"\0-o\0{output}\0".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            content = entry.read_bytes()
        except OSError:  # it has ended
            continue
        if words in content and b"mpiexec" not in content and b"hydra" not in content:
            found.append(int(entry.parent.name))
    return found


def has_open(process: int, path: Path) -> bool:
    """Whether a process has opened a file."""
    try:
        files = [os.path.realpath(entry) for entry in Path(f"/proc/{process}/fd").iterdir()]
    except OSError:  # it has ended
        return False
    return str(path.resolve()) in files


def has_open_journal(output: Path) -> bool:
    """Whether a process that writes this file has come to its searches."""
    return any(has_open(pid, Path(f"{output}.journal")) for pid in running(output))


def environment(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/environ").read_bytes()
    except OSError:  # it has ended
        return b""
