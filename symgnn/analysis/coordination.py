"""Numbers of neighbours by species, out to the first minimum of each partial g(r)."""

import numpy as np
from ase import Atoms

from symgnn import neighbors
from symgnn.analysis.radial import RadialDistribution

SMOOTHING = 5  # bins; the minimum of a g from a thousand atoms is noisy
SHELL_END = 1.6  # times the first peak's distance: the first shell ends before it


def first_minimum(distance: np.ndarray, g: np.ndarray) -> float:
    """Distance of the lowest point after the first peak, Å; nan where g is zero everywhere.

    Args:
        distance: (bins,), Å, evenly spaced.
        g: (bins,).
    """
    if not g.any():
        return float("nan")
    smooth = np.convolve(g, np.ones(SMOOTHING) / SMOOTHING, mode="same")
    peak = int(np.argmax(smooth))
    end = int(np.searchsorted(distance, SHELL_END * distance[peak]))
    return float(distance[peak + int(np.argmin(smooth[peak : end + 1]))])


def coordination_numbers(
    atoms: Atoms, distribution: RadialDistribution
) -> dict[tuple[str, str], float]:
    """Mean number of b atoms around an a atom, closer than the first minimum of g_ab.

    Args:
        atoms: periodic structure.
        distribution: where the minima are taken from; one shared by all structures that are
            compared keeps their differences free of the minima's noise.

    Returns:
        By ordered pair of symbols: (Cu, Zr) is Zr around Cu.
    """
    ends = {
        pair: first_minimum(distribution.distance, g) for pair, g in distribution.partial.items()
    }
    longest = max((end for end in ends.values() if np.isfinite(end)), default=0.0)
    if longest == 0:
        return {}
    pairs = neighbors.pairs(atoms.positions, atoms.cell.array, longest)
    distance = np.linalg.norm(pairs.vector, axis=1)
    symbols = np.array(atoms.get_chemical_symbols())
    source, target = symbols[pairs.source], symbols[pairs.target]
    numbers = {}
    for pair, end in ends.items():
        for a, b in {pair, pair[::-1]}:
            near = (source == a) & (target == b) & (distance < end)
            numbers[a, b] = float(near.sum() / (symbols == a).sum())
    return dict(sorted(numbers.items()))
