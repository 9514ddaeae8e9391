"""What a stress-strain curve says: modulus, yield, and the drops where atoms rearrange."""

from typing import NamedTuple

import numpy as np


class Drop(NamedTuple):
    """A fall of the stress between two steps: rows of the curve, and its sizes.

    Attributes:
        first, last: rows before and after the fall.
        strain: at the row before.
        stress: fall of the shear stress, GPa.
        energy: fall of the energy, eV/atom; negative where the work of the step exceeds it.
    """

    first: int
    last: int
    strain: float
    stress: float
    energy: float


def plastic_drops(
    strain: np.ndarray, stress: np.ndarray, energy: np.ndarray, smallest: float = 1e-3
) -> list[Drop]:
    """Falls of the stress, each over as many successive steps as it lasts.

    Args:
        strain: (steps,), rising.
        stress: (steps,), GPa.
        energy: (steps,), eV/atom.
        smallest: falls below it are left out, GPa.
    """
    falling = np.diff(stress) < 0
    edges = np.diff(np.concatenate([[0], falling.astype(int), [0]]))
    drops = []
    for first, last in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        fall = float(stress[first] - stress[last])
        if fall >= smallest:
            drops.append(
                Drop(
                    int(first),
                    int(last),
                    float(strain[first]),
                    fall,
                    float(energy[first] - energy[last]),
                )
            )
    return drops


def shear_modulus(strain: np.ndarray, stress: np.ndarray, largest: float = 0.01) -> float:
    """Slope of the curve's beginning, GPa, by least squares over strains up to `largest`."""
    start = strain <= largest
    return float(np.polyfit(strain[start], stress[start], 1)[0])


def yield_point(strain: np.ndarray, stress: np.ndarray) -> tuple[float, float]:
    """Strain and stress, GPa, at the largest stress of the curve."""
    peak = int(np.argmax(stress))
    return float(strain[peak]), float(stress[peak])


def roc_curve(score: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Receiver operating curve: rates of false and of true positives as the threshold falls.

    Args:
        score: (n,), the higher, the sooner an item counts as positive.
        positive: (n,), bool, the truth.
    """
    order = np.argsort(-score, kind="stable")
    hits = positive[order].cumsum()
    misses = (~positive[order]).cumsum()
    ends = np.append(np.diff(score[order]) != 0, True)  # ties enter together
    true = np.concatenate([[0], hits[ends] / positive.sum()])
    false = np.concatenate([[0], misses[ends] / (~positive).sum()])
    return false, true


def area_under_curve(false: np.ndarray, true: np.ndarray) -> float:
    """Area under a receiver operating curve: 0.5 by chance, 1 at best."""
    return float(((true[1:] + true[:-1]) / 2 * np.diff(false)).sum())
