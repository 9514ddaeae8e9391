"""Pair lists of rows, and the memory in which they are worked through, for torch."""

from dataclasses import dataclass

import torch
from torch import Tensor

REAL = torch.float64


class Workspace:
    """Memory for numbers a pair, which all rows of a core share."""

    REALS, DOUBLES, INDICES = 13, 2, 4

    def __init__(self, dtype: torch.dtype, device: torch.device | str):
        self._dtype, self._device, self._size = dtype, device, 0
        self.grow(1)

    def grow(self, pairs: int) -> None:
        """Make room for so many pairs; lists made before keep the memory that they had."""
        if pairs > self._size:
            self._size = pairs + pairs // 8
            real = {"dtype": self._dtype, "device": self._device}
            double = {"dtype": REAL, "device": self._device}
            self.reals = torch.empty(self.REALS, self._size, **real)
            self.doubles = torch.empty(self.DOUBLES, self._size, **double)
            integer = {"device": self._device, "dtype": torch.int64}
            self.indices = torch.empty(self.INDICES, self._size, **integer)
            self.place = torch.empty(self._size, dtype=torch.int32, device=self._device)


@dataclass(frozen=True)
class PairList:
    """The pairs of a row: far ones with frozen sites, far ones of free atoms, near ones of free
    atoms, near ones with frozen sites. Near are those in reach of the densities.

    Indices are kept narrow, as the lists of many rows share the cache.

    Attributes:
        first: (pairs,), free atom.
        second: (pairs,), site.
        kind: (pairs,), of the tables.
        kind_back: (near,), the same for the density at the neighbour.
        free: the slice of pairs of two free atoms.
        near: the slice of near pairs.
        other_free: (free pairs,), the other atom.
        other: (near,), place of the other atom among the reached owners.
        reached: (reached,), owners whose density can have changed: first all free atoms.
        background: (reached,), density that others than the free atoms lay.
        before: (reached,), eV, embedding energy at the start.
        base_embedding: (reached,), where the embedding function begins.
    """

    first: Tensor
    second: Tensor
    kind: Tensor
    kind_back: Tensor
    free: slice
    near: slice
    other_free: Tensor
    other: Tensor
    reached: Tensor
    background: Tensor
    before: Tensor
    base_embedding: Tensor
