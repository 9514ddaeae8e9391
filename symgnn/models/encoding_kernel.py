"""Features of edges from their vectors on a processor, some edges at a time.

A step makes (edges, transformations * width) numbers on the way, which are made for a block that
stays in cache, and once more in the backward pass: no more than the arguments is kept.
"""

import math

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import silu

from symgnn.models.products import empty, product, transposed_product

NUMBERS_AT_ONCE = 256 * 1024  # of a block: 1 MiB in single precision


def usable(vector: Tensor, first: Tensor) -> bool:
    """Whether `encode` can run and is worth it: many plain numbers of one kind on a processor."""
    return (
        vector.device.type == "cpu"
        and vector.dtype == first.dtype
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and len(vector) > _rows(first)
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
        vector: (edges, dimension), v.
        first: (transformations, dimension, width), the transposed A_t.
        bias: (width,), a.
        second: (width, width), B.
        last: (width,), b.
        centres: (gaussians,), or None for no Gaussians.
        radial: (width, gaussians), R.

    Returns:
        (edges, width).
    """
    return _Encoding.apply(vector, first, bias, second, last, centres, radial)


def _rows(first: Tensor) -> int:
    """Edges of a block."""
    return max(NUMBERS_AT_ONCE // (len(first) * first.shape[2]), 1)


class _Hidden:
    """What is in a block before and after the first activation."""

    def __init__(self, first: Tensor, bias: Tensor):
        self.count, dimension, self.width = first.shape
        self.weight = first.transpose(1, 2).reshape(-1, dimension)
        self.bias = bias.repeat(self.count)

    def linear(self, vector: Tensor) -> Tensor:
        """(rows, transformations * width)."""
        return product(vector, self.weight, self.bias)

    def mean(self, linear: Tensor) -> Tensor:
        """(rows, width), over the transformations."""
        return silu(linear).unflatten(1, (self.count, self.width)).mean(1)

    def pull_back(self, by_mean: Tensor, linear: Tensor) -> Tensor:
        """Gradient by `linear`."""
        by_each = (by_mean / self.count).repeat(1, self.count)
        return torch.ops.aten.silu_backward(by_each, linear)

    def parameter_gradients(self, by_linear: Tensor, vector: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients by `first` and `bias`."""
        shape = self.count, self.width
        by_first = transposed_product(vector, by_linear).unflatten(1, shape).transpose(0, 1)
        return by_first, by_linear.sum(0).view(shape).sum(0)


class _Gaussians:
    """exp(-(r - c)^2 / 2 s^2) of lengths r, and backwards.

    As powers of two: the exponential of torch is slow where it is almost zero.
    """

    def __init__(self, centres: Tensor):
        self.scale = math.sqrt(0.5 / math.log(2)) / (centres[1] - centres[0])
        self.centres = centres * self.scale

    def __call__(self, vector: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Values, (rows, gaussians); lengths, (rows, 1); scaled distances from the centres."""
        length = torch.linalg.vector_norm(vector, dim=-1, keepdim=True)
        apart = length * self.scale - self.centres
        return apart.square().neg_().exp2_(), length, apart

    def pull_back(self, by_value: Tensor, vector: Tensor, made: tuple[Tensor, ...]) -> Tensor:
        """Gradient by the vectors."""
        value, length, apart = made
        by_length = (by_value * value * apart).sum(1, keepdim=True) * (
            -2 * math.log(2) * self.scale
        )
        return torch.where(length > 0, by_length / length, 0) * vector


class _Encoding(torch.autograd.Function):
    @staticmethod
    def forward(ctx, vector, first, bias, second, last, centres, radial):
        ctx.save_for_backward(vector, first, bias, second, centres, radial)
        hidden, rows = _Hidden(first, bias), _rows(first)
        gaussians = None if radial is None else _Gaussians(centres)
        result = empty((len(vector), len(second)), vector.dtype)
        for k in range(0, len(vector), rows):
            block = vector[k : k + rows]
            mean = hidden.mean(hidden.linear(block))
            result[k : k + rows] = product(mean, second, last)
            if gaussians is not None:
                result[k : k + rows] += product(gaussians(block)[0], radial)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        vector, first, bias, second, centres, radial = ctx.saved_tensors
        hidden, rows, gradient = _Hidden(first, bias), _rows(first), gradient.contiguous()
        by_vector = torch.zeros_like(vector) if ctx.needs_input_grad[0] else None
        by_first, by_bias, by_second = (torch.zeros_like(t) for t in (first, bias, second))
        by_radial = None if radial is None else torch.zeros_like(radial)
        gaussians = None if radial is None else _Gaussians(centres)
        # transposed here, once
        back, back_radial = second.T.contiguous(), None if radial is None else radial.T.contiguous()
        for k in range(0, len(vector), rows):
            block, by_block = vector[k : k + rows], gradient[k : k + rows]
            linear = hidden.linear(block)
            by_second += transposed_product(by_block, hidden.mean(linear))
            by_linear = hidden.pull_back(product(by_block, back), linear)
            for total, found in zip(
                (by_first, by_bias), hidden.parameter_gradients(by_linear, block), strict=True
            ):
                total += found
            if by_vector is not None:
                by_vector[k : k + rows] = product(by_linear, hidden.weight.T.contiguous())
            if radial is None:
                continue
            made = gaussians(block)
            by_radial += transposed_product(by_block, made[0])
            if by_vector is not None:
                by_value = product(by_block, back_radial)
                by_vector[k : k + rows] += gaussians.pull_back(by_value, block, made)
        return by_vector, by_first, by_bias, by_second, gradient.sum(0), None, by_radial
