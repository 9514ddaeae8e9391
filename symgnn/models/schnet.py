"""SchNet: continuous-filter convolutions (Schütt et al. 2018, doi:10.1063/1.5019779)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing

from symgnn.models.elements import ElementEmbedding
from symgnn.models.radial import RadialBasis


class ShiftedSoftplus(nn.Module):
    """ln(1 + e^x) - ln 2, zero at zero."""

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise."""
        return nn.functional.softplus(x) - math.log(2.0)


class Interaction(MessagePassing):
    """Sum over the neighbours of filtered features, and a residual update.

    Args:
        width: length of the node features and filters.
        radial: number of radial functions.
    """

    def __init__(self, width: int, radial: int):
        super().__init__(aggr="add")
        self.filter = nn.Sequential(
            nn.Linear(radial, width, bias=False),
            ShiftedSoftplus(),
            nn.Linear(width, width, bias=False),
        )
        self.before = nn.Linear(width, width, bias=False)
        self.after = nn.Sequential(
            nn.Linear(width, width), ShiftedSoftplus(), nn.Linear(width, width)
        )

    def forward(self, node: Tensor, edge_index: Tensor, radial: Tensor) -> Tensor:
        """New node features, (atoms, width)."""
        # bias-free filters of cut-off functions vanish at the cutoff by themselves
        weight = self.filter(radial)
        return node + self.after(self.propagate(edge_index, node=self.before(node), weight=weight))

    def message(self, node_j: Tensor, weight: Tensor) -> Tensor:
        """What the source of each edge sends, (edges, width)."""
        return node_j * weight


class SchNet(nn.Module):
    """SchNet for a number an atom; exactly invariant, sees lengths.

    Args:
        elements: atomic numbers that the model knows.
        width: length of the node features.
        layers: number of interactions.
        radial: number of radial functions, from 0 to `reach`.
        reach: where they end, Å.
    """

    def __init__(
        self,
        elements: Sequence[int],
        *,
        width: int = 64,
        layers: int = 3,
        radial: int = 32,
        reach: float = 5.0,
    ):
        super().__init__()
        self.embedding = ElementEmbedding(elements, width)
        self.radial = RadialBasis(radial, start=0.0, cutoff=reach)
        self.interactions = nn.ModuleList(Interaction(width, radial) for _ in range(layers))
        self.decoder = nn.Sequential(
            nn.Linear(width, width // 2), ShiftedSoftplus(), nn.Linear(width // 2, 1)
        )

    def forward(self, species: Tensor, edge_index: Tensor, edge_vector: Tensor) -> Tensor:
        """Standardised barriers, (atoms,); arguments as `SymGNN.forward`."""
        radial = self.radial(torch.linalg.vector_norm(edge_vector, dim=-1))
        node = self.embedding(species)
        for interaction in self.interactions:
            node = interaction(node, edge_index, radial)
        return self.decoder(node).squeeze(-1)
