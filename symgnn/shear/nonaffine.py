"""Non-affine displacements: how far neighbours moved from what a local strain would have done."""

import numpy as np

from symgnn import neighbors
from symgnn.neighbors import Pairs

CUTOFF = 5.0  # Å, the second minimum of g(r) of Cu-Zr glasses: two shells of neighbours


def neighbour_pairs(positions: np.ndarray, cell: np.ndarray, cutoff: float = CUTOFF) -> Pairs:
    """The pairs whose motion is followed, in the structure before it; see `neighbors.pairs`."""
    return neighbors.pairs(positions, cell, cutoff)


def non_affine_displacement(before: Pairs, positions: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """D²min of each atom, a mean over its neighbours.

    D²min,i = min over F of (1/n_i) Σ_j |r'_ij - F r_ij|², where r_ij and r'_ij are the vectors to
    neighbour j before and after (M. L. Falk, J. S. Langer, doi:10.1103/PhysRevE.57.7192,
    equation 2.11; theirs is the sum). The minimum is at F = X Y⁻¹ with X = Σ r' rᵀ, Y = Σ r rᵀ.

    Args:
        before: pairs of the earlier structure, whose positions were not wrapped in between.
        positions: (atoms, 3), Å, of the later structure.
        cell: (3, 3), Å, of the later structure.

    Returns:
        (atoms,), Å²; 0 for atoms with fewer neighbours than an F needs.
    """
    count = len(positions)
    old = before.vector
    new = positions[before.target] - positions[before.source] + before.shift @ cell
    cross = _sums(new[:, :, None] * old[:, None, :], before.source, count)
    square = _sums(old[:, :, None] * old[:, None, :], before.source, count)
    strain = cross @ np.linalg.pinv(square, hermitian=True)
    residual = new - np.einsum("pij,pj->pi", strain[before.source], old)
    total = np.bincount(before.source, np.einsum("pi,pi->p", residual, residual), count)
    return total / np.maximum(np.bincount(before.source, minlength=count), 1)


def _sums(values: np.ndarray, source: np.ndarray, count: int) -> np.ndarray:
    flat = values.reshape(len(values), 9)
    columns = [np.bincount(source, flat[:, k], count) for k in range(9)]
    return np.stack(columns, axis=1).reshape(count, 3, 3)
