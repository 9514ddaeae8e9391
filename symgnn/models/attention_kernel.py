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
from numba import njit
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import silu

from symgnn.models.normalization import BatchNorm

BLOCK_NUMBERS = 256 * 1024  # in a block's (edges, heads * width): 1 MiB in single precision
SLOPE = 0.01  # of the leaky rectifier below zero
# Sums may be reordered, for vector instructions; infinities and NaN are kept.
FAST = {"reassoc", "contract", "nsz", "arcp"}


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


@njit(cache=True, nogil=True, fastmath=FAST)
def _activate(feature, source, start, atoms, from_source, from_target, slope):
    """leaky(feature + source's term + target's term), in place, for a block of targets."""
    first = start[atoms[0]]
    columns = feature.shape[1]
    for i in range(atoms[0], atoms[1]):
        of_target = from_target[i]
        for e in range(start[i], start[i + 1]):
            of_source, row = from_source[source[e]], feature[e - first]
            for c in range(columns):
                x = row[c] + of_source[c] + of_target[c]
                row[c] = max(x, slope * x)


@njit(cache=True, nogil=True, fastmath=FAST)
def _scores(feature, start, atoms, weight, score):
    """Scores of a block's edges, the largest of each target and head subtracted."""
    first = start[atoms[0]]
    heads, width = weight.shape
    zero = weight.dtype.type(0)
    for i in range(atoms[0], atoms[1]):
        for e in range(start[i], start[i + 1]):
            for h in range(heads):
                total = zero
                for k in range(width):
                    total += feature[e - first, h * width + k] * weight[h, k]
                score[e, h] = total
        for h in range(heads):
            largest = score[start[i], h] if start[i] < start[i + 1] else zero
            for e in range(start[i], start[i + 1]):
                largest = max(largest, score[e, h])
            for e in range(start[i], start[i + 1]):
                score[e, h] -= largest


@njit(cache=True, nogil=True, fastmath=FAST)
def _mix(source, start, atoms, node, attention, mixed):
    """Normalise the exponentials of the scores, and sum the sources of each target by them."""
    heads, width = mixed.shape[1:]
    for i in range(atoms[0], atoms[1]):
        for h in range(heads):
            total = node.dtype.type(0)
            for e in range(start[i], start[i + 1]):
                total += attention[e, h]
            for e in range(start[i], start[i + 1]):
                attention[e, h] /= total
        for e in range(start[i], start[i + 1]):
            j = source[e]
            for h in range(heads):
                share = attention[e, h]
                for k in range(width):
                    mixed[i, h, k] += share * node[j, k]


@njit(cache=True, nogil=True, fastmath=FAST)
def _score_gradient(source, start, atoms, node, attention, by_mixed, by_score):
    """Gradient by the scores of a block's edges, through the softmax."""
    first = start[atoms[0]]
    heads, width = by_mixed.shape[1:]
    zero = node.dtype.type(0)
    for i in range(atoms[0], atoms[1]):
        for e in range(start[i], start[i + 1]):
            j = source[e]
            for h in range(heads):
                total = zero
                for k in range(width):
                    total += by_mixed[i, h, k] * node[j, k]
                by_score[e - first, h] = total
        for h in range(heads):
            mean = zero
            for e in range(start[i], start[i + 1]):
                mean += attention[e, h] * by_score[e - first, h]
            for e in range(start[i], start[i + 1]):
                by_score[e - first, h] = attention[e, h] * (by_score[e - first, h] - mean)


@njit(cache=True, nogil=True, fastmath=FAST)
def _add_to_nodes(source, start, atoms, attention, by_mixed, by_node):
    """Gradient by the sources' features in the weighted sums."""
    heads, width = by_mixed.shape[1:]
    for i in range(atoms[0], atoms[1]):
        for e in range(start[i], start[i + 1]):
            j = source[e]
            for h in range(heads):
                share = attention[e, h]
                for k in range(width):
                    by_node[j, k] += share * by_mixed[i, h, k]


