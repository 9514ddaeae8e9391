"""Loops over the edges of a block of targets: what lies between the attention's products.

The edges of a target lie next to each other, `start[i]` to `start[i + 1]`; a block has the targets
`atoms[0]` to `atoms[1]`, and its arrays begin with the first of their edges.
"""

from symgnn.compiled import njit

# Sums may be reordered, for vector instructions; infinities and NaN are kept.
FAST = {"reassoc", "contract", "nsz", "arcp"}


@njit(nogil=True, fastmath=FAST)
def activate(feature, source, start, atoms, from_source, from_target, slope):
    """leaky(feature + source's term + target's term), in place, for a block of targets."""
    first = start[atoms[0]]
    columns = feature.shape[1]
    for i in range(atoms[0], atoms[1]):
        of_target = from_target[i]
        for e in range(start[i], start[i + 1]):
            of_source, row = from_source[source[e]], feature[e - first]
            for c in range(columns):
                x = row[c] + of_source[c] + of_target[c]
                row[c] = max(x, slope * x)


@njit(nogil=True, fastmath=FAST)
def scores(feature, start, atoms, weight, score):
    """Scores of a block's edges, the largest of each target and head subtracted."""
    first = start[atoms[0]]
    heads, width = weight.shape
    zero = weight.dtype.type(0)
    for i in range(atoms[0], atoms[1]):
        for e in range(start[i], start[i + 1]):
            for h in range(heads):
                total = zero
                for k in range(width):
                    total += feature[e - first, h * width + k] * weight[h, k]
                score[e, h] = total
        for h in range(heads):
            largest = score[start[i], h] if start[i] < start[i + 1] else zero
            for e in range(start[i], start[i + 1]):
                largest = max(largest, score[e, h])
            for e in range(start[i], start[i + 1]):
                score[e, h] -= largest


@njit(nogil=True, fastmath=FAST)
def mix(source, start, atoms, node, attention, mixed):
    """Normalise the exponentials of the scores, and sum the sources of each target by them."""
    heads, width = mixed.shape[1:]
    for i in range(atoms[0], atoms[1]):
        for h in range(heads):
            total = node.dtype.type(0)
            for e in range(start[i], start[i + 1]):
                total += attention[e, h]
            for e in range(start[i], start[i + 1]):
                attention[e, h] /= total
        for e in range(start[i], start[i + 1]):
            j = source[e]
            for h in range(heads):
                share = attention[e, h]
                for k in range(width):
                    mixed[i, h, k] += share * node[j, k]


@njit(nogil=True, fastmath=FAST)
def score_gradient(source, start, atoms, node, attention, by_mixed, by_score):
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
                mean += attention[e, h] * by_score[e - first, h]
            for e in range(start[i], start[i + 1]):
                by_score[e - first, h] = attention[e, h] * (by_score[e - first, h] - mean)


@njit(nogil=True, fastmath=FAST)
def add_to_nodes(source, start, atoms, attention, by_mixed, by_node):
    """Gradient by the sources' features in the weighted sums."""
    heads, width = by_mixed.shape[1:]
    for i in range(atoms[0], atoms[1]):
        for e in range(start[i], start[i + 1]):
            j = source[e]
            for h in range(heads):
                share = attention[e, h]
                for k in range(width):
                    by_node[j, k] += share * by_mixed[i, h, k]


@njit(nogil=True, fastmath=FAST)
def through_activation(feature, gradient, weight, slope, by_score, by_weight):
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


@njit(nogil=True, fastmath=FAST)
def add_to_ends(gradient, source, start, atoms, by_source, by_target):
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
