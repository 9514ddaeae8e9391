"""Correlations and bins."""

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
