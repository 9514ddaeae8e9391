"""Crystal-like atoms, found by whether neighbours see the same surroundings (ten Wolde's q6·q6)."""

import numpy as np
from ase import Atoms
from scipy.special import lpmv

from symgnn import neighbors

DEGREE = 6
CUTOFF = 3.8  # Å, the first minimum of the total g(r) of Cu-Zr glasses
ALIKE = 0.7  # cosine between the q6 of two neighbours above which their bond is crystal-like
SOLID_SHARE = 0.7  # of its bonds that are crystal-like in an atom of a crystal
CRYSTALLISED = 0.1  # share of crystal-like atoms above which a sample is no glass


def crystalline_share(atoms: Atoms, cutoff: float = CUTOFF) -> float:
    """Share of the atoms that are crystal-like.

    P. R. ten Wolde, M. J. Ruiz-Montero, D. Frenkel, doi:10.1039/FD9960400093: each atom has the
    normalised vector q6m, the mean of Y6m over its neighbours; an atom is crystal-like when the
    q6 of enough of its neighbours point its way. Works for fcc, hcp and bcc alike.

    Args:
        atoms: periodic structure.
        cutoff: distance of neighbours, Å.
    """
    pairs = neighbors.pairs(atoms.positions, atoms.cell.array, cutoff)
    count = len(atoms)
    bonds = np.bincount(pairs.source, minlength=count)
    components = _spherical_components(pairs.vector)
    q = np.stack(
        [
            np.bincount(pairs.source, part.real, count)
            + 1j * np.bincount(pairs.source, part.imag, count)
            for part in components
        ],
        axis=1,
    )
    q /= np.maximum(np.linalg.norm(q, axis=1, keepdims=True), 1e-12)
    cosine = np.einsum("pm,pm->p", q[pairs.source], q[pairs.target].conj()).real
    alike = np.bincount(pairs.source[cosine > ALIKE], minlength=count)
    return float(((bonds > 0) & (alike >= SOLID_SHARE * np.maximum(bonds, 1))).mean())


def _spherical_components(vector: np.ndarray) -> list[np.ndarray]:
    """Y_6m of directions for m = 0 ... 6; those above 0 times √2 stand for -m as well."""
    cosine = vector[:, 2] / np.linalg.norm(vector, axis=1)
    angle = np.arctan2(vector[:, 1], vector[:, 0])
    parts = []
    for m in range(DEGREE + 1):
        ratio = np.prod(np.arange(DEGREE - m + 1, DEGREE + m + 1, dtype=float))
        norm = np.sqrt((2 * DEGREE + 1) / (4 * np.pi) / ratio * (2 if m else 1))
        parts.append(norm * lpmv(m, DEGREE, cosine) * np.exp(1j * m * angle))
    return parts


def crystallised(share: float) -> bool:
    """Whether a sample with this share of crystal-like atoms is to be flagged."""
    return share > CRYSTALLISED
