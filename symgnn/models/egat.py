"""Graph attention with edge features that are carried from layer to layer (EGAT)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing
from torch_geometric.utils import softmax

from symgnn.models import attention_kernel
from symgnn.models.blocks import many_edges, target_blocks
from symgnn.models.edge_update import EdgeUpdate
from symgnn.models.elements import ElementEmbedding
from symgnn.models.normalization import BatchNorm


class EdgeAttention(MessagePassing):
    """One edge-featured attention: Kamiński et al. 2021 (doi:10.1093/bib/bbab371), as in DGL.

    f_ij = LeakyReLU(A [h_j, e_ij, h_i] + b);  a_ij = softmax over j of (F f_ij);
    h_i' = sum over j of a_ij B h_j;  f_ij is the new feature of the edge.

    `attend` sends the messages by torch-geometric, for explainers and accelerators; `attend_fast`
    gives the same numbers on a processor without making all f_ij at once.

    Args:
        width: length of node and edge features coming in, and of one head's going out.
        heads: number of attention heads.
    """

    def __init__(self, width: int, heads: int):
        super().__init__(aggr="add", node_dim=0)
        self.heads, self.width = heads, width
        self.from_source = nn.Linear(width, heads * width, bias=False)
        self.from_target = nn.Linear(width, heads * width, bias=False)
        self.from_edge = nn.Linear(width, heads * width)
        self.value = nn.Linear(width, heads * width, bias=False)
        self.score = nn.Parameter(torch.empty(heads, width))
        nn.init.xavier_normal_(self.score)

    def forward(self, node: Tensor, edge_index: Tensor, edge: Tensor) -> tuple[Tensor, Tensor]:
        """Node features (atoms, heads * width) and edge features (edges, heads * width)."""
        return self.attend(*self.terms(node), self.values(node), edge_index, edge)

    def terms(self, node: Tensor) -> tuple[Tensor, Tensor]:
        """What atoms give to their edges as source and as target, (atoms, heads * width) each."""
        return self.from_source(node), self.from_target(node)

    def values(self, node: Tensor) -> Tensor:
        """What atoms send, (atoms, heads, width)."""
        return self.value(node).unflatten(-1, (self.heads, self.width))

    def attend(
        self,
        from_source: Tensor,
        from_target: Tensor,
        value: Tensor,
        edge_index: Tensor,
        edge: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """As `forward`, from `terms` and `values`; the targets can be some of the atoms only."""
        source, target = edge_index
        feature = self.from_edge(edge) + from_source[source] + from_target[target]
        feature = nn.functional.leaky_relu(feature, 0.01)
        score = (feature.unflatten(-1, (self.heads, self.width)) * self.score).sum(-1)
        attention = softmax(score, target, num_nodes=len(from_target))
        mixed = self.propagate(
            edge_index, value=value, attention=attention, size=(len(value), len(from_target))
        )
        return mixed.flatten(1), feature

    def attend_fast(
        self,
        node: Tensor,
        from_source: Tensor,
        from_target: Tensor,
        edge_index: Tensor,
        edge: Tensor,
        update: EdgeUpdate | None,
    ) -> tuple[Tensor, Tensor | None]:
        """As `attend`, but with the updated edges, (edges, width), in the place of f_ij.

        Args:
            node: (atoms, width).
            from_source: (atoms, heads * width), see `terms`.
            from_target: (targets, heads * width), see `terms`.
            edge_index: (2, edges), sorted by target.
            edge: (edges, width).
            update: of the edges' features; None where they are needed no more.
        """
        weights = self.from_edge.weight, self.from_edge.bias, self.score
        mean, new_edge = attention_kernel.attend(
            node, edge, from_source, from_target, edge_index, *weights, update
        )
        weight = self.value.weight.unflatten(0, (self.heads, self.width))
        return torch.einsum("ahk,hwk->ahw", mean, weight).flatten(1), new_edge

    def can_be_fast(self, edge_index: Tensor, edge: Tensor) -> bool:
        """Whether `attend_fast` may stand in: nobody looks at messages, and edges are sorted."""
        watched = self.explain or any(
            (
                self._propagate_forward_pre_hooks,
                self._propagate_forward_hooks,
                self._message_forward_pre_hooks,
                self._message_forward_hooks,
                self._aggregate_forward_pre_hooks,
                self._aggregate_forward_hooks,
            )
        )
        return not watched and attention_kernel.usable(edge_index, edge, self.score)

    def message(self, value_j: Tensor, attention: Tensor) -> Tensor:
        """What the source of each edge sends, (edges, heads, width)."""
        return attention.unsqueeze(-1) * value_j


class EdgeAttentionLayer(nn.Module):
    """Attention, heads mixed back to one width, normalised, and a skip connection for both.

    The paper names no normalisation; its released code has batch norm, see `BatchNorm`.

    Args:
        width: length of node and edge features.
        heads: number of attention heads.
        dropout: share of the new features that training drops.
        last: whether edge features are needed no more.
    """

    in_blocks = True

    def __init__(self, width: int, heads: int, *, dropout: float, last: bool):
        super().__init__()
        self.attention = EdgeAttention(width, heads)
        self.mix_nodes = nn.Linear(heads * width, width)
        self.norm_nodes = BatchNorm(width)
        if not last:
            self.mix_edges = nn.Linear(heads * width, width)
            self.norm_edges = BatchNorm(width)
        self.last = last
        self.dropout = nn.Dropout(dropout)

    def forward(self, node: Tensor, edge_index: Tensor, edge: Tensor) -> tuple[Tensor, Tensor]:
        """Node features (atoms, width) and edge features (edges, width) after the layer."""
        of_batch = self.norm_nodes.training  # statistics of all rows at once, see `refresh`
        if many_edges(edge_index) and not of_batch:
            return self._in_blocks(node, edge_index, edge)
        terms = self.attention.terms(node)
        mixed, edge = self._attend(node, *terms, edge_index, edge)
        return node + self._node_update(mixed), edge

    def _attend(
        self,
        node: Tensor,
        from_source: Tensor,
        from_target: Tensor,
        edge_index: Tensor,
        edge: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Sums of the messages, and the edges' features after the layer."""
        attention = self.attention
        if attention.can_be_fast(edge_index, edge):
            mixed, new_edge = attention.attend_fast(
                node, from_source, from_target, edge_index, edge, self._fast_update(edge)
            )
            return mixed, edge if self.last else new_edge
        values = attention.values(node)
        mixed, feature = attention.attend(from_source, from_target, values, edge_index, edge)
        return mixed, edge if self.last else edge + self._edge_update(feature)

    def _fast_update(self, edge: Tensor) -> EdgeUpdate | None:
        if self.last:
            return None
        kept = self.dropout(torch.ones_like(edge)) if self.training and self.dropout.p else None
        return EdgeUpdate(self.mix_edges.weight, self.mix_edges.bias, self.norm_edges, kept)

    def _node_update(self, mixed: Tensor) -> Tensor:
        return self.dropout(nn.functional.silu(self.norm_nodes(self.mix_nodes(mixed))))

    def _edge_update(self, feature: Tensor) -> Tensor:
        return self.dropout(nn.functional.silu(self.norm_edges(self.mix_edges(feature))))

    def _in_blocks(self, node: Tensor, edge_index: Tensor, edge: Tensor) -> tuple[Tensor, Tensor]:
        """The same for large structures, some atoms at a time; the edges are updated in place."""
        from_source, from_target = self.attention.terms(node)
        new = node.clone()
        for atoms, edges in target_blocks(edge_index, len(node)):
            block = torch.stack([edge_index[0, edges], edge_index[1, edges] - atoms.start])
            mixed, new_edge = self._attend(
                node, from_source, from_target[atoms], block, edge[edges]
            )
            new[atoms] += self._node_update(mixed)
            if not self.last:
                edge[edges] = new_edge
        return new, edge


