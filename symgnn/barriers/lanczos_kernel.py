"""Lanczos iterations of one search in compiled code; `lanczos` has them for many at once."""

from typing import NamedTuple

import numpy as np

from symgnn.barriers.inner_products import add_multiple, inner
from symgnn.compiled import njit

NEGATIVE_TOLERANCE = 0.1  # change over an eigenvalue at which it is surely negative


class Stop(NamedTuple):
    """When the iterations of a search end."""

    limit: int  # vectors at which they end in any case
    least: int  # vectors before which none ends because its eigenvalue stands
    tolerance: float  # change of the last wanted eigenvalue, over it, at which it stands
    resolution: float  # eV/Å², change at which it stands in any case
    # eV/Å², an eigenvalue below it need not be known that well, and stands at any number of
    # vectors: there is one, which is all that is asked.
    negative_below: float


class Basis(NamedTuple):
    """One search's share of a `LanczosBatch`."""

    vectors: np.ndarray  # (vectors, dimension)
    diagonal: np.ndarray  # (vectors,), of the tridiagonal matrix
    off_diagonal: np.ndarray  # (vectors,)


@njit(error_model="numpy")
def tridiagonal_eigenvalue(diagonal, off_diagonal, rank):
    """The eigenvalue of that rank, 0 the lowest, of a symmetric tridiagonal matrix.

    By bisection: so many are below a number as there are negative terms in a Sturm sequence
    (W. Barth, R. S. Martin, J. H. Wilkinson, doi:10.1007/BF02162154).

    Args:
        diagonal: (n,).
        off_diagonal: (at least n - 1,).
        rank: less than n.
    """
    count, low, high, left = len(diagonal), np.inf, -np.inf, 0.0
    for x in range(count):
        right = abs(off_diagonal[x]) if x < count - 1 else 0.0
        low = min(low, diagonal[x] - left - right)
        high = max(high, diagonal[x] + left + right)
        left = right
    least = np.finfo(np.float64).tiny
    while True:
        middle = 0.5 * (low + high)
        if not low < middle < high:
            return middle
        below, term = 0, 1.0
        for x in range(count):
            beside = off_diagonal[x - 1] ** 2 / term if x else 0.0
            term = diagonal[x] - middle - beside
            if abs(term) < least:
                term = -least
            below += term < 0.0
        if below > rank:
            high = middle
        else:
            low = middle


@njit(error_model="numpy")
def converged(stop, count, last, before, pairs):
    """Whether the last wanted eigenvalue stands, by its change with the last of `count` vectors."""
    enough = -1.0
    if count > stop.least:
        enough = max(stop.tolerance * abs(last), stop.resolution)
    if last < stop.negative_below:
        enough = max(enough, NEGATIVE_TOLERANCE * abs(last))
    return count > pairs and abs(last - before) <= enough


@njit(error_model="numpy")
def extend_row(basis, count, before, rest, stop, value, vector):
    """Take in H q of the newest vector of one search.

    Args:
        basis: written, the next vector but where this was the last.
        count: vectors before the newest one.
        before: the last of the wanted eigenvalues, as it was before this vector.
        rest: (dimension,), H q; overwritten.
        stop: when to end.
        value: (pairs,), written at the end: the eigenvalues.
        vector: (pairs, dimension), written at the end: the eigenvectors.

    Returns:
        whether this was the last vector, and the last of the wanted eigenvalues.
    """
    q, diagonal, off = basis
    diagonal[count] = inner(q[count], rest)
    pairs = min(len(value), count + 1)
    last = tridiagonal_eigenvalue(diagonal[: count + 1], off, pairs - 1)
    length = np.sqrt(inner(rest, rest))
    # Once more where little is left, and with it much of the rounding of what was taken away.
    for _ in range(2):
        previous = length
        for x in range(count + 1):
            add_multiple(rest, -inner(q[x], rest), q[x])
        length = np.sqrt(inner(rest, rest))
        if length > 0.1 * previous:
            break
    done = converged(stop, count + 1, last, before, len(value))
    if not (done or length < 1e-8 or count + 1 >= stop.limit):
        off[count] = length
        for x in range(len(rest)):
            q[count + 1, x] = rest[x] / length
        return False, last
    matrix = np.zeros((count + 1, count + 1))
    for x in range(count + 1):
        matrix[x, x] = diagonal[x]
        if x < count:
            matrix[x, x + 1] = matrix[x + 1, x] = off[x]
    values, vectors = np.linalg.eigh(matrix)
    value[:pairs] = values[:pairs]
    vector[:] = 0.0
    for pair in range(pairs):
        for x in range(count + 1):
            add_multiple(vector[pair], vectors[x, pair], q[x])
        vector[pair] /= np.sqrt(inner(vector[pair], vector[pair]))
    return True, last


@njit(error_model="numpy")
def extend_rows(
    vectors,
    diagonal,
    off,
    eigenvalue,
    counts,
    rows,
    product,
    limit,
    resolution,
    done,
    value,
    vector,
    stop,
):
    """`LanczosBatch.extend` on a processor: row by row, with the row's basis in the cache."""
    for k in range(len(rows)):
        row, most = rows[k], min(limit[k], vectors.shape[1])
        basis = Basis(vectors[row], diagonal[row], off[row])
        own = Stop(most, stop.least, stop.tolerance, resolution[k], stop.negative_below)
        before, rest = eigenvalue[row], product[k].copy()
        done[k], eigenvalue[row] = extend_row(
            basis, counts[row], before, rest, own, value[k], vector[k]
        )
        counts[row] += 1
