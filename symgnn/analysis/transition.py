"""The glass transition of a quench, from the kink in its energy."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares

COLDEST, HOTTEST = 100.0, 1600.0  # K, where both branches are close to straight
FEWEST_ROWS = 10
BLOCKS = 40  # means that the lines are fitted to


class Kink(NamedTuple):
    """Two straight lines that meet.

    Attributes:
        temperature: where they meet, K.
        energy: there, eV/atom.
        glass_slope, liquid_slope: below and above, eV/(atom K).
        rounding: width over which one turns into the other, K.
    """

    temperature: float
    energy: float
    glass_slope: float
    liquid_slope: float
    rounding: float


def glass_transition(temperature: np.ndarray, energy: np.ndarray) -> Kink | None:
    """Fit two lines joined by a smooth bend to the energy of a quench.

    E(T) = E0 + (s_l + s_g)/2 (T - T_g) + (s_l - s_g)/2 · w · ln(2 cosh((T - T_g)/w)), whose
    slopes are s_g far below T_g and s_l far above. The harmonic part (3/2) k T is in both.

    Args:
        temperature: (rows,), K, of the cooling stage.
        energy: (rows,), eV/atom, potential.

    Returns:
        None where the record is too short or shows no kink.
    """
    near = (temperature > COLDEST) & (temperature < HOTTEST)
    if near.sum() < FEWEST_ROWS or np.ptp(temperature[near]) < HOTTEST / 2:
        return None
    t, e = _blocks(temperature[near], energy[near])
    scale = 1e-4  # eV/(atom K), the size of the slopes

    def curve(parameters: np.ndarray) -> np.ndarray:
        kink, height, glass, liquid, width = parameters
        x = (t - kink * 1000) / (width * 1000)
        bend = np.logaddexp(x, -x) * width * 1000
        return height + scale * (
            (liquid + glass) / 2 * (t - kink * 1000) + (liquid - glass) / 2 * bend
        )

    start = [0.8, float(np.interp(800, t[np.argsort(t)], e[np.argsort(t)])), 1.3, 2.5, 0.1]
    bounds = ([0.2, -np.inf, 0.0, 0.0, 0.02], [1.5, np.inf, 20.0, 20.0, 0.15])
    fit = least_squares(lambda p: (curve(p) - e) * 1000, start, bounds=bounds)
    kink, height, glass, liquid, width = fit.x
    if not fit.success or liquid <= glass or not 0.25 < kink < 1.45:
        return None
    return Kink(
        1000 * kink,
        height + scale * (liquid - glass) / 2 * width * 1000 * np.log(2),
        scale * glass,
        scale * liquid,
        1000 * width,
    )


def _blocks(temperature: np.ndarray, energy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over successive rows, whose temperatures and energies fluctuate against each other."""
    blocks = min(BLOCKS, len(temperature))
    return tuple(
        np.array([part.mean() for part in np.array_split(column, blocks)])
        for column in (temperature, energy)
    )
