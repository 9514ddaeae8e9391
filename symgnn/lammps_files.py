"""Structures in LAMMPS's own files: data and text dumps, whose atoms may have types only."""

import io
import lzma
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import ase.io
from ase import Atoms
from ase.data import atomic_numbers
from ase.io.formats import open_with_compression

from symgnn.errors import InputError
from symgnn.structures import check_structure, read_structure

DAMAGED = (OSError, EOFError, lzma.LZMAError, zlib.error)  # of compressed files
HEAD = 4000  # letters of a file that decide what it is


def read_any_structure(path: Path | str, elements: Sequence[str] = ()) -> Atoms:
    """Read a structure from a LAMMPS data file or text dump, or from any file that ASE knows.

    Compressed files (.gz, .bz2, .xz) are read as well.

    Args:
        path: the file; of a dump the last frame is read.
        elements: chemical symbols of the LAMMPS types 1, 2, ...; needed where the file itself
            does not say (a dump without `element`, a data file without masses).

    Raises:
        InputError: unreadable, types without elements, or no sound periodic structure.
    """
    for symbol in elements:
        if symbol not in atomic_numbers:
            raise InputError(f"--elements: {symbol!r}: no chemical symbol")
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    head = _head(path)
    if "ITEM: TIMESTEP" in head:
        return _checked(path, **_dump_options(path, head, elements))
    if " xlo xhi" in head:
        return _checked(path, **_data_options(path, elements))
    return read_structure(path)


def _head(path: Path | str) -> str:
    """The first letters of a file, none of one that cannot be uncompressed."""
    try:
        with _opened(path) as stream:
            return stream.read(HEAD)
    except DAMAGED:  # the reader will say so
        return ""


def _opened(path: Path | str) -> TextIO:
    """The text of a file, compressed or not, whatever its encoding."""
    return io.TextIOWrapper(open_with_compression(str(path), "rb"), encoding="latin1")


def _dump_options(path: Path | str, head: str, elements: Sequence[str]) -> dict[str, object]:
    columns = head.partition("ITEM: ATOMS")[2].partition("\n")[0].split()
    if elements:
        return {"format": "lammps-dump-text", "index": -1, "specorder": list(elements)}
    if "element" not in columns:
        raise InputError(f"{path}: its types have no elements; name them with --elements Cu,Zr")
    return {"format": "lammps-dump-text", "index": -1}


def _data_options(path: Path | str, elements: Sequence[str]) -> dict[str, object]:
    if elements:
        kinds = {k + 1: atomic_numbers[symbol] for k, symbol in enumerate(elements)}
        return {"format": "lammps-data", "Z_of_type": kinds}
    try:
        with _opened(path) as stream:
            masses = any(line.strip() == "Masses" for line in stream)
    except DAMAGED as error:
        raise InputError(f"{path}: it cannot be read to its end ({error})") from None
    if not masses:
        raise InputError(
            f"{path}: it has no masses, so its types have no elements; "
            "name them with --elements Cu,Zr"
        )
    return {"format": "lammps-data"}


def _checked(path: Path | str, **options: object) -> Atoms:
    try:
        atoms = ase.io.read(path, **options)
    except Exception as error:  # ASE's readers raise whatever their parsers meet
        raise InputError(
            f"{path}: ASE cannot read it ({type(error).__name__}: {error})".replace("\n", " ")
        ) from None
    check_structure(atoms, path)
    return atoms
