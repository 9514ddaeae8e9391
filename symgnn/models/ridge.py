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

    def fit(self, batches: "Sequence[Batch]") -> float:
        """Solve for the weights; returns the mean squared error of the labelled atoms."""
        return self.linear.fit(batches)


class LinearFit(nn.Module):
    """Weights of standardised inputs that minimise squared errors and a penalty on themselves.

    Args:
        inputs: number of inputs.
        penalty: of the squared weights; a squared error counts as much as its label weighs.
        level: variance of a glass's own level (what all its labels have in common beyond the
            inputs) over that of one label; what differs between glasses then counts less than what
            differs within them. 0: none.
    """

    def __init__(self, inputs: int, penalty: float, level: float = 0.0):
        super().__init__()
        self.penalty, self.level = penalty, level
        self.register_buffer("mean", torch.zeros(inputs, dtype=torch.float64))
        self.register_buffer("deviation", torch.ones(inputs, dtype=torch.float64))
        self.register_buffer("weight", torch.zeros(inputs, dtype=torch.float64))
        self.register_buffer("bias", torch.zeros((), dtype=torch.float64))

    def forward(self, inputs: Tensor) -> Tensor:
        """Linear in `inputs` (atoms, inputs): (atoms,)."""
        standardised = (inputs.double() - self.mean) / self.deviation
        return (standardised @ self.weight + self.bias).float()

    @torch.no_grad()
    def fit(self, batches: "Sequence[Batch]") -> float:
        """Solve for the weights; returns the mean squared error of the labelled atoms.

        Args:
            batches: a glass each.
        """
        chosen = [
            (b.inputs[b.labelled].double(), b.target[b.labelled].double(), b.weight[b.labelled])
            for b in batches
        ]
        everything = torch.cat([inputs for inputs, _, _ in chosen])
        target = torch.cat([target for _, target, _ in chosen])
        share = torch.cat([share for _, _, share in chosen]).double()
        self.mean = everything.mean(0)
        self.deviation = everything.std(0).clamp(min=1e-9)
        self.bias = (share * target).sum() / share.sum()
        moments = self.penalty * torch.eye(len(self.mean), dtype=torch.float64)
        moments = moments.to(everything.device)
        projected = torch.zeros_like(self.mean)
        for inputs, wanted, weight in chosen:
            if not len(wanted):
                continue
            standardised, error = (inputs - self.mean) / self.deviation, wanted - self.bias
            weight = weight.double()
            total = weight.sum()
            centre, level = (weight @ standardised) / total, (weight @ error) / total
            around = standardised - centre
            weighted = around * weight.unsqueeze(-1)
            between = total / (1.0 + self.level * total)
            moments += around.T @ weighted + between * torch.outer(centre, centre)
            projected += weighted.T @ (error - level) + between * level * centre
        self.weight = torch.linalg.solve(moments, projected)
        standardised = (everything - self.mean) / self.deviation
        error = standardised @ self.weight + self.bias - target
        return float((share * error**2).sum() / share.sum())
