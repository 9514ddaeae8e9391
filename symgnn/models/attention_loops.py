"""Loops over the edges of a block of targets: what lies between the attention's products.

The edges of a target lie next to each other, `start[i]` to `start[i + 1]`; a block has the targets
`atoms[0]` to `atoms[1]`, and the arrays of its features begin with the first of their edges.
"""

import numpy as np

from symgnn.compiled import njit
from symgnn.models.vector_loops import VECTORS, exponential


@njit(**VECTORS)
def _activate(row, of_source, of_target, slope):
    """leaky(row + source's term + target's term) of an edge, in place."""
    for c in range(len(row)):
        x = row[c] + of_source[c] + of_target[c]
        row[c] = max(x, slope * x)


@njit(**VECTORS)
def attend(
    feature, source, start, atoms, from_source, from_target, slope, weight, node, attention, mixed
):
    """Activate a block's features, and sum the sources of each target by their attention.

    Args:
        feature: (rows, heads * width), in place.
        source: (edges,).
        start: (targets + 1,).
        atoms: the first target and the one after the last.
        from_source: (atoms, heads * width).
        from_target: (targets, heads * width).
        slope: of the rectifier below zero.
        weight: (heads, width), of the scores.
        node: (atoms, width).
        attention: (edges * heads,), written for the block's edges.
        mixed: (targets, heads, width), added to.
    """
    first = start[atoms[0]]
    heads, width = weight.shape
    zero = weight.dtype.type(0)
    for i in range(atoms[0], atoms[1]):
        edges, of_target = range(start[i], start[i + 1]), from_target[i]
        for e in edges:
            row = feature[e - first]
            _activate(row, from_source[source[e]], of_target, slope)
            for h in range(heads):
                total = zero
                for k in range(width):
                    total += row[h * width + k] * weight[h, k]
                attention[e * heads + h] = total
        _softmax(attention[start[i] * heads : start[i + 1] * heads], heads)
        for e in edges:
            of_source = node[source[e]]
            for h in range(heads):
                share, sums = attention[e * heads + h], mixed[i, h]
                for k in range(width):
                    sums[k] += share * of_source[k]


@njit(**VECTORS)
def _softmax(score, heads):
    """Of the scores of a target's edges, (edges * heads,), in place."""
    count = len(score) // heads
    for h in range(heads):
        largest = score.dtype.type(-np.inf)
        for e in range(count):
            largest = max(largest, score[e * heads + h])
        for e in range(count):
            score[e * heads + h] -= largest
    for k in range(len(score)):
        score[k] = exponential(score[k])
    for h in range(heads):
        total = score.dtype.type(0)
        for e in range(count):
            total += score[e * heads + h]
        for e in range(count):
            score[e * heads + h] /= total


@njit(**VECTORS)
def activate_all(feature, source, start, atoms, from_source, from_target, slope):
    """Activate a block's features, see `attend`."""
    first = start[atoms[0]]
    for i in range(atoms[0], atoms[1]):
        of_target = from_target[i]
        for e in range(start[i], start[i + 1]):
            _activate(feature[e - first], from_source[source[e]], of_target, slope)


@njit(**VECTORS)
def pull_back(
    feature,
    gradient,
    source,
    start,
    atoms,
    slope,
    weight,
    node,
    attention,
    by_mixed,
    by_node,
    by_weight,
    by_source,
    by_target,
):
    """From the gradients by a block's activated features to those by what went into them.

    Args:
        feature: (rows, heads * width), activated.
        gradient: (rows, heads * width), by the features without what the sums give them, in place.
        source: see `attend`; and so `start`, `atoms`, `slope`, `weight`, `node`, `attention`.
        by_mixed: (targets, heads, width).
        by_node: (atoms, width), added to, as all that follow.
        by_weight: (heads, width).
        by_source: (atoms, heads * width), by the sources' terms.
        by_target: (targets, heads * width), by the targets' terms.
    """
    count = start[atoms[1]] - start[atoms[0]]
    by_score = np.empty((count, len(weight)), weight.dtype)
    _by_scores(source, start, atoms, node, attention, by_mixed, by_score)
    _add_to_nodes(source, start, atoms, attention, by_mixed, by_node)
    _through_rectifier(feature[:count], gradient, weight, slope, by_score, by_weight)
    _add_to_ends(gradient, source, start, atoms, by_source, by_target)


@njit(**VECTORS)
def _by_scores(source, start, atoms, node, attention, by_mixed, by_score):
    """Gradient by the scores of a block's edges, through the softmax."""
    first = start[atoms[0]]
    heads, width = by_mixed.shape[1:]
    zero = node.dtype.type(0)
    for i in range(atoms[0], atoms[1]):
        for e in range(start[i], start[i + 1]):
            j = source[e]
            for h in range(heads):
                total = zero
                for k in range(width):
                    total += by_mixed[i, h, k] * node[j, k]
                by_score[e - first, h] = total
        for h in range(heads):
            mean = zero
            for e in range(start[i], start[i + 1]):
                mean += attention[e * heads + h] * by_score[e - first, h]
            for e in range(start[i], start[i + 1]):
                share = attention[e * heads + h]
                by_score[e - first, h] = share * (by_score[e - first, h] - mean)


@njit(**VECTORS)
def _add_to_nodes(source, start, atoms, attention, by_mixed, by_node):
    """Gradient by the sources' features in the weighted sums."""
    heads, width = by_mixed.shape[1:]
    for i in range(atoms[0], atoms[1]):
        for e in range(start[i], start[i + 1]):
            j = source[e]
            for h in range(heads):
                share = attention[e * heads + h]
                for k in range(width):
                    by_node[j, k] += share * by_mixed[i, h, k]


@njit(**VECTORS)
def _through_rectifier(feature, gradient, weight, slope, by_score, by_weight):
    """Add what the scores give to `gradient`, and take it through the rectifier, in place."""
    heads, width = weight.shape
    zero, one = weight.dtype.type(0), weight.dtype.type(1)
    for e in range(len(feature)):
        for h in range(heads):
            by_this, at = by_score[e, h], h * width
            for k in range(width):
                by_weight[h, k] += by_this * feature[e, at + k]
            for k in range(width):
                factor = one if feature[e, at + k] > zero else slope
                gradient[e, at + k] = (gradient[e, at + k] + by_this * weight[h, k]) * factor


@njit(**VECTORS)
def _add_to_ends(gradient, source, start, atoms, by_source, by_target):
    """Add the gradients of edges to those of the terms of their sources and targets."""
    first = start[atoms[0]]
    columns = gradient.shape[1]
    for i in range(atoms[0], atoms[1]):
        for e in range(start[i], start[i + 1]):
            j = source[e]
            for c in range(columns):
                by_target[i, c] += gradient[e - first, c]
            for c in range(columns):
                by_source[j, c] += gradient[e - first, c]
