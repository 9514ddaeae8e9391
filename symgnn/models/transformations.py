"""Orthogonal transformations of space from Euler angles, and sets of numbers to draw them from."""

import math

import torch
from torch import Tensor


def rotations(angles: Tensor) -> Tensor:
    """O_x1(alpha) O_x2(beta) O_x3(gamma), the paper's theorem 4.3, with its signs.

    Args:
        angles: (..., 3), alpha, beta, gamma, radian.

    Returns:
        (..., 3, 3) rotation matrices; they act on column vectors.
    """
    cosine, sine = angles.cos(), angles.sin()
    zero, one = torch.zeros_like(sine[..., 0]), torch.ones_like(sine[..., 0])

    def matrix(*entries: Tensor) -> Tensor:
        return torch.stack(entries, -1).unflatten(-1, (3, 3))

    (ca, cb, cg), (sa, sb, sg) = cosine.unbind(-1), sine.unbind(-1)
    about_x1 = matrix(one, zero, zero, zero, ca, -sa, zero, sa, ca)
    about_x2 = matrix(cb, zero, -sb, zero, one, zero, sb, zero, cb)
    about_x3 = matrix(cg, -sg, zero, sg, cg, zero, zero, zero, one)
    return about_x1 @ about_x2 @ about_x3


def haar_angles(uniform: Tensor) -> Tensor:
    """Euler angles of uniformly distributed rotations (Haar measure).

    alpha and gamma are uniform on the circle and the sine of beta is uniform.

    Args:
        uniform: (..., 3), uniform in (0, 1).
    """
    a, b, c = uniform.unbind(-1)
    turn = 2 * math.pi
    return torch.stack([turn * (a - 0.5), torch.asin(2 * b - 1), turn * (c - 0.5)], -1)


def spread_points(count: int) -> Tensor:
    """Points that fill the unit cube evenly, the same in every run, (count, 3) float64.

    The additive recurrence on powers of the generalised golden ratio (M. Roberts, "The
    unreasonable effectiveness of quasirandom sequences", 2018).

    Args:
        count: number of points.
    """
    golden = 1.2207440846057596  # the real root of x^4 = x + 1
    steps = torch.tensor([golden**-1, golden**-2, golden**-3], dtype=torch.float64)
    index = torch.arange(1, count + 1, dtype=torch.float64)
    return (0.5 + index.unsqueeze(-1) * steps).remainder(1.0)
