"""explanation.h5: write it, read it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from symgnn import fields
from symgnn.errors import InputError
from symgnn.files import create_hdf5, open_hdf5


@dataclass(frozen=True)
class Explanation:
    """What one atom's prediction rests on.

    Attributes:
        atom: index in the structure.
        prediction: eV.
        field_atom: (atoms,) int64, the atoms of the receptive field, nearest hop first.
        hop: (atoms,) int64, steps along edges to the explained atom.
        relative_position: (atoms, 3), Å, nearest image, from the explained atom.
        atom_importance: (atoms,), of each atom of the field.
        edge: (edges,) int64, columns of the structure's edge_index.
        importance: (edges,), of each of these edges; NaN where the method left it out.
    """

    atom: int
    prediction: float
    field_atom: np.ndarray
    hop: np.ndarray
    relative_position: np.ndarray
    atom_importance: np.ndarray
    edge: np.ndarray
    importance: np.ndarray


@dataclass(frozen=True)
class Structure:
    """The structure that explanations refer to.

    Attributes:
        position: (atoms, 3), Å.
        cell: (3, 3), Å.
        species: (atoms,) int64, atomic numbers.
        edge_index: (2, edges) int64, source and target.
        edge_vector: (edges, 3), Å, source -> target.
    """

    position: np.ndarray
    cell: np.ndarray
    species: np.ndarray
    edge_index: np.ndarray
    edge_vector: np.ndarray


@dataclass(frozen=True)
class ExplanationFile:
    """A whole explanation.h5: structure, explanations by atom, attributes of the file."""

    structure: Structure
    explanations: list[Explanation]
    attributes: dict[str, object]


ATOM_DATASETS = {
    fields.FIELD_ATOM: "i4",
    fields.HOP: "i1",
    fields.RELATIVE_POSITION: "f4",
    fields.ATOM_IMPORTANCE: "f4",
    fields.EDGE: "i4",
    fields.IMPORTANCE: "f4",
}
STRUCTURE_DATASETS = {
    fields.POSITION: "f8",
    fields.CELL: "f8",
    fields.SPECIES: "i4",
    fields.EDGE_INDEX: "i4",
    fields.EDGE_VECTOR: "f4",
}


def write_explanations(
    path: Path | str,
    structure: Structure,
    explanations: Iterator[Explanation],
    **attributes: object,
) -> None:
    """Write explanation.h5, whole or not at all.

    Args:
        path: the file.
        structure: what was explained.
        explanations: one after the other; a generator keeps memory small.
        attributes: of the file: method, options, provenance.
    """
    with create_hdf5(path, "explanation") as file:
        file.attrs.update(attributes)
        for name, kind in STRUCTURE_DATASETS.items():
            _write(file, name, getattr(structure, name), kind)
        for explanation in explanations:
            group = file.create_group(str(explanation.atom))
            write_explanation(group, explanation)


def write_explanation(group: h5py.Group, explanation: Explanation) -> None:
    """Write one atom's explanation into its group."""
    group.attrs[fields.ATOM] = explanation.atom
    group.attrs[fields.PREDICTION] = explanation.prediction
    for name, kind in ATOM_DATASETS.items():
        _write(group, name, getattr(explanation, name), kind)


def _write(group: h5py.Group, name: str, data: np.ndarray, kind: str) -> None:
    group.create_dataset(name, data=data, dtype=kind, compression="gzip", shuffle=True)


def read_explanation(group: h5py.Group) -> Explanation:
    """Read one atom's explanation from its group."""
    arrays = {name: group[name][()] for name in ATOM_DATASETS}
    for name in (fields.FIELD_ATOM, fields.HOP, fields.EDGE):
        arrays[name] = arrays[name].astype(np.int64)
    return Explanation(
        atom=int(group.attrs[fields.ATOM]),
        prediction=float(group.attrs[fields.PREDICTION]),
        **arrays,
    )


def read_explanations(path: Path | str) -> ExplanationFile:
    """Read a whole explanation.h5, explanations in the order of their atoms.

    Raises:
        InputError: no whole explanation.h5 of this version.
    """
    with open_hdf5(path, "explanation") as file:
        try:
            arrays = {name: file[name][()] for name in STRUCTURE_DATASETS}
            groups = sorted((name for name in file if name.isdigit()), key=int)
            found = [read_explanation(file[name]) for name in groups]
        except (KeyError, OSError) as error:
            raise InputError(f"{path}: incomplete: {error}") from None
        attributes = dict(file.attrs)
    if not found:
        raise InputError(f"{path}: it explains no atom")
    for name in (fields.SPECIES, fields.EDGE_INDEX):
        arrays[name] = arrays[name].astype(np.int64)
    return ExplanationFile(Structure(**arrays), found, attributes)
