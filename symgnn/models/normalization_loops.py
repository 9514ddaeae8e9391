"""Loops over many rows of few columns: what a normalisation by column needs.

Sums over some rows are of the rows' precision, those over all of them are double.
"""

import numpy as np

from symgnn.compiled import njit
from symgnn.models.vector_loops import VECTORS

SUMMED_ROWS = 512


@njit(**VECTORS)
def add_moments(z, about, first, second):
    """Add the sums over rows of z - about and of its square.

    Args:
        z: (rows, width).
        about: (width,).
        first: (width,), double, added to.
        second: (width,), double, added to.
    """
    for start in range(0, len(z), SUMMED_ROWS):
        sums, squares = np.zeros_like(about), np.zeros_like(about)
        for e in range(start, min(start + SUMMED_ROWS, len(z))):
            row = z[e]
            for k in range(len(about)):
                x = row[k] - about[k]
                sums[k] += x
                squares[k] += x * x
        first += sums
        second += squares


@njit(**VECTORS)
def add_gradient_sums(z, about, gradient, first, second):
    """Add the sums over rows of the gradient and of the same times z - about.

    Args:
        z: (rows, width).
        about: (width,).
        gradient: (rows, width).
        first: (width,), double, added to.
        second: (width,), double, added to.
    """
    for start in range(0, len(z), SUMMED_ROWS):
        sums, products = np.zeros_like(about), np.zeros_like(about)
        for e in range(start, min(start + SUMMED_ROWS, len(z))):
            row, back = z[e], gradient[e]
            for k in range(len(about)):
                sums[k] += back[k]
                products[k] += back[k] * (row[k] - about[k])
        first += sums
        second += products


@njit(**VECTORS)
def pull_back(z, gradient, factor, slope, rest, by_z):
    """factor * gradient + slope z + rest, (rows, width), written to `by_z`."""
    for e in range(len(z)):
        row, back, below = z[e], gradient[e], by_z[e]
        for k in range(len(factor)):
            below[k] = factor[k] * back[k] + slope[k] * row[k] + rest[k]
