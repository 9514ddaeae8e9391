"""Products of matrices on processors, and memory for large results.

torch multiplies by MKL, which takes vectors of 512 bits on Intel's processors only; on others
oneDNN does, which torch brings too. And torch asks the system for memory in pages of 4 KiB, which
for a tensor of all edges takes longer than filling it.
"""

import math
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear

FEW_COLUMNS = 64  # with which oneDNN is no faster: it transposes first
ALIGNMENT = 64  # bytes: a line of the cache, and the longest vector
PROCESSORS = Path("/proc/cpuinfo")


def product(
    left: Tensor, right: Tensor, bias: Tensor | None = None, *, out: Tensor | None = None
) -> Tensor:
    """left right^T + bias, without a gradient.

    Args:
        left: (rows, inner).
        right: (columns, inner).
        bias: (columns,) or (rows, columns).
        out: (rows, columns), where the result goes; None for memory of its own.

    Returns:
        (rows, columns).
    """
    if left.dtype == torch.float32 and left.numel() and _by_onednn():
        of_columns = bias if bias is None or bias.dim() == 1 else None
        found = torch.ops.mkldnn._linear_pointwise.default(left, right, of_columns, "none", [], "")
        if of_columns is not bias:
            return torch.add(found, bias, out=out)
        return found if out is None else out.copy_(found)
    if bias is None:
        return torch.mm(left, right.T, out=out)
    return torch.addmm(bias, left, right.T, out=out)


def add_transposed_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """total += left^T right, without a gradient: sums over many rows.

    Args:
        total: (some, columns).
        left: (rows, some), few columns.
        right: (rows, columns).
    """
    if right.shape[1] > FEW_COLUMNS and _by_onednn():
        total += product(left.T, right.T)
    else:
        total.addmm_(left.T, right)


@cache
def _by_onednn() -> bool:
    """Whether oneDNN is to multiply, and the operator of torch's compiler for a layer is there."""
    if torch.backends.mkl.is_available() and _of_intel():
        return False
    left, right, bias = torch.arange(6.0).view(2, 3), torch.arange(12.0).view(4, 3), torch.ones(4)
    try:
        operator = torch.ops.mkldnn._linear_pointwise.default
        return torch.allclose(
            operator(left, right, bias, "none", [], ""), linear(left, right, bias)
        )
    except (AttributeError, RuntimeError):  # built without oneDNN, or with another signature
        return False


def _of_intel() -> bool:
    """Whether the processor is one of Intel's, where the system tells."""
    return PROCESSORS.is_file() and "GenuineIntel" in PROCESSORS.read_text()


def empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """A tensor of any numbers, in large pages where numpy gets them."""
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + ALIGNMENT, np.uint8)
    first = -memory.ctypes.data % ALIGNMENT
    return torch.from_numpy(memory[first : first + size]).view(dtype).view(shape)
