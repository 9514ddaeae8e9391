"""The next features of edges in the attention's kernel: normalised, activated, added."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import silu

from symgnn.models.normalization import BatchNorm
from symgnn.models.products import empty

ROWS = 4096  # of (edges, width), which stay in cache


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

    def normal(self, rows: slice) -> Tensor:
        """What goes into the silu."""
        return torch.addcmul(self.offset, self.mixed_edge[rows], self.factor)

    def add_to(self, edge: Tensor) -> Tensor:
        """The next features of the edges."""
        new_edge = empty(edge.shape, edge.dtype)
        for rows in self._slices():
            new = silu(self.normal(rows))
            if self.kept is not None:
                new *= self.kept[rows]
            torch.add(edge[rows], new, out=new_edge[rows])
        return new_edge

    def by_normal(self, by_new_edge: Tensor, rows: slice) -> Tensor:
        """Gradient by `normal`."""
        by_new = by_new_edge[rows] if self.kept is None else by_new_edge[rows] * self.kept[rows]
        return torch.ops.aten.silu_backward(by_new, self.normal(rows))

    def parameter_gradients(self, by_new_edge: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients by scale and shift; sets what `pull_back` needs."""
        by_scale, by_shift = torch.zeros_like(self.scale), torch.zeros_like(self.shift)
        for rows in self._slices():
            back = self.by_normal(by_new_edge, rows)
            by_shift += back.sum(0)
            by_scale += back.mul_(self.mixed_edge[rows] - self.mean).sum(0)
        by_scale *= self.inverse
        count = len(self.mixed_edge)
        self._by_z = -self.factor * self.inverse * by_scale / count
        self._rest = -self.mean * self._by_z - self.factor * by_shift / count
        return by_scale, by_shift

    def pull_back(self, by_new_edge: Tensor, rows: slice) -> Tensor:
        """Gradient by z."""
        back = self.by_normal(by_new_edge, rows)
        if not self.of_batch:
            return back.mul_(self.factor)
        return torch.addcmul(self._rest, self.mixed_edge[rows], self._by_z).addcmul_(
            back, self.factor
        )

    def _slices(self) -> list[slice]:
        return [slice(k, k + ROWS) for k in range(0, len(self.mixed_edge), ROWS)]
