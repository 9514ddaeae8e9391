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


def label_reliability(group: np.ndarray, value: np.ndarray) -> float:
    """Share of the variance of group means that is not sampling noise (from 0 to 1).

    One-way analysis of variance with random effects: 1 - E[s²_g / n_g] / Var(mean_g), over the
    groups with at least two values (Shrout and Fleiss 1979, doi:10.1037/0033-2909.86.2.420, case
    ICC(1, k)). A model without any error of its own correlates with such means at the square root
    of it. NaN where fewer than three groups have two values.

    Args:
        group: (values,) which group a value belongs to.
        value: (values,) finite numbers.
    """
    _, index = np.unique(group, return_inverse=True)
    number = np.bincount(index)
    mean = np.bincount(index, value) / np.maximum(number, 1)
    squares = np.bincount(index, (value - mean[index]) ** 2)
    usable = number >= 2
    if usable.sum() < 3:
        return float("nan")
    noise = (squares[usable] / (number[usable] - 1) / number[usable]).mean()
    spread = mean[usable].var(ddof=1)
    return float(np.clip(1 - noise / spread, 0, 1)) if spread > 0 else float("nan")
