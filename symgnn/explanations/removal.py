"""Importance by exact removal: the prediction without an edge or an atom. The reference.

No optimisation and no derivative is in it, and it costs one prediction for each thing removed.
"""

import torch

from symgnn.explanations.receptive_field import Fields, Graph, receptive_fields
from symgnn.explanations.trimmed import predictor

COPIES = 8  # fields side by side in one call: more do not pay on a processor


def predictions_without(
    model: torch.nn.Module, graph: Graph, target: int, layers: int, removed: list[torch.Tensor]
) -> torch.Tensor:
    """Predictions for one atom, each with some edges taken out of the graph.

    Args:
        model: in evaluation mode.
        graph: a structure, or the graph of receptive fields.
        target: the atom whose prediction is meant.
        layers: message passing layers of the model.
        removed: sets of edges, each (any,) int64, columns of the graph's edge_index.

    Returns:
        (sets,), standardised barrier.
    """
    found = []
    for start in range(0, len(removed), COPIES):
        chunk = removed[start : start + COPIES]
        fields = receptive_fields(graph, [target] * len(chunk), layers)
        gone = torch.zeros(len(chunk), graph.edge_index.shape[1], dtype=torch.bool)
        for row, edges in enumerate(chunk):
            gone[row, edges] = True
        kept = fields.without(gone[fields.edge_field, fields.edge])
        with torch.no_grad():
            found.append(predictor(model, kept)(None))
    return torch.cat(found)


def edge_removal(model: torch.nn.Module, fields: Fields, *, reach: int = 1) -> torch.Tensor:
    """What each edge adds to a prediction: the prediction with it, less the one without it.

    Args:
        model: in evaluation mode.
        fields: receptive fields.
        reach: edges that end at most `reach` - 1 steps from the explained atom are removed, one
            at a time.

    Returns:
        (edges,), standardised barrier, signed; NaN for the edges farther away.
    """
    edges = torch.nonzero(fields.edge_hop < reach).flatten()
    return _removed(
        model, fields, edges, fields.edge_field[edges], list(edges[:, None]), len(fields.edge)
    )


def atom_removal(model: torch.nn.Module, fields: Fields, *, reach: int = 1) -> torch.Tensor:
    """What each atom adds to a prediction: with all its edges, less without any of them.

    Args:
        model: in evaluation mode.
        fields: receptive fields.
        reach: atoms at most this many steps from the explained atom are removed, one at a time.

    Returns:
        (atoms,), standardised barrier, signed; NaN for the atoms farther away.
    """
    source, sink = fields.graph.edge_index
    atoms = torch.nonzero(fields.hop <= reach).flatten()
    sets = [torch.nonzero((source == atom) | (sink == atom)).flatten() for atom in atoms]
    return _removed(model, fields, atoms, fields.atom_field[atoms], sets, len(fields.atom))


def _removed(
    model: torch.nn.Module,
    fields: Fields,
    things: torch.Tensor,
    thing_field: torch.Tensor,
    sets: list[torch.Tensor],
    size: int,
) -> torch.Tensor:
    """Prediction of a field less that without each of its things; NaN for other things."""
    found = fields.graph.edge_vector.new_full((size,), torch.nan)
    nothing = torch.zeros(0, dtype=torch.int64)
    for field, target in enumerate(fields.targets.tolist()):
        own = torch.nonzero(thing_field == field).flatten().tolist()
        removed = [nothing, *(sets[row] for row in own)]
        outcome = predictions_without(model, fields.graph, target, fields.layers, removed)
        found[things[own]] = outcome[0] - outcome[1:]
    return found
