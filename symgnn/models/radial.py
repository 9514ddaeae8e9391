"""Functions of an edge's length and direction that networks start from."""

import math

import torch
from torch import Tensor, nn


class RadialBasis(nn.Module):
    """Gaussians of the length, smoothly cut off: (edges, size).

    Args:
        size: number of Gaussians, evenly between `start` and `cutoff`.
        start: centre of the first, Å.
        cutoff: all functions are zero, with zero slope, from here on, Å.
    """

    def __init__(self, size: int, *, start: float = 2.0, cutoff: float = 5.0):
        super().__init__()
        self.register_buffer("centres", torch.linspace(start, cutoff, size))
        self.width = (cutoff - start) / (size - 1)
        self.cutoff = cutoff

    def forward(self, length: Tensor) -> Tensor:
        """Args: length, (edges,), Å."""
        gaussian = torch.exp(-0.5 * ((length.unsqueeze(-1) - self.centres) / self.width) ** 2)
        return gaussian * cosine_cutoff(length, self.cutoff).unsqueeze(-1)


def cosine_cutoff(length: Tensor, cutoff: float) -> Tensor:
    """From 1 at zero to 0 at the cutoff, smoothly (Behler 2011, doi:10.1063/1.3553717, eq. 4)."""
    inside = (length < cutoff).to(length.dtype)
    return 0.5 * (torch.cos(math.pi * length / cutoff) + 1) * inside


def spherical_harmonics(direction: Tensor) -> list[Tensor]:
    """Real spherical harmonics of l = 0 to 3, each (edges, 2 l + 1), with mean square one.

    Args:
        direction: (edges, 3), unit vectors.
    """
    x, y, z = direction.unbind(-1)
    xx, yy, zz = x * x, y * y, z * z
    one = torch.ones_like(x)
    second = [x * y, y * z, (3 * zz - 1) / math.sqrt(12), x * z, (xx - yy) / 2]
    third = [
        y * (3 * xx - yy) * math.sqrt(5 / 8),
        x * y * z * math.sqrt(15),
        y * (5 * zz - 1) * math.sqrt(3 / 8),
        z * (5 * zz - 3) / 2,
        x * (5 * zz - 1) * math.sqrt(3 / 8),
        z * (xx - yy) * math.sqrt(15 / 4),
        x * (xx - 3 * yy) * math.sqrt(5 / 8),
    ]
    return [
        one.unsqueeze(-1),
        torch.stack([x, y, z], -1) * math.sqrt(3),
        torch.stack(second, -1) * math.sqrt(15),
        torch.stack(third, -1) * math.sqrt(7),
    ]
