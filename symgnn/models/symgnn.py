"""SymGNN: a graph network averaged over orthogonal transformations (arXiv:2401.08627)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from symgnn.models import encoding_kernel
from symgnn.models.egat import PredictionModule
from symgnn.models.normalization import BatchNorm
from symgnn.models.ordering import in_near_order
from symgnn.models.symmetrization import Symmetrization
from symgnn.models.transformations import haar_angles, rotations

LENGTH_UNIT = 3.0  # Å, about a bond: edge vectors enter the networks divided by it


class EdgeEncoder(nn.Module):
    """Features of an edge from its vector as it lies in space: not invariant by itself.

    Attention has to tell apart lengths that differ by some 0.1 Å. A network that begins with the
    components alone learns that only slowly, so a linear map of Gaussians of the vector's length
    is added, which is invariant.

    Args:
        width: length of the features.
        gaussians: number of Gaussians, at least 2; 0 for the components alone, as in the paper.
        dimension: of the vectors.
        reach: where the centres of the Gaussians end, Å; they begin at 0.4 of it, about a bond.
    """

    def __init__(self, width: int, gaussians: int, dimension: int = 3, reach: float = 5.0):
        super().__init__()
        if gaussians < 0 or gaussians == 1:
            raise ValueError(f"gaussians is {gaussians}, must be 0 or at least 2")
        self.first = nn.Linear(dimension, width)
        self.second = nn.Linear(width, width)
        self.norm = BatchNorm(width)
        if gaussians:
            self.register_buffer("centres", torch.linspace(0.4 * reach, reach, gaussians))
            self.radial = nn.Linear(gaussians, width, bias=False)

    def forward(self, edge_vector: Tensor, transformations: Tensor) -> Tensor:
        """Mean over the transformations of the features of the transformed vectors.

        Args:
            edge_vector: (edges, dimension), Å.
            transformations: (count, dimension, dimension), orthogonal.

        Returns:
            (edges, width).
        """
        first = (transformations.mT @ self.first.weight.T) / LENGTH_UNIT
        numbers = [edge_vector, first, self.first.bias, self.second.weight, self.second.bias]
        if hasattr(self, "radial"):
            numbers += [self.centres, self.radial.weight]
        fast = encoding_kernel.usable(edge_vector, first)
        return self.norm((encoding_kernel.encode if fast else _encode)(*numbers))


def _encode(
    vector: Tensor,
    first: Tensor,
    bias: Tensor,
    second: Tensor,
    last: Tensor,
    centres: Tensor | None = None,
    radial: Tensor | None = None,
) -> Tensor:
    """(edges, width) from (edges, 3); `first` is (transformations, 3, width)."""
    hidden = torch.baddbmm(bias, vector.expand(len(first), -1, -1), first)
    feature = nn.functional.linear(nn.functional.silu(hidden).mean(0), second, last)
    if radial is None:
        return feature
    length = torch.linalg.vector_norm(vector, dim=-1, keepdim=True)
    spread = centres[1] - centres[0]
    gaussians = torch.exp(-0.5 * ((length - centres) / spread) ** 2)
    return feature + nn.functional.linear(gaussians, radial)


class SymGNN(nn.Module):
    """The paper's model: symmetrization, then attention (sections 4.2 and 4.3).

    The paper's text averages representations, its equation 5 predictions; both are here:

    `edge_representations`: each edge's features are averaged over the transformations, and one
    pass of messages follows. Over all of O(3) this keeps the length of an edge and nothing else.

    `predictions`: the whole network runs on each transformed copy of the graph and the
    predictions are averaged; this keeps angles. It costs 2 K passes.

    Args:
        elements: atomic numbers that the model knows.
        width: length of node and edge features.
        heads: attention heads of each layer.
        dropout: share of a layer's new features that training drops.
        distribution: of the transformations, `learned` or `haar`.
        samples: K, number of rotations and of non-rotations in training.
        evaluation_samples: K in evaluation.
        aggregation: `edge_representations` or `predictions`.
        gaussians: of the length of an edge, as first features; 0 or at least 2.
        reach: where they end, Å.
    """

    def __init__(
        self,
        elements: Sequence[int],
        *,
        width: int = 32,
        heads: Sequence[int] = (8, 4, 2, 1),
        dropout: float = 0.0,
        distribution: str = "learned",
        samples: int = 4,
        evaluation_samples: int = 16,
        aggregation: str = "edge_representations",
        gaussians: int = 20,
        reach: float = 5.0,
    ):
        super().__init__()
        self.symmetrization = Symmetrization(distribution, samples, evaluation_samples)
        self.encoder = EdgeEncoder(width, gaussians, reach=reach)
        self.prediction = PredictionModule(elements, width=width, heads=heads, dropout=dropout)
        if aggregation not in AGGREGATIONS:
            raise ValueError(
                f"aggregation is {aggregation!r}, must be one of {', '.join(AGGREGATIONS)}"
            )
        self.aggregation = aggregation

    @in_near_order
    def forward(self, species: Tensor, edge_index: Tensor, edge_vector: Tensor) -> Tensor:
        """Standardised barriers, (atoms,).

        Args:
            species: (atoms,), atomic numbers.
            edge_index: (2, edges), source and target.
            edge_vector: (edges, 3), Å, source -> target.
        """
        transformations = self.symmetrization().to(edge_vector)
        aggregate = AGGREGATIONS[self.aggregation]
        return aggregate(self, species, edge_index, edge_vector, transformations)


def aggregate_edge_representations(
    model: SymGNN, species: Tensor, edge_index: Tensor, edge_vector: Tensor, transformations: Tensor
) -> Tensor:
    """Average the edges' features over the transformations, then predict once."""
    edge = model.encoder(edge_vector, transformations)
    return model.prediction(species, edge_index, edge)


