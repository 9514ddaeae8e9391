"""Graph convolutions: without edge features (Kipf and Welling 2017) and with them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch_geometric.nn import GCNConv, MessagePassing

from symgnn.models.egat import decoder
from symgnn.models.elements import ElementEmbedding
from symgnn.models.normalization import RunningNorm
from symgnn.models.symgnn import LENGTH_UNIT


class GraphConvolution(nn.Module):
    """GCN (arXiv:1609.02907): atoms and which are neighbours, no geometry.

    Args:
        elements: atomic numbers that the model knows.
        width: length of the node features.
        layers: number of convolutions.
    """

    def __init__(self, elements: Sequence[int], *, width: int = 64, layers: int = 4):
        super().__init__()
        self.embedding = ElementEmbedding(elements, width)
        # GCNConv's own loops would replace edges to an atom's images, which small cells have
        self.convolutions = nn.ModuleList(
            GCNConv(width, width, add_self_loops=False) for _ in range(layers)
        )
        self.norms = nn.ModuleList(RunningNorm(width) for _ in range(layers))
        self.decoder = decoder(width)

    def forward(self, species: Tensor, edge_index: Tensor, edge_vector: Tensor) -> Tensor:
        """Standardised barriers, (atoms,); the edge vectors are not used."""
        node = self.embedding(species)
        loops = torch.arange(len(species), device=edge_index.device).expand(2, -1)
        edge_index = torch.cat([edge_index, loops], 1)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            node = node + nn.functional.silu(norm(convolution(node, edge_index)))
        return self.decoder(node).squeeze(-1)


class EdgeConvolution(MessagePassing):
    """Mean over the neighbours of silu(W h_j + U e_ij): a convolution that sees its edges.

    Args:
        width: length of node and edge features.
    """

    def __init__(self, width: int):
        super().__init__(aggr="mean")
        self.from_source = nn.Linear(width, width)
        self.from_edge = nn.Linear(width, width, bias=False)

    def forward(self, node: Tensor, edge_index: Tensor, edge: Tensor) -> Tensor:
        """New node features, (atoms, width)."""
        return self.propagate(edge_index, node=self.from_source(node), edge=self.from_edge(edge))

    def message(self, node_j: Tensor, edge: Tensor) -> Tensor:
        """What the source of each edge sends, (edges, width)."""
        return nn.functional.silu(node_j + edge)


class EdgeGraphConvolution(nn.Module):
    """GCN with the edge vectors as they lie in space as edge features: not invariant.

    Args:
        elements: atomic numbers that the model knows.
        width: length of node and edge features.
        layers: number of convolutions.
    """

    def __init__(self, elements: Sequence[int], *, width: int = 64, layers: int = 4):
        super().__init__()
        self.embedding = ElementEmbedding(elements, width)
        self.encoder = nn.Sequential(nn.Linear(3, width), nn.SiLU(), nn.Linear(width, width))
        self.convolutions = nn.ModuleList(EdgeConvolution(width) for _ in range(layers))
        self.norms = nn.ModuleList(RunningNorm(width) for _ in range(layers))
        self.decoder = decoder(width)

    def forward(self, species: Tensor, edge_index: Tensor, edge_vector: Tensor) -> Tensor:
        """Standardised barriers, (atoms,); arguments as `SymGNN.forward`."""
        node, edge = self.embedding(species), self.encoder(edge_vector / LENGTH_UNIT)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            node = node + nn.functional.silu(norm(convolution(node, edge_index, edge)))
        return self.decoder(node).squeeze(-1)
