"""Lanczos iterations for the lowest eigenpair, or two of them, of many Hessians at once.

Each iteration needs the product of the Hessian with the newest vector q. Where forces F are all
that is known it takes a force call at a small step, as H q is (F(x) - F(x + δ q)) / δ. The basis is
orthogonalised in full at every step (R. Malek, N. Mousseau, doi:10.1103/PhysRevE.62.7723;
E. Cances et al., doi:10.1063/1.3088532).
"""

import math
from collections.abc import Callable
from typing import Protocol as Interface

import numpy as np
import torch
from torch import Tensor

from symgnn.barriers.inner_products import dot, normalized
from symgnn.barriers.lanczos_kernel import NEGATIVE_TOLERANCE, Basis, Stop, extend_rows

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


class Hessians(Interface):
    """The Hessians of the rows of a batch."""

    def iterate(
        self,
        row: int,
        position: np.ndarray,
        basis: Basis,
        stop: Stop,
        value: np.ndarray,
        vector: np.ndarray,
    ) -> int:
        """Lanczos iterations to their end.

        Args:
            row: the row.
            position: (dimension,), Å.
            basis: has its first vector; written.
            stop: when to end.
            value: (pairs,), written, eV/Å².
            vector: (pairs, dimension), written.

        Returns:
            vectors used.
        """


class LanczosBatch:
    """Bases and tridiagonal matrices of a batch of searches.

    Args:
        size: searches in the batch.
        dimension: coordinates of a search.
        vectors: most vectors in a basis.
        tolerance: see `Stop`.
        least: see `Stop`; at least `pairs`.
        negative_below: see `Stop`.
        pairs: eigenpairs that are wanted, which stand when the last of them does. A value is never
            below the Hessian's of the same rank: a second one that is negative proves that there
            are two.
        device: where the bases live; on a processor they are extended by compiled code.

    Attributes:
        count: (size,), vectors in the basis but for the newest one.
    """

    def __init__(
        self,
        size: int,
        dimension: int,
        *,
        vectors: int,
        tolerance: float,
        device: torch.device,
        least: int = 1,
        negative_below: float = -math.inf,
        pairs: int = 1,
    ):
        real = {"dtype": torch.float64, "device": device}
        self._pairs, self._vectors = pairs, vectors
        self._stop = Stop(vectors, max(least, pairs), tolerance, 0.0, negative_below)
        self.compiled = device.type == "cpu"
        self.basis = torch.zeros(size, vectors, dimension, **real)
        self._diagonal = torch.zeros(size, vectors, **real)
        self._off_diagonal = torch.zeros(size, vectors, **real)
        self._eigenvalue = torch.zeros(size, **real)  # the last of the wanted ones, before
        self.count = torch.zeros(size, dtype=torch.long, device=device)

    def start(self, rows: Tensor, vector: Tensor) -> None:
        """Begin at `vector` (rows, dimension)."""
        self.basis[rows, 0] = normalized(vector)
        self.count[rows] = 0
        self._eigenvalue[rows] = torch.inf

    def newest(self, rows: Tensor) -> Tensor:
        """The vectors along which forces are wanted next, (rows, dimension)."""
        return self.basis[rows, self.count[rows]]

    def finish(
        self,
        rows: Tensor,
        position: Tensor,
        hessians: Hessians,
        limit: Tensor,
        resolution: Tensor,
        between: Callable[[], None],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Iterate to the end, from the first vectors, where the Hessian is known.

        Args:
            rows: searches, (rows,).
            position: (size, dimension), Å, of all searches.
            hessians: theirs.
            limit: (rows,), vectors at which to end, at most those of the basis.
            resolution: (rows,), eV/Å², see `Stop`.
            between: called after every search's.

        Returns:
            vectors used (rows,), eigenvalues (rows, pairs) and eigenvectors (rows, pairs,
            dimension).
        """
        used, (value, vector) = torch.zeros_like(rows), self._room(rows)
        for k, (row, most, enough) in enumerate(
            zip(rows.tolist(), limit.tolist(), resolution.tolist(), strict=True)
        ):
            parts = self.basis[row], self._diagonal[row], self._off_diagonal[row]
            basis = Basis(*(part.numpy() for part in parts))
            stop = self._stop._replace(limit=min(most, self._vectors), resolution=enough)
            found = value[k].numpy(), vector[k].numpy()
            used[k] = hessians.iterate(row, position[row].numpy(), basis, stop, *found)
            between()
        return used, value, vector

    def extend(
        self, rows: Tensor, product: Tensor, limit: Tensor, resolution: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Take in H q of the newest vectors.

        Args:
            rows: searches, (rows,).
            product: (rows, dimension), eV/Å².
            limit: (rows,), vectors at which to end, at most those of the basis.
            resolution: (rows,), eV/Å², see `Stop`.

        Returns:
            which of the rows are done (mask), and of these the eigenvalues (rows, pairs) and
            eigenvectors (rows, pairs, dimension).
        """
        if not self.compiled:
            return self._extend_together(rows, product, limit, resolution)
        done = torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
        value, vector = self._room(rows)
        state = (self.basis, self._diagonal, self._off_diagonal, self._eigenvalue, self.count)
        arrays = (*state, rows, product.contiguous(), limit, resolution, done, value, vector)
        extend_rows(*(array.numpy() for array in arrays), self._stop)
        return done, value, vector

    def _room(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Zeros for the eigenpairs of some rows."""
        value = self._diagonal.new_zeros(len(rows), self._pairs)
        return value, value.new_zeros(len(rows), self._pairs, self.basis.shape[-1])

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
        done = self._converged(count + 1, last, self._eigenvalue[rows], resolution)
        done |= (length < 1e-8) | (count + 1 >= limit.clamp(max=self._vectors))
        # A basis that is full is done: what is written over its last vector is not read.
        self._off_diagonal[rows, count] = length
        following = (count + 1).clamp(max=self._vectors - 1)
        self.basis[rows, following] = rest / length.clamp(min=1e-300).unsqueeze(-1)
        self.count[rows] = following
        self._eigenvalue[rows] = last
        return done, value, normalized(vector)

    def _converged(self, count: Tensor, last: Tensor, before: Tensor, resolution: Tensor) -> Tensor:
        """`lanczos_kernel.converged` for many searches."""
        stop = self._stop
        enough = torch.maximum(stop.tolerance * last.abs(), resolution)
        enough = torch.where(count > stop.least, enough, -1.0)
        negative = torch.where(last < stop.negative_below, NEGATIVE_TOLERANCE * last.abs(), -1.0)
        change = (last - before).abs()
        return (count > self._pairs) & (change <= torch.maximum(enough, negative))
