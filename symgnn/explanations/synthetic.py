"""A task whose answer is known: labels made from chosen edges, which an explainer must find.

An atom's label is the number of edges of a rare kind that end at it or at one of its neighbours:
the kind that joins two species within a window of lengths. A network trained on such labels to a
high correlation must rest on these edges; an explainer that works ranks them first.
"""

import numpy as np
import torch
from torch import nn

from symgnn.explanations.receptive_field import Fields, Graph


def chosen_edges(graph: Graph, pair: tuple[int, int], window: tuple[float, float]) -> torch.Tensor:
    """(edges,) bool, the edges from one species to another with a length in a window.

    Args:
        graph: a structure.
        pair: atomic numbers of source and target.
        window: lengths, Å.
    """
    source, target = graph.species[graph.edge_index]
    length = graph.edge_vector.norm(dim=1)
    within = (length >= window[0]) & (length < window[1])
    return (source == pair[0]) & (target == pair[1]) & within


def synthetic_labels(graph: Graph, chosen: torch.Tensor) -> torch.Tensor:
    """(atoms,) number of chosen edges that end at each atom, standardised."""
    number = torch.zeros(len(graph.species)).index_add(0, graph.edge_index[1], chosen.float())
    return (number - number.mean()) / number.std()


def fit(
    model: nn.Module,
    graphs: list[Graph],
    labels: list[torch.Tensor],
    *,
    epochs: int,
    learning_rate: float = 3e-3,
) -> float:
    """Train a model on labels of some graphs, one graph a step.

    Returns:
        Pearson correlation of predictions and labels, after the training.
    """
    optimiser = torch.optim.Adam(model.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    model.train()
    for _ in range(epochs):
        for graph, label in zip(graphs, labels, strict=True):
            optimiser.zero_grad()
            out = model(graph.species, graph.edge_index, graph.edge_vector)
            (out - label).square().mean().backward()
            optimiser.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        found = [model(graph.species, graph.edge_index, graph.edge_vector) for graph in graphs]
    return float(torch.corrcoef(torch.stack([torch.cat(found), torch.cat(labels)]))[0, 1])


def precision_at_k(importance: torch.Tensor, truth: torch.Tensor, fields: Fields) -> np.ndarray:
    """Share of the k most important edges of each field that are true, k their true number.

    Args:
        importance: (edges,), of all fields; its magnitude counts.
        truth: (edges,) bool, the edges that the label is made from.
        fields: receptive fields.

    Returns:
        (fields,), NaN where a field holds no true edge.
    """
    found = np.full(len(fields), np.nan)
    for field in range(len(fields)):
        own = fields.edge_field == field
        k = int(truth[own].sum())
        if k:
            top = importance[own].abs().topk(k).indices
            found[field] = float(truth[own][top].float().mean())
    return found
