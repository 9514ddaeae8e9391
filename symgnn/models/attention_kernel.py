"""The attention of EGAT on a processor, some targets at a time, so that its work stays in cache.

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
from symgnn.models.edge_update import EdgeUpdate, NormalisedUpdate
from symgnn.models.products import empty, product, transposed_product

BLOCK_NUMBERS = 256 * 1024  # in a block's (edges, heads * width): 1 MiB in single precision
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
    """
    source, target = edge_index
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
            prepares each shape of a product once, which takes longer than the product.
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


@dataclass
class _Features:
    """Makes f of a block's edges: once forward and once backward."""

    edge: Tensor
    from_source: Tensor
    from_target: Tensor
    weight: Tensor
    source: Tensor
    start: Tensor

    def __post_init__(self):
        self._graph = self.source.numpy(), self.start.numpy()
        self._terms = self.from_source.numpy(), self.from_target.numpy()
        self._slope = self._terms[0].dtype.type(SLOPE)

    def of(self, block: _Block) -> Tensor:
        """(rows, heads * width); the rows that are not the block's edges mean nothing."""
        feature = product(self.edge[block.rows], self.weight)
        loops.activate(feature.numpy(), *self._graph, block.atoms, *self._terms, self._slope)
        return feature


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx, node, edge, from_source, from_target, weight, score, source, start,
        mix, mix_bias, scale, shift, kept, statistics,
    ):  # fmt: skip
        features = _Features(edge, from_source, from_target, weight, source, start)
        attention = edge.new_empty(len(edge), len(score))
        mixed = edge.new_zeros(len(start) - 1, *score.shape)
        mixed_edge = new_edge = mean = inverse = None
        if mix is not None:
            mixed_edge = empty(edge.shape, edge.dtype)
        graph = source.numpy(), start.numpy()
        arrays = [t.numpy() for t in (score, attention, node, mixed)]
        for block in _blocks(start, len(weight)):
            feature = features.of(block)
            loops.scores(feature.numpy(), graph[1], block.atoms, *arrays[:2])
            attention[block.edges].exp_()
            loops.mix(*graph, block.atoms, arrays[2], arrays[1], arrays[3])
            if mix is not None:
                mixed_edge[block.rows] = product(feature, mix, mix_bias)
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
        features = _Features(edge, from_source, from_target, weight, source, start)
        by_mixed = by_mixed.contiguous()
        by_node, by_edge = torch.zeros_like(node), empty(edge.shape, edge.dtype)
        by_source, by_target = torch.zeros_like(from_source), torch.zeros_like(from_target)
        by_weight, by_score = torch.zeros_like(weight.T.contiguous()), torch.zeros_like(score)
        transposed = weight.T.contiguous()
        after = [None] * 6
        if mix is not None:
            by_mix, transposed_mix = torch.zeros_like(mix), mix.T.contiguous()
            normalisation = NormalisedUpdate(
                mixed_edge, scale, shift, mean, inverse, kept, ctx.of_batch
            )
            by_scale, by_shift = normalisation.parameter_gradients(by_new_edge)
            # the mean of a batch takes the bias away
            by_bias = torch.zeros_like(shift) if ctx.of_batch else normalisation.factor * by_shift
            after = [by_mix, by_bias, by_scale, by_shift, None, None]
        given = [t.numpy() for t in (source, start, node, attention, by_mixed, score)]
        sums = [t.numpy() for t in (by_node, by_score, by_source, by_target)]
        for block in _blocks(start, len(weight)):
            feature, count = features.of(block), block.edges.stop - block.edges.start
            if mix is None:
                gradient = torch.zeros_like(feature)
            else:
                back = normalisation.pull_back(by_new_edge, block.rows)
                back[count:] = 0  # of the next block
                gradient = product(back, transposed_mix)
                by_mix += transposed_product(back, feature)
            _pull_back(feature, gradient, block.atoms, *given, *sums)
            by_edge[block.rows] = product(gradient, transposed)
            if mix is not None:
                by_edge[block.edges] += by_new_edge[block.edges]
            by_weight += transposed_product(edge[block.rows], gradient)
        return by_node, by_edge, by_source, by_target, by_weight.T, by_score, None, None, *after


def _pull_back(
    feature, gradient, atoms, source, start, node, attention, by_mixed, score,
    by_node, by_score, by_source, by_target,
):  # fmt: skip
    """From the gradient by f of a block's edges to that by what is in the rectifier, in place.

    The last four are added to.
    """
    feature, gradient = feature.numpy(), gradient.numpy()
    graph, count = (source, start, atoms), start[atoms[1]] - start[atoms[0]]
    of_scores = np.empty((count, len(score)), score.dtype)
    loops.score_gradient(*graph, node, attention, by_mixed, of_scores)
    loops.add_to_nodes(*graph, attention, by_mixed, by_node)
    loops.through_activation(
        feature[:count], gradient, score, score.dtype.type(SLOPE), of_scores, by_score
    )
    loops.add_to_ends(gradient, *graph, by_source, by_target)