class PredictionModule(nn.Module):
    """From edge features to a number an atom: the paper's second sub-module (section 4.3).

    Four layers of attention with 8, 4, 2 and 1 heads, then a decoder. An atom becomes a weighted
    mean of its neighbours and nothing of an edge but its weight reaches it: in a glass of one
    element all atoms would stay equal, so one element is refused.

    Args:
        elements: atomic numbers that the model knows, at least two.
        width: length of node and edge features.
        heads: attention heads of each layer.
        dropout: share of a layer's new features that training drops.
    """

    def __init__(
        self, elements: Sequence[int], *, width: int, heads: Sequence[int], dropout: float
    ):
        super().__init__()
        if len(elements) < 2:
            raise ValueError(
                "its attention averages what the neighbours are, which is the same for all atoms "
                "of one element; take density, response, schnet or equivariant"
            )
        self.embedding = ElementEmbedding(elements, width)
        self.layers = nn.ModuleList(
            EdgeAttentionLayer(width, count, dropout=dropout, last=k == len(heads) - 1)
            for k, count in enumerate(heads)
        )
        self.decoder = decoder(width)

    def can_be_fast(self, edge_index: Tensor, numbers: Tensor) -> bool:
        """Whether all layers can; `numbers` have the kind and the device of the edges' features."""
        return all(layer.attention.can_be_fast(edge_index, numbers) for layer in self.layers)

    def forward(self, species: Tensor, edge_index: Tensor, edge: Tensor) -> Tensor:
        """(atoms,) standardised barriers from (edges, width) features of the edges."""
        node = self.embedding(species)
        for layer in self.layers:
            node, edge = layer(node, edge_index, edge)
        return self.decoder(node).squeeze(-1)


def decoder(width: int, depth: int = 4) -> nn.Sequential:
    """`depth` times linear, normalisation and PReLU, then one number."""
    blocks = [
        nn.Sequential(nn.Linear(width, width), BatchNorm(width), nn.PReLU()) for _ in range(depth)
    ]
    return nn.Sequential(*blocks, nn.Linear(width, 1))
