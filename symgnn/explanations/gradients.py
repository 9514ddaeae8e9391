"""Importance of edges from derivatives of the prediction with respect to message weights."""

import numpy as np
import torch

from symgnn.explanations.receptive_field import Fields
from symgnn.explanations.trimmed import Predictor, predictor


def saliency(model: torch.nn.Module, fields: Fields) -> torch.Tensor:
    """Derivative of the prediction with respect to each edge's message weight, at weight one.

    Args:
        model: in evaluation mode.
        fields: receptive fields.

    Returns:
        (edges,), standardised barrier; the change to first order if the edge grew silent is its
        negative.
    """
    return _gradient(predictor(model, fields), len(fields.edge), 1.0)


def integrated_gradients(
    model: torch.nn.Module, fields: Fields, *, steps: int = 32
) -> torch.Tensor:
    """Integrated gradients (Sundararajan, Taly & Yan 2017, arXiv:1703.01365) on message weights.

    The weights of all edges of a field go from zero to one together. The importances of a field
    add up to its prediction less the prediction without any message, up to the error of the
    quadrature (Gauss-Legendre).

    Args:
        model: in evaluation mode.
        fields: receptive fields.
        steps: points of the quadrature.

    Returns:
        (edges,), standardised barrier, signed.
    """
    points, weights = _gauss_legendre(steps)
    evaluate = predictor(model, fields)
    total = torch.zeros(len(fields.edge))
    for point, weight in zip(points, weights, strict=True):
        total += weight * _gradient(evaluate, len(total), point)
    return total


def _gradient(evaluate: Predictor, edges: int, weight: float) -> torch.Tensor:
    mask = torch.full((edges,), weight, requires_grad=True)
    return torch.autograd.grad(evaluate(mask).sum(), mask)[0]


def _gauss_legendre(steps: int) -> tuple[list[float], list[float]]:
    """Points and weights on [0, 1]."""
    points, weights = np.polynomial.legendre.leggauss(steps)
    return list((points + 1) / 2), list(weights / 2)
