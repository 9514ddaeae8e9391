"""Correlations, what sampling noise leaves of labels, and bins."""

import numpy as np
from scipy import stats


def pearson(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson correlation; NaN for fewer than three pairs or where one side is constant."""
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Rank correlation; NaN for fewer than three pairs or where one side is constant."""
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(stats.spearmanr(first, second).statistic)


def bins(number: int) -> int:
    """How many bins a histogram of so many values has (Rice's rule, from 8 to 40)."""
    return int(np.clip(round(2 * number ** (1 / 3)), 8, 40))


def label_reliability(
    group: np.ndarray, value: np.ndarray, weight: np.ndarray | None = None
) -> float:
    """Share of the variance of group means that is not sampling noise (from 0 to 1).

    One-way analysis of variance with random effects: 1 - E[s²_g / n_g] / Var(mean_g), over the
    groups with at least two values (Shrout and Fleiss 1979, doi:10.1037/0033-2909.86.2.420, case
    ICC(1, k)). A model without any error of its own correlates with such means at the square root
    of it. NaN where fewer than three groups have two values. With weights, the noise of a mean
    is q / (1 - q) times the weighted variance, q = Σw² / (Σw)², which is 1 / n without them.

    Args:
        group: (values,) which group a value belongs to.
        value: (values,) finite numbers.
        weight: (values,) what each counts in its mean; those of 0 are left out. 1 where not given.
    """
    weight = np.ones(len(value)) if weight is None else weight
    group, value, weight = group[weight > 0], value[weight > 0], weight[weight > 0]
    _, index = np.unique(group, return_inverse=True)
    usable = np.bincount(index) >= 2
    total = np.bincount(index, weight)
    mean = np.bincount(index, weight * value) / total
    variance = np.bincount(index, weight * (value - mean[index]) ** 2) / total
    squares = np.bincount(index, weight**2) / total**2
    if usable.sum() < 3:
        return float("nan")
    noise = (variance * squares)[usable] / (1.0 - squares[usable])
    spread = mean[usable].var(ddof=1)
    return float(np.clip(1 - noise.mean() / spread, 0, 1)) if spread > 0 else float("nan")
