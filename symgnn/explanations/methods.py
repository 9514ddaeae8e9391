"""The explainers by name, behind one interface: (model, fields) -> importance of each edge."""

from dataclasses import dataclass

import torch

from symgnn.errors import InputError
from symgnn.explanations.gnnexplainer import one_at_a_time, optimised_masks
from symgnn.explanations.gradients import integrated_gradients, saliency
from symgnn.explanations.receptive_field import Fields
from symgnn.explanations.removal import atom_removal, edge_removal

METHODS = ("gnnexplainer", "gnnexplainer-single", "integrated-gradients", "saliency", "removal")
SIGNED = ("integrated-gradients", "saliency", "removal")


@dataclass(frozen=True)
class Importance:
    """What an explainer says of receptive fields.

    Attributes:
        edges: (edges,), of each edge; NaN where the method left it out.
        atoms: (atoms,), of each atom; NaN where the method left it out.
    """

    edges: torch.Tensor
    atoms: torch.Tensor


def explain(
    model: torch.nn.Module,
    fields: Fields,
    *,
    method: str,
    seeds: list[int],
    steps: int = 32,
    reach: int = 1,
    **optimisation: float,
) -> Importance:
    """Importance of the edges and atoms of receptive fields.

    Args:
        model: in evaluation mode.
        fields: receptive fields.
        method: one of METHODS.
        seeds: (fields,), of the first masks (GNNExplainer).
        steps: points of the quadrature (integrated gradients).
        reach: how many steps from the atom edges and atoms are removed (removal).
        optimisation: see `gnnexplainer.Optimisation` (GNNExplainer).

    Raises:
        InputError: there is no such method.
    """
    if method == "gnnexplainer":
        edges = optimised_masks(model, fields, seeds=seeds, **optimisation)
    elif method == "gnnexplainer-single":
        edges = one_at_a_time(model, fields, seeds=seeds, **optimisation)
    elif method == "integrated-gradients":
        edges = integrated_gradients(model, fields, steps=steps)
    elif method == "saliency":
        edges = saliency(model, fields)
    elif method == "removal":
        edges = edge_removal(model, fields, reach=reach)
        return Importance(edges, atom_removal(model, fields, reach=reach))
    else:
        raise InputError(f"--method {method}: must be one of {', '.join(METHODS)}")
    return Importance(edges, _shared(edges, fields))


def _shared(importance: torch.Tensor, fields: Fields) -> torch.Tensor:
    """Half of each edge's importance to either of its atoms."""
    half = importance / 2
    total = half.new_zeros(len(fields.atom))
    for ends in fields.graph.edge_index:
        total = total.index_add(0, ends, half)
    return total
