"""Ridge regression on hand-made invariants: what any group would try first."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from symgnn.descriptors.registry import input_size
from symgnn.models.inputs import MODEL_INPUTS

if TYPE_CHECKING:
    from symgnn.training.batches import Batch


class RidgeRegression(nn.Module):
    """Linear in standardised invariants, solved for at once; exactly invariant.

    Args:
        elements: atomic numbers that the model knows.
        penalty: of the squared weights; the sum of squared errors weighs one an atom.
    """

    def __init__(self, elements: Sequence[int], *, penalty: float = 10.0):
        super().__init__()
        inputs = sum(input_size(name, len(elements)) for name in MODEL_INPUTS["ridge"])
        self.linear = LinearFit(inputs, penalty)
        self.unused = nn.Parameter(torch.zeros(()))  # optimisers want one

    def forward(
        self, species: Tensor, edge_index: Tensor, edge_vector: Tensor, inputs: Tensor
    ) -> Tensor:
        """Standardised barriers, (atoms,); only `inputs` (atoms, inputs) counts."""
        return self.linear(inputs)

    def fit(self, batch: "Batch") -> float:
        """Solve for the weights; returns the mean squared error of the labelled atoms."""
        return self.linear.fit(batch)


class LinearFit(nn.Module):
    """Weights of standardised inputs that minimise squared errors and a penalty on themselves.

    Args:
        inputs: number of inputs.
        penalty: of the squared weights; the sum of squared errors weighs one an atom.
    """

    def __init__(self, inputs: int, penalty: float):
        super().__init__()
        self.penalty = penalty
        self.register_buffer("mean", torch.zeros(inputs, dtype=torch.float64))
        self.register_buffer("deviation", torch.ones(inputs, dtype=torch.float64))
        self.register_buffer("weight", torch.zeros(inputs, dtype=torch.float64))
        self.register_buffer("bias", torch.zeros((), dtype=torch.float64))

    def forward(self, inputs: Tensor) -> Tensor:
        """Linear in `inputs` (atoms, inputs): (atoms,)."""
        standardised = (inputs.double() - self.mean) / self.deviation
        return (standardised @ self.weight + self.bias).float()

    @torch.no_grad()
    def fit(self, batch: "Batch") -> float:
        """Solve for the weights; returns the mean squared error of the labelled atoms."""
        inputs = batch.inputs[batch.labelled].double()
        target = batch.target[batch.labelled].double()
        share = batch.weight[batch.labelled].double()
        self.mean = inputs.mean(0)
        self.deviation = inputs.std(0).clamp(min=1e-9)
        standardised = (inputs - self.mean) / self.deviation
        self.bias = (share * target).sum() / share.sum()
        weighted = standardised * share.unsqueeze(-1)
        moments = standardised.T @ weighted
        moments.diagonal().add_(self.penalty)
        self.weight = torch.linalg.solve(moments, weighted.T @ (target - self.bias))
        error = standardised @ self.weight + self.bias - target
        return float((share * error**2).sum() / share.sum())
