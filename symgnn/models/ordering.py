"""Atoms in an order in which neighbours lie near each other in memory.

A file has its atoms in any order, so what the sources of an atom's edges have lies all over a table
that is larger than the processor's second-level cache. By the algorithm of Cuthill and McKee
(doi:10.1145/800195.805928) atoms are numbered by their distance from one of them, in bonds.
"""

from collections.abc import Callable
from functools import wraps

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import reverse_cuthill_mckee
from torch import Tensor, nn

FEW_ATOMS = 1000  # whose tables the cache holds in any order


def order_of(edge_index: Tensor, atoms: int) -> tuple[Tensor, Tensor]:
    """Atoms, (atoms,), and their edges, (edges,), in an order that keeps neighbours together.

    Args:
        edge_index: (2, edges), on a processor, source and target, sorted by target; an edge may be
            there without its reverse, as around a piece of a glass.
        atoms: number of atoms.
    """
    source, target = edge_index.numpy()
    count = np.bincount(target, minlength=atoms)
    start = np.concatenate([[0], np.cumsum(count)]).astype(np.int32)
    pointers = np.ascontiguousarray(source, dtype=np.int32), start
    bonds = csr_array((np.ones(len(source), np.int8), *pointers), shape=(atoms, atoms))
    order = reverse_cuthill_mckee(bonds, symmetric_mode=True).astype(np.int64)
    begin = np.cumsum(count[order]) - count[order]
    edges = np.arange(len(source)) + np.repeat(start[order] - begin, count[order])
    return torch.from_numpy(order), torch.from_numpy(edges)


def in_near_order(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A network's `forward(species, edge_index, edge_vector)` on atoms in such an order.

    Where it is in training mode, gradients are made and its module `prediction` can be fast.
    Modules inside see the other order then; the result is in that of the atoms that were given.
    """

    @wraps(forward)
    def ordered(
        self: nn.Module, species: Tensor, edge_index: Tensor, edge_vector: Tensor
    ) -> Tensor:
        trains = self.training and torch.is_grad_enabled()
        worth_it = trains and len(species) > FEW_ATOMS
        if not worth_it or not self.prediction.can_be_fast(edge_index, edge_vector):
            return forward(self, species, edge_index, edge_vector)
        atoms, edges = order_of(edge_index, len(species))
        place = torch.empty_like(atoms)
        place[atoms] = torch.arange(len(atoms))
        found = forward(self, species[atoms], place[edge_index[:, edges]], edge_vector[edges])
        return found[place]

    return ordered
