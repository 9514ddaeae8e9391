"""Do the edges that an explainer calls important carry the prediction?

Edges are truly removed, by which the judge is independent of the message weights that explainers
work with. Deletion takes out the first edges of a ranking and asks how far the prediction moves:
the sooner, the better the ranking. Insertion keeps the first edges alone and asks how far the
prediction still is: the sooner it is near, the better.
"""

import copy
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from scipy import stats
from torch import nn

from symgnn.explanations.geometry import EdgeGeometry
from symgnn.explanations.receptive_field import Fields
from symgnn.explanations.trimmed import predictor

COUNTS = (0, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


def edge_counts(edges: int, counts: Sequence[int] = COUNTS) -> list[int]:
    """How many edges to take, in rising order, up to all of them."""
    return [count for count in counts if count < edges] + [edges]


def deletion_curve(
    model: nn.Module, fields: Fields, ranking: np.ndarray, counts: Sequence[int]
) -> np.ndarray:
    """Change of one prediction when the first edges of a ranking are removed.

    Args:
        model: in evaluation mode.
        fields: one receptive field.
        ranking: (edges,) rows of its edges, most important first.
        counts: how many to remove.

    Returns:
        (counts,), magnitude, standardised barrier.
    """
    return _curve(model, fields, ranking, counts, lambda first, count: first < count)


def insertion_curve(
    model: nn.Module, fields: Fields, ranking: np.ndarray, counts: Sequence[int]
) -> np.ndarray:
    """What is missing of one prediction when only the first edges of a ranking are there.

    Arguments and result as in `deletion_curve`.
    """
    return _curve(model, fields, ranking, counts, lambda first, count: first >= count)


def _curve(
    model: nn.Module,
    fields: Fields,
    ranking: np.ndarray,
    counts: Sequence[int],
    gone: Callable[[torch.Tensor, int], torch.Tensor],
) -> np.ndarray:
    place = torch.full((len(fields.edge),), len(fields.edge))
    place[torch.from_numpy(np.ascontiguousarray(ranking))] = torch.arange(len(ranking))
    with torch.no_grad():
        whole = predictor(model, fields)(None)
        found = [predictor(model, fields.without(gone(place, n)))(None) for n in counts]
    return np.array([abs(float(one - whole)) for one in found])


def area(counts: Sequence[int], curve: np.ndarray) -> float:
    """Mean height of a curve over the logarithm of the number of edges (plus one)."""
    scale = np.log1p(np.asarray(counts, dtype=float))
    return float(np.trapezoid(curve, scale) / (scale[-1] - scale[0]))


def rankings(
    importance: Mapping[str, np.ndarray], geometry: EdgeGeometry, seed: int
) -> dict[str, np.ndarray]:
    """Rankings of edges to compare: of explainers, random, shortest first, nearest first.

    Args:
        importance: name of an explainer -> (edges,), of one receptive field.
        geometry: of the same edges.
        seed: of the random order.

    Returns:
        name -> (edges,) rows, most important first.
    """
    size = len(geometry.length)
    found = {
        name: np.argsort(-np.nan_to_num(np.abs(values), nan=-1.0), kind="stable")
        for name, values in importance.items()
    }
    found["random"] = np.random.default_rng(seed).permutation(size)
    found["shortest first"] = np.argsort(geometry.length, kind="stable")
    found["nearest first"] = np.argsort(geometry.distance, kind="stable")
    return found


def randomised(model: nn.Module, seed: int) -> nn.Module:
    """A copy of a model with its weights drawn anew: the null that explanations must differ from.

    The values of each parameter are shuffled, so that their distribution stays as it was (the
    model parameter randomisation test of Adebayo et al. 2018, arXiv:1810.03292).

    Args:
        model: the trained model; it stays as it is.
        seed: of the shuffles.
    """
    null = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in null.parameters():
            order = torch.randperm(parameter.numel(), generator=generator)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
    return null


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman correlation of the magnitudes of two sets of importances; NaN where constant."""
    known = np.isfinite(first) & np.isfinite(second)
    one, other = np.abs(first[known]), np.abs(second[known])
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(stats.spearmanr(one, other).statistic)


def shared_top(first: np.ndarray, second: np.ndarray, top: int) -> float:
    """Share of the `top` most important edges that two explanations have in common."""
    one, other = (
        set(np.argsort(-np.abs(values), kind="stable")[:top]) for values in (first, second)
    )
    return len(one & other) / max(len(one), 1)
