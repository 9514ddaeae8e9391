"""Lanczos iterations for the lowest eigenpair, or two of them, of many Hessians at once.

Each iteration needs one force call a search, at a small step along the newest vector: with
forces F, H q is (F(x) - F(x + δ q)) / δ. The basis is orthogonalised in full at every step
(R. Malek, N. Mousseau, doi:10.1103/PhysRevE.62.7723; E. Cances et al., doi:10.1063/1.3088532).
"""

import numpy as np
import torch
from numba import njit
from torch import Tensor

from symgnn.barriers.inner_products import add_multiple, dot, inner, normalized

LARGEST_ON_GPU = 32  # rows of matrices that CUDA's solver takes many of at once


def lowest_eigenpairs(matrix: Tensor, number: int = 1) -> tuple[Tensor, Tensor]:
    """Lowest eigenvalues and eigenvectors of symmetric matrices (rows, n, n).

    The matrices are padded to whole cache lines, because LAPACK's last digits depend on where in
    memory a matrix begins, and a search must not depend on its place in the batch. Large ones are
    solved on the processor, as CUDA takes them one after the other.

    Returns:
        values (rows, number) and vectors (rows, number, n).
    """
    size = matrix.shape[-1]
    padded = -(-size // 4) * 4
    bound = matrix.abs().sum(-1).amax(-1) + 1.0
    full = torch.diag_embed(bound.unsqueeze(-1).expand(-1, padded))
    full[:, :size, :size] = matrix
    solved = torch.linalg.eigh(full.cpu() if padded > LARGEST_ON_GPU else full)
    values, vectors = (found.to(matrix.device) for found in solved)
    return values[:, :number], vectors[:, :size, :number].mT


class LanczosBatch:
    """Bases and tridiagonal matrices of a batch of searches.

    Args:
        size: searches in the batch.
        dimension: coordinates of a search.
        vectors: most vectors in a basis.
        tolerance: relative change of the eigenvalue at which an iteration ends.
        pairs: eigenpairs that are wanted, which stand when the last of them does. A value is never
            below the Hessian's of the same rank: a second one that is negative proves that there
            are two.
        device: where the bases live; on a processor they are extended by compiled code.

    Attributes:
        count: (size,), vectors in the basis but for the newest one.
        eigenvalue: (size,), the last of the wanted eigenvalues, as it was after the last vector.
    """

    def __init__(
        self,
        size: int,
        dimension: int,
        *,
        vectors: int,
        tolerance: float,
        device: torch.device,
        pairs: int = 1,
    ):
        real = {"dtype": torch.float64, "device": device}
        self._vectors, self._tolerance, self._pairs = vectors, tolerance, pairs
        self.compiled = device.type == "cpu"
        self.basis = torch.zeros(size, vectors, dimension, **real)
        self._diagonal = torch.zeros(size, vectors, **real)
        self._off_diagonal = torch.zeros(size, vectors, **real)
        self.eigenvalue = torch.zeros(size, **real)
        self.count = torch.zeros(size, dtype=torch.long, device=device)

    def start(self, rows: Tensor, vector: Tensor) -> None:
        """Begin at `vector` (rows, dimension)."""
        self.basis[rows, 0] = normalized(vector)
        self.count[rows] = 0
        self.eigenvalue[rows] = torch.inf

    def newest(self, rows: Tensor) -> Tensor:
        """The vectors along which forces are wanted next, (rows, dimension)."""
        return self.basis[rows, self.count[rows]]

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
            which of the rows are done (mask), and of these the eigenvalues (rows, pairs) and
            eigenvectors (rows, pairs, dimension).
        """
        if not self.compiled:
            return self._extend_together(rows, product, limit, resolution)
        done = torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
        value = product.new_zeros(len(rows), self._pairs)
        vector = product.new_zeros(len(rows), self._pairs, product.shape[-1])
        state = (self.basis, self._diagonal, self._off_diagonal, self.eigenvalue, self.count)
        arrays = (*state, rows, product.contiguous(), limit, resolution, done, value, vector)
        _extend_rows(*(array.numpy() for array in arrays), self._tolerance)
        return done, value, vector

    def _extend_together(
        self, rows: Tensor, product: Tensor, limit: Tensor, resolution: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`extend` for bases of any lengths at once, which never waits for the device."""
        count, basis = self.count[rows], self.basis[rows]
        index = torch.arange(self._vectors, device=rows.device)
        used = index <= count.unsqueeze(-1)
        self._diagonal[rows, count] = dot(self.basis[rows, count], product)
        beside = torch.where(index < count.unsqueeze(-1), self._off_diagonal[rows], 0.0)[:, :-1]
        diagonal = torch.where(used, self._diagonal[rows], 0.0)
        bound = diagonal.abs().amax(-1) + 2.0 * beside.abs().sum(-1) + 1.0
        matrix = torch.diag_embed(torch.where(used, diagonal, bound.unsqueeze(-1)))
        matrix = matrix + torch.diag_embed(beside, 1) + torch.diag_embed(beside, -1)
        value, weights = lowest_eigenpairs(matrix, self._pairs)
        weights = torch.where(used.unsqueeze(1), weights, 0.0)
        vector = torch.stack(
            [(weights[:, k].unsqueeze(-1) * basis).sum(1) for k in range(self._pairs)], dim=1
        )
        rest = product
        for _ in range(2):  # once loses orthogonality at the finite difference's noise
            overlap = torch.where(used, dot(basis, rest.unsqueeze(1)), 0.0)
            rest = rest - (overlap.unsqueeze(-1) * basis).sum(1)
        length = dot(rest, rest).sqrt()
        last = value[:, -1]
        enough = torch.maximum(self._tolerance * last.abs(), resolution)
        change = (last - self.eigenvalue[rows]).abs() <= enough
        done = (change & (count >= self._pairs)) | (length < 1e-8)
        done |= count + 1 >= limit.clamp(max=self._vectors)
        # A basis that is full is done: what is written over its last vector is not read.
        self._off_diagonal[rows, count] = length
        following = (count + 1).clamp(max=self._vectors - 1)
        self.basis[rows, following] = rest / length.clamp(min=1e-300).unsqueeze(-1)
        self.count[rows] = following
        self.eigenvalue[rows] = last
        return done, value, normalized(vector)


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
):
    """`LanczosBatch.extend` on a processor: row by row, with the row's basis in the cache."""
    most = basis.shape[1]
    for k in range(len(rows)):
        row = rows[k]
        count = counts[row]
        q = basis[row]
        rest = product[k].copy()
        diagonal[row, count] = inner(q[count], rest)
        matrix = np.zeros((count + 1, count + 1))
        for x in range(count + 1):
            matrix[x, x] = diagonal[row, x]
            if x < count:
                matrix[x, x + 1] = matrix[x + 1, x] = off[row, x]
        values, vectors = np.linalg.eigh(matrix)
        pairs = min(value.shape[1], count + 1)
        value[k, :pairs] = values[:pairs]
        last = values[pairs - 1]
        enough = max(resolution[k], tolerance * abs(last))
        change = abs(last - eigenvalue[row]) <= enough
        eigenvalue[row] = last
        length = np.sqrt(inner(rest, rest))
        # Once more where little is left, and with it much of the rounding of what was taken away.
        for _ in range(2):
            before = length
            for x in range(count + 1):
                add_multiple(rest, -inner(q[x], rest), q[x])
            length = np.sqrt(inner(rest, rest))
            if length > 0.1 * before:
                break
        counts[row] = count + 1
        if (
            (change and count >= value.shape[1])
            or length < 1e-8
            or count + 1 >= min(most, limit[k])
        ):
            done[k] = True
            for pair in range(pairs):
                found = vector[k, pair]
                for x in range(count + 1):
                    add_multiple(found, vectors[x, pair], q[x])
                found /= np.sqrt(inner(found, found))
        else:
            off[row, count] = length
            q[count + 1] = rest / length
