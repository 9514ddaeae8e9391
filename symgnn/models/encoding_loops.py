"""Loops over edges and transformations: the first layer of the encoder of edges.

h_t = A_t v + a are the numbers of an edge under a transformation, three components to a vector. A
loop over the numbers of an edge, which lie next to each other, is made of vector instructions.
"""

import numpy as np

from symgnn.compiled import njit
from symgnn.models.vector_loops import VECTORS, exponential, silu


@njit(**VECTORS)
def mean_activation(vector, first, bias, mean):
    """Mean over t of silu(h_t).

    Args:
        vector: (rows, 3), v.
        first: (transformations, 3, width), the transposed A_t.
        bias: (width,), a.
        mean: (rows, width), written.
    """
    count, _, width = first.shape
    share = vector.dtype.type(1 / count)
    for e in range(len(vector)):
        row, (v0, v1, v2) = mean[e], (vector[e, 0], vector[e, 1], vector[e, 2])
        row[:] = 0
        for t in range(count):
            a0, a1, a2 = first[t, 0], first[t, 1], first[t, 2]
            for k in range(width):
                row[k] += silu(bias[k] + v0 * a0[k] + v1 * a1[k] + v2 * a2[k])[0]
        for k in range(width):
            row[k] *= share


@njit(**VECTORS)
def parameter_gradients(vector, first, bias, by_mean, mean, by_first, by_bias):
    """`mean_activation` once more, and from the gradient by it those by the parameters.

    Args:
        vector: see there; and so `first`, `bias` and `mean`.
        by_mean: (rows, width).
        by_first: (transformations, 3, width), added to.
        by_bias: (width,), added to.
    """
    count, _, width = first.shape
    share = vector.dtype.type(1 / count)
    back = np.empty_like(bias)
    for e in range(len(vector)):
        row, above, (v0, v1, v2) = mean[e], by_mean[e], (vector[e, 0], vector[e, 1], vector[e, 2])
        row[:] = 0
        for t in range(count):
            a0, a1, a2 = first[t, 0], first[t, 1], first[t, 2]
            for k in range(width):
                value, slope = silu(bias[k] + v0 * a0[k] + v1 * a1[k] + v2 * a2[k])
                row[k] += value
                back[k] = share * above[k] * slope
            b0, b1, b2 = by_first[t, 0], by_first[t, 1], by_first[t, 2]
            for k in range(width):
                b0[k] += v0 * back[k]
            for k in range(width):
                b1[k] += v1 * back[k]
            for k in range(width):
                b2[k] += v2 * back[k]
            for k in range(width):
                by_bias[k] += back[k]
        for k in range(width):
            row[k] *= share


@njit(**VECTORS)
def vector_gradient(vector, first, bias, by_mean, by_vector):
    """The gradient by the vectors, (rows, 3), of `mean_activation`; written."""
    count, _, width = first.shape
    zero = vector.dtype.type(0)
    share = vector.dtype.type(1 / count)
    back = np.empty_like(bias)
    for e in range(len(vector)):
        above, (v0, v1, v2) = by_mean[e], (vector[e, 0], vector[e, 1], vector[e, 2])
        by_vector[e] = 0
        for t in range(count):
            a0, a1, a2 = first[t, 0], first[t, 1], first[t, 2]
            for k in range(width):
                slope = silu(bias[k] + v0 * a0[k] + v1 * a1[k] + v2 * a2[k])[1]
                back[k] = share * above[k] * slope
            for d in range(3):
                total, a = zero, first[t, d]
                for k in range(width):
                    total += back[k] * a[k]
                by_vector[e, d] += total


@njit(**VECTORS)
def gaussians(vector, centres, spread, value):
    """exp(-(r - c)^2 / 2 s^2) of lengths r = |v|, centres c and spread s.

    Args:
        vector: (rows, 3).
        centres: (gaussians,).
        spread: s.
        value: (rows, gaussians), written.
    """
    half = vector.dtype.type(0.5)
    for e in range(len(vector)):
        row = value[e]
        length = np.sqrt(vector[e, 0] ** 2 + vector[e, 1] ** 2 + vector[e, 2] ** 2)
        for g in range(len(centres)):
            apart = (length - centres[g]) / spread
            row[g] = exponential(-half * apart * apart)


@njit(**VECTORS)
def add_gaussian_gradient(vector, centres, spread, by_value, by_vector):
    """Add to `by_vector`, (rows, 3), what `gaussians` gives it from `by_value`."""
    zero, half = vector.dtype.type(0), vector.dtype.type(0.5)
    for e in range(len(vector)):
        row, total = by_value[e], zero
        length = np.sqrt(vector[e, 0] ** 2 + vector[e, 1] ** 2 + vector[e, 2] ** 2)
        for g in range(len(centres)):
            apart = (length - centres[g]) / spread
            total -= row[g] * exponential(-half * apart * apart) * apart / spread
        if length > zero:
            for d in range(3):
                by_vector[e, d] += total / length * vector[e, d]
