"""Faults: each ends in one clear line or in repair, and never in a wrong number."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow.conftest import TINY, Workflow, jobs_of

GLASS = "Cu64Zr36_120_1e15_s3"
SHARD = f"barriers/{GLASS}/shard-1.h5"


@pytest.fixture
def copy(finished, tmp_path) -> Workflow:
    """A copy of the finished workflow, to be damaged."""
    shutil.copytree(finished.folder, tmp_path / "copy", symlinks=True)
    return Workflow(finished.repository, tmp_path / "copy", finished.environment)


def symgnn(workflow: Workflow, *arguments, folder: Path | None = None):
    return subprocess.run(
        [sys.executable, "-m", "symgnn.cli", *map(str, arguments)],
        cwd=folder or workflow.folder,
        env=workflow.environ() | {"PYTHONPATH": str(workflow.repository)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def status(workflow: Workflow, *arguments):
    return symgnn(
        workflow,
        *("status", "--configfile", TINY, "--directory", workflow.folder, *arguments),
        folder=workflow.repository,
    )


def cut(path: Path) -> bytes:
    """Keep the first half of a file; returns all of what it was."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return content


def last_line(done) -> str:
    return done.stderr.strip().splitlines()[-1]


def test_a_truncated_shard_is_named_and_only_it_is_made_again(copy):
    before = cut(copy.results / SHARD)
    merge = symgnn(copy, "merge-events", f"results/{SHARD}", "-o", "merged.h5")
    assert merge.returncode == 2
    assert last_line(merge).startswith(f"symgnn: error: results/{SHARD}: not a whole HDF5 file")
    assert not (copy.folder / "merged.h5").exists()

    found = status(copy, "--verify", "--set-aside")
    assert found.returncode == 2
    assert f"damaged  {copy.results / SHARD}: {len(before) // 2} bytes, recorded" in found.stdout
    assert f"snakemake results/{SHARD}" in last_line(found)
    done = copy.run("--cores", "1", f"results/{SHARD}")
    assert jobs_of(done.stdout) == {f"search_barriers {GLASS} 1"}
    assert (copy.results / SHARD).read_bytes() == before
    assert status(copy, "--verify").returncode == 0


def test_a_corrupted_checkpoint_is_named(copy):
    path = copy.results / "models/gcn/seed-0/checkpoint.pt"
    cut(path)
    done = symgnn(
        copy,
        *("predict", f"results/glasses/{GLASS}.xyz", "--checkpoint", path, "-o", "predicted.xyz"),
    )
    assert done.returncode == 2
    assert last_line(done).startswith(f"symgnn: error: {path}: ")
    assert not (copy.folder / "predicted.xyz").exists()
    assert status(copy, "--verify").returncode == 2


def test_a_changed_number_does_not_pass_the_checksum(copy):
    path = copy.results / f"glasses/{GLASS}.thermo.csv"
    content = path.read_bytes()
    middle = len(content) // 2
    other = b"2" if content[middle : middle + 1] == b"1" else b"1"
    path.write_bytes(content[:middle] + other + content[middle + 1 :])
    done = status(copy, "--verify")
    assert done.returncode == 2
    assert "its checksum is not the recorded one" in done.stdout


def test_a_moved_folder_is_whole_and_needs_no_job(copy, tmp_path):
    moved = Workflow(copy.repository, copy.folder.rename(tmp_path / "elsewhere"), copy.environment)
    assert moved.planned() == set()
    assert status(moved, "--verify").returncode == 0


@pytest.mark.parametrize("jump", [86400, -86400])
def test_a_clock_that_jumped_costs_nothing_where_contents_are_the_same(copy, jump):
    """A glass of tomorrow is newer than its barriers; its checksum says that it is the same."""
    glass = copy.results / f"glasses/{GLASS}.xyz"
    moment = glass.stat().st_mtime + jump
    os.utime(glass, (moment, moment))
    assert copy.planned() == set()
    assert status(copy, "--verify").returncode == 0


