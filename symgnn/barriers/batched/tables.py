"""EAM tables on a device: the cubic of every interval between two knots, ready to be evaluated."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from symgnn.barriers.tables import PackedTables, hermite_coefficients


@dataclass(frozen=True)
class DeviceTables:
    """Splines as c0 + d (c1 + d (c2 + d c3)), where d is the way from the knot, Å or density.

    A pair of an atom of element a with a neighbour of element b is of kind a E + b, or, where the
    densities are symmetric, of the lesser of this and b E + a; what belongs to knot m of a kind
    stands at place kind * intervals + m. Intervals beyond the cutoff are zero
    and reach so far that no listed pair looks behind them.

    Attributes:
        kind_of: (E E,), kind of the elements a E + b.
        step: spacing of the knots of the pair functions, Å.
        intervals: of a kind.
        pair: (8, kinds * intervals): c0 to c3 of the density at a from b, then of r φ_ab (eV·Å).
        symmetric: whether the densities of a at b and of b at a are equal, for all pairs.
        density_step: spacing of the knots of the embedding functions.
        knots: of an embedding function; the last interval goes on linearly.
        embedding: (4, E * knots), float64, eV.
        near: (E, E), Å, reach of the densities.
        far: (E, E), Å, reach of everything.
    """

    kind_of: Tensor
    step: float
    intervals: int
    pair: Tensor
    symmetric: bool
    density_step: float
    knots: int
    embedding: Tensor
    near: np.ndarray
    far: np.ndarray

    @property
    def elements(self) -> int:
        """Number of elements."""
        return len(self.far)


def _scaled(coefficients: np.ndarray, step: float) -> np.ndarray:
    """Coefficients (..., 4) for a way in units of the argument instead of knots, (4, ...)."""
    return np.moveaxis(coefficients / step ** np.arange(4), -1, 0)


def on_device(
    tables: PackedTables, *, longest: float, device: torch.device | str, dtype: torch.dtype
) -> DeviceTables:
    """Tables for pairs up to `longest`, Å; the pair functions in the numbers of `dtype`."""
    elements, knots = tables.pair.shape[0], tables.pair.shape[2]
    intervals = max(knots, int(np.ceil(longest / tables.distance_step))) + 2
    pair = np.zeros((2, 4, elements, elements, intervals))
    valid = np.arange(knots) * tables.distance_step < tables.cutoff
    for function in range(2):
        values, slopes = tables.pair[..., 2 * function], tables.pair[..., 2 * function + 1]
        cubic = _scaled(hermite_coefficients(values, slopes), tables.distance_step)
        pair[function, ..., :knots] = np.where(valid, cubic, 0.0)
    embedding = _scaled(tables.embedding, tables.density_step)
    kind = np.arange(elements**2).reshape(elements, elements)
    kind = np.minimum(kind, kind.T) if tables.symmetric else kind
    return DeviceTables(
        kind_of=torch.from_numpy(kind.ravel()).to(device),
        step=tables.distance_step,
        intervals=intervals,
        pair=torch.from_numpy(pair.reshape(8, -1)).to(device, dtype),
        symmetric=tables.symmetric,
        density_step=tables.density_step,
        knots=tables.embedding.shape[1],
        embedding=torch.from_numpy(np.ascontiguousarray(embedding.reshape(4, -1))).to(device),
        near=tables.density_reach,
        far=tables.pair_reach,
    )
