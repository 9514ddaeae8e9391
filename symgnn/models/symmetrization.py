"""Orthogonal transformations to average over: the paper's section 4.2, equations 3 to 5."""

import math

import torch
from torch import Tensor, nn

from symgnn.models.transformations import haar_angles, rotations, spread_points
from symgnn.models.von_mises import von_mises_angles


class Symmetrization(nn.Module):
    """Draws K rotations and K non-rotations from distributions over the Euler angles.

    `learned`: two distributions, one for rotations and one for non-rotations, each a product of
    three von Mises distributions with their own location and concentration. The samples carry
    gradients to both, so the distributions are learned with the rest of the model. A learned
    distribution is not uniform, so the average over it is not exactly invariant, however many
    samples are drawn.

    `haar`: uniform over O(3); the average over it becomes invariant as K grows.

    In training the samples are drawn anew at each call; in evaluation they are the quantiles of a
    fixed set of evenly spread points, so that a prediction can be repeated.

    Args:
        distribution: `learned` or `haar`.
        samples: K in training.
        evaluation_samples: K in evaluation.
    """

    def __init__(
        self, distribution: str = "learned", samples: int = 4, evaluation_samples: int = 16
    ):
        super().__init__()
        if distribution not in ("learned", "haar"):
            raise ValueError(f"distribution is {distribution!r}, must be 'learned' or 'haar'")
        if samples < 1 or evaluation_samples < 1:
            raise ValueError("samples and evaluation_samples must be at least 1")
        self.distribution = distribution
        self.samples = samples
        self.evaluation_samples = evaluation_samples
        if distribution == "learned":
            self.location = nn.Parameter((torch.rand(2, 3) - 0.5) * 2 * math.pi)
            self.log_concentration = nn.Parameter(torch.zeros(2, 3))

    def forward(self) -> Tensor:
        """Orthogonal matrices, (2 K, 3, 3): first the rotations, then the non-rotations."""
        uniform = self._uniform_numbers()
        if self.distribution == "haar":
            angles = haar_angles(uniform)
        else:
            concentration = self.log_concentration.exp().unsqueeze(1)
            angles = von_mises_angles(uniform, self.location.unsqueeze(1), concentration)
        rotation, negated = rotations(angles)
        return torch.cat([rotation, -negated])

    def _uniform_numbers(self) -> Tensor:
        """(2, K, 3), one set for rotations and one for non-rotations."""
        reference = getattr(self, "location", torch.empty(0))
        if self.training:
            tiny = torch.finfo(torch.float32).tiny
            return torch.rand(2, self.samples, 3, device=reference.device).clamp(min=tiny)
        # The same points for both: a uniform distribution then has T and -T, and what is odd in the
        # vectors cancels exactly.
        points = spread_points(self.evaluation_samples).expand(2, -1, -1)
        return points.to(reference.device, torch.get_default_dtype())
