"""Predictions from file to file."""

from collections.abc import Sequence
from pathlib import Path

from symgnn import fields
from symgnn.errors import InputError
from symgnn.lammps_files import read_any_structure
from symgnn.provenance import versions
from symgnn.structures import write_structure
from symgnn.training.prediction import Predictor


def output_files(structures: Sequence[Path], output: Path) -> list[Path]:
    """Where the prediction of each structure goes: a file, or one of its name in a folder.

    Raises:
        InputError: two structures would be written to one file, or one to where a folder is, or
            several to where a file is, or over a structure.
    """
    targets = _targets(structures, output)
    given = {path.resolve() for path in structures}
    for target in targets:
        if target.resolve() in given:
            raise InputError(f"--output: {target}: is one of the structures; name another place")
    return targets


def _targets(structures: Sequence[Path], output: Path) -> list[Path]:
    if len(structures) == 1:
        if output.is_dir():
            raise InputError(f"--output: {output}: is a folder; name a file for one structure")
        return [output]
    if output.is_file():
        raise InputError(f"--output: {output}: is a file; name a folder for several structures")
    found: dict[Path, Path] = {}
    for path in structures:
        target = output / f"{path.stem}.xyz"
        if target in found:
            raise InputError(f"{path}: {found[target]} is written to {target} as well; rename one")
        found[target] = path
    return list(found)


def predict_file(
    predictor: Predictor, path: Path, output: Path, elements: Sequence[str]
) -> list[str]:
    """Read a structure, predict, and write it with the barriers as columns.

    The file says what predicted it: label, models, hashes of their training data, versions, and
    the warnings.

    Args:
        predictor: of one model or several.
        path: the structure.
        output: extended XYZ.
        elements: of LAMMPS types, see `symgnn.lammps_files.read_any_structure`.

    Returns:
        In what the structure lies outside the training glasses.

    Raises:
        InputError: no sound structure, or an unknown element.
    """
    atoms = read_any_structure(path, elements)
    try:
        members = predictor.predict_members(atoms)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    reasons = predictor.outside(atoms)
    atoms.info.pop(fields.WARNINGS, None)  # of a file that was predicted before
    for name in (fields.BARRIER, fields.BARRIER_SPREAD, fields.BARRIER_ERROR):
        atoms.arrays.pop(name, None)
    atoms.info |= {
        fields.LABEL: predictor.label,
        fields.MODEL: " ".join(member.name for member in predictor.members),
        fields.DATA_HASH: " ".join(str(member.data["hash"]) for member in predictor.members),
        fields.VERSIONS: versions(),
    }
    if reasons:
        atoms.info[fields.WARNINGS] = "; ".join(reasons)
    atoms.set_array(fields.BARRIER, members.mean(0))
    if len(members) > 1:
        atoms.set_array(fields.BARRIER_SPREAD, members.std(0, ddof=1))
    error = predictor.error(members)
    if error is not None:
        atoms.set_array(fields.BARRIER_ERROR, error)
    write_structure(output, atoms)
    return reasons
