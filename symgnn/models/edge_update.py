"""The next features of edges in the attention's kernel: normalised, activated, added."""

from dataclasses import dataclass

import torch
from torch import Tensor

from symgnn.models import edge_update_loops as loops
from symgnn.models.normalization import BatchNorm
from symgnn.models.products import empty


@dataclass
class EdgeUpdate:
    """How an edge gets its next features: e + silu(norm(M f + m)), of which some are dropped.

    Attributes:
        weight: (width, heads * width), M.
        bias: (width,), m.
        norm: its running numbers follow the edges in training.
        kept: (edges, width), factors on the silu (dropout), or None for all one.
    """

    weight: Tensor
    bias: Tensor
    norm: BatchNorm
    kept: Tensor | None


@dataclass
class NormalisedUpdate:
    """silu(scale (z - mean) inverse + shift) of the edges' mixed features z.

    Attributes:
        kept: factors on the silu (dropout), or None.
        of_batch: whether mean and inverse are those of z.
    """

    mixed_edge: Tensor
    scale: Tensor
    shift: Tensor
    mean: Tensor
    inverse: Tensor
    kept: Tensor | None
    of_batch: bool

    def __post_init__(self):
        self.factor = self.scale * self.inverse
        self.offset = self.shift - self.mean * self.factor

    def add_to(self, edge: Tensor) -> Tensor:
        """The next features of the edges."""
        new_edge = empty(edge.shape, edge.dtype)
        numbers = [self.mixed_edge, self.factor, self.offset, edge, new_edge]
        if self.kept is None:
            loops.update(*(t.numpy() for t in numbers))
        else:
            numbers.insert(4, self.kept)
            loops.update_some(*(t.numpy() for t in numbers))
        return new_edge


class UpdateGradients:
    """The same backwards.

    Args:
        update: forwards.
        by_new_edge: (edges, width), contiguous, the gradient by the next features.

    Attributes:
        by_scale: (width,), the gradient by the scale.
        by_shift: (width,), by the shift.
    """

    def __init__(self, update: NormalisedUpdate, by_new_edge: Tensor):
        self._update = update
        by_new = by_new_edge if update.kept is None else by_new_edge * update.kept
        self._by_new = by_new.numpy()
        z, factor, mean = update.mixed_edge, update.factor, update.mean
        sums = torch.zeros(2, len(factor), dtype=torch.float64)
        numbers = (t.numpy() for t in (z, mean, factor, update.offset))
        loops.add_sums(*numbers, self._by_new, *sums.numpy())
        self.by_shift, by_scale = sums.to(factor.dtype)
        self.by_scale = by_scale * update.inverse
        self._slope, self._rest = torch.zeros_like(factor), torch.zeros_like(factor)
        if update.of_batch:  # through its mean and deviation too
            self._slope = -factor * update.inverse * self.by_scale / len(z)
            self._rest = -mean * self._slope - factor * self.by_shift / len(z)

    def pull_back(self, rows: slice) -> Tensor:
        """The gradient by z of some edges."""
        update, z = self._update, self._update.mixed_edge[rows]
        back = torch.empty_like(z)
        numbers = (t.numpy() for t in (z, update.factor, update.offset))
        after = (t.numpy() for t in (self._slope, self._rest, back))
        loops.pull_back(*numbers, self._by_new[rows], *after)
        return back
