"""The von Mises distribution on the circle, sampled with gradients.

`torch.distributions.VonMises` has no `rsample`. Here an angle is the quantile of a uniform number,
and its derivative follows from the distribution function F by implicit reparametrisation
(Figurnov, Mohamed, Mnih 2018, arXiv:1805.08498, eq. 5): dx/dk = -(dF/dk) / (dF/dx).
"""

import math

import numpy as np
import torch
from torch import Tensor

NODES, WEIGHTS = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(64))
GRID = 1025  # points of the first guess of a quantile
LARGEST_CONCENTRATION = 500.0  # standard deviation 2.6 degrees; the quadrature holds to here


def _integral(x: Tensor, concentration: Tensor, weight_by_cosine: bool) -> Tensor:
    """Integral over t from 0 to x of exp(k (cos t - cos x)), or of (cos t - A) times that.

    A = I1(k)/I0(k) is the mean of the cosine. Gauss-Legendre on the interval from 0 to x adapts
    to the width of the distribution, which is centred on 0.
    """
    half = x.unsqueeze(-1) / 2
    t = half * (NODES.to(x.device) + 1)
    k = concentration.unsqueeze(-1)
    density = torch.exp(k * (torch.cos(t) - torch.cos(2 * half)))
    if weight_by_cosine:
        density = density * (torch.cos(t) - torch.special.i1e(k) / torch.special.i0e(k))
    return (half * density * WEIGHTS.to(x.device)).sum(-1)


def _density(x: Tensor, concentration: Tensor) -> Tensor:
    exponent = concentration * (torch.cos(x) - 1)
    return torch.exp(exponent) / (2 * math.pi * torch.special.i0e(concentration))


def _quantile(uniform: Tensor, concentration: Tensor) -> Tensor:
    """x with F(x) = uniform: a guess on a grid, then Newton steps kept on the circle."""
    scale = math.pi / torch.sqrt(1 + concentration / 8)  # the grid covers where the mass is
    s = torch.linspace(-1, 1, GRID, dtype=torch.float64, device=uniform.device)
    grid = scale.unsqueeze(-1) * s
    density = _density(grid, concentration.unsqueeze(-1))
    mass = torch.cumulative_trapezoid(density, grid)
    mass = torch.cat([torch.zeros_like(mass[..., :1]), mass], -1)
    mass = mass / mass[..., -1:]
    wanted = uniform.unsqueeze(-1).contiguous()
    right = torch.searchsorted(mass.contiguous(), wanted).clamp(1, GRID - 1)
    x = torch.gather(grid, -1, right).squeeze(-1)
    for _ in range(4):
        below = 0.5 + _density(x, concentration) * _integral(x, concentration, False)
        step = (below - uniform) / _density(x, concentration)
        x = (x - step.clamp(-0.5, 0.5)).clamp(-math.pi, math.pi)
    return x


class _Quantile(torch.autograd.Function):
    @staticmethod
    def forward(ctx, uniform: Tensor, concentration: Tensor) -> Tensor:
        x = _quantile(uniform.double(), concentration.double())
        ctx.save_for_backward(x, concentration)
        return x.to(concentration.dtype)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[None, Tensor]:
        x, concentration = ctx.saved_tensors
        slope = -_integral(x, concentration.double(), True)
        return None, gradient * slope.to(gradient.dtype)


@torch.compiler.disable  # few numbers and many operations
def von_mises_angles(uniform: Tensor, location: Tensor, concentration: Tensor) -> Tensor:
    """Angles that are von Mises distributed where the uniform numbers are uniform.

    The density is exp(k cos(x - m)) / (2 pi I0(k)). Derivatives with respect to the location m
    and the concentration k are exact; there is none with respect to the uniform numbers.

    Args:
        uniform: any shape, in the open interval (0, 1).
        location: broadcast to that shape, radian.
        concentration: broadcast to that shape, above 0; larger ones count as 500.

    Returns:
        The angles, radian, within pi of the location.
    """
    concentration = concentration.clamp(max=LARGEST_CONCENTRATION).expand(uniform.shape)
    return location + _Quantile.apply(uniform, concentration)