def test_status_shows_done_running_begun_and_to_do(copy):
    (copy.results / "report.html").unlink()
    (copy.results / SHARD).unlink()  # its journal is there
    holder = '{"host": "elsewhere", "pid": 1, "user": "ann", "slurm_job": "77", "token": "t"}'
    (copy.results / "graphs/graphs.h5.lock").write_text(holder)
    done = status(copy)
    assert done.returncode == 0
    lines = [line.split() for line in done.stdout.splitlines()[1:]]
    rows = {line[0]: line[1:] for line in lines if len(line) == 5}
    assert rows["glasses"] == ["3", "0", "0", "0"]
    assert rows["barriers"] == ["8", "0", "1", "0"]
    assert rows["graphs"] == ["0", "1", "0", "0"]
    assert rows["report"] == ["0", "0", "0", "1"]
    assert f"running  {copy.results}/graphs/graphs.h5  ann@elsewhere, Slurm job 77" in done.stdout
    assert "shard-1.h5.journal" in done.stdout
    ledger = status(copy, "--ledger").stdout.splitlines()
    assert len(ledger) == 1 + len(list((copy.results / "ledger").rglob("*.jsonl")))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 20 kB and a way to make it read-only; needs the right to mount."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=20k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def commands_of_stages(results: Path, out: Path) -> dict[str, list]:
    """A command of each stage that writes to `out`."""
    glass, run = results / f"glasses/{GLASS}.xyz", results / "models/gcn/seed-0"
    events, graphs = results / f"barriers/{GLASS}/events.h5", results / "graphs/graphs.h5"
    quench = ["--composition", "Cu64Zr36", "--atoms", 120, "--cooling-rate", 1e15, "--seed", 1]
    potential = ["--potential", "Cu-Zr-2009"]
    search = [*potential, "--atoms", 1, "--searches", 1]
    explain = ["--checkpoint", run / "checkpoint.pt", "--atoms", 1, "--epochs", 2]
    return {
        "glasses": ["quench", *quench, *potential, "--melt-time", 0.3, "-o", out / "glass.xyz"],
        "barriers": ["barriers", glass, *search, "-o", out / "events.h5"],
        "graphs": ["graphs", glass, "--events", events, "-o", out / "graphs.h5"],
        "training": ["train", graphs, "--model", "gcn", "--epochs", 2, "-o", out / "run"],
        "explanations": ["explain", glass, *explain, "-o", out / "explanation.h5"],
        "report": ["report", glass, "--events", events, "-o", out / "report.html"],
    }


@pytest.mark.parametrize(
    "stage", ["glasses", "barriers", "graphs", "training", "explanations", "report"]
)
def test_a_full_disk(finished, small_disk, stage):
    (small_disk / "filler").write_bytes(b"x" * 16384)
    done = symgnn(finished, *commands_of_stages(finished.results, small_disk)[stage])
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("No space left on device")
    finished_files = {"glass.xyz", "events.h5", "graphs.h5", "explanation.h5", "report.html"}
    finished_files |= {"checkpoint.pt", "metrics.json"}
    assert not finished_files & {path.name for path in small_disk.rglob("*")}


def test_read_only_input(finished, tmp_path):
    """Inputs are read and nothing is written beside them."""
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    bind = subprocess.run(
        ["mount", "--bind", "-o", "ro", str(finished.results), str(inputs)], capture_output=True
    )
    if bind.returncode:
        pytest.skip("mounting read-only needs root")
    try:
        commands = commands_of_stages(inputs, tmp_path)
        for stage in ("barriers", "graphs", "training", "explanations", "report"):
            done = symgnn(finished, *commands[stage])
            assert done.returncode == 0, done.stderr
    finally:
        subprocess.run(["umount", "-l", str(inputs)], check=True)


def test_a_read_only_results_folder_is_told(finished, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    done = symgnn(finished, *commands_of_stages(finished.results, small_disk)["graphs"])
    assert done.returncode == 1
    assert "Read-only file system" in last_line(done)
