"""Products of matrices on processors, and memory for large results.

torch multiplies by MKL, which on AMD's processors keeps to vectors of 256 bits; oneDNN, which torch
brings too, takes all 512. And torch asks the system for memory in pages of 4 KiB, which for a
tensor of all edges takes longer than filling it.
"""

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear

FEW_COLUMNS = 64  # with which oneDNN is no faster: it transposes first
ALIGNMENT = 64  # bytes: a line of the cache, and the longest vector


def product(left: Tensor, right: Tensor, bias: Tensor | None = None) -> Tensor:
    """left right^T + bias, without a gradient.

    Args:
        left: (rows, inner).
        right: (columns, inner).
        bias: (columns,).

    Returns:
        (rows, columns).
    """
    if left.dtype == torch.float32 and left.numel() and _has_onednn():
        return torch.ops.mkldnn._linear_pointwise.default(left, right, bias, "none", [], "")
    return linear(left, right, bias)


def transposed_product(left: Tensor, right: Tensor) -> Tensor:
    """left^T right, without a gradient: sums over many rows.

    Args:
        left: (rows, some), few columns.
        right: (rows, columns).

    Returns:
        (some, columns).
    """
    if right.shape[1] > FEW_COLUMNS:
        return product(left.T, right.T)
    return torch.mm(left.T, right)


@cache
def _has_onednn() -> bool:
    """Whether the operator of torch's compiler for a layer is there and means what we think."""
    left, right, bias = torch.arange(6.0).view(2, 3), torch.arange(12.0).view(4, 3), torch.ones(4)
    try:
        operator = torch.ops.mkldnn._linear_pointwise.default
        return torch.allclose(
            operator(left, right, bias, "none", [], ""), linear(left, right, bias)
        )
    except (AttributeError, RuntimeError):  # built without oneDNN, or with another signature
        return False


def empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """A tensor of any numbers, in large pages where numpy gets them."""
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + ALIGNMENT, np.uint8)
    first = -memory.ctypes.data % ALIGNMENT
    return torch.from_numpy(memory[first : first + size]).view(dtype).view(shape)
