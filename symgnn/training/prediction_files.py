"""Predictions from file to file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms

from symgnn import fields
from symgnn.errors import InputError
from symgnn.lammps_files import read_any_structure
from symgnn.progress import Progress
from symgnn.provenance import versions
from symgnn.structures import check_searchable, write_structure
from symgnn.training.prediction import Predictor


def output_files(structures: Sequence[Path], output: Path) -> list[Path]:
    """Where the prediction of each structure goes: a file, or one of its name in a folder.

    Raises:
        InputError: two structures would be written to one file, or one to where a folder is, or
            into a file as if it were a folder, or over a structure.
    """
    targets = _targets(structures, output)
    given = {path.resolve() for path in structures}
    for target in targets:
        if target.resolve() in given:
            raise InputError(f"--output: {target}: is one of the structures; name another place")
        if target.is_dir():
            raise InputError(f"--output: {target}: is a folder; name another place")
        for parent in target.parents:
            if parent.is_file():
                raise InputError(f"--output: {parent}: is a file; name a folder for {target.name}")
    return targets


def _targets(structures: Sequence[Path], output: Path) -> list[Path]:
    if len(structures) == 1:
        return [output]
    found: dict[Path, Path] = {}
    for path in structures:
        target = output / f"{path.stem}.xyz"
        if target in found:
            raise InputError(f"{path}: {found[target]} is written to {target} as well; rename one")
        found[target] = path
    return list(found)


def read_structures(
    predictor: Predictor, paths: Sequence[Path], elements: Sequence[str]
) -> list[tuple[Atoms, list[str]]]:
    """Read and check all structures, so that a bad one is found before anything is computed.

    All are kept until the command ends: an atom takes some 50 bytes and its columns, where its
    prediction takes 4 to 10 kB, and what was checked is what is predicted, whatever becomes of the
    file.

    Args:
        predictor: of one model or several.
        paths: the structures.
        elements: of LAMMPS types, see `symgnn.lammps_files.read_any_structure`.

    Returns:
        Each structure, and in what it lies outside the training glasses.

    Raises:
        InputError: no sound structure, an unknown element, or one atom where searches are made.
    """
    found = []
    for path in paths:
        atoms = read_any_structure(path, elements)
        if predictor.searches:
            check_searchable(atoms, path)
        try:
            predictor.check_elements(atoms)
            found.append((atoms, predictor.outside(atoms)))
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
    return found


def predict_files(
    predictor: Predictor, structures: Sequence[tuple[Atoms, list[str]]], targets: Sequence[Path]
) -> None:
    """Predict structures and write each with the barriers as columns.

    A file says what predicted it: label, models, hashes of their training data, versions, and
    the warnings.

    Args:
        predictor: of one model or several.
        structures: from `read_structures`; they get the columns.
        targets: extended XYZ files.
    """
    with Progress("predicting atoms", sum(len(atoms) for atoms, _ in structures)) as progress:
        for (atoms, warnings), target in zip(structures, targets, strict=True):
            members = predictor.predict_members(atoms, progress.add)
            _add_columns(atoms, predictor, members, warnings)
            write_structure(target, atoms)


def _add_columns(
    atoms: Atoms, predictor: Predictor, members: np.ndarray, warnings: Sequence[str]
) -> None:
    """Put barriers and their origin into a structure, in place of earlier ones."""
    for name in (fields.WARNINGS, fields.SEARCHES_PER_ATOM):
        atoms.info.pop(name, None)
    for name in (fields.BARRIER, fields.BARRIER_SPREAD, fields.BARRIER_ERROR):
        atoms.arrays.pop(name, None)
    atoms.info |= {
        fields.LABEL: predictor.label,
        fields.MODEL: " ".join(member.name for member in predictor.members),
        fields.DATA_HASH: " ".join(str(member.data["hash"]) for member in predictor.members),
        fields.VERSIONS: versions(),
    }
    if predictor.searches:
        atoms.info[fields.SEARCHES_PER_ATOM] = predictor.searches
    if warnings:
        atoms.info[fields.WARNINGS] = "; ".join(warnings)
    atoms.set_array(fields.BARRIER, members.mean(0))
    if len(members) > 1:
        atoms.set_array(fields.BARRIER_SPREAD, members.std(0, ddof=1))
    error = predictor.error(members)
    if error is not None:
        atoms.set_array(fields.BARRIER_ERROR, error)
