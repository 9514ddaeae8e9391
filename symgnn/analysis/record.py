"""Read the thermodynamic record of a quench, `<glass>.thermo.csv`."""

import csv
from pathlib import Path

import numpy as np

from symgnn import fields
from symgnn.errors import InputError

TEXT = (fields.STAGE,)


def read_record(path: Path | str) -> dict[str, np.ndarray]:
    """Columns by name; all but the stage hold numbers.

    Raises:
        InputError: a column that is needed is missing or a cell is no number.
    """
    with open(path, newline="") as stream:
        reader = csv.DictReader(stream)
        rows = list(reader)
        names = reader.fieldnames or []
    for name in (fields.STAGE, fields.TEMPERATURE, fields.PRESSURE, fields.DENSITY, fields.ENERGY):
        if name not in names:
            raise InputError(f"{path}: column {name} is missing")
    try:
        return {
            name: np.array([row[name] if name in TEXT else float(row[name]) for row in rows])
            for name in names
        }
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: a cell is no number ({error})") from None
