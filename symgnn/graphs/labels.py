"""Labels of a glass from the saddle searches on it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from symgnn import fields
from symgnn.errors import InputError
from symgnn.files import open_hdf5

KEPT = (fields.BARRIER_STD, fields.SEARCHES, fields.CONVERGED)


@dataclass(frozen=True)
class Labels:
    """What the searches of one structure say of its atoms.

    Attributes:
        path: the events file.
        structure_hash: of the structure that was searched.
        barrier: (atoms,) float64, eV, NaN where unlabelled.
        atom_fields: standard deviation and numbers of searches, made, converged and counted,
            (atoms,) each.
    """

    path: str
    structure_hash: str
    barrier: np.ndarray
    atom_fields: dict[str, np.ndarray]


def read_labels(path: Path | str, *, label: str, min_converged: int) -> Labels:
    """Read the labels of an events file.

    Args:
        path: events.h5.
        label: dataset of its group `atoms` to use as the barrier.
        min_converged: atoms whose label is the mean of fewer searches stay unlabelled.

    Raises:
        InputError: no events file, or it has no such label.
    """
    with open_hdf5(path, "events") as file:
        atoms = file.get(fields.ATOMS, {})
        if label not in atoms:
            raise InputError(f"{path}: label: {label!r} is not in it; it has {', '.join(atoms)}")
        barrier = atoms[label][()].astype(np.float64)
        kept = {name: atoms[name][()] for name in KEPT if name in atoms}
        structure_hash = str(file.attrs.get("structure_hash", ""))
        # How many searches a label is the mean of: of another label than the default, its own.
        counted = label.replace(fields.BARRIER_MEAN, fields.COUNTED)
        if counted in atoms:
            kept[fields.COUNTED] = atoms[counted][()]
    number = kept.get(fields.COUNTED, kept.get(fields.CONVERGED))
    if number is not None:
        barrier[number < min_converged] = np.nan
    return Labels(str(path), structure_hash, barrier, kept)
