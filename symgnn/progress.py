"""Progress of long work: a bar on a terminal, plain log lines elsewhere; and the time budget."""

import re
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from symgnn.errors import TimeBudgetReached

LINE = re.compile(rb"^[^:\n]+: \d+/\d+  \d+ s  left [^\n]*$", re.MULTILINE)
TAIL = 20_000  # bytes of a log in which its last line of progress is looked for


def last_progress(log: Path) -> str | None:
    """The last line of progress in a log that a command may still be writing; None without one."""
    try:
        with open(log, "rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - TAIL))
            lines = LINE.findall(stream.read())
    except OSError:
        return None
    return lines[-1].decode(errors="replace").strip() if lines else None


class TimeBudget:
    """A clock that says when a long command has to save its state and stop.

    Args:
        seconds: wall-clock time allowed from now on, s; None for no limit.
    """

    def __init__(self, seconds: float | None):
        self._end = None if seconds is None else time.monotonic() + seconds

    def exhausted(self, reserve: float = 0.0) -> bool:
        """Whether less than `reserve` seconds are left."""
        return self._end is not None and time.monotonic() + reserve >= self._end

    def check(self, what: str) -> None:
        """Raise `TimeBudgetReached` when the time is used up; call it after a checkpoint."""
        if self.exhausted():
            self.stop(what)

    def stop(self, what: str) -> NoReturn:
        """Raise `TimeBudgetReached`, where another clock than this one ended the work."""
        raise TimeBudgetReached(f"{what}: stopped at the time budget; run again to go on")


class Progress:
    """Shows how much of `total` is done, with the figures last given and the time left.

    Args:
        label: what is being counted.
        total: how many there are.
        done: how many were done in an earlier run.
        interval: time between log lines where standard error is no terminal, s.
    """

    def __init__(self, label: str, total: int, done: int = 0, interval: float = 10.0):
        self._label, self._total, self._done = label, total, done
        self._start_done, self._start = done, time.monotonic()
        self._interval, self._last = interval, time.monotonic()
        self._bar, self._figures, self._parts = None, "", 0.0
        if sys.stderr.isatty():
            self._bar = RichProgress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[figures]}"),
                transient=False,
            )

    def __enter__(self) -> "Progress":
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task(
                self._label, total=self._total, completed=self._done, figures=""
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif self._done > self._start_done:
            self._log()

    @property
    def done_now(self) -> int:
        """How many were done in this run."""
        return self._done - self._start_done

    def rate(self, count: int) -> float:
        """`count` over the time since the start, 1/s."""
        return count / max(time.monotonic() - self._start, 1e-9)

    def advance(self, count: int = 1, **figures: object) -> None:
        """Count `count` more as done; `figures` are shown by name beside the count."""
        named = (f"{name.replace('_', ' ')} {value}" for name, value in figures.items())
        self._figures = "  ".join(named)
        self._show(count)

    def add(self, part: float) -> None:
        """Count a part of one more, or of several; the sum of the parts is shown rounded."""
        before, self._parts = self._parts, self._parts + part
        self._show(round(self._parts) - round(before))

    def reach(self, done: int, **figures: object) -> None:
        """Count up to `done`; `figures` as in `advance`."""
        self.advance(done - self._done, **figures)

    def _show(self, count: int) -> None:
        self._done += count
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, figures=self._figures)
        elif time.monotonic() - self._last >= self._interval:
            self._log()

    def _log(self) -> None:
        self._last = time.monotonic()
        elapsed = self._last - self._start
        new = self._done - self._start_done
        left = (self._total - self._done) * elapsed / new if new else float("nan")
        print(
            f"{self._label}: {self._done}/{self._total}  {elapsed:.0f} s  "
            f"left {left:.0f} s  {self._figures}",
            file=sys.stderr,
            flush=True,
        )
