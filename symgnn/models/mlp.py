"""A plain network on an atom's own surroundings: no graph, no messages."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from symgnn.models.elements import ElementEmbedding
from symgnn.models.normalization import RunningNorm
from symgnn.models.symgnn import LENGTH_UNIT


class NearestNeighboursMLP(nn.Module):
    """Multi-layer perceptron on species and the vectors to the nearest neighbours as they lie.

    The paper does not say what its MLP takes in; this is the least that knows the geometry. It is
    not invariant.

    Args:
        elements: atomic numbers that the model knows.
        width: of the hidden layers.
        layers: number of hidden layers.
        neighbours: how many nearest neighbours it sees; missing ones are zero.
    """

    def __init__(
        self, elements: Sequence[int], *, width: int = 64, layers: int = 4, neighbours: int = 16
    ):
        super().__init__()
        self.neighbours = neighbours
        self.embedding = ElementEmbedding(elements, width)
        sizes = [width + 3 * neighbours, *[width] * layers]
        blocks = [
            nn.Sequential(nn.Linear(a, b), RunningNorm(b), nn.SiLU())
            for a, b in itertools.pairwise(sizes)
        ]
        self.network = nn.Sequential(*blocks, nn.Linear(width, 1))

    def forward(self, species: Tensor, edge_index: Tensor, edge_vector: Tensor) -> Tensor:
        """Standardised barriers, (atoms,); arguments as `SymGNN.forward`."""
        nearest = _nearest(len(species), edge_index[1], edge_vector, self.neighbours)
        features = torch.cat([self.embedding(species), nearest], -1)
        return self.network(features).squeeze(-1)


@torch.compiler.disable  # its numbers decide on sizes: torch compiles before it and after it
def _nearest(atoms: int, target: Tensor, edge_vector: Tensor, neighbours: int) -> Tensor:
    """Vectors to the nearest neighbours, nearest first, (atoms, 3 * neighbours)."""
    by_length = torch.argsort(torch.linalg.vector_norm(edge_vector, dim=-1))
    order = by_length[torch.argsort(target[by_length], stable=True)]
    count = torch.bincount(target, minlength=atoms)
    first = torch.cumsum(count, 0) - count
    owner = target[order]
    rank = torch.arange(len(order), device=owner.device) - first[owner]
    near = rank < neighbours
    place = owner[near] * neighbours + rank[near]
    nearest = edge_vector.new_zeros(atoms * neighbours, 3)
    nearest = nearest.index_copy(0, place, edge_vector[order][near] / LENGTH_UNIT)
    return nearest.view(atoms, -1)
