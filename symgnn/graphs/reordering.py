"""Which atom of one structure is which of another, where their files list them in other orders."""

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from scipy.fft import irfftn, rfftn

from symgnn.neighbors import pairs

BIN = 1.0  # Å, of the grid on which the drift is found
BINS_AN_ATOM = 64  # at most; bins grow where there is much empty space
APART = 2  # bins between two drifts, beyond which they are different ones
NEAR = 2.0  # Å, within which partners are looked for
# Atoms that are each other's nearest of their element: 1.00 and 0.98 of published copies, 0.62 of
# glasses that are none.
MUTUAL = 0.75
ROUNDS = 3  # of the drift by partners and the partners by the drift


@dataclass(frozen=True)
class Places:
    """Where the atoms of a structure lie in its cell, whatever the cell's shape.

    Attributes:
        numbers: (atoms,), atomic numbers.
        fractional: (atoms, 3).
        spectra: by element, the Fourier transform of how many atoms are in each bin of a grid.
        bins: of the grid, along the three axes.
    """

    numbers: np.ndarray
    fractional: np.ndarray
    spectra: dict[int, np.ndarray]
    bins: tuple[int, ...]


def grid_for(atoms: Atoms) -> tuple[int, ...]:
    """Bins for structures like this one."""
    width = max(BIN, (atoms.get_volume() / (BINS_AN_ATOM * len(atoms))) ** (1 / 3))
    return tuple(np.maximum(atoms.cell.lengths() / width, 1).astype(int).tolist())


def places_of(atoms: Atoms, cell: np.ndarray, bins: tuple[int, ...]) -> Places:
    """The places of a structure's atoms.

    Args:
        atoms: a periodic structure.
        cell: its own, or another one of the same lattice, (3, 3), Å.
        bins: from `grid_for`, the same for all that are compared.
    """
    fractional = atoms.positions @ np.linalg.inv(cell)
    inside = np.minimum(((fractional % 1.0) * bins).astype(int), np.array(bins) - 1)
    flat = np.ravel_multi_index(inside.T, bins)
    spectra = {}
    for number in np.unique(atoms.numbers).tolist():
        count = np.bincount(flat[atoms.numbers == number], minlength=np.prod(bins))
        spectra[number] = rfftn(count.reshape(bins).astype(np.float32))
    return Places(atoms.numbers, fractional, spectra, bins)


def partners(a: Places, b: Places, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Atoms of two structures that lie nearest to each other, strain and drift taken out.

    The drift is where the numbers of atoms of each element in the bins of a grid correlate best.

    Args:
        a, b: with as many atoms of each element, in any order, on one grid.
        cell: of a, (3, 3), Å; that of b is strained to it.

    Returns:
        Indices of atoms of a and of their partners in b; None where too few have one, as in
        structures that have nothing to do with each other, and where other drifts do half as well,
        as in crystals: which of their atoms is which cannot be told by where they lie.
    """
    drift, share, of_another = _drift(a, b)
    if share < 2 * of_another:
        return None
    for _ in range(ROUNDS):
        mine, theirs = _mutual(a, b, drift, cell)
        if len(mine) < MUTUAL * len(a.numbers):
            return None
        moved = b.fractional[theirs] - drift - a.fractional[mine]
        drift = drift + np.median(moved - moved.round(), axis=0)
    return mine, theirs


def _drift(a: Places, b: Places) -> tuple[np.ndarray, float, float]:
    """The best drift, the share of atoms that lie together there, and at the best other drift.

    Counts of two bins along each axis are taken together, so that a drift between two bins is as
    good as any. Beyond the mean over all drifts, the share is 0.4 to 0.7 for published copies (0.02
    and 0.47 Å apart) and 0.03 for glasses of 8,000 atoms that are none, as for the other drifts. A
    grid on which no drift is another one, as in cells of 5 Å, has a share of 1 for
    the other.
    """
    spectrum = sum(a.spectra[number].conj() * b.spectra[number] for number in a.spectra)
    together = irfftn(spectrum, s=a.bins)
    middle = np.zeros(3)
    for axis in range(3):
        if a.bins[axis] > 1:
            together = together + np.roll(together, -1, axis)
            middle[axis] = 0.5
    together = (together - together.mean()) / len(a.numbers)
    best = np.unravel_index(together.argmax(), together.shape)
    share = float(together[best])
    near = [(k + np.arange(-APART, APART + 1)) % n for k, n in zip(best, a.bins, strict=True)]
    together[np.ix_(*near)] = -np.inf
    of_another = float(together.max())
    return (best + middle) / a.bins, share, of_another if np.isfinite(of_another) else 1.0


def _mutual(
    a: Places, b: Places, drift: np.ndarray, cell: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Atoms of a and of b that are each other's nearest of their element in the cell of a."""
    atoms = len(a.numbers)
    both = np.concatenate([a.fractional, b.fractional - drift]) @ cell
    near = pairs(both, cell, NEAR)
    numbers = np.concatenate([a.numbers, b.numbers])
    across = (near.source < atoms) & (near.target >= atoms)
    across &= numbers[near.source] == numbers[near.target]
    mine, theirs = near.source[across], near.target[across] - atoms
    farthest_first = np.argsort(-np.linalg.norm(near.vector[across], axis=1))
    mine, theirs = mine[farthest_first], theirs[farthest_first]
    nearest_in_b, nearest_in_a = np.full(atoms, -1), np.full(atoms, -1)
    nearest_in_b[mine], nearest_in_a[theirs] = theirs, mine  # the last one stays
    close = np.flatnonzero(nearest_in_b >= 0)
    mutual = close[nearest_in_a[nearest_in_b[close]] == close]
    return mutual, nearest_in_b[mutual]
