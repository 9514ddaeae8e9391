"""Which atom of one structure is which of another, where their files list them in other orders."""

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from scipy.fft import irfftn, rfftn

from symgnn.neighbors import pairs

BIN = 1.0  # Å, of the grid on which the drift is found
# Share of the atoms that lie in a bin together with one of their element, beyond the mean over all
# drifts, at the best of them: 0.92 and 0.37 of published copies (0.02 and 0.47 Å apart), 0.01 of
# glasses of 8,000 atoms that are none.
OVERLAP = 0.05
APART = 2  # bins of a drift from the best one, beyond which it is another
NEAR = 2.0  # Å, within which partners are looked for
# Atoms that are each other's nearest of their element: 1.00 and 0.98 of the same copies, 0.62.
MUTUAL = 0.8
ROUNDS = 3  # of the drift by partners and the partners by the drift


def partners(a: Atoms, b: Atoms, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Atoms of two structures that lie nearest to each other, strain and drift taken out.

    The drift is where the numbers of atoms of each element in the bins of a grid correlate best.

    Args:
        a, b: with as many atoms of each element, in any order.
        cell: of b, or another one of its lattice, (3, 3), Å.

    Returns:
        Indices of atoms of a and of their partners in b; None where too few have one, as in
        structures that have nothing to do with each other, and where other drifts do half as well,
        as in crystals: which of their atoms is which cannot be told by where they lie.
    """
    of_a = a.positions @ np.linalg.inv(a.cell.array)
    of_b = b.positions @ np.linalg.inv(cell)
    drift, share, of_another = _drift(a, of_a, b, of_b)
    if share < max(OVERLAP, 2 * of_another):
        return None
    for _ in range(ROUNDS):
        mine, theirs = _mutual(a, of_a, b, of_b - drift)
        if len(mine) < MUTUAL * len(a):
            return None
        moved = of_b[theirs] - drift - of_a[mine]
        drift = drift + np.median(moved - moved.round(), axis=0)
    return mine, theirs


def _drift(
    a: Atoms, of_a: np.ndarray, b: Atoms, of_b: np.ndarray
) -> tuple[np.ndarray, float, float]:
    """The best drift, the share of the atoms that lie in a bin together there, and elsewhere."""
    bins = np.maximum(a.cell.lengths() / BIN, 1).astype(int)
    spectrum = 0.0
    for number in np.unique(a.numbers):
        ours = rfftn(_histogram(of_a[a.numbers == number], bins))
        spectrum = spectrum + ours.conj() * rfftn(_histogram(of_b[b.numbers == number], bins))
    together = irfftn(spectrum, s=bins)
    together = (together - together.mean()) / len(a)
    best = np.unravel_index(together.argmax(), together.shape)
    share = float(together[best])
    near = [(k + np.arange(-APART, APART + 1)) % n for k, n in zip(best, bins, strict=True)]
    together[np.ix_(*near)] = 0.0
    return np.array(best) / bins, share, float(together.max())


def _histogram(fractional: np.ndarray, bins: Sequence[int]) -> np.ndarray:
    """Number of atoms in each bin of the cell."""
    inside = np.minimum(((fractional % 1.0) * bins).astype(int), np.array(bins) - 1)
    flat = np.ravel_multi_index(inside.T, bins)
    return np.bincount(flat, minlength=np.prod(bins)).reshape(bins).astype(np.float32)


def _mutual(
    a: Atoms, of_a: np.ndarray, b: Atoms, of_b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Atoms of a and of b (fractional, in a's cell) that are each other's nearest alike."""
    n = len(a)
    near = pairs(np.concatenate([of_a, of_b]) @ a.cell.array, a.cell.array, NEAR)
    numbers = np.concatenate([a.numbers, b.numbers])
    across = (near.source < n) & (near.target >= n)
    across &= numbers[near.source] == numbers[near.target]
    mine, theirs = near.source[across], near.target[across] - n
    farthest_first = np.argsort(-np.linalg.norm(near.vector[across], axis=1))
    mine, theirs = mine[farthest_first], theirs[farthest_first]
    nearest_in_b, nearest_in_a = np.full(n, -1), np.full(n, -1)
    nearest_in_b[mine], nearest_in_a[theirs] = theirs, mine  # the last one stays
    found = np.flatnonzero(nearest_in_b >= 0)
    found = found[nearest_in_a[nearest_in_b[found]] == found]
    return found, nearest_in_b[found]
