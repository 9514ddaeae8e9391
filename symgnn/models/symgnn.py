"""SymGNN: a graph network averaged over orthogonal transformations (arXiv:2401.08627)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from symgnn.models.blocks import by_rows
from symgnn.models.egat import PredictionModule
from symgnn.models.symmetrization import Symmetrization
from symgnn.models.transformations import haar_angles, rotations

LENGTH_UNIT = 3.0  # Å, about a bond: edge vectors enter the networks divided by it


class EdgeEncoder(nn.Module):
    """Features of an edge from its vector as it lies in space: not invariant by itself.

    Args:
        width: length of the features.
    """

    def __init__(self, width: int):
        super().__init__()
        self.first = nn.Linear(3, width)
        self.second = nn.Linear(width, width)

    def forward(self, edge_vector: Tensor, transformations: Tensor) -> Tensor:
        """Mean over the transformations of the features of the transformed vectors.

        Args:
            edge_vector: (edges, 3), Å.
            transformations: (count, 3, 3).

        Returns:
            (edges, width).
        """
        first = (transformations.mT @ self.first.weight.T) / LENGTH_UNIT
        second = self.second.weight, self.second.bias
        numbers = len(transformations) * len(self.first.bias)
        return by_rows(_encode, [edge_vector], first, self.first.bias, *second, numbers=numbers)


def _encode(vector: Tensor, first: Tensor, bias: Tensor, second: Tensor, last: Tensor) -> Tensor:
    """(edges, width) from (edges, 3); `first` is (transformations, 3, width)."""
    hidden = torch.baddbmm(bias, vector.expand(len(first), -1, -1), first)
    return nn.functional.linear(nn.functional.silu(hidden).mean(0), second, last)


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
    ):
        super().__init__()
        self.symmetrization = Symmetrization(distribution, samples, evaluation_samples)
        self.encoder = EdgeEncoder(width)
        self.prediction = PredictionModule(elements, width=width, heads=heads, dropout=dropout)
        if aggregation not in AGGREGATIONS:
            raise ValueError(
                f"aggregation is {aggregation!r}, must be one of {', '.join(AGGREGATIONS)}"
            )
        self.aggregation = aggregation

    def forward(self, species: Tensor, edge_index: Tensor, edge_vector: Tensor) -> Tensor:
        """Standardised barriers, (atoms,).

        Args:
            species: (atoms,), atomic numbers.
            edge_index: (2, edges), source and target.
            edge_vector: (edges, 3), Å, source -> target.
        """
        transformations = self.symmetrization().to(edge_vector.dtype)
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

    def __init__(
        self,
        elements: Sequence[int],
        *,
        width: int = 32,
        heads: Sequence[int] = (8, 4, 2, 1),
        dropout: float = 0.0,
    ):
        super().__init__()
        self.encoder = self._make_encoder(width)
        self.prediction = PredictionModule(elements, width=width, heads=heads, dropout=dropout)

    def _make_encoder(self, width: int) -> nn.Module:
        return EdgeEncoder(width)

    def _encode(self, edge_vector: Tensor) -> Tensor:
        identity = torch.eye(3, dtype=edge_vector.dtype, device=edge_vector.device)
        return self.encoder(edge_vector, identity.unsqueeze(0))

    def forward(self, species: Tensor, edge_index: Tensor, edge_vector: Tensor) -> Tensor:
        """Standardised barriers, (atoms,); arguments as `SymGNN.forward`."""
        return self.prediction(species, edge_index, self._encode(edge_vector))


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

    def _make_encoder(self, width: int) -> nn.Module:
        return nn.Sequential(nn.Linear(1, width), nn.SiLU(), nn.Linear(width, width))

    def _encode(self, edge_vector: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(edge_vector, dim=-1, keepdim=True) / LENGTH_UNIT
        weights = self.encoder.parameters()
        return by_rows(_encode_length, [length], *weights, numbers=self.encoder[0].out_features)


def _encode_length(
    length: Tensor, first: Tensor, bias: Tensor, second: Tensor, last: Tensor
) -> Tensor:
    """(edges, width) from (edges, 1)."""
    hidden = nn.functional.silu(nn.functional.linear(length, first, bias))
    return nn.functional.linear(hidden, second, last)
