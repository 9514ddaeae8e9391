"""Read, check and write structures: any file that ASE reads in, extended XYZ out."""

import hashlib
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from symgnn import neighbors
from symgnn.errors import InputError
from symgnn.files import atomic_path

SHORTEST_DISTANCE = 1.0  # Å; below any bond of a metal: closer atoms overlap


def read_structure(path: Path | str) -> Atoms:
    """Read the last frame of a file and check that it is a periodic structure.

    Raises:
        InputError: the file is missing or unreadable, or the structure fails `check_structure`.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    try:
        atoms = ase.io.read(path, index=-1)
    except Exception as error:  # ASE's readers raise whatever their parsers meet
        raise InputError(
            f"{path}: ASE cannot read it ({type(error).__name__}: {error})".replace("\n", " ")
        ) from None
    check_structure(atoms, path)
    return atoms


def check_structure(atoms: Atoms, name: Path | str = "structure") -> None:
    """Check that a structure has atoms, a periodic cell, finite and separate positions.

    Raises:
        InputError: with one line that names what is wrong.
    """
    if len(atoms) == 0:
        raise InputError(f"{name}: it has no atoms")
    if not atoms.pbc.all():
        raise InputError(f"{name}: periodic in {list(map(bool, atoms.pbc))}, must be in all three")
    if not np.isfinite(atoms.cell.array).all() or abs(atoms.cell.volume) < 1e-6:
        raise InputError(f"{name}: it has no cell with a volume")
    bad = np.flatnonzero(~np.isfinite(atoms.positions).all(axis=1))
    if len(bad):
        raise InputError(f"{name}: position of atom {bad[0]} is not a finite number")
    if (atoms.numbers < 1).any():
        raise InputError(f"{name}: atom {np.flatnonzero(atoms.numbers < 1)[0]} has no element")
    close = neighbors.pairs(atoms.positions, atoms.cell.array, SHORTEST_DISTANCE)
    if len(close.source):
        distance = np.linalg.norm(close.vector, axis=1)
        k = int(distance.argmin())
        raise InputError(
            f"{name}: atoms {close.source[k]} and {close.target[k]} overlap, "
            f"distance {distance[k]:.3f} Å"
        )


def check_searchable(atoms: Atoms, name: Path | str = "structure") -> None:
    """Check that a structure can have saddles.

    Raises:
        InputError: a lone atom, whose energy is the same wherever it is.
    """
    if len(atoms) == 1:
        raise InputError(f"{name}: one atom: a saddle needs two at least, that move against others")


def write_structure(path: Path | str, atoms: Atoms) -> None:
    """Write extended XYZ with the per-atom arrays and `atoms.info`, whole or not at all."""
    with atomic_path(path) as temporary:
        ase.io.write(temporary, atoms, format="extxyz")


def structure_hash(atoms: Atoms) -> str:
    """Hash of species, cell and positions, hexadecimal; equal for equal files."""
    digest = hashlib.sha256()
    for array, kind in (
        (atoms.numbers, "<i4"),
        (atoms.cell.array, "<f8"),
        (atoms.positions, "<f8"),
    ):
        digest.update(np.ascontiguousarray(array, dtype=kind).tobytes())
    return digest.hexdigest()
