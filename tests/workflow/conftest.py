"""The real workflow at its smallest size, run once, and dry runs over its results."""

import hashlib
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

TINY = Path(__file__).with_name("tiny.yaml")


@dataclass(frozen=True)
class Workflow:
    """Runs snakemake on the tiny configuration in a folder of its own.

    Attributes:
        repository: where the Snakefile is.
        folder: working directory of the workflow.
        environment: additional environment variables.
    """

    repository: Path
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def command(
        self, *arguments: str, overlay: dict | None = None, profile: str | None = None
    ) -> list[str]:
        files = [str(TINY)]
        if overlay is not None:
            text = yaml.safe_dump(overlay)
            path = self.folder / f"overlay-{hashlib.sha256(text.encode()).hexdigest()[:8]}.yaml"
            path.write_text(text)
            files.append(str(path))
        snakemake = [str(Path(sys.executable).with_name("snakemake"))]
        folder = ["--directory", str(self.folder)]
        with_profile = ["--profile", profile] if profile else []
        return [*snakemake, *folder, *with_profile, "--configfile", *files, *arguments]

    def environ(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return os.environ | {"OMP_NUM_THREADS": "1", "PATH": path} | self.environment

    def run(
        self,
        *arguments: str,
        overlay: dict | None = None,
        profile: str | None = None,
        check: bool = True,
        timeout: float = 540,
    ) -> subprocess.CompletedProcess:
        done = subprocess.run(
            self.command(*arguments, overlay=overlay, profile=profile),
            cwd=self.repository,
            env=self.environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
        )
        if check and done.returncode:
            raise AssertionError(f"snakemake ended with {done.returncode}\n{done.stdout}")
        return done

    def planned(self, overlay: dict | None = None, *arguments: str) -> set[str]:
        """The jobs that a dry run wants: `rule` or `rule wildcard ...`."""
        return jobs_of(self.run("--dry-run", *arguments, overlay=overlay).stdout)


def jobs_of(output: str) -> set[str]:
    """The jobs that snakemake's output names: `rule` or `rule value ...` of its wildcards."""
    jobs = set()
    for block in re.split(r"^(?=(?:local)?rule )", output, flags=re.MULTILINE)[1:]:
        lines = block.splitlines()
        rule = lines[0].split()[1].rstrip(":")
        wildcards = next((line for line in lines if line.startswith("    wildcards:")), ":")
        values = [pair.split("=")[1] for pair in wildcards.split(":")[1].split(", ") if "=" in pair]
        jobs.add(" ".join([rule, *values]))
    return jobs - {"all"}


def expected_jobs() -> set[str]:
    """All jobs of the tiny configuration."""
    glasses = [f"Cu64Zr36_120_1e15_s{k}" for k in (1, 2, 3)]
    return {
        *(f"quench {glass}" for glass in glasses),
        *(f"search_barriers {glass} {shard}" for glass in glasses for shard in (0, 1)),
        *(f"merge_shards {glass}" for glass in glasses),
        "shear Cu64Zr36_120_1e15_s3",
        "build_graphs",
        "train gcn 0",
        "evaluate",
        "explain Cu64Zr36_120_1e15_s3",
        "assess Cu64Zr36_120_1e15_s3",
        "report",
    }


@pytest.fixture(scope="session")
def finished(repository, tmp_path_factory) -> Workflow:
    """The tiny workflow, run from nothing to the report; not to be changed by tests."""
    workflow = Workflow(repository, tmp_path_factory.mktemp("finished"))
    done = workflow.run("--cores", "2")
    assert jobs_of(done.stdout) == expected_jobs()
    return workflow
