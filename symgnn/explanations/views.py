"""Two views of an explanation as files for OVITO: the important edges, and the nearest atoms.

Extended XYZ holds the atoms with their importance. Bonds have no place in it, so they are in a
LAMMPS dump of local data beside it, which OVITO's modifier "Load trajectory" adds as bonds with
their importance.
"""

from pathlib import Path

import numpy as np
from ase import Atoms

from symgnn.explanations.geometry import edge_geometry, nearest_atoms, ranked_edges
from symgnn.explanations.statistics import NEAREST, TOP
from symgnn.explanations.storage import Explanation, Structure
from symgnn.files import atomic_path
from symgnn.structures import write_structure


def global_view(structure: Structure, explanation: Explanation, top: int = TOP) -> Atoms:
    """The receptive field, with the `top` most important edges in `info["bonds"]`.

    Atoms stand around the explained one, which is the first. Their arrays: `importance`,
    `bond_importance` (the largest magnitude among their edges) and `structure_index`.

    Args:
        structure: what was explained.
        explanation: of one atom.
        top: edges to keep.
    """
    rows = ranked_edges(explanation.importance)[:top]
    return _view(structure, explanation, np.arange(len(explanation.field_atom)), rows)


def local_view(structure: Structure, explanation: Explanation, number: int = NEAREST) -> Atoms:
    """The explained atom and its nearest atoms with all edges among them; see `global_view`."""
    atoms = nearest_atoms(explanation, number)
    geometry = edge_geometry(structure, explanation)
    limit = np.linalg.norm(explanation.relative_position[atoms[-1]]) + 1e-3
    inside = np.linalg.norm(geometry.start, axis=1) <= limit
    inside &= np.linalg.norm(geometry.start + geometry.vector, axis=1) <= limit
    rows = np.flatnonzero(inside & np.isfinite(explanation.importance))
    return _view(structure, explanation, atoms, rows)


def _view(
    structure: Structure, explanation: Explanation, atoms: np.ndarray, rows: np.ndarray
) -> Atoms:
    atoms = atoms[np.argsort(np.linalg.norm(explanation.relative_position[atoms], axis=1))]
    index = explanation.field_atom[atoms]
    place = np.full(len(structure.species), -1)
    place[index] = np.arange(len(index))
    ends = place[structure.edge_index[:, explanation.edge[rows]]]
    importance = explanation.importance[rows]
    strongest = np.zeros(len(index))
    for side in ends:
        np.maximum.at(strongest, side, np.abs(importance))
    view = Atoms(
        structure.species[index],
        positions=explanation.relative_position[atoms],
        cell=structure.cell,
        pbc=True,
    )
    view.set_array("importance", explanation.atom_importance[atoms].astype(float))
    view.set_array("bond_importance", strongest)
    view.set_array("structure_index", index)
    pairs = zip(*ends.tolist(), importance.tolist(), strict=True)
    view.info["bonds"] = list(pairs)
    return view


def write_view(path: Path | str, view: Atoms) -> None:
    """Write PATH.xyz (extended XYZ) and PATH.bonds.dump (LAMMPS local dump) of a view.

    Args:
        path: without a suffix.
        view: from `global_view` or `local_view`.
    """
    bonds = view.info["bonds"]
    bare = view.copy()
    del bare.info["bonds"]
    write_structure(Path(f"{path}.xyz"), bare)
    lines = ["ITEM: TIMESTEP", "0", "ITEM: NUMBER OF ENTRIES", str(len(bonds))]
    lines += ["ITEM: BOX BOUNDS pp pp pp", *["0 1"] * 3]
    lines += ["ITEM: ENTRIES batom1 batom2 importance"]
    lines += [f"{first + 1} {second + 1} {value:.6g}" for first, second, value in bonds]
    with atomic_path(Path(f"{path}.bonds.dump")) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
