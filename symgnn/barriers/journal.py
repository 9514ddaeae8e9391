"""A journal of finished searches: survives kill -9, torn lines and a second copy of the program.

One line a search, each with a checksum. The first line names the work (protocol, seed, structure,
potential), so that a journal of other work is never mixed in: its searches are set aside in a file
beside it and come back with their work. The number of searches an atom and the choice of atoms are
not part of it: raising them computes only what is missing.
"""

import base64
import errno
import fcntl
import json
import os
import sys
import zlib
from dataclasses import asdict
from pathlib import Path

import numpy as np

from symgnn.barriers.event import Event
from symgnn.errors import InputError
from symgnn.files import atomic_path, disk_errors

ARRAYS = {"moved_atoms": "<i4", "saddle_displacement": "<f4", "final_displacement": "<f4"}


def _line(record: dict) -> bytes:
    text = json.dumps(record, sort_keys=True)
    return f"{zlib.crc32(text.encode()):08x} {text}\n".encode()


def _record(line: bytes) -> dict | None:
    """The record of a line, or None where the line is torn."""
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != f"{zlib.crc32(text):08x}".encode():
        return None
    return json.loads(text)


def _whole_lines(content: bytes) -> bytes:
    """What a journal's file holds up to the end of its last whole line."""
    return content[: content.rfind(b"\n") + 1]


def to_record(event: Event) -> dict:
    """An event as plain JSON; arrays as base64 of little-endian numbers."""
    record = asdict(event)
    for name, kind in ARRAYS.items():
        record[name] = base64.b64encode(record[name].astype(kind).tobytes()).decode()
    return record


def from_record(record: dict) -> Event:
    """The event of a record."""
    fields = dict(record)
    for name, kind in ARRAYS.items():
        fields[name] = np.frombuffer(base64.b64decode(record[name]), dtype=kind)
        if name != "moved_atoms":
            fields[name] = fields[name].reshape(-1, 3)
    return Event(**fields)


class Journal:
    """The finished searches of one piece of work, on disk.

    Args:
        path: the journal; created where absent, continued where it is of the same work.
        work: what the results depend on; plain JSON.

    Raises:
        InputError: another process holds the journal, or its file system has no locks.
    """

    def __init__(self, path: Path, work: dict):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            if error.errno in (errno.EAGAIN, errno.EACCES):
                raise InputError(f"{path}: another process is at this work; wait for it") from None
            raise InputError(
                f"{path}: its file system locks no files ({error.strerror}); write to another, or "
                "have it mounted with them (Lustre: -o flock)"
            ) from None
        self.events: dict[tuple[int, int], Event] = {}
        self._resume(work)

    def _resume(self, work: dict) -> None:
        """Read what is whole; cut off a torn end, and set the journal of other work aside."""
        self._exchange(work)
        with open(self._path, "rb") as stream:
            header = _record(stream.readline())
            whole = 0
            if header == {"work": work}:
                whole = stream.tell()
                for line in stream:
                    record = _record(line)
                    if record is not None:
                        event = from_record(record)
                        self.events[event.atom, event.search] = event
                    if line.endswith(b"\n"):
                        whole += len(line)
        os.ftruncate(self._file, whole)
        os.lseek(self._file, 0, os.SEEK_END)
        if whole == 0:
            self._append(_line({"work": work}))

    def _exchange(self, work: dict) -> None:
        """Put the searches of other work into a file of their own, and take this work's from its.

        By copies, as the lock is on the journal's file and not on its name. A kept file goes when
        all of it is in the journal, and one that is there already is added to: killed anywhere in
        between, the next start does the rest, and a search that stands twice is the same twice.
        """
        content = self._path.read_bytes()
        first = content.partition(b"\n")[0] + b"\n"
        mine = _line({"work": work})
        if not content.startswith(mine):
            if len(content) > len(first):
                aside = self._aside(first)
                before = _whole_lines(aside.read_bytes()) if aside.is_file() else first
                with atomic_path(aside) as temporary:
                    temporary.write_bytes(before + content[len(first) :])
                what = "of other work" if _record(first) else "its first line is damaged"
                print(f"symgnn: {self._path}: {what}; kept as {aside.name}", file=sys.stderr)
            os.ftruncate(self._file, 0)
            content = b""
        kept = self._aside(mine)
        if kept.is_file():
            os.ftruncate(self._file, len(_whole_lines(content)))
            lines = kept.read_bytes()
            self._append(lines if not content else lines[len(mine) :])
            os.fsync(self._file)
            kept.unlink()

    def _aside(self, header: bytes) -> Path:
        """Where the journal of a header is kept while other work is done."""
        return self._path.with_name(f"{self._path.name}.{zlib.crc32(header):08x}")

    def add(self, event: Event) -> None:
        """Write down one finished search."""
        self._append(_line(to_record(event)))
        self.events[event.atom, event.search] = event

    def _append(self, line: bytes) -> None:
        start = os.lseek(self._file, 0, os.SEEK_END)
        written = 0
        with disk_errors(self._path):
            try:
                while written < len(line):
                    written += os.write(self._file, line[written:])
            except OSError:
                os.ftruncate(self._file, start)  # a full disk leaves no half line
                raise

    def close(self) -> None:
        """Flush to disk and let go of the lock."""
        os.fsync(self._file)
        os.close(self._file)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
