"""How a glass's figures change with the logarithm of its cooling rate."""

from typing import NamedTuple

import numpy as np


class Trend(NamedTuple):
    """A straight line over log10 of the cooling rate in K/s.

    Attributes:
        slope: change by decade.
        error: standard error of the slope.
        intercept: at 1 K/s.
    """

    slope: float
    error: float
    intercept: float


def rate_trend(cooling_rate: np.ndarray, figure: np.ndarray) -> Trend | None:
    """Least-squares line of a figure over log10 of the cooling rate.

    Args:
        cooling_rate: (glasses,), K/s.
        figure: (glasses,), such as the energy in eV/atom.

    Returns:
        None for fewer than three glasses or two rates.
    """
    decades = np.log10(cooling_rate)
    if len(decades) < 3 or np.ptp(decades) < 1e-9:
        return None
    slope, intercept = np.polyfit(decades, figure, 1)
    residual = figure - slope * decades - intercept
    spread = ((decades - decades.mean()) ** 2).sum()
    error = np.sqrt((residual**2).sum() / (len(decades) - 2) / spread)
    return Trend(float(slope), float(error), float(intercept))