def aggregate_predictions(
    model: SymGNN, species: Tensor, edge_index: Tensor, edge_vector: Tensor, transformations: Tensor
) -> Tensor:
    """Predict on each transformed graph, then average the predictions (equation 5)."""
    total = 0.0
    for transformation in transformations:
        edge = model.encoder(edge_vector, transformation.unsqueeze(0))
        total = total + model.prediction(species, edge_index, edge)
    return total / len(transformations)


AGGREGATIONS = {
    "edge_representations": aggregate_edge_representations,
    "predictions": aggregate_predictions,
}


class NoSymmetrization(nn.Module):
    """SymGNN on the edge vectors as they lie: the paper's ablation, with nothing else changed.

    Args: see `SymGNN`.
    """

    dimension = 3  # of the vectors that the encoder sees

    def __init__(
        self,
        elements: Sequence[int],
        *,
        width: int = 32,
        heads: Sequence[int] = (8, 4, 2, 1),
        dropout: float = 0.0,
        gaussians: int = 20,
        reach: float = 5.0,
    ):
        super().__init__()
        self.encoder = EdgeEncoder(width, gaussians, self.dimension, reach)
        self.prediction = PredictionModule(elements, width=width, heads=heads, dropout=dropout)

    @in_near_order
    def forward(self, species: Tensor, edge_index: Tensor, edge_vector: Tensor) -> Tensor:
        """Standardised barriers, (atoms,); arguments as `SymGNN.forward`."""
        identity = torch.eye(self.dimension, dtype=edge_vector.dtype, device=edge_vector.device)
        edge = self.encoder(edge_vector, identity.unsqueeze(0))
        return self.prediction(species, edge_index, edge)


class Augmentation(NoSymmetrization):
    """`NoSymmetrization` whose graphs are turned at random, uniformly over O(3), in training.

    Args: see `SymGNN`.
    """

    def forward(self, species: Tensor, edge_index: Tensor, edge_vector: Tensor) -> Tensor:
        """Standardised barriers, (atoms,); arguments as `SymGNN.forward`."""
        if self.training:
            sign = 1.0 if torch.rand(()) < 0.5 else -1.0
            edge_vector = edge_vector @ (sign * rotations(haar_angles(torch.rand(3)))).to(
                edge_vector
            )
        return super().forward(species, edge_index, edge_vector)


class EdgeLengthNetwork(NoSymmetrization):
    """SymGNN's prediction module on the lengths of the edges: invariant, blind to angles.

    Args: see `SymGNN`.
    """

    dimension = 1

    def forward(self, species: Tensor, edge_index: Tensor, edge_vector: Tensor) -> Tensor:
        """Standardised barriers, (atoms,); arguments as `SymGNN.forward`."""
        length = torch.linalg.vector_norm(edge_vector, dim=-1, keepdim=True)
        return super().forward(species, edge_index, length)
