"""Partial radial distribution functions of periodic structures of any cell."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from symgnn import neighbors

LONGEST_DISTANCE = 8.0  # Å; three shells of neighbours in a metallic glass
BIN_WIDTH = 0.05  # Å; a tenth of the first peak's width
PEAK_WINDOW = 0.4  # Å, to each side of a maximum: where a quartic describes it
PEAK_ROUNDS = 20  # of centring the window; five are usual
FEWEST_BINS = 8  # for the quartic's five coefficients


@dataclass(frozen=True)
class RadialDistribution:
    """g(r) of every pair of species of a structure.

    Attributes:
        distance: (bins,), Å, middle of each bin.
        partial: pair of symbols, in alphabetical order -> (bins,) g of that pair.
        total: (bins,), g of all atoms whatever their species.
    """

    distance: np.ndarray
    partial: dict[tuple[str, str], np.ndarray]
    total: np.ndarray


def radial_distribution(
    atoms: Atoms, longest: float = LONGEST_DISTANCE, bin_width: float = BIN_WIDTH
) -> RadialDistribution:
    """Partial radial distribution functions g_ab(r) = n_ab(r) / (rho_b v(r)).

    n_ab(r) is the mean number of b atoms in the spherical shell of volume v(r) around an a atom
    and rho_b = N_b / V, so that g tends to 1 at large r (Allen and Tildesley, Computer Simulation
    of Liquids, 2nd ed., section 8.2).

    Args:
        atoms: a periodic structure of any cell.
        longest: distance up to which g is counted, Å.
        bin_width: width of a shell, Å.
    """
    edges = np.linspace(0.0, longest, round(longest / bin_width) + 1)
    shells = 4.0 / 3.0 * np.pi * np.diff(edges**3)
    pairs = neighbors.pairs(atoms.positions, atoms.cell.array, longest)
    distance = np.linalg.norm(pairs.vector, axis=1)
    source, target = atoms.numbers[pairs.source], atoms.numbers[pairs.target]
    volume = abs(atoms.cell.volume)

    def distribution(chosen: np.ndarray, sources: int, targets: int) -> np.ndarray:
        counts = np.histogram(distance[chosen], edges)[0]
        return counts * volume / (sources * targets * shells)

    present = sorted(set(atoms.numbers), key=lambda number: chemical_symbols[number])
    partial = {}
    for a, b in combinations_with_replacement(present, 2):
        number_a, number_b = int((atoms.numbers == a).sum()), int((atoms.numbers == b).sum())
        chosen = (source == a) & (target == b)
        partial[chemical_symbols[a], chemical_symbols[b]] = distribution(chosen, number_a, number_b)
    everything = distribution(np.ones(len(distance), bool), len(atoms), len(atoms))
    return RadialDistribution((edges[1:] + edges[:-1]) / 2, partial, everything)


def mean_distribution(distributions: Sequence[RadialDistribution]) -> RadialDistribution:
    """Mean over structures of the same bins; a pair counts where a structure has it."""
    pairs = sorted({pair for one in distributions for pair in one.partial})
    partial = {
        pair: np.mean([one.partial[pair] for one in distributions if pair in one.partial], axis=0)
        for pair in pairs
    }
    total = np.mean([one.total for one in distributions], axis=0)
    return RadialDistribution(distributions[0].distance, partial, total)


def first_peak(distance: np.ndarray, g: np.ndarray) -> tuple[float, float]:
    """Position (Å) and height of the highest maximum of g, from a quartic through its top.

    The quartic is fitted by least squares to the bins within `PEAK_WINDOW` of the maximum, whose
    weights fall to 0 at its ends, so that no single bin decides. In a metallic glass the first
    shell is the highest; a g that is zero everywhere has no peak: (nan, nan).

    Args:
        distance: (bins,), Å, evenly spaced.
        g: (bins,).
    """
    if not g.any():
        return float("nan"), float("nan")
    position = float(distance[np.argmax(np.convolve(g, np.ones(3), mode="same"))])
    height = float(g.max())
    for _ in range(PEAK_ROUNDS):
        weight = np.maximum(0, 1 - ((distance - position) / PEAK_WINDOW) ** 2)
        near = weight > 0
        if (g[near] > 0).sum() < FEWEST_BINS:  # a crystal's needle
            return float(distance[np.argmax(g)]), float(g.max())
        curve = np.polynomial.Polynomial.fit(distance[near], g[near], deg=4, w=weight[near])
        level = curve.deriv().roots()
        level = level[np.abs(level.imag) < 1e-9].real
        inside = (level > curve.domain[0]) & (level < curve.domain[1])
        tops = np.append(level[inside], curve.domain)
        top = float(tops[np.argmax(curve(tops))])
        moved = abs(top - position)
        position, height = top, float(curve(top))
        if moved < 1e-4:
            break
    return position, height
