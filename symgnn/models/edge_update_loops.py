"""Loops over edges: silu(z factor + offset) of their mixed features z, and backwards."""

import numpy as np

from symgnn.compiled import njit
from symgnn.models.normalization_loops import SUMMED_ROWS
from symgnn.models.vector_loops import VECTORS, silu


@njit(**VECTORS)
def update(z, factor, offset, edge, new_edge):
    """edge + silu(z factor + offset), (rows, width), written to `new_edge`."""
    for e in range(len(z)):
        row, old, new = z[e], edge[e], new_edge[e]
        for k in range(len(factor)):
            new[k] = old[k] + silu(row[k] * factor[k] + offset[k])[0]


@njit(**VECTORS)
def update_some(z, factor, offset, edge, kept, new_edge):
    """edge + kept silu(z factor + offset), (rows, width), written to `new_edge`."""
    for e in range(len(z)):
        row, old, share, new = z[e], edge[e], kept[e], new_edge[e]
        for k in range(len(factor)):
            new[k] = old[k] + share[k] * silu(row[k] * factor[k] + offset[k])[0]


@njit(**VECTORS)
def _by_normal(row, factor, offset, above, back):
    """The gradient by what goes into the silu of an edge, written to `back`."""
    for k in range(len(factor)):
        back[k] = above[k] * silu(row[k] * factor[k] + offset[k])[1]


@njit(**VECTORS)
def add_sums(z, mean, factor, offset, by_new, first, second):
    """Add the sums over rows of the gradient by x, and of the same times z - mean.

    What goes into the silu is x = z factor + offset.

    Args:
        z: (rows, width).
        mean: (width,).
        factor: (width,).
        offset: (width,).
        by_new: (rows, width), gradient by silu(x).
        first: (width,), double, added to.
        second: (width,), double, added to.
    """
    back = np.empty_like(factor)
    for start in range(0, len(z), SUMMED_ROWS):
        sums, products = np.zeros_like(factor), np.zeros_like(factor)
        for e in range(start, min(start + SUMMED_ROWS, len(z))):
            row = z[e]
            _by_normal(row, factor, offset, by_new[e], back)
            for k in range(len(factor)):
                sums[k] += back[k]
            for k in range(len(factor)):
                products[k] += back[k] * (row[k] - mean[k])
        first += sums
        second += products


@njit(**VECTORS)
def pull_back(z, factor, offset, by_new, slope, rest, by_z):
    """factor * gradient by x + slope z + rest, (rows, width), written to `by_z`."""
    back = np.empty_like(factor)
    for e in range(len(z)):
        row, below = z[e], by_z[e]
        _by_normal(row, factor, offset, by_new[e], back)
        for k in range(len(factor)):
            below[k] = factor[k] * back[k] + slope[k] * row[k] + rest[k]
