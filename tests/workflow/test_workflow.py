"""The workflow itself: from nothing to the report, cached, restartable, and clear when it fails."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import h5py
import pytest

from tests.workflow.conftest import Workflow

GLASS = "Cu64Zr36_120_1e15_s1"


def test_it_makes_every_file(finished):
    results = finished.results
    assert (results / "report.html").stat().st_size > 100_000
    for stage in ("glasses", "shear", "barriers", "graphs", "models", "explanations"):
        assert list((results / "logs" / stage).rglob("*.log"))
        assert list((results / "benchmarks" / stage).rglob("*.tsv"))
    with h5py.File(results / "barriers" / GLASS / "events.h5") as file:
        assert len(file["events/atom"]) == 4  # atoms, one search each
    with h5py.File(results / "shear" / "Cu64Zr36_120_1e15_s3" / "shear.h5") as file:
        assert file["strain"][()].tolist() == pytest.approx([0, 0.002, 0.004])
    page = (results / "report.html").read_text()
    assert "stress of the sheared plane" in page.lower()
    assert not list(results.rglob("*.lock"))


def test_a_second_run_does_nothing(finished):
    assert finished.planned() == set()


def test_a_damaged_configuration_ends_before_any_job(finished):
    done = finished.run("--dry-run", overlay={"graphs": {"cutof": 5}}, check=False)
    assert done.returncode == 2
    (line,) = [line for line in done.stdout.splitlines() if "error" in line]
    assert line.startswith(f"symgnn: error: {finished.folder}/overlay-")
    known = "cutoff, label, min_converged, inputs"
    assert line.endswith(f"graphs.cutof: unknown key; known here: {known}")


def test_a_failure_names_the_log_and_leaves_no_output(repository, tmp_path):
    workflow = Workflow(repository, tmp_path)
    overlay = {"glasses": {"protocol": {"timestep": 10, "melt_temperature": 20000}}}
    done = workflow.run(
        "--cores", "1", f"results/glasses/{GLASS}.xyz", overlay=overlay, check=False
    )
    assert done.returncode == 1
    assert f"log: results/logs/glasses/{GLASS}.log" in done.stdout
    assert not (workflow.results / "glasses" / f"{GLASS}.xyz").exists()
    entry = json.loads((workflow.results / f"ledger/glasses/{GLASS}.xyz.jsonl").read_text())
    assert entry["status"] != 0
    assert entry["outputs"] == {}


@pytest.fixture
def glass_only(repository, finished, tmp_path) -> Workflow:
    """A workflow whose first glass is made, and nothing else."""
    workflow = Workflow(repository, tmp_path)
    shutil.copytree(finished.results / "glasses", workflow.results / "glasses")
    return workflow


def wait_for(condition, seconds: float = 120.0) -> None:
    """Wait until a condition holds; fail when it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def processes_of(word: str, folder: Path) -> list[int]:
    """Processes that have `word` in their command line and run in `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            here = os.readlink(entry / "cwd") == str(folder)
        except OSError:
            continue
        if here and word.encode() in words and b"job" not in words:
            found.append(int(entry.name))
    return found


def test_a_killed_job_resumes_where_it_was(glass_only):
    shard = f"results/barriers/{GLASS}/shard-0.h5"
    overlay = {"barriers": {"protocol": {"searches": 12}}}
    journal = glass_only.folder / f"{shard}.journal"
    running = subprocess.Popen(
        glass_only.command("--cores", "1", shard, overlay=overlay),
        cwd=glass_only.repository,
        env=glass_only.environ(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: journal.exists() and len(journal.read_bytes().splitlines()) >= 5)
    for process in processes_of("barriers", glass_only.folder):
        os.kill(process, signal.SIGKILL)
    assert running.wait(60) == 1
    kept = journal.read_bytes()
    kept = kept[: kept.rindex(b"\n") + 1]
    assert not (glass_only.folder / shard).exists()

    glass_only.run("--cores", "1", shard, overlay=overlay)
    assert journal.read_bytes().startswith(kept)
    searches = [(event["atom"], event["search"]) for event in journal_events(journal)]
    assert len(searches) == len(set(searches)) == 2 * 12
    with h5py.File(glass_only.folder / shard) as file:
        assert len(file["events/atom"]) == 2 * 12


def journal_events(journal: Path) -> list[dict]:
    """The searches that a journal holds."""
    lines = [json.loads(line.split(" ", 1)[1]) for line in journal.read_text().splitlines()]
    return [line for line in lines if "search" in line]


def test_more_searches_compute_only_the_missing(glass_only):
    shard = f"results/barriers/{GLASS}/shard-0.h5"
    journal = glass_only.folder / f"{shard}.journal"
    for searches in (2, 3):
        before = journal.read_bytes() if journal.exists() else b""
        overlay = {"barriers": {"protocol": {"searches": searches, "region_searches": searches}}}
        glass_only.run("--cores", "1", shard, overlay=overlay)
        assert journal.read_bytes().startswith(before)
        assert len(journal_events(journal)) == 2 * 2 * searches
        with h5py.File(glass_only.folder / shard) as file:
            assert len(file["events/atom"]) == len(file["region/atom"]) == 2 * searches