@njit(cache=True, nogil=True, fastmath=FAST)
def _through_activation(feature, gradient, weight, slope, by_score, by_weight):
    """Add what the scores give to `gradient`, and take it through the rectifier, in place."""
    heads, width = weight.shape
    zero, one = weight.dtype.type(0), weight.dtype.type(1)
    for e in range(len(feature)):
        for h in range(heads):
            by_this, at = by_score[e, h], h * width
            for k in range(width):
                by_weight[h, k] += by_this * feature[e, at + k]
            for k in range(width):
                factor = one if feature[e, at + k] > zero else slope
                gradient[e, at + k] = (gradient[e, at + k] + by_this * weight[h, k]) * factor


@njit(cache=True, nogil=True, fastmath=FAST)
def _add_to_ends(gradient, source, start, atoms, by_source, by_target):
    """Add the gradients of edges to those of the terms of their sources and targets."""
    first = start[atoms[0]]
    columns = gradient.shape[1]
    for i in range(atoms[0], atoms[1]):
        for e in range(start[i], start[i + 1]):
            j = source[e]
            for c in range(columns):
                by_target[i, c] += gradient[e - first, c]
            for c in range(columns):
                by_source[j, c] += gradient[e - first, c]


def _blocks(start: Tensor, columns: int) -> list[tuple[tuple[int, int], slice]]:
    """First atom and the one after the last, and the edges, of consecutive blocks of targets."""
    edges = max(BLOCK_NUMBERS // columns, 1)
    ends = start.numpy()
    found, atom, atoms = [], 0, len(start) - 1
    while atom < atoms:
        last = int(np.searchsorted(ends, ends[atom] + edges, side="right")) - 1
        last = min(max(last, atom + 1), atoms)
        found.append(((atom, last), slice(int(ends[atom]), int(ends[last]))))
        atom = last
    return found


def _arrays(*tensors: Tensor) -> list[np.ndarray]:
    return [tensor.numpy() for tensor in tensors]


@dataclass
class _Block:
    """Makes the activated features of a block's edges: once forward and once backward."""

    edge: Tensor
    from_source: Tensor
    from_target: Tensor
    weight: Tensor
    source: Tensor
    start: Tensor

    def feature(self, atoms: tuple[int, int], edges: slice) -> Tensor:
        feature = torch.mm(self.edge[edges], self.weight.T)
        _activate(
            *_arrays(feature, self.source, self.start),
            atoms,
            *_arrays(self.from_source, self.from_target),
            feature.numpy().dtype.type(SLOPE),
        )
        return feature


@dataclass
class _Normalisation:
    """silu(scale (z - mean) inverse + shift) of the edges' mixed features z, backwards."""

    mixed_edge: Tensor
    scale: Tensor
    shift: Tensor
    mean: Tensor
    inverse: Tensor
    kept: Tensor | None

    def by_normal(self, by_new_edge: Tensor, edges: slice) -> Tensor:
        """Gradient by what goes into the silu."""
        factor = self.scale * self.inverse
        normal = torch.addcmul(self.shift - self.mean * factor, self.mixed_edge[edges], factor)
        by_new = by_new_edge[edges] if self.kept is None else by_new_edge[edges] * self.kept[edges]
        return torch.ops.aten.silu_backward(by_new, normal)

    def parameter_gradients(
        self, by_new_edge: Tensor, blocks: list[tuple[tuple[int, int], slice]]
    ) -> tuple[Tensor, Tensor]:
        """Gradients by scale and shift."""
        by_scale, by_shift = torch.zeros_like(self.scale), torch.zeros_like(self.shift)
        for _, edges in blocks:
            back = self.by_normal(by_new_edge, edges)
            by_shift += back.sum(0)
            by_scale += (back * (self.mixed_edge[edges] - self.mean)).sum(0)
        return by_scale * self.inverse, by_shift

    def pull_back(
        self, by_new_edge: Tensor, edges: slice, through: tuple[Tensor, Tensor] | None
    ) -> Tensor:
        """Gradient by z; `through` has those by scale and shift where mean and inverse are of z."""
        back = self.by_normal(by_new_edge, edges)
        if through is not None:
            by_scale, by_shift = through
            count = len(self.mixed_edge)
            factor = self.inverse * by_scale / count
            back -= torch.addcmul(
                by_shift / count - self.mean * factor, self.mixed_edge[edges], factor
            )
        return back.mul_(self.scale * self.inverse)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx, node, edge, from_source, from_target, weight, score, source, start,
        mix, mix_bias, scale, shift, kept, statistics,
    ):  # fmt: skip
        block = _Block(edge, from_source, from_target, weight, source, start)
        attention = edge.new_empty(len(edge), len(score))
        mixed = edge.new_zeros(len(start) - 1, *score.shape)
        mixed_edge = new_edge = mean = inverse = None
        if mix is not None:
            mixed_edge, new_edge = torch.empty_like(edge), torch.empty_like(edge)
        blocks = _blocks(start, len(weight))
        for atoms, edges in blocks:
            feature = block.feature(atoms, edges)
            _scores(*_arrays(feature, start), atoms, *_arrays(score, attention))
            attention[edges].exp_()
            _mix(*_arrays(source, start), atoms, *_arrays(node, attention, mixed))
            if mix is not None:
                torch.addmm(mix_bias, feature, mix.T, out=mixed_edge[edges])
        if mix is not None:
            mean, inverse, ctx.of_batch = statistics(mixed_edge)
            factor = scale * inverse
            offset = shift - mean * factor
            for _, edges in blocks:
                new = silu(torch.addcmul(offset, mixed_edge[edges], factor))
                if kept is not None:
                    new *= kept[edges]
                torch.add(edge[edges], new, out=new_edge[edges])
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
        block = _Block(edge, from_source, from_target, weight, source, start)
        by_mixed = by_mixed.contiguous()
        by_node, by_edge = torch.zeros_like(node), torch.empty_like(edge)
        by_source, by_target = torch.zeros_like(from_source), torch.zeros_like(from_target)
        by_weight, by_score = torch.zeros_like(weight.T.contiguous()), torch.zeros_like(score)
        slope = score.numpy().dtype.type(SLOPE)
        graph = _arrays(source, start)
        blocks = _blocks(start, len(weight))
        if mix is not None:
            by_mix, by_mix_bias = torch.zeros_like(mix), torch.zeros_like(shift)
            normalisation = _Normalisation(mixed_edge, scale, shift, mean, inverse, kept)
            by_scale, by_shift = normalisation.parameter_gradients(by_new_edge, blocks)
            through = (by_scale, by_shift) if ctx.of_batch else None
        for atoms, edges in blocks:
            feature = block.feature(atoms, edges)
            if mix is None:
                gradient = torch.zeros_like(feature)
            else:
                back = normalisation.pull_back(by_new_edge, edges, through)
                by_mix_bias += back.sum(0)
                gradient = back @ mix
                by_mix.addmm_(back.T, feature)
            of_scores = feature.new_empty(len(feature), len(score))
            _score_gradient(*graph, atoms, *_arrays(node, attention, by_mixed, of_scores))
            _add_to_nodes(*graph, atoms, *_arrays(attention, by_mixed, by_node))
            _through_activation(
                *_arrays(feature, gradient, score), slope, *_arrays(of_scores, by_score)
            )
            _add_to_ends(gradient.numpy(), *graph, atoms, *_arrays(by_source, by_target))
            if mix is None:
                torch.mm(gradient, weight, out=by_edge[edges])
            else:
                torch.addmm(by_new_edge[edges], gradient, weight, out=by_edge[edges])
            by_weight.addmm_(edge[edges].T, gradient)
        after = [None] * 6
        if mix is not None:
            after = [by_mix, by_mix_bias, by_scale, by_shift, None, None]
        return by_node, by_edge, by_source, by_target, by_weight.T, by_score, None, None, *after
