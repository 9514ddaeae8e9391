"""Importance by exact removal: the prediction without an edge or an atom. The reference.

No optimisation and no derivative is in it, and it costs one prediction for each thing removed.
"""

import torch

from symgnn.explanations.masks import predict
from symgnn.explanations.receptive_field import Graph, receptive_fields

COPIES = 8  # fields side by side in one call: more do not pay on a processor


def predictions_without(
    model: torch.nn.Module, graph: Graph, target: int, layers: int, removed: list[torch.Tensor]
) -> torch.Tensor:
    """Predictions for one atom, each with some edges of the structure taken out.

    Args:
        model: in evaluation mode.
        graph: the structure.
        target: the atom whose prediction is meant.
        layers: message passing layers of the model.
        removed: sets of edges, each (any,) int64, indices into the structure's edges.

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
            found.append(predict(model, kept))
    return torch.cat(found) if found else torch.zeros(0)


def edge_removal(
    model: torch.nn.Module, graph: Graph, target: int, layers: int, edges: torch.Tensor
) -> torch.Tensor:
    """What each edge adds to a prediction: with it, less without it.

    Args:
        model: in evaluation mode.
        graph: the structure.
        target: the explained atom.
        layers: message passing layers of the model.
        edges: (any,) int64, the edges to remove one at a time.

    Returns:
        (any,), standardised barrier, signed.
    """
    whole = predictions_without(model, graph, target, layers, [edges[:0]])
    return whole - predictions_without(model, graph, target, layers, list(edges[:, None]))


def atom_removal(
    model: torch.nn.Module, graph: Graph, target: int, layers: int, atoms: torch.Tensor
) -> torch.Tensor:
    """What each atom adds to a prediction: with all its edges, less without any of them.

    Args:
        model: in evaluation mode.
        graph: the structure.
        target: the explained atom.
        layers: message passing layers of the model.
        atoms: (any,) int64, the atoms to remove one at a time.

    Returns:
        (any,), standardised barrier, signed.
    """
    source, sink = graph.edge_index
    sets = [torch.nonzero((source == atom) | (sink == atom)).flatten() for atom in atoms]
    whole = predictions_without(model, graph, target, layers, [torch.zeros(0, dtype=torch.int64)])
    return whole - predictions_without(model, graph, target, layers, sets)
