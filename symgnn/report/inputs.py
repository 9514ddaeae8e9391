"""Read what a report is made of: structures, events, tables, and where they come from."""

import csv
import glob
import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from ase import Atoms

from symgnn import fields
from symgnn.barriers.events import region_columns
from symgnn.errors import InputError
from symgnn.files import open_hdf5
from symgnn.structures import read_structure

NAMED_BY_FOLDER = (
    "events",
    "explanation",
    "assessment",
    "graphs",
    "checkpoint",
    "table",
    "shear",
    "assessment",
)
HDF5_KINDS = {
    "symgnn-events": "events",
    "symgnn-graphs": "graphs",
    "symgnn-explanation": "explanations",
    "symgnn-shear": "shears",
}
THERMO_COLUMNS = ("time", "temperature", "pressure", "density", "energy")


@dataclass(frozen=True)
class Glass:
    """A structure, what its file says about its making, and its thermodynamic record if any."""

    name: str
    atoms: Atoms
    thermo: dict[str, np.ndarray] | None

    def number(self, key: str) -> float:
        """A number of the file's header; NaN where the header has none."""
        try:
            return float(self.atoms.info[key])
        except (KeyError, TypeError, ValueError):
            return float("nan")

    @property
    def composition(self) -> str:
        """As the header says, or else in atomic per cent of the structure, such as Cu64Zr36."""
        if "composition" in self.atoms.info:
            return str(self.atoms.info["composition"])
        counts = self.atoms.symbols.formula.count()
        percent = {symbol: 100 * number / len(self.atoms) for symbol, number in counts.items()}
        return "".join(f"{symbol}{round(percent[symbol], 1):g}" for symbol in sorted(percent))

    @property
    def cooling_rate(self) -> float:
        """K/s; NaN where unknown."""
        return self.number("cooling_rate")


@dataclass(frozen=True)
class Events:
    """The saddle searches of one structure.

    Attributes:
        name: the structure's.
        columns: dataset of group `events` -> (searches,).
        region: the same of group `region`, the searches that ended in the region.
        atoms: dataset of group `atoms` -> (atoms,).
        statuses: meaning of a status, lower case -> its number.
        attributes: of the file.
    """

    name: str
    columns: dict[str, np.ndarray]
    region: dict[str, np.ndarray]
    atoms: dict[str, np.ndarray]
    statuses: dict[str, int]
    attributes: dict[str, object]


def expand(paths: Sequence[Path | str], empty: bool = False) -> list[Path]:
    """Paths with wildcards replaced by the files they match, in order.

    Args:
        paths: of files and folders.
        empty: whether a path may match nothing.

    Raises:
        InputError: a path is missing, or a wildcard matches nothing.
    """
    found = []
    for path in map(str, paths):
        matches = [path] if Path(path).exists() else sorted(glob.glob(path, recursive=True))
        if not (matches or empty):
            raise InputError(f"{path}: no such file")
        found += map(Path, matches)
    return found


def by_kind(paths: Sequence[Path]) -> dict[str, list[Path]]:
    """Inputs by their kind, which folder, suffix or HDF5 format tell."""
    kinds: dict[str, list[Path]] = {}
    for path in paths:
        kinds.setdefault(_kind(path), []).append(path)
    return kinds


def _kind(path: Path) -> str:
    if path.is_dir():
        return "runs"
    if path.suffix == ".h5":
        with h5py.File(path, "r") if h5py.is_hdf5(path) else nullcontext() as file:
            found = str(file.attrs.get("format")) if file else "none"
        if found not in HDF5_KINDS:
            raise InputError(f"{path}: format is {found}, must be one of {', '.join(HDF5_KINDS)}")
        return HDF5_KINDS[found]
    by_suffix = {".csv": "tables", ".tsv": "benchmarks", ".json": "assessments"}
    return by_suffix.get(path.suffix, "glasses")


def source_name(path: Path | str) -> str:
    """What a file is about: its stem, or its folder's name for files that share one stem."""
    path = Path(path)
    stem = path.name.split(".")[0]
    return path.resolve().parent.name if stem in NAMED_BY_FOLDER else stem


