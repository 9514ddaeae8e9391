"""The paper's dataset: a few hundred jobs at most, planned quickly, with the expected costs."""

import subprocess
import sys
from pathlib import Path

import yaml

from tests.workflow.conftest import jobs_of


def test_the_paper_s_dry_run(repository, tmp_path):
    done = subprocess.run(
        [Path(sys.executable).with_name("snakemake"), "--dry-run", "--directory", tmp_path],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )
    jobs = jobs_of(done.stdout + done.stderr)
    assert sum(job.startswith("quench Cu64Zr36_8000") for job in jobs) == 55
    shards = [job for job in jobs if job.startswith("search_barriers")]
    assert len({job.split()[1] for job in shards}) == 9
    assert 57 + 9 < len(jobs) < 300
    table = [line.split() for line in done.stderr.splitlines() if line.startswith("all ")]
    assert table
    assert int(table[0][1]) == len(jobs)
    assert float(table[0][2]) > 1000  # core-hours
    assert float(table[0][3]) > 1  # GPU-hours


def test_searches_on_gpus_are_a_rule_of_their_own(repository, tmp_path):
    """Which the profiles send to a GPU, and whose cost counts as GPU-hours."""
    overlay = tmp_path / "gpu.yaml"
    overlay.write_text("barriers: {protocol: {engine: gpu}}\n")
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("snakemake"), "--dry-run", "--directory", tmp_path),
            *("--configfile", overlay),
        ],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )
    jobs = {job.split()[0] for job in jobs_of(done.stdout + done.stderr)}
    assert "search_barriers_on_gpu" in jobs
    assert "search_barriers" not in jobs
    barriers = next(line for line in done.stderr.splitlines() if line.startswith("barriers "))
    assert float(barriers.split()[2]) == 0.0  # core-hours
    assert float(barriers.split()[3]) > 0.1
    for profile in ("slurm", "workstation"):
        path = repository / "workflow" / "profiles" / profile / "config.yaml"
        resources = yaml.safe_load(path.read_text())["set-resources"]
        assert resources["search_barriers_on_gpu"] == resources["train"]
