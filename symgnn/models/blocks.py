"""Large structures some atoms at a time: every layer's memory stays that of a block.

A layer needs all atoms as sources but gives each target its result from its own edges alone, so
doing the targets of a spatial or any other block after each other changes no number. This is for
predictions; for training see `attention_kernel` and `encoding_kernel`.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

EDGES_AT_ONCE = 200_000  # some 6,000 atoms at 5 Å


def works_in_blocks(model: nn.Module) -> bool:
    """Whether the layers of a model do large structures some targets at a time."""
    return any(getattr(module, "in_blocks", False) for module in model.modules())


def many_edges(edge_index: Tensor) -> bool:
    """Whether a structure is worth cutting: no gradient is wanted and it has many sorted edges."""
    return (
        not torch.is_grad_enabled()
        and edge_index.shape[1] > EDGES_AT_ONCE
        and bool((edge_index[1, 1:] >= edge_index[1, :-1]).all())
    )


def target_blocks(edge_index: Tensor, atoms: int) -> Iterator[tuple[slice, slice]]:
    """Consecutive atoms and the edges that end at them, about `EDGES_AT_ONCE` edges at a time.

    Args:
        edge_index: (2, edges), sorted by target.
        atoms: number of atoms.
    """
    end = torch.cumsum(torch.bincount(edge_index[1], minlength=atoms), 0)
    first_atom, first_edge = 0, 0
    while first_atom < atoms:
        limit = torch.tensor(first_edge + EDGES_AT_ONCE, device=end.device)
        last = max(int(torch.searchsorted(end, limit, right=True)), first_atom + 1)
        last_edge = int(end[last - 1])
        yield slice(first_atom, last), slice(first_edge, last_edge)
        first_atom, first_edge = last, last_edge
