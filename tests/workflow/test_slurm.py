"""The workflow on a real Slurm, started for these tests; skipped where Slurm is not installed.

Four runs go on at once, each in a folder of its own, so that the whole takes little longer than
the slowest: everything from nothing, a cancelled job, a walltime, and a killed snakemake.
"""

import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import h5py
import pytest

from symgnn.glasses.quench import melt_quench
from symgnn.potentials import find_potential
from tests.workflow import cluster as slurm
from tests.workflow.conftest import Workflow, expected_jobs, jobs_of
from tests.workflow.test_workflow import journal_events, wait_for

pytestmark = [
    pytest.mark.skipif(
        slurm.missing() is not None, reason=f"no Slurm for these tests: {slurm.missing()}"
    ),
    pytest.mark.timeout(1800),  # a walltime is a minute at least, a busy machine needs several
]

QUICK = (
    *("--slurm-status-command", "squeue"),  # the accounting database is absent
    *("--slurm-init-seconds-before-status-checks", "3"),
    *("--seconds-between-status-checks", "3"),
    *("--latency-wait", "10"),
)
GLASS = "Cu64Zr36_120_1e15_s1"
SHARD = f"results/barriers/{GLASS}/shard-0.h5"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with slurm.start_cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


class Run:
    """A snakemake of its own under `--profile slurm`."""

    def __init__(self, cluster, repository, folder, *arguments, overlay=None):
        self.workflow = Workflow(repository, folder, cluster.environment)
        self.log = folder / "snakemake.log"
        command = self.workflow.command(*QUICK, *arguments, overlay=overlay, profile="slurm")
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                command,
                cwd=repository,
                env=self.workflow.environ(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def finish(self, seconds: float = 1500.0) -> str:
        status = self.process.wait(seconds)
        output = self.log.read_text()
        assert status == 0, output
        return output


def cluster_jobs(cluster, workflow) -> list[dict[str, str]]:
    """The Slurm jobs of a workflow, in the order of their submission."""
    return [job for job in cluster.jobs() if job["WorkDir"] == str(workflow.folder)]


@dataclass
class Interrupted:
    """A shard's run that was disturbed, and what its journal held at that moment."""

    run: Run
    journal: Path
    kept: bytes


ORPHANED_SEARCHES = 200  # an atom: half a minute, in which snakemake is started again


def start_shard(cluster, repository, finished, folder, searches: int) -> Interrupted:
    """Start the searches of a shard of a glass that is made, and wait for the first of them."""
    (folder / "results").mkdir()
    (folder / "results" / "glasses").symlink_to(finished.results / "glasses")
    overlay = {"barriers": {"protocol": {"searches": searches}}}
    run = Run(cluster, repository, folder, SHARD, overlay=overlay)
    return Interrupted(run, folder / f"{SHARD}.journal", b"")


def wait_for_searches(interrupted: Interrupted, count: int = 4) -> None:
    """Wait for some lines of the journal and keep the whole ones."""
    journal = interrupted.journal
    wait_for(lambda: journal.exists() and len(journal.read_bytes().splitlines()) >= count)
    content = journal.read_bytes()
    interrupted.kept = content[: content.rindex(b"\n") + 1]


def check_whole(interrupted: Interrupted, searches: int) -> None:
    """All searches are in journal and output, none twice, the kept ones untouched."""
    assert interrupted.journal.read_bytes().startswith(interrupted.kept)
    events = journal_events(interrupted.journal)
    assert len({(event["atom"], event["search"]) for event in events}) == len(events)
    assert len(events) == 2 * searches
    with h5py.File(interrupted.run.workflow.folder / SHARD) as file:
        assert len(file["events/atom"]) == 2 * searches


@pytest.fixture(scope="module")
def cancelled(cluster, repository, finished, melt_time, tmp_path_factory) -> Interrupted:
    """A shard whose job is cancelled half-way."""
    folder = tmp_path_factory.mktemp("cancelled")
    interrupted = start_shard(cluster, repository, finished, folder, searches=48)
    wait_for_searches(interrupted)
    cluster.ask("scancel", cluster_jobs(cluster, interrupted.run.workflow)[0]["JobId"])
    return interrupted


@pytest.fixture(scope="module")
def orphaned(cluster, repository, finished, tmp_path_factory) -> Interrupted:
    """A shard whose snakemake is killed and started again while the job goes on."""
    folder = tmp_path_factory.mktemp("orphaned")
    interrupted = start_shard(cluster, repository, finished, folder, searches=ORPHANED_SEARCHES)
    wait_for_searches(interrupted)
    os.kill(interrupted.run.process.pid, signal.SIGKILL)
    interrupted.run.process.wait()
    overlay = {"barriers": {"protocol": {"searches": ORPHANED_SEARCHES}}}
    interrupted.run.workflow.run("--unlock", overlay=overlay)
    interrupted.run = Run(cluster, repository, folder, SHARD, overlay=overlay)
    return interrupted


@pytest.fixture(scope="module")
def whole(cluster, repository, cancelled, orphaned, tmp_path_factory) -> Run:
    """Everything, as the profile says; two ranks search a shard."""
    folder = tmp_path_factory.mktemp("whole")
    return Run(cluster, repository, folder, overlay={"execution": {"barrier_ranks": 2}})


@pytest.fixture(scope="module")
def melt_time(potential, tmp_path_factory) -> float:
    """Picoseconds that take this machine two minutes, asked for before any other run begins."""
    output = tmp_path_factory.mktemp("speed") / "glass.xyz"
    started = time.monotonic()
    melt_quench("Cu64Zr36", 120, 1e15, 1, find_potential(str(potential)), output, melt_time=2.0)
    return round(4.0 * 120.0 / (time.monotonic() - started), 1)  # 2 ps in the melt, 2 to cool


@pytest.fixture(scope="module")
def walltime(cluster, repository, melt_time, whole, tmp_path_factory) -> Run:
    """A quench of more steps than a minute has time for, with too little memory at first."""
    return Run(
        *(cluster, repository, tmp_path_factory.mktemp("walltime"), f"results/glasses/{GLASS}.xyz"),
        *("--set-resources", "quench:runtime=1", "quench:mem_mb=200+1500*min(attempt-1,1)"),
        *("--retries", "20"),  # minutes; three more runs share the machine at first
        overlay={"glasses": {"protocol": {"melt_time": melt_time, "restart_interval": 1000}}},
    )


def test_a_cancelled_shard_resumes_with_nothing_recomputed(cluster, cancelled, walltime):
    cancelled.run.finish()
    first, *others = cluster_jobs(cluster, cancelled.run.workflow)
    assert first["JobState"] == "CANCELLED"
    assert [job["JobState"] for job in others] == ["COMPLETED"]
    check_whole(cancelled, searches=48)


def test_a_second_copy_waits_for_the_orphan_of_a_killed_snakemake(cluster, orphaned):
    orphaned.run.finish()
    workflow = orphaned.run.workflow
    assert [job["JobState"] for job in cluster_jobs(cluster, workflow)] == ["COMPLETED"] * 2
    check_whole(orphaned, searches=ORPHANED_SEARCHES)
    log = (workflow.results / "logs" / "barriers" / GLASS / "shard-0.log").read_text()
    assert "waits for" in log
    assert "made it meanwhile" in log
    ledger = (workflow.results / "ledger" / "barriers" / GLASS / "shard-0.h5.jsonl").read_text()
    assert [json.loads(line)["status"] for line in ledger.splitlines()] == [0]


def test_a_walltime_ends_nothing(cluster, walltime):
    """Most attempts end at their time budget; one that started late may meet the walltime."""
    walltime.finish()
    _, *earlier, last = cluster_jobs(cluster, walltime.workflow)  # the first had no memory
    assert earlier
    assert {job["JobState"] for job in earlier} <= {"FAILED", "TIMEOUT"}
    assert last["JobState"] == "COMPLETED"
    path = walltime.workflow.results / "ledger" / "glasses" / f"{GLASS}.xyz.jsonl"
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    assert 75 in {entry["status"] for entry in entries[:-1]}
    assert entries[-1]["status"] == 0
    assert entries[-1]["slurm_job"] == last["JobId"]
    thermo = (walltime.workflow.results / "glasses" / f"{GLASS}.thermo.csv").read_text()
    rows = [tuple(line.split(",")[:2]) for line in thermo.splitlines()]  # stage, step
    assert len(rows) == len(set(rows)) > 100


def test_everything_from_nothing_to_the_report(whole):
    run = whole
    output = run.finish()
    assert jobs_of(output) >= expected_jobs()
    assert (run.workflow.results / "report.html").stat().st_size > 100_000
    assert run.workflow.planned() == set()


def test_too_little_memory_is_mended_by_a_retry(cluster, walltime):
    walltime.finish()
    first, *others = cluster_jobs(cluster, walltime.workflow)
    assert "mem=200M" in first["TRES"]
    assert first["JobState"] in ("FAILED", "OUT_OF_MEMORY", "CANCELLED")
    assert "mem=1700M" in others[0]["TRES"]
    assert others[-1]["JobState"] == "COMPLETED"


def test_gpu_rules_go_to_the_gpu_partition(cluster, whole):
    run = whole
    run.finish()
    for job in cluster_jobs(cluster, run.workflow):
        training = "rule_train" in job["StdOut"]
        assert job["Partition"] == ("gpu" if training else "cpu")
        assert ("gres:gpu" in job.get("TresPerJob", "") + job.get("TresPerNode", "")) == training


def test_mpi_shards_run_on_two_ranks_and_give_the_same(cluster, whole, finished):
    run = whole
    run.finish()
    jobs = [
        job for job in cluster_jobs(cluster, run.workflow) if "search_barriers" in job["StdOut"]
    ]
    assert {job["NumTasks"] for job in jobs} == {"2"}
    path = run.workflow.results / "ledger" / "barriers" / GLASS / "shard-0.h5.jsonl"
    assert json.loads(path.read_text())["ranks"] == 2
    with (
        h5py.File(run.workflow.folder / SHARD) as parallel,
        h5py.File(finished.folder / SHARD) as serial,
    ):
        for name in ("atom", "search", "status", "barrier"):
            assert parallel[f"events/{name}"][:].tobytes() == serial[f"events/{name}"][:].tobytes()
