"""The file of a shear deformation, `shear.h5`, and the structures beside it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms

from symgnn import fields
from symgnn.files import create_hdf5, open_hdf5
from symgnn.structures import structure_hash, write_structure


@dataclass(frozen=True)
class Shear:
    """A stress-strain curve with what moved.

    Attributes:
        plane: xy, xz or yz.
        strain: (steps + 1,).
        stress: (steps + 1,), GPa, the shear stress of the plane.
        energy: (steps + 1,), eV/atom.
        non_affine_step: (steps, atoms), Å², D²min over each step.
        snapshot_strain: (snapshots,).
        non_affine: (snapshots, atoms), Å², D²min since strain 0.
    """

    plane: str
    strain: np.ndarray
    stress: np.ndarray
    energy: np.ndarray
    non_affine_step: np.ndarray
    snapshot_strain: np.ndarray
    non_affine: np.ndarray


def snapshot_folder(output: Path | str) -> Path:
    """Where the sheared structures of `shear.h5` lie: `shear.snapshots/`."""
    return Path(output).with_suffix(".snapshots")


def write_shear(
    output: Path | str,
    glass: Atoms,
    plane: str,
    rows: list[dict[str, object]],
    arrays: dict[str, np.ndarray],
    record: dict[str, str],
) -> None:
    """Write the sheared structures, then the HDF5 file, whole or not at all.

    Args:
        glass: the structure that was sheared.
        plane: of the shear.
        rows, arrays, record: from `shear.shear`.
    """
    columns = {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
    for path in snapshot_folder(output).glob("strain-*.xyz"):
        path.unlink()  # of an earlier run, perhaps at other strains
    for strain, positions, cell in zip(
        arrays[fields.SNAPSHOT_STRAIN], arrays[fields.POSITION], arrays[fields.CELL], strict=True
    ):
        row = int(np.abs(columns[fields.STRAIN] - strain).argmin())
        atoms = snapshot_structure(
            glass,
            positions,
            cell,
            **{
                fields.SHEAR_PLANE: plane,
                fields.SHEAR_STRAIN: float(strain),
                fields.ENERGY_PER_ATOM: float(columns[fields.ENERGY][row]),
                fields.FORCE_MAX: float(columns[fields.FORCE_MAX][row]),
            },
            **record,
        )
        write_structure(snapshot_folder(output) / f"strain-{strain:.4f}.xyz", atoms)
    with create_hdf5(output, "shear") as file:
        file.attrs.update(record | {fields.SHEAR_PLANE: plane})
        file[fields.SPECIES] = glass.numbers
        for name, values in columns.items():
            file[name] = values
        for name, values in arrays.items():
            file.create_dataset(name, data=values, compression="gzip", shuffle=True)


def snapshot_structure(glass: Atoms, positions: np.ndarray, cell: np.ndarray, **info) -> Atoms:
    """A sheared structure with `info`, the origin of its glass, and the glass as its `group`."""
    kept = (fields.COMPOSITION, fields.COOLING_RATE, fields.SEED, fields.GROUP)
    atoms = Atoms(glass.numbers, positions, cell=cell, pbc=True)
    atoms.wrap()
    atoms.info |= {fields.GROUP: structure_hash(glass)}
    atoms.info |= {key: glass.info[key] for key in kept if key in glass.info} | info
    return atoms


def read_shear(path: Path | str) -> Shear:
    """Read a `shear.h5`.

    Raises:
        InputError: it is missing, truncated or of another kind or version.
    """
    with open_hdf5(path, "shear") as file:
        plane = str(file.attrs[fields.SHEAR_PLANE])
        return Shear(
            plane,
            file[fields.STRAIN][()],
            file[f"{fields.STRESS}_{plane}"][()],
            file[fields.ENERGY][()],
            file[fields.NON_AFFINE_STEP][()],
            file[fields.SNAPSHOT_STRAIN][()],
            file[fields.NON_AFFINE][()],
        )
