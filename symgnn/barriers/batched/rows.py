"""What the rows of all kernels share."""

from typing import NamedTuple
from typing import Protocol as Interface

import numpy as np
import torch
from torch import Tensor

from symgnn.barriers.batched.tables import DeviceTables
from symgnn.barriers.engines import RowForces
from symgnn.barriers.regions import Region


class Space(NamedTuple):
    """What a row must have room for."""

    free: int  # free atoms
    sites: int
    candidate_skin: float  # Å, beyond the pairs of a list, of the candidates for them


class Settings(NamedTuple):
    """What a kernel is told of the structure and of its lists.

    Attributes:
        tables: the potential, on the device.
        atoms: of the structure.
        device: of torch.
        dtype: of the pair functions.
        skin: how far beyond their reach pairs are listed, Å.
        neighbors: most neighbours within reach and skin of any atom at the start.
    """

    tables: DeviceTables
    atoms: int
    device: str
    dtype: torch.dtype
    skin: float
    neighbors: int

    def wider(self, space: Space) -> float:
        """How many times the volume of a list the candidates for it fill."""
        reach = self.tables.far.max() + self.skin
        return ((reach + space.candidate_skin) / reach) ** 3


class Kernel(Interface):
    """Computes forces of rows."""

    def prepare(self, region: Region, space: Space) -> object:
        """A region, for all searches that start in it."""

    def rows(self, size: int, space: Space) -> RowForces:
        """Forces for a batch of rows."""

    def row_bytes(self, space: Space) -> int:
        """Memory of a row."""

    def listed_pairs(self, start: object) -> tuple[int, int]:
        """Pairs in the list of a prepared region: in reach of the densities, and others."""


class RowSearch:
    """An open search of a batch.

    Args:
        atoms: (free,), indices of the free atoms in the structure.
        position: (free, 3), Å, at the start.
        start: what the kernel keeps of its region.
    """

    def __init__(self, atoms: np.ndarray, position: np.ndarray, start: object):
        self.atoms, self.position, self.start = atoms, position, start


def furthest(position: Tensor, other: Tensor) -> Tensor:
    """Square of the longest way of an atom (rows,), Å², between positions (rows, 3 atoms), Å."""
    return (position - other).square_().unflatten(-1, (-1, 3)).sum(-1).amax(-1)
