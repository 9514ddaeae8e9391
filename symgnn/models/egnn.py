"""E(n) equivariant graph network (Satorras, Hoogeboom, Welling 2021, arXiv:2102.09844)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing
from torch_geometric.utils import degree

from symgnn.models.egat import decoder
from symgnn.models.elements import ElementEmbedding
from symgnn.models.normalization import RunningNorm
from symgnn.models.symgnn import LENGTH_UNIT


class EquivariantConvolution(MessagePassing):
    """One layer: messages from features and squared lengths; atoms move along their edges.

    Messages are summed (the paper's equation 5) and moves averaged (its equation 4). Positions
    enter as edge vectors only, so that images in a periodic cell are right.

    Args:
        width: length of the node features and of the messages.
    """

    def __init__(self, width: int):
        super().__init__(aggr="sum")
        self.edge = nn.Sequential(
            nn.Linear(2 * width + 1, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.node = nn.Sequential(
            nn.Linear(2 * width, width), RunningNorm(width), nn.SiLU(), nn.Linear(width, width)
        )
        self.move = nn.Sequential(
            nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1), nn.Tanh()
        )

    def forward(self, node: Tensor, edge_index: Tensor, vector: Tensor) -> tuple[Tensor, Tensor]:
        """New node features (atoms, width) and edge vectors (edges, 3)."""
        found = self.propagate(edge_index, node=node, vector=vector)
        source, target = edge_index
        neighbours = degree(target, len(node), vector.dtype).clamp(min=1).unsqueeze(-1)
        message, step = found[:, :-3], found[:, -3:] / neighbours
        # an edge vector points from source to target
        return node + self.node(torch.cat([node, message], -1)), vector + step[target] - step[
            source
        ]

    def message(self, node_i: Tensor, node_j: Tensor, vector: Tensor) -> Tensor:
        """Message and weighted direction of each edge, (edges, width + 3)."""
        square = (vector * vector).sum(-1, keepdim=True)
        message = self.edge(torch.cat([node_i, node_j, square], -1))
        return torch.cat([message, vector * self.move(message)], -1)


class EquivariantNetwork(nn.Module):
    """EGNN: invariant predictions from lengths that its layers change.

    Args:
        elements: atomic numbers that the model knows.
        width: length of the node features.
        layers: number of layers.
    """

    def __init__(self, elements: Sequence[int], *, width: int = 32, layers: int = 4):
        super().__init__()
        self.embedding = ElementEmbedding(elements, width)
        self.layers = nn.ModuleList(EquivariantConvolution(width) for _ in range(layers))
        self.decoder = decoder(width)
        for parameter in self.layers[-1].move.parameters():
            parameter.requires_grad_(False)  # where the last layer moves the atoms is not read

    def forward(self, species: Tensor, edge_index: Tensor, edge_vector: Tensor) -> Tensor:
        """Standardised barriers, (atoms,); arguments as `SymGNN.forward`."""
        node, vector = self.embedding(species), edge_vector / LENGTH_UNIT
        for layer in self.layers:
            node, vector = layer(node, edge_index, vector)
        return self.decoder(node).squeeze(-1)
