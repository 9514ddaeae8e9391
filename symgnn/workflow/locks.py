"""One process at a time on an output, also between machines that share a file system."""

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from getpass import getuser
from pathlib import Path

BEAT = 15.0  # s between signs of life
STALE = 90.0  # s without one, by the waiting side's own clock, after which a lock is dead
SETTLE = 0.5  # s in which a rival that also saw a dead lock would overwrite it


def owner(command: list[str]) -> dict:
    """Who holds a lock: user, host, process, Slurm job, command."""
    return {
        "token": uuid.uuid4().hex,
        "user": getuser(),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
        "command": command,
    }


@contextmanager
def exclusive(
    path: Path | str,
    command: list[str],
    on_wait: Callable[[dict], None] = lambda holder: None,
    stale: float = STALE,
    beat: float = BEAT,
) -> Iterator[dict | None]:
    """Hold the lock file `path`; wait while a living process holds it.

    A holder touches its lock every `beat` seconds. A lock is dead when its process is gone
    from this host, or when it was not touched for `stale` seconds of this process's monotonic
    clock: no two machines' clocks are compared, so one that jumps does no harm.

    Args:
        path: the lock file.
        command: what the holder does; told to those who wait.
        on_wait: called with the holder when waiting begins, and from time to time after; may raise.
        stale: s.
        beat: s.

    Yields:
        The holder that had to be waited for and ended its work, or None.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    mine = owner(command)
    waited_for = _acquire(path, mine, on_wait, stale)
    done = threading.Event()
    heart = threading.Thread(target=_beat, args=(path, mine["token"], beat, done), daemon=True)
    heart.start()
    try:
        yield waited_for
    finally:
        done.set()
        heart.join()
        if read_lock(path).get("token") == mine["token"]:
            path.unlink(missing_ok=True)


def read_lock(path: Path | str) -> dict:
    """The holder that a lock file names; empty where there is none."""
    try:
        return json.loads(Path(path).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def is_dead_here(holder: dict) -> bool:
    """Whether the holder was a process of this host that is gone."""
    if holder.get("host") != socket.gethostname():
        return False
    try:
        os.kill(holder["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _acquire(path: Path, mine: dict, on_wait: Callable, stale: float) -> dict | None:
    waited_for, seen, since = None, None, time.monotonic()
    while not _create(path, mine):
        holder, sign = read_lock(path), _sign_of_life(path)
        if sign != seen:
            seen, since = sign, time.monotonic()
        if sign is not None and (
            (holder and is_dead_here(holder)) or time.monotonic() - since > stale
        ):
            if _take_over(path, mine):
                return None
            continue
        if holder:
            waited_for = holder
            on_wait(holder)
        time.sleep(0.5)
    return waited_for


def _create(path: Path, mine: dict) -> bool:
    """Make the lock file with its content at once, where there is none."""
    temporary = path.with_name(f"{path.name}.{mine['token']}")
    temporary.write_text(json.dumps(mine))
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    return True


def _take_over(path: Path, mine: dict) -> bool:
    """Overwrite a dead lock; of several who do so at once, the last has it."""
    temporary = path.with_name(f"{path.name}.{mine['token']}")
    temporary.write_text(json.dumps(mine))
    os.replace(temporary, path)
    time.sleep(SETTLE)
    return read_lock(path).get("token") == mine["token"]


def _sign_of_life(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_ino


def _beat(path: Path, token: str, beat: float, done: threading.Event) -> None:
    while not done.wait(beat):
        if read_lock(path).get("token") != token:
            return
        try:
            os.utime(path)
        except OSError:
            return
