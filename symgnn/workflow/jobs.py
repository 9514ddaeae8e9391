"""Run one job of the workflow: alone on its outputs, on its ranks, within its time, on record."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import symgnn
from symgnn.errors import EXIT_TRY_AGAIN
from symgnn.processes import end_with_parent
from symgnn.workflow import ledger, locks

WALLTIME_SHARE = 0.9  # of an allocation; the rest is left to save state and to stop


def launch_prefix(ranks: int) -> list[str]:
    """What starts `ranks` MPI ranks: srun inside a Slurm allocation, mpiexec elsewhere.

    The environment variable SYMGNN_SRUN replaces `srun --mpi=pmi2` where a site needs other
    words.
    """
    if ranks == 1:
        return []
    if "SLURM_JOB_ID" in os.environ and shutil.which("srun"):
        words = shlex.split(os.environ.get("SYMGNN_SRUN", "srun --mpi=pmi2"))
        return [*words, "-n", str(ranks)]
    return ["mpiexec", "-n", str(ranks)]


def environment(ranks: int) -> dict[str, str]:
    """The variables that a command starts with.

    A Slurm step lends its one task variables of the process manager (PMI), with which a program
    that loads MPI without need of it fails to start: a single rank gets none.
    """
    kept = dict(os.environ)
    if ranks == 1:
        kept = {name: value for name, value in kept.items() if not name.startswith("PMI")}
    return kept


def time_budget(minutes: float | None) -> float | None:
    """Seconds that a job may use of an allocation of `minutes`; None outside of Slurm."""
    if minutes is None or "SLURM_JOB_ID" not in os.environ:
        return None
    return minutes * 60 * WALLTIME_SHARE


def run_job(
    command: Sequence[str],
    outputs: Sequence[Path],
    results: Path,
    ranks: int = 1,
    minutes: float | None = None,
    budgeted: bool = False,
) -> int:
    """Run `command` under a lock on its first output and enter it into the ledger.

    A second copy of the same job waits. When the first has made the outputs meanwhile, with the
    same command, the second ends without doing it again.

    Args:
        command: program and arguments.
        outputs: the files that it makes.
        results: folder of the results and of the ledger.
        ranks: MPI ranks.
        minutes: walltime of the job's allocation, min.
        budgeted: whether the command takes `--time-budget`.

    Returns:
        The command's exit code; 75 when the time was up while waiting.
    """
    command, started = list(command), time.monotonic()
    budget = time_budget(minutes)
    waiting = _Waiting(outputs[0], started, budget)
    try:
        with locks.exclusive(f"{outputs[0]}.lock", command, waiting) as before:
            if before and before["command"] == command and all(p.is_file() for p in outputs):
                print(f"symgnn: {outputs[0]}: {_name(before)} made it meanwhile", file=sys.stderr)
                return 0
            if budget is not None and budgeted:
                left = max(1.0, budget - (time.monotonic() - started))
                command += ["--time-budget", f"{left:.0f}"]
            return _run_recorded(command, outputs, results, ranks)
    except TimeoutError as error:
        print(f"symgnn: {error}", file=sys.stderr)
        return EXIT_TRY_AGAIN


class _Waiting:
    """Says once for whom a job waits, and stops it at its time budget."""

    def __init__(self, output: Path, started: float, budget: float | None):
        self._output, self._started, self._budget = output, started, budget
        self._told = None

    def __call__(self, holder: dict) -> None:
        if holder["token"] != self._told:
            self._told = holder["token"]
            print(f"symgnn: {self._output}: waits for {_name(holder)}", file=sys.stderr, flush=True)
        if self._budget is not None and time.monotonic() - self._started > self._budget:
            raise TimeoutError(f"{self._output}: {_name(holder)} still works on it; try again")


def _name(holder: dict) -> str:
    job = f", Slurm job {holder['slurm_job']}" if holder.get("slurm_job") else ""
    return f"process {holder['pid']} of {holder['user']} on {holder['host']}{job}"


def _run_recorded(command: list[str], outputs: Sequence[Path], results: Path, ranks: int) -> int:
    start, clock = datetime.now(UTC), time.monotonic()
    status = _run(launch_prefix(ranks) + command, environment(ranks))
    whole = status == 0 and all(path.is_file() for path in outputs)
    if status == 0 and not whole:
        missing = [str(path) for path in outputs if not path.is_file()]
        print(f"symgnn: error: not made: {', '.join(missing)}", file=sys.stderr)
        status = 1
    holder = locks.owner(command)
    entry = {key: holder[key] for key in ("user", "host", "slurm_job", "command")} | {
        "started": start.isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - clock, 2),
        "ranks": ranks,
        "symgnn": symgnn.__version__,
        "status": status,
        "outputs": ledger.describe_outputs(results, outputs) if whole else {},
    }
    try:
        ledger.append_entry(ledger.ledger_path(results, outputs[0]), entry)
    except OSError as error:
        print(f"symgnn: error: {results}: the ledger: {error.strerror}", file=sys.stderr)
        return status or 1
    return status


def _run(command: Sequence[str], environment: dict[str, str]) -> int:
    begin = partial(end_with_parent, os.getpid())  # no work goes on without its lock
    process = subprocess.Popen(command, env=environment, preexec_fn=begin)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: process.send_signal(number))
    status = process.wait()
    if status < 0:
        name = signal.Signals(-status).name
        hint = "; the usual reason is too little memory" if -status == signal.SIGKILL else ""
        print(f"symgnn: error: {command[0]} was ended by {name}{hint}", file=sys.stderr)
        return 128 - status
    return status
