"""Lanczos iterations for the lowest, or the second lowest, eigenpair of many Hessians at once.

Each iteration needs one force call a search, at a small step along the newest vector: with
forces F, H q is (F(x) - F(x + δ q)) / δ. The basis is orthogonalised in full at every step
(R. Malek, N. Mousseau, doi:10.1103/PhysRevE.62.7723; E. Cances et al., doi:10.1063/1.3088532).
"""

import numpy as np
import torch
from numba import njit
from torch import Tensor


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner products along the last axis."""
    product = a * b
    return product.sum(-1) if product.device.type == "cpu" else folded_sum(product)


def folded_sum(terms: Tensor) -> Tensor:
    """Sum along the last axis by adding halves, for GPUs.

    Their own sums go in an order that depends on how many rows there are, and a search must not
    depend on the others in its batch.
    """
    while (count := terms.shape[-1]) > 1:
        half = count // 2
        folded = terms[..., :half] + terms[..., half : 2 * half]
        if count % 2:
            folded[..., 0] += terms[..., -1]
        terms = folded
    return terms[..., 0]


def normalized(vector: Tensor) -> Tensor:
    """Vectors of unit length along the last axis."""
    return vector / dot(vector, vector).sqrt().unsqueeze(-1)


def lowest_eigenpair(matrix: Tensor, rank: int = 0) -> tuple[Tensor, Tensor]:
    """Lowest eigenvalues (rows,) and eigenvectors (rows, n) of symmetric matrices (rows, n, n).

    The second lowest with `rank` 1.

    The matrices are padded to whole cache lines, because LAPACK's last digits depend on where in
    memory a matrix begins, and a search must not depend on its place in the batch.
    """
    size = matrix.shape[-1]
    padded = -(-size // 4) * 4
    bound = matrix.abs().sum(-1).amax(-1) + 1.0
    full = torch.diag_embed(bound.unsqueeze(-1).expand(-1, padded))
    full[:, :size, :size] = matrix
    values, vectors = torch.linalg.eigh(full)
    return values[:, rank], vectors[:, :size, rank]


class LanczosBatch:
    """Bases and tridiagonal matrices of a batch of searches.

    Args:
        size: searches in the batch.
        dimension: coordinates of a search.
        vectors: most vectors in a basis.
        tolerance: relative change of the eigenvalue at which an iteration ends.
        rank: 0 for the lowest eigenvalue, 1 for the second. A value is never below the Hessian's of
            its rank, so a second one that is negative proves that there are two.
        device: where the bases live; on a processor they are extended by compiled code.
    """

    def __init__(
        self,
        size: int,
        dimension: int,
        *,
        vectors: int,
        tolerance: float,
        device: torch.device,
        rank: int = 0,
    ):
        real = {"dtype": torch.float64, "device": device}
        self._vectors, self._tolerance, self._rank = vectors, tolerance, rank
        self.compiled = device.type == "cpu"
        self.basis = torch.zeros(size, vectors, dimension, **real)
        self._diagonal = torch.zeros(size, vectors, **real)
        self._off_diagonal = torch.zeros(size, vectors, **real)
        self._eigenvalue = torch.zeros(size, **real)
        self._count = torch.zeros(size, dtype=torch.long, device=device)

    def start(self, rows: Tensor, vector: Tensor) -> None:
        """Begin at `vector` (rows, dimension)."""
        self.basis[rows, 0] = normalized(vector)
        self._count[rows] = 0

    def newest(self, rows: Tensor) -> Tensor:
        """The vectors along which forces are wanted next, (rows, dimension)."""
        return self.basis[rows, self._count[rows]]

    def extend(
        self, rows: Tensor, product: Tensor, limit: Tensor, resolution: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Take in H q of the newest vectors.

        Args:
            rows: searches, (rows,).
            product: (rows, dimension), eV/Å².
            limit: (rows,), vectors at which to end, at most those of the basis.
            resolution: (rows,), eV/Å², change of the eigenvalue at which to end in any case.

        Returns:
            which of the rows are done (mask), and of these the eigenvalues and eigenvectors.
        """
        if not self.compiled:
            return self._extend_together(rows, product, limit, resolution)
        done = torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
        value = torch.zeros(len(rows), dtype=product.dtype, device=rows.device)
        vector = torch.zeros_like(product)
        state = (self.basis, self._diagonal, self._off_diagonal, self._eigenvalue, self._count)
        arrays = (*state, rows, product.contiguous(), limit, resolution, done, value, vector)
        _extend_rows(*(array.numpy() for array in arrays), self._tolerance, self._rank)
        return done, value, vector

    def _extend_together(
        self, rows: Tensor, product: Tensor, limit: Tensor, resolution: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`extend` for bases of any lengths at once, which never waits for the device."""
        count, basis = self._count[rows], self.basis[rows]
        index = torch.arange(self._vectors, device=rows.device)
        used = index <= count.unsqueeze(-1)
        self._diagonal[rows, count] = dot(self.basis[rows, count], product)
        beside = torch.where(index < count.unsqueeze(-1), self._off_diagonal[rows], 0.0)[:, :-1]
        diagonal = torch.where(used, self._diagonal[rows], 0.0)
        bound = diagonal.abs().amax(-1) + 2.0 * beside.abs().sum(-1) + 1.0
        matrix = torch.diag_embed(torch.where(used, diagonal, bound.unsqueeze(-1)))
        matrix = matrix + torch.diag_embed(beside, 1) + torch.diag_embed(beside, -1)
        value, weights = lowest_eigenpair(matrix, self._rank)
        vector = (torch.where(used, weights, 0.0).unsqueeze(-1) * basis).sum(1)
        rest = product
        for _ in range(2):  # once loses orthogonality at the finite difference's noise
            overlap = torch.where(used, dot(basis, rest.unsqueeze(1)), 0.0)
            rest = rest - (overlap.unsqueeze(-1) * basis).sum(1)
        length = dot(rest, rest).sqrt()
        enough = torch.maximum(self._tolerance * value.abs(), resolution)
        change = (value - self._eigenvalue[rows]).abs() <= enough
        done = (change & (count > self._rank)) | (length < 1e-8)
        done |= count + 1 >= limit.clamp(max=self._vectors)
        # A basis that is full is done: what is written over its last vector is not read.
        self._off_diagonal[rows, count] = length
        following = (count + 1).clamp(max=self._vectors - 1)
        self.basis[rows, following] = rest / length.clamp(min=1e-300).unsqueeze(-1)
        self._count[rows] = following
        self._eigenvalue[rows] = value
        return done, value, normalized(vector)


@njit(cache=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
def _inner(a, b):
    total = 0.0
    for x in range(len(a)):
        total += a[x] * b[x]
    return total


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def _add_multiple(a, factor, b):
    for x in range(len(a)):
        a[x] += factor * b[x]


@njit(cache=True, error_model="numpy")
def _extend_rows(
    basis,
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
    tolerance,
    rank,
):
    """`LanczosBatch.extend` on a processor: row by row, with the row's basis in the cache."""
    most = basis.shape[1]
    for k in range(len(rows)):
        row = rows[k]
        count = counts[row]
        q = basis[row]
        rest = product[k].copy()
        diagonal[row, count] = _inner(q[count], rest)
        matrix = np.zeros((count + 1, count + 1))
        for x in range(count + 1):
            matrix[x, x] = diagonal[row, x]
            if x < count:
                matrix[x, x + 1] = matrix[x + 1, x] = off[row, x]
        values, vectors = np.linalg.eigh(matrix)
        wanted = min(rank, count)
        value[k] = values[wanted]
        enough = max(resolution[k], tolerance * abs(values[wanted]))
        change = abs(values[wanted] - eigenvalue[row]) <= enough
        eigenvalue[row] = values[wanted]
        for _ in range(2):
            for x in range(count + 1):
                _add_multiple(rest, -_inner(q[x], rest), q[x])
        length = np.sqrt(_inner(rest, rest))
        counts[row] = count + 1
        if (change and count > rank) or length < 1e-8 or count + 1 >= min(most, limit[k]):
            done[k] = True
            for x in range(count + 1):
                _add_multiple(vector[k], vectors[x, wanted], q[x])
            vector[k] /= np.sqrt(_inner(vector[k], vector[k]))
        else:
            off[row, count] = length
            q[count + 1] = rest / length
