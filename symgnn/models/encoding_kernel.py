"""Features of edges from their vectors on a processor, some edges at a time.

The numbers of an edge under each transformation, (transformations, width), never leave a loop;
they are made once more in the backward pass, and no more than the arguments is kept. The products
of matrices are torch's, of blocks that stay in cache.
"""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from symgnn.models import encoding_loops as loops
from symgnn.models.products import add_transposed_product, empty, product

BLOCK_ROWS = 2048  # edges of a block: 256 KiB for 32 numbers of single precision


def usable(vector: Tensor, first: Tensor) -> bool:
    """Whether `encode` can run and is worth it: many plain numbers of one kind on a processor."""
    return (
        vector.device.type == "cpu"
        and vector.dtype == first.dtype
        and vector.dtype in (torch.float32, torch.float64)
        and vector.shape[1] <= 3
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and len(vector) > BLOCK_ROWS
    )


def encode(
    vector: Tensor,
    first: Tensor,
    bias: Tensor,
    second: Tensor,
    last: Tensor,
    centres: Tensor | None = None,
    radial: Tensor | None = None,
) -> Tensor:
    """B mean over t of silu(A_t v + a) + b + R g(|v|), g Gaussians as far apart as they are wide.

    Args:
        vector: (edges, at most 3), v.
        first: (transformations, dimension, width), the transposed A_t.
        bias: (width,), a.
        second: (width, width), B.
        last: (width,), b.
        centres: (gaussians,), or None for no Gaussians.
        radial: (width, gaussians), R.

    Returns:
        (edges, width).
    """
    missing = 3 - vector.shape[1]
    if missing:
        vector, first = pad(vector, (0, missing)), pad(first, (0, 0, 0, missing))
    numbers = [t if t is None else t.contiguous() for t in (vector, first, bias, second, last)]
    return _Encoding.apply(*numbers, centres, radial)


class _Rows:
    """The edges, a block at a time, and what is computed of a block from its vectors alone."""

    def __init__(self, vector: Tensor, first: Tensor, bias: Tensor, centres: Tensor | None):
        self._vector, self._numbers = vector.numpy(), (first.numpy(), bias.numpy())
        self._mean = vector.new_empty(BLOCK_ROWS, len(bias))
        if centres is not None:
            self._centres, apart = centres.numpy(), centres[1] - centres[0]
            self._spread = self._centres.dtype.type(apart)
            self._value = vector.new_empty(BLOCK_ROWS, len(centres))

    def blocks(self) -> list[slice]:
        """Which edges are in each block."""
        count = len(self._vector)
        return [slice(k, min(k + BLOCK_ROWS, count)) for k in range(0, count, BLOCK_ROWS)]

    def mean(self, rows: slice) -> Tensor:
        """The mean over the transformations, (rows, width); until the next block."""
        mean = self._mean[: rows.stop - rows.start]
        loops.mean_activation(self._vector[rows], *self._numbers, mean.numpy())
        return mean

    def mean_and_gradients(self, rows: slice, by_mean: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same, and from the gradient by it those by `first` and `bias`.

        They are sums over this block alone, as single precision needs.
        """
        mean = self._mean[: rows.stop - rows.start]
        found = [torch.zeros_like(torch.from_numpy(array)) for array in self._numbers]
        loops.parameter_gradients(
            self._vector[rows],
            *self._numbers,
            by_mean.numpy(),
            mean.numpy(),
            *(array.numpy() for array in found),
        )
        return mean, *found

    def gaussians(self, rows: slice) -> Tensor:
        """Of the lengths, (rows, gaussians); until the next block."""
        value = self._value[: rows.stop - rows.start]
        loops.gaussians(self._vector[rows], self._centres, self._spread, value.numpy())
        return value

    def write_vector_gradient(self, rows: slice, by_mean: Tensor, by_vector: Tensor) -> None:
        """From the gradient by the mean that by the vectors, (edges, 3)."""
        target = by_vector[rows].numpy()
        loops.vector_gradient(self._vector[rows], *self._numbers, by_mean.numpy(), target)

    def add_gaussian_gradient(self, rows: slice, by_value: Tensor, by_vector: Tensor) -> None:
        """Add what the Gaussians give it."""
        loops.add_gaussian_gradient(
            self._vector[rows],
            self._centres,
            self._spread,
            by_value.numpy(),
            by_vector[rows].numpy(),
        )


class _Encoding(torch.autograd.Function):
    @staticmethod
    def forward(ctx, vector, first, bias, second, last, centres, radial):
        ctx.save_for_backward(vector, first, bias, second, centres, radial)
        edges = _Rows(vector, first, bias, centres)
        result = empty((len(vector), len(second)), vector.dtype)
        for rows in edges.blocks():
            product(edges.mean(rows), second, last, out=result[rows])
            if radial is not None:
                result[rows] += product(edges.gaussians(rows), radial)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        vector, first, bias, second, centres, radial = ctx.saved_tensors
        edges, gradient = _Rows(vector, first, bias, centres), gradient.contiguous()
        by_vector = torch.zeros_like(vector) if ctx.needs_input_grad[0] else None
        by_first, by_bias, by_second = (torch.zeros_like(t) for t in (first, bias, second))
        by_radial = None if radial is None else torch.zeros_like(radial)
        # transposed here, once
        back, back_radial = second.T.contiguous(), None if radial is None else radial.T.contiguous()
        for rows in edges.blocks():
            by_block = gradient[rows]
            by_mean = product(by_block, back)
            mean, *found = edges.mean_and_gradients(rows, by_mean)
            by_first += found[0]
            by_bias += found[1]
            add_transposed_product(by_second, by_block, mean)
            if by_vector is not None:
                edges.write_vector_gradient(rows, by_mean, by_vector)
            if radial is None:
                continue
            add_transposed_product(by_radial, by_block, edges.gaussians(rows))
            if by_vector is not None:
                edges.add_gaussian_gradient(rows, product(by_block, back_radial), by_vector)
        return by_vector, by_first, by_bias, by_second, gradient.sum(0), None, by_radial
