"""Files that are whole or absent: atomic writes, checksums, HDF5 of a known kind and version."""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from symgnn.errors import InputError

FULL = 16384  # bytes; with less free than this a failed write is put down to the full disk
FORMAT_ATTRIBUTES = ("format", "format_version")  # what `create_hdf5` writes itself
FORMAT_VERSIONS = {"events": 4, "graphs": 1, "explanation": 2, "predictions": 2, "shear": 1}


@contextmanager
def disk_errors(path: Path | str) -> Iterator[None]:
    """Name the full disk, whatever error a writer of `path` made of it.

    Raises:
        OSError: ENOSPC, when the block fails and the disk has no space left; EDQUOT, when it is the
            user's share that is full. Both with the path.
    """
    try:
        yield
    except Exception as error:
        number = error.errno if isinstance(error, OSError) else None
        if number not in (errno.ENOSPC, errno.EDQUOT):
            if shutil.disk_usage(Path(path).parent).free >= FULL:
                raise
            number = errno.ENOSPC
        raise OSError(number, os.strerror(number), str(path)) from error


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """A temporary path beside `path`, moved onto it when the block ends without an error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        with disk_errors(path):
            yield temporary
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def sha256(path: Path | str) -> str:
    """Checksum of a file, hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_sha256(path: Path, what: str, expected: str | None) -> str:
    """Checksum of a file, which must be there and be the expected one where one is known.

    Args:
        path: the file.
        what: the file belongs to, for the message.
        expected: hexadecimal.

    Raises:
        InputError: the file is missing or was altered.
    """
    if not path.is_file():
        raise InputError(f"{path}: the file of {what} is missing")
    found = sha256(path)
    if expected not in (None, found):
        raise InputError(f"{path}: {what} was altered: sha256 is {found}, expected {expected}")
    return found


@contextmanager
def create_hdf5(path: Path | str, kind: str) -> Iterator[h5py.File]:
    """A new HDF5 file of `kind` (a key of FORMAT_VERSIONS), in place only when whole."""
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["format"] = f"symgnn-{kind}"
        file.attrs["format_version"] = FORMAT_VERSIONS[kind]
        yield file


@contextmanager
def open_hdf5(path: Path | str, kind: str) -> Iterator[h5py.File]:
    """Open an HDF5 file of ours for reading.

    Raises:
        InputError: the file is missing, truncated, of another kind or of another version.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path}: not a whole HDF5 file ({error})") from None
    with file:
        found, version = file.attrs.get("format"), file.attrs.get("format_version")
        if found != f"symgnn-{kind}":
            raise InputError(f"{path}: format is {found!r}, expected 'symgnn-{kind}'")
        if version != FORMAT_VERSIONS[kind]:
            raise InputError(
                f"{path}: format_version is {version}, this program reads {FORMAT_VERSIONS[kind]}"
            )
        yield file
