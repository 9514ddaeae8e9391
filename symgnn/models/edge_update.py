"""The next features of edges in the attention's kernel: normalised, activated, added."""

from dataclasses import dataclass

import numpy as np
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
    """silu(scale (z - mean) inverse + shift) of the edges' mixed features z, and backwards.

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
        start = edge if self.kept is None else torch.zeros_like(edge)
        numbers = self.mixed_edge, self.factor, self.offset, start, new_edge
        loops.update(*(t.numpy() for t in numbers))
        return new_edge if self.kept is None else torch.addcmul(edge, new_edge, self.kept)

    def parameter_gradients(self, by_new_edge: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients by scale and shift; keeps what `pull_back` needs."""
        by_new = by_new_edge if self.kept is None else by_new_edge * self.kept
        self._by_new = by_new.numpy()
        by_scale, by_shift = torch.zeros_like(self.scale), torch.zeros_like(self.shift)
        sums = by_scale.numpy(), by_shift.numpy()
        loops.add_sums(*self._arrays(slice(None), self.mean), self._by_new, *sums)
        by_scale *= self.inverse
        self._slope, self._rest = torch.zeros_like(by_scale), torch.zeros_like(by_scale)
        if self.of_batch:  # through its mean and deviation too
            count = len(self.mixed_edge)
            self._slope = -self.factor * self.inverse * by_scale / count
            self._rest = -self.mean * self._slope - self.factor * by_shift / count
        return by_scale, by_shift

    def pull_back(self, rows: slice) -> Tensor:
        """Gradient by z."""
        back = torch.empty_like(self.mixed_edge[rows])
        after = (t.numpy() for t in (self._slope, self._rest, back))
        loops.pull_back(*self._arrays(rows), self._by_new[rows], *after)
        return back

    def _arrays(self, rows: slice, *between: Tensor) -> list[np.ndarray]:
        numbers = self.mixed_edge[rows], *between, self.factor, self.offset
        return [t.numpy() for t in numbers]