def read_glass(path: Path | str) -> Glass:
    """A structure and the `.thermo.csv` beside it.

    Raises:
        InputError: either file is bad.
    """
    atoms = read_structure(path)
    record = Path(path).with_suffix(".thermo.csv")
    return Glass(source_name(path), atoms, read_thermo(record) if record.is_file() else None)


def read_thermo(path: Path | str) -> dict[str, np.ndarray]:
    """Columns of a thermodynamic record; those that hold no numbers come as text.

    Raises:
        InputError: a column is missing or has a cell that is no number.
    """
    rows = read_rows(path, *THERMO_COLUMNS)
    for key in THERMO_COLUMNS:
        for line, row in enumerate(rows, start=2):
            try:
                float(row[key])
            except (TypeError, ValueError):
                raise InputError(f"{path}: line {line}: {key}: {row[key]!r}, a number") from None
    return {key: _numbers([row[key] for row in rows]) for key in rows[0]}


def read_history(path: Path | str) -> dict[str, np.ndarray]:
    """Columns of the history of a training run; empty cells are NaN.

    Raises:
        InputError: the file is missing, has no column `epoch`, or a cell is no number.
    """
    rows = read_rows(path, "epoch")
    try:
        return {key: np.array([float(row[key] or "nan") for row in rows]) for key in rows[0]}
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: a cell is no number ({error})") from None


def read_attributes(path: Path | str, kind: str) -> dict[str, object]:
    """Attributes of an HDF5 file of ours.

    Raises:
        InputError: see `symgnn.files.open_hdf5`.
    """
    with open_hdf5(path, kind) as file:
        return dict(file.attrs)


def read_rows(path: Path | str, *columns: str) -> list[dict[str, str]]:
    """Rows of a comma- or tab-separated file with a header.

    Args:
        path: of the file.
        columns: those that it must have.

    Raises:
        InputError: the file is missing, not text, has no rows, or lacks a column.
    """
    try:
        text = Path(path).read_text()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a table ({error})") from None
    header = text.split("\n", 1)[0]
    rows = list(csv.DictReader(text.splitlines(), delimiter="\t" if "\t" in header else ","))
    if not rows:
        raise InputError(f"{path}: it has no rows")
    for key in columns:
        if key not in rows[0]:
            raise InputError(f"{path}: column '{key}' is missing")
    return rows


def read_events(path: Path | str) -> Events:
    """Searches and atoms of an events.h5.

    Raises:
        InputError: not a file of events, or a dataset that the report needs is missing.
    """
    with open_hdf5(path, "events") as file:
        columns, atoms = _datasets(file, fields.EVENTS), _datasets(file, fields.ATOMS)
        for key in (fields.ATOM, fields.STATUS, fields.BARRIER, fields.FORCE_EVALUATIONS):
            if key not in columns:
                raise InputError(f"{path}: events/{key}: missing")
        if fields.BARRIER_MEAN not in atoms:
            raise InputError(f"{path}: atoms/{fields.BARRIER_MEAN}: missing")
        names = h5py.check_enum_dtype(file[fields.EVENTS][fields.STATUS].dtype)
        if not names:
            raise InputError(f"{path}: events/{fields.STATUS}: not an enumeration")
        statuses = {name.lower(): number for name, number in names.items()}
        region, name = region_columns(file), source_name(path)
        return Events(name, columns, region, atoms, statuses, dict(file.attrs))


def read_json(text: object) -> dict:
    """A header entry that holds JSON, as a dictionary; empty where there is none."""
    if isinstance(text, dict):
        return text
    try:
        found = json.loads(text)
    except (TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _datasets(file: h5py.File, group: str) -> dict[str, np.ndarray]:
    members = file[group].items() if group in file else ()
    return {key: item[()] for key, item in members if isinstance(item, h5py.Dataset)}


def _numbers(cells: list[str]) -> np.ndarray:
    try:
        return np.array(cells, dtype=float)
    except ValueError:
        return np.array(cells)
