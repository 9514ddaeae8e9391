"""The workflow on a real Slurm, started for these tests; skipped where Slurm is not installed.

Four runs go on at once, each in a folder of its own, so that the whole takes little longer than
the slowest: everything from nothing, a cancelled job, a walltime, and a killed snakemake.
"""

import json
import os
import signal
import subprocess

import h5py
import pytest

from tests.workflow import cluster as slurm
from tests.workflow.conftest import Workflow, expected_jobs, jobs_of
from tests.workflow.test_workflow import journal_events, wait_for

pytestmark = pytest.mark.skipif(
    slurm.missing() is not None, reason=f"no Slurm for these tests: {slurm.missing()}"
)

QUICK = (
    *("--slurm-status-command", "squeue"),  # the accounting database is absent
    *("--slurm-init-seconds-before-status-checks", "3"),
    *("--seconds-between-status-checks", "3"),
    *("--latency-wait", "10"),
)
GLASS = "Cu64Zr36_120_1e15_s1"
SHARD = f"results/barriers/{GLASS}/shard-0.h5"
MANY_SEARCHES = {"barriers": {"protocol": {"searches": 12}}}


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

    def finish(self, seconds: float = 420.0) -> str:
        status = self.process.wait(seconds)
        output = self.log.read_text()
        assert status == 0, output
        return output


def cluster_jobs(cluster, workflow) -> list[dict[str, str]]:
    """The Slurm jobs of a workflow, in the order of their submission."""
    return [job for job in cluster.jobs() if job["WorkDir"] == str(workflow.folder)]


@pytest.fixture(scope="module")
def runs(cluster, repository, finished, tmp_path_factory):
    """The runs, started side by side."""
    folders = {
        name: tmp_path_factory.mktemp(name) for name in ("whole", "cancel", "walltime", "kill")
    }
    for name in ("cancel", "kill"):
        (folders[name] / "results").mkdir()
        (folders[name] / "results" / "glasses").symlink_to(finished.results / "glasses")
    started = {
        # A quench gets too little memory at its first attempt; two ranks search a shard.
        "whole": Run(
            *(cluster, repository, folders["whole"]),
            *("--set-resources", "quench:mem_mb=200+1500*(attempt-1)"),
            overlay={"execution": {"barrier_ranks": 2}},
        ),
        # More steps than an allocation of a minute has time for.
        "walltime": Run(
            *(cluster, repository, folders["walltime"]),
            *("--set-resources", "quench:runtime=1", f"results/glasses/{GLASS}.xyz"),
            overlay={"glasses": {"protocol": {"melt_time": 250, "restart_interval": 2000}}},
        ),
    }
    for name in ("cancel", "kill"):
        started[name] = Run(cluster, repository, folders[name], SHARD, overlay=MANY_SEARCHES)
    return started


def test_a_cancelled_shard_resumes_with_nothing_recomputed(cluster, runs):
    run = runs["cancel"]
    journal = run.workflow.folder / f"{SHARD}.journal"
    wait_for(lambda: journal.exists() and len(journal.read_bytes().splitlines()) >= 5)
    cluster.ask("scancel", cluster_jobs(cluster, run.workflow)[0]["JobId"])
    kept = journal.read_bytes()
    kept = kept[: kept.rindex(b"\n") + 1]
    run.finish()
    first, *others = cluster_jobs(cluster, run.workflow)
    assert first["JobState"] == "CANCELLED"
    assert [job["JobState"] for job in others] == ["COMPLETED"]
    assert journal.read_bytes().startswith(kept)
    searches = [(event["atom"], event["search"]) for event in journal_events(journal)]
    assert len(searches) == len(set(searches)) == 2 * 12
    with h5py.File(run.workflow.folder / SHARD) as file:
        assert len(file["events/atom"]) == 2 * 12


def test_a_second_copy_waits_for_the_orphan_of_a_killed_snakemake(cluster, runs):
    run = runs["kill"]
    workflow = run.workflow
    journal = workflow.folder / f"{SHARD}.journal"
    wait_for(lambda: journal.exists() and len(journal.read_bytes().splitlines()) >= 3)
    os.kill(run.process.pid, signal.SIGKILL)
    run.process.wait()
    locked = workflow.run(*QUICK, SHARD, overlay=MANY_SEARCHES, profile="slurm", check=False)
    assert locked.returncode == 1
    assert "--unlock" in locked.stdout
    workflow.run("--unlock", overlay=MANY_SEARCHES)
    again = Run(cluster, workflow.repository, workflow.folder, SHARD, overlay=MANY_SEARCHES)
    again.finish()
    assert [job["JobState"] for job in cluster_jobs(cluster, workflow)] == ["COMPLETED"] * 2
    searches = [(event["atom"], event["search"]) for event in journal_events(journal)]
    assert len(searches) == len(set(searches)) == 2 * 12
    with h5py.File(workflow.folder / SHARD) as file:
        assert len(file["events/atom"]) == 2 * 12
    log = (workflow.results / "logs" / "barriers" / GLASS / "shard-0.log").read_text()
    assert "waits for" in log
    assert "made it meanwhile" in log
    ledger = (workflow.results / "ledger" / "barriers" / GLASS / "shard-0.h5.jsonl").read_text()
    assert [json.loads(line)["status"] for line in ledger.splitlines()] == [0]


def test_a_walltime_ends_nothing(cluster, runs):
    run = runs["walltime"]
    run.finish()
    jobs = cluster_jobs(cluster, run.workflow)
    assert len(jobs) > 1
    assert [job["JobState"] for job in jobs] == ["FAILED"] * (len(jobs) - 1) + ["COMPLETED"]
    path = run.workflow.results / "ledger" / "glasses" / f"{GLASS}.xyz.jsonl"
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    assert [entry["status"] for entry in entries] == [75] * (len(jobs) - 1) + [0]
    assert all(entry["seconds"] < 60 for entry in entries)
    assert [entry["slurm_job"] for entry in entries] == [job["JobId"] for job in jobs]


def test_everything_from_nothing_to_the_report(runs):
    run = runs["whole"]
    output = run.finish()
    assert jobs_of(output) >= expected_jobs()
    assert (run.workflow.results / "report.html").stat().st_size > 100_000
    assert run.workflow.planned() == set()


def test_too_little_memory_is_mended_by_a_retry(cluster, runs):
    run = runs["whole"]
    run.finish()
    jobs = [job for job in cluster_jobs(cluster, run.workflow) if "rule_quench" in job["StdOut"]]
    assert len(jobs) == 2 * 3
    assert {job["JobState"] for job in jobs if "mem=200M" in job["TRES"]} == {"FAILED"}
    assert {job["JobState"] for job in jobs if "mem=1700M" in job["TRES"]} == {"COMPLETED"}


def test_gpu_rules_go_to_the_gpu_partition(cluster, runs):
    run = runs["whole"]
    run.finish()
    for job in cluster_jobs(cluster, run.workflow):
        training = "rule_train" in job["StdOut"]
        assert job["Partition"] == ("gpu" if training else "cpu")
        assert ("gres:gpu" in job.get("TresPerJob", "") + job.get("TresPerNode", "")) == training


def test_mpi_shards_run_on_two_ranks_and_give_the_same(cluster, runs, finished):
    run = runs["whole"]
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
