"""Large structures some atoms at a time: every layer's memory stays that of a block.

A layer needs all atoms as sources but gives each target its result from its own edges alone, so
doing the targets of a spatial or any other block after each other changes no number. This is for
predictions. In training, what acts on each edge by itself is done in blocks that stay in cache,
and done again in the backward pass instead of kept.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

EDGES_AT_ONCE = 200_000  # some 6,000 atoms at 5 Å
NUMBERS_AT_ONCE = 256 * 1024  # of a block of rows: 1 MiB in single precision


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


def by_rows(
    function: Callable[..., Tensor], rows: Sequence[Tensor], *shared: Tensor, numbers: int
) -> Tensor:
    """function(*rows, *shared), where each row of the result depends on the same row of `rows`.

    On a processor the rows are done in blocks, and once more in the backward pass: no more than
    the arguments is kept. The numbers are the same. Under autocast, of which a backward pass knows
    nothing, they are done at once.

    Args:
        function: without random numbers.
        rows: tensors of the same first dimension.
        shared: tensors that all rows use.
        numbers: how many the function makes of a row, for the size of a block.
    """
    size = max(NUMBERS_AT_ONCE // numbers, 1)
    whole = rows[0].device.type != "cpu" or torch.is_autocast_enabled("cpu")
    if whole or len(rows[0]) <= size:
        return function(*rows, *shared)
    return _ByRows.apply(function, size, len(rows), *rows, *shared)


class _ByRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx, function, size, count, *tensors):
        ctx.function, ctx.size, ctx.count = function, size, count
        ctx.save_for_backward(*tensors)
        rows, shared = tensors[:count], tensors[count:]
        result = None
        for first in range(0, len(rows[0]), size):
            found = function(*(t[first : first + size] for t in rows), *shared)
            if result is None:
                result = found.new_empty(len(rows[0]), *found.shape[1:])
            result[first : first + size] = found
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        needed = ctx.needs_input_grad[3:]
        tensors, count = ctx.saved_tensors, ctx.count
        total = [torch.zeros_like(t) if n else None for t, n in zip(tensors, needed, strict=True)]
        shared = [
            t.detach().requires_grad_(n)
            for t, n in zip(tensors[count:], needed[count:], strict=True)
        ]
        for first in range(0, len(gradient), ctx.size):
            block = slice(first, first + ctx.size)
            rows = [
                t[block].detach().requires_grad_(n)
                for t, n in zip(tensors[:count], needed[:count], strict=True)
            ]
            inputs = [t for t in (*rows, *shared) if t.requires_grad]
            with torch.enable_grad():
                result = ctx.function(*rows, *shared)
            found = iter(torch.autograd.grad(result, inputs, gradient[block]))
            for k in range(len(tensors)):
                if needed[k] and k < count:
                    total[k][block] = next(found)
                elif needed[k]:
                    total[k] += next(found)
        return None, None, None, *total
