"""The attention of EGAT on a processor, some targets at a time.

What an edge holds for all heads, (edges, heads * width), is by far the largest tensor of the
network. It is made for a block of targets only, used, and made anew in the backward pass; between
the two remain the attention, (edges, heads), and what goes in and comes out. A block's products of
matrices are torch's and the rest, from the gathered atoms to the weighted sums, is one loop over
the edges of each target, which lie next to each other.

The messages use that the map of the values is linear: sum over j of a_ij B h_j is B applied to the
sum over j of a_ij h_j, so an edge gathers `width` numbers for all its heads.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from symgnn.models import attention_loops as loops
from symgnn.models.edge_update import EdgeUpdate, NormalisedUpdate, UpdateGradients
from symgnn.models.products import add_transposed_product, empty, product

# In a block's (edges, heads * width), 4 MiB in single precision. On the processor of docs/symgnn.md
# four times as many took the same time, and a quarter or eight times as many a tenth more.
BLOCK_NUMBERS = 1024 * 1024
SLOPE = 0.01  # of the leaky rectifier below zero


def attend(
    node: Tensor,
    edge: Tensor,
    from_source: Tensor,
    from_target: Tensor,
    edge_index: Tensor,
    weight: Tensor,
    bias: Tensor,
    score: Tensor,
    update: EdgeUpdate | None,
) -> tuple[Tensor, Tensor | None]:
    """f = leaky(W e_ij + b + s_j + t_i), a = softmax over j of (score f), sum over j of a_ij h_j.

    Args:
        node: (atoms, width), h.
        edge: (edges, width), e.
        from_source: (atoms, heads * width), s.
        from_target: (targets, heads * width), t.
        edge_index: (2, edges), source and target, sorted by target.
        weight: (heads * width, width), W.
        bias: (heads * width,), b.
        score: (heads, width).
        update: of the edges' features, or None where they are needed no more.

    Returns:
        The sums, (targets, heads, width), and the next features of the edges, (edges, width), or
        None without an update.

    Raises:
        IndexError: an edge names an atom that is not there.
    """
    source, target = edge_index
    for end, atoms in ((source, len(node)), (target, len(from_target))):
        if len(end) and not 0 <= int(end.min()) <= int(end.max()) < atoms:
            raise IndexError(f"an edge names an atom outside of 0 to {atoms - 1}")
    start = target.new_zeros(len(from_target) + 1)
    torch.cumsum(torch.bincount(target, minlength=len(from_target)), 0, out=start[1:])
    # The bias is added once to a target and not to each of its edges.
    tensors = [t.contiguous() for t in (node, edge, from_source, from_target + bias, weight, score)]
    after = [None] * 6
    if update is not None:
        norm = update.norm
        after = [update.weight, update.bias, norm.scale, norm.shift, update.kept, norm.statistics]
    return _Attention.apply(*tensors, source.contiguous(), start, *after)


def usable(edge_index: Tensor, edge: Tensor, weight: Tensor) -> bool:
    """Whether `attend` can run: plain numbers of one kind on a processor, edges by target."""
    return (
        edge.device.type == "cpu"
        and edge.dtype == weight.dtype
        and edge.dtype in (torch.float32, torch.float64)
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and bool((edge_index[1, 1:] >= edge_index[1, :-1]).all())
    )


@dataclass(frozen=True)
class _Block:
    """Consecutive targets whose edges are done at once.

    Attributes:
        atoms: the first target and the one after the last.
        edges: that end at them.
        rows: `edges` and some after them, so that blocks have the same number of rows: oneDNN
            prepares each shape of a product once, which takes longer than the product (where it is
            oneDNN that multiplies).
    """

    atoms: tuple[int, int]
    edges: slice
    rows: slice


def _blocks(start: Tensor, columns: int) -> list[_Block]:
    """All targets in blocks of about `BLOCK_NUMBERS` numbers, (edges, columns)."""
    size = max(BLOCK_NUMBERS // columns, 1)
    ends = start.numpy()
    found, atom, atoms = [], 0, len(start) - 1
    while atom < atoms:
        last = int(np.searchsorted(ends, ends[atom] + size, side="right")) - 1
        last = min(max(last, atom + 1), atoms)
        first, end = int(ends[atom]), int(ends[last])
        rows = slice(first, max(end, min(first + size, int(ends[-1]))))
        found.append(_Block((atom, last), slice(first, end), rows))
        atom = last
    return found


class _Features:
    """Makes f of a block's edges, (rows, heads * width): once forward and once backward.

    Rows that are not the block's edges mean nothing.
    """

    def __init__(
        self, edge: Tensor, weight: Tensor, graph: tuple[Tensor, Tensor], terms: tuple[Tensor, ...]
    ):
        self._edge = edge
        self.transposed = weight.T.contiguous()
        self._graph = tuple(t.numpy() for t in graph)
        self._terms = tuple(t.numpy() for t in terms)
        self._slope = self._terms[0].dtype.type(SLOPE)
        self.blocks = _blocks(graph[1], len(weight))
        self._room = self.room()

    def room(self) -> Tensor:
        """Memory for such numbers of any block."""
        rows = max((block.rows.stop - block.rows.start for block in self.blocks), default=0)
        return self._edge.new_empty(rows, self.transposed.shape[1])

    def before(self, block: _Block) -> Tensor:
        """What goes into the rectifier, without the terms of the atoms; until the next block."""
        edge = self._edge[block.rows]
        return product(edge, self.transposed.T, out=self._room[: len(edge)])

    def of(self, block: _Block) -> Tensor:
        """f, until the next block."""
        feature = self.before(block)
        numbers = feature.numpy(), *self._graph, block.atoms, *self._terms, self._slope
        loops.activate_all(*numbers)
        return feature

    def attend(self, block: _Block, *arrays: np.ndarray) -> Tensor:
        """f, and the attention and sums of the block, see `attention_loops.attend`."""
        feature = self.before(block)
        numbers = feature.numpy(), *self._graph, block.atoms, *self._terms, self._slope
        loops.attend(*numbers, *arrays)
        return feature

    def pull_back(
        self, block: _Block, feature: Tensor, gradient: Tensor, *arrays: np.ndarray
    ) -> None:
        """From gradients by f to those by what it is made of, see `attention_loops.pull_back`."""
        numbers = feature.numpy(), gradient.numpy(), *self._graph, block.atoms, self._slope
        loops.pull_back(*numbers, *arrays)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx, node, edge, from_source, from_target, weight, score, source, start,
        mix, mix_bias, scale, shift, kept, statistics,
    ):  # fmt: skip
        features = _Features(edge, weight, (source, start), (from_source, from_target))
        attention = edge.new_empty(len(edge) * len(score))
        mixed = edge.new_zeros(len(start) - 1, *score.shape)
        mixed_edge = new_edge = mean = inverse = None
        if mix is not None:
            mixed_edge = empty(edge.shape, edge.dtype)
        arrays = [t.numpy() for t in (score, node, attention, mixed)]
        for block in features.blocks:
            feature = features.attend(block, *arrays)
            if mix is not None:
                product(feature, mix, mix_bias, out=mixed_edge[block.rows])
        if mix is not None:
            mean, inverse, ctx.of_batch = statistics(mixed_edge)
            new_edge = NormalisedUpdate(
                mixed_edge, scale, shift, mean, inverse, kept, ctx.of_batch
            ).add_to(edge)
        ctx.save_for_backward(
            node, edge, from_source, from_target, weight, score, source, start, attention,
            mix, scale, shift, kept, mixed_edge, mean, inverse,
        )  # fmt: skip
        return mixed, new_edge

    @staticmethod
    @once_differentiable
    def backward(ctx, by_mixed, by_new_edge):
        (
            node, edge, from_source, from_target, weight, score, source, start, attention,
            mix, scale, shift, kept, mixed_edge, mean, inverse,
        ) = ctx.saved_tensors  # fmt: skip
        features = _Features(edge, weight, (source, start), (from_source, from_target))
        by_mixed = by_mixed.contiguous()
        by_node, by_edge = torch.zeros_like(node), empty(edge.shape, edge.dtype)
        by_source, by_target = torch.zeros_like(from_source), torch.zeros_like(from_target)
        by_weight = torch.zeros_like(features.transposed)
        by_score = torch.zeros_like(score)
        after = [None] * 6
        if mix is not None:
            by_mix, transposed_mix = torch.zeros_like(mix), mix.T.contiguous()
            by_new_edge = by_new_edge.contiguous()
            update = NormalisedUpdate(mixed_edge, scale, shift, mean, inverse, kept, ctx.of_batch)
            back = UpdateGradients(update, by_new_edge)
            # the mean of a batch takes the bias away
            by_bias = torch.zeros_like(shift) if ctx.of_batch else update.factor * back.by_shift
            after = [by_mix, by_bias, back.by_scale, back.by_shift, None, None]
        given = [t.numpy() for t in (score, node, attention, by_mixed)]
        sums = [t.numpy() for t in (by_node, by_score, by_source, by_target)]
        room = features.room()
        for block in features.blocks:
            feature, count = features.of(block), block.edges.stop - block.edges.start
            gradient = room[: len(feature)]
            if mix is None:
                gradient.zero_()
            else:
                by_mixed_edge = back.pull_back(block.rows)
                by_mixed_edge[count:] = 0  # of the next block
                product(by_mixed_edge, transposed_mix, out=gradient)
                add_transposed_product(by_mix, by_mixed_edge, feature)
            features.pull_back(block, feature, gradient, *given, *sums)
            above = None if mix is None else by_new_edge[block.rows]
            product(gradient, features.transposed, above, out=by_edge[block.rows])
            add_transposed_product(by_weight, edge[block.rows], gradient)
        return by_node, by_edge, by_source, by_target, by_weight.T, by_score, None, None, *after
