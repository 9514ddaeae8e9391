"""Means over atoms with confidence intervals, and differences at equal distance."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

DRAWS = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A number with a confidence interval.

    Attributes:
        value: the estimate.
        low: lower end of the interval.
        high: upper end of the interval.
        atoms: how many atoms it rests on.
    """

    value: float
    low: float
    high: float
    atoms: int

    def compared_with(self, reference: float) -> str:
        """`above`, `below` or `undecided`: where the whole interval lies."""
        if self.low > reference:
            return "above"
        return "below" if self.high < reference else "undecided"


def bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray], rows: np.ndarray, seed: int = 0
) -> Estimate:
    """A statistic of atoms, with the percentile interval of a bootstrap over atoms.

    Args:
        statistic: from (samples, atoms, ...) to (samples,).
        rows: (atoms, ...), one row an atom; rows with a NaN are left out.
        seed: of the draws.

    Returns:
        the statistic with its 95 % interval; NaN for fewer than three atoms.
    """
    rows = np.asarray(rows, dtype=np.float64)
    rows = rows[np.array([np.isfinite(row).all() for row in rows], dtype=bool)]
    if len(rows) < 3:
        return Estimate(float("nan"), float("nan"), float("nan"), len(rows))
    rng = np.random.default_rng(seed)
    draws = statistic(rows[rng.integers(len(rows), size=(DRAWS, len(rows)))])
    tail = 100 * (1 - LEVEL) / 2
    if not np.isfinite(draws).any():
        return Estimate(float("nan"), float("nan"), float("nan"), len(rows))
    low, high = np.nanpercentile(draws, [tail, 100 - tail])
    return Estimate(float(statistic(rows[None])[0]), float(low), float(high), len(rows))


def bootstrap_mean(values: np.ndarray, seed: int = 0) -> Estimate:
    """Mean of one number an atom."""
    return bootstrap(lambda rows: rows.mean(axis=1), values, seed)


def bootstrap_ratio(parts: np.ndarray, wholes: np.ndarray, seed: int = 0) -> Estimate:
    """Sum of the parts over the sum of the wholes, one of each an atom; NaN where they are zero."""

    def ratio(rows: np.ndarray) -> np.ndarray:
        part, whole = rows.sum(axis=1).T
        return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole != 0)

    return bootstrap(ratio, np.column_stack([parts, wholes]), seed)


def bootstrap_spearman(first: np.ndarray, second: np.ndarray, seed: int = 0) -> Estimate:
    """Rank correlation of two numbers of each atom; NaN where one of them is constant."""

    def correlation(rows: np.ndarray) -> np.ndarray:
        ranks = stats.rankdata(rows, axis=1)
        ranks -= ranks.mean(axis=1, keepdims=True)
        covariance = (ranks[..., 0] * ranks[..., 1]).sum(axis=1)
        norm = np.sqrt((ranks**2).sum(axis=1).prod(axis=1))
        return np.divide(covariance, norm, out=np.full(len(norm), np.nan), where=norm > 0)

    return bootstrap(correlation, np.column_stack([first, second]), seed)


def stratified_difference(value: np.ndarray, chosen: np.ndarray, stratum: np.ndarray) -> float:
    """Mean of the chosen less that of the others in the same strata, weighted as the chosen are.

    The exact expectation of drawing, for each chosen item, a control from its own stratum.

    Args:
        value: (items,).
        chosen: (items,) bool.
        stratum: (items,) int64, not negative.

    Returns:
        NaN where no stratum holds both.
    """
    size = int(stratum.max()) + 1
    chosen_count = np.bincount(stratum[chosen], minlength=size)
    other_count = np.bincount(stratum[~chosen], minlength=size)
    both = (chosen_count > 0) & (other_count > 0)
    if not both.any():
        return float("nan")
    chosen_sum = np.bincount(stratum[chosen], value[chosen], minlength=size)[both]
    other_mean = np.bincount(stratum[~chosen], value[~chosen], minlength=size)[both]
    other_mean = other_mean / other_count[both]
    number = chosen_count[both]
    return float((chosen_sum - number * other_mean).sum() / number.sum())


def matched_controls(
    chosen: np.ndarray, stratum: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """For each chosen item another one, not chosen, of the same stratum, drawn without repeats.

    Args:
        chosen: (items,) bool.
        stratum: (items,) int64.
        rng: for the draws.

    Returns:
        indices of the controls; fewer than the chosen where a stratum has too few others.
    """
    found = []
    for one in np.unique(stratum[chosen]):
        others = np.flatnonzero((stratum == one) & ~chosen)
        number = min(int((chosen & (stratum == one)).sum()), len(others))
        found.append(rng.choice(others, size=number, replace=False))
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)
