"""EAM tables as packed cubic splines: what one pair needs lies in one place in memory."""

from dataclasses import dataclass

import numpy as np

from symgnn.potentials import EamTables


@dataclass(frozen=True)
class PackedTables:
    """Cubic splines of an EAM potential, ready for a compiled kernel.

    Pair functions are kept as values and slopes at the knots, from which a kernel makes the cubic
    between two knots; so one pair needs 64 bytes in a row, and the tables of a binary alloy fit a
    core's second-level cache. They are LAMMPS's own splines.

    Attributes:
        cutoff: Å.
        distance_step: h, spacing of the knots of the pair functions, Å.
        pair: (E, E, n, 4); for an atom of element a with a neighbour of element b: density at a
            from b and r φ_ab (eV·Å), each as value and slope times h.
        rows: the same in one row, with two knots of zeros behind: 4 ((a E + b) n + m) is where
            knot m of the pair a, b begins.
        density_reach: (E, E), Å, beyond which neither density of a pair differs from zero.
        pair_reach: (E, E), Å, beyond which nothing of a pair differs from zero.
        symmetric: whether the density that b lays on a equals that of a on b, for all pairs.
        density_step: spacing of the knots of the embedding functions.
        embedding: (E, n_ρ, 4), eV; in interval m it is c0 + p (c1 + p (c2 + p c3)).
        density_max: the largest tabulated density; beyond it F goes on linearly.
    """

    cutoff: float
    distance_step: float
    pair: np.ndarray
    rows: np.ndarray
    density_reach: np.ndarray
    pair_reach: np.ndarray
    symmetric: bool
    density_step: float
    embedding: np.ndarray
    density_max: float


def node_slopes(values: np.ndarray) -> np.ndarray:
    """Slopes at the knots, per knot spacing, by the five-point formula that LAMMPS uses.

    Args:
        values: (..., n) on a uniform grid.
    """
    slopes = np.empty_like(values)
    slopes[..., 2:-2] = (
        values[..., :-4] - values[..., 4:] + 8.0 * (values[..., 3:-1] - values[..., 1:-3])
    ) / 12.0
    slopes[..., 0] = values[..., 1] - values[..., 0]
    slopes[..., 1] = 0.5 * (values[..., 2] - values[..., 0])
    slopes[..., -2] = 0.5 * (values[..., -1] - values[..., -3])
    slopes[..., -1] = values[..., -1] - values[..., -2]
    return slopes


def hermite_coefficients(values: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Coefficients (..., n, 4) of the cubic through values and slopes (..., n).

    The last interval continues the last knot linearly.
    """
    coefficients = np.zeros((*values.shape, 4))
    coefficients[..., 0] = values
    coefficients[..., 1] = slopes
    rise = np.diff(values)
    coefficients[..., :-1, 2] = 3.0 * rise - 2.0 * slopes[..., :-1] - slopes[..., 1:]
    coefficients[..., :-1, 3] = slopes[..., :-1] + slopes[..., 1:] - 2.0 * rise
    return coefficients


def _reach(functions: np.ndarray, step: float) -> np.ndarray:
    """Distance (E, E), Å, beyond which functions (E, E, n, ...) are zero."""
    knots = functions.shape[2]
    other = functions.reshape(*functions.shape[:2], knots, -1).any(axis=-1)
    last = knots - 1 - np.argmax(other[..., ::-1], axis=-1)
    reach = np.minimum(last + 1, knots - 1) * step
    return np.where(other.any(axis=-1), np.maximum(reach, np.swapaxes(reach, 0, 1)), 0.0)


def pack(tables: EamTables) -> PackedTables:
    """Pack the tables of a potential; every knot of the file is kept."""
    density = np.swapaxes(tables.density, 0, 1)  # [a, b]: at a from b
    pair = np.stack([density, node_slopes(density), tables.pair, node_slopes(tables.pair)], axis=-1)
    density_reach = np.minimum(_reach(pair[..., :2], tables.distance_step), tables.cutoff)
    pair_reach = np.minimum(_reach(pair, tables.distance_step), tables.cutoff)
    return PackedTables(
        cutoff=tables.cutoff,
        distance_step=tables.distance_step,
        pair=np.ascontiguousarray(pair),
        rows=np.concatenate([pair.ravel(), np.zeros(8)]),
        density_reach=density_reach,
        pair_reach=pair_reach,
        symmetric=bool(np.array_equal(density, tables.density)),
        density_step=tables.density_step,
        embedding=hermite_coefficients(tables.embedding, node_slopes(tables.embedding)),
        density_max=(tables.embedding.shape[-1] - 1) * tables.density_step,
    )
