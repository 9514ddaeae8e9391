"""Where the edges of a receptive field lie and what shape they have."""

from dataclasses import dataclass

import numpy as np

from symgnn.explanations.storage import Explanation, Structure


@dataclass(frozen=True)
class EdgeGeometry:
    """Edges of one receptive field, as seen from the explained atom.

    Attributes:
        start: (edges, 3), Å, source of the edge, from the explained atom.
        vector: (edges, 3), Å, source -> target.
        distance: (edges,), Å, of the middle of the edge from the explained atom.
        length: (edges,), Å.
        relative_length: (edges,), length less the mean over all edges of the edge's target, in
            units of their standard deviation.
        pair: (edges, 2) int64, atomic numbers of its atoms, the smaller first.
    """

    start: np.ndarray
    vector: np.ndarray
    distance: np.ndarray
    length: np.ndarray
    relative_length: np.ndarray
    pair: np.ndarray


def edge_geometry(structure: Structure, explanation: Explanation) -> EdgeGeometry:
    """Measure the edges of an atom's receptive field.

    Atoms stand at their image nearest to the explained atom. An edge whose two atoms then do not
    fit its vector, because it leaves the cell, starts from whichever of them is nearer.

    Args:
        structure: what was explained.
        explanation: of one atom.
    """
    place = np.full((len(structure.species), 3), np.nan)
    place[explanation.field_atom] = explanation.relative_position
    source, target = (place[ends] for ends in structure.edge_index[:, explanation.edge])
    vector = structure.edge_vector[explanation.edge].astype(np.float64)
    nearer = np.linalg.norm(source, axis=1) <= np.linalg.norm(target, axis=1)
    start = np.where(nearer[:, None], source, target - vector)
    length = np.linalg.norm(vector, axis=1)
    return EdgeGeometry(
        start=start,
        vector=vector,
        distance=np.linalg.norm(start + vector / 2, axis=1),
        length=length,
        relative_length=relative_lengths(structure)[explanation.edge],
        pair=np.sort(structure.species[structure.edge_index[:, explanation.edge]].T, axis=1),
    )


def relative_lengths(structure: Structure) -> np.ndarray:
    """Length of every edge against the other edges of its target, in standard deviations.

    Returns:
        (edges,), zero where all edges of an atom are of one length.
    """
    length = np.linalg.norm(structure.edge_vector, axis=1).astype(np.float64)
    target = structure.edge_index[1]
    number = np.maximum(np.bincount(target, minlength=len(structure.species)), 1)
    mean = np.bincount(target, length, minlength=len(number)) / number
    offset = length - mean[target]
    spread = np.sqrt(np.bincount(target, offset**2, minlength=len(number)) / number)[target]
    return np.divide(offset, spread, out=np.zeros_like(offset), where=spread > 0)


def ranked_edges(importance: np.ndarray) -> np.ndarray:
    """Rows of edges by falling magnitude of importance; those without one are left out."""
    magnitude = np.abs(importance)
    order = np.argsort(-np.nan_to_num(magnitude, nan=-1.0), kind="stable")
    return order[: int(np.isfinite(magnitude).sum())]


def nearest_atoms(explanation: Explanation, number: int) -> np.ndarray:
    """Rows of the field's atoms nearest to the explained one, which comes first."""
    distance = np.linalg.norm(explanation.relative_position, axis=1)
    return np.argsort(distance, kind="stable")[: number + 1]


def angles_at_shared_atoms(ends: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Angles between edges that have an atom in common, seen from that atom.

    Two directions of one bond make no angle.

    Args:
        ends: (edges, 2) int64, the two atoms of each edge.
        vector: (edges, 3), Å, from the first atom to the second.

    Returns:
        (pairs of edges,), degrees.
    """
    atom = np.concatenate([ends[:, 0], ends[:, 1]])
    direction = np.concatenate([vector, -vector])
    direction = direction / np.linalg.norm(direction, axis=1, keepdims=True)
    order = np.argsort(atom, kind="stable")
    atom, direction = atom[order], direction[order]
    found = []
    for rows in np.split(np.arange(len(atom)), np.flatnonzero(np.diff(atom)) + 1):
        first, second = np.triu_indices(len(rows), k=1)
        cosine = (direction[rows[first]] * direction[rows[second]]).sum(axis=1)
        found.append(cosine[cosine < 1 - 1e-6])
    return np.degrees(np.arccos(np.clip(np.concatenate(found), -1.0, 1.0)))
