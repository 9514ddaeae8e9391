"""A task whose answer is known: labels made from chosen edges, which an explainer must find.

An atom's label is the number of edges of one kind that end at it: those that join two species
within a window of lengths. A network that has learned such labels must rest on these edges; an
explainer that works ranks them first, among all edges of the receptive field.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch_geometric.nn import MessagePassing

from symgnn.explanations.receptive_field import Fields, Graph
from symgnn.graphs.graph import edges


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


def counted_edges(graph: Graph, chosen: torch.Tensor) -> torch.Tensor:
    """(atoms,) number of chosen edges that end at each atom."""
    nothing = torch.zeros(len(graph.species))
    return nothing.index_add(0, graph.edge_index[1], chosen.float())


def fit(
    model: nn.Module,
    graphs: list[Graph],
    labels: list[torch.Tensor],
    *,
    epochs: int,
    learning_rate: float = 3e-3,
) -> None:
    """Train a model on labels of some graphs, one graph a step."""
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


@dataclass(frozen=True)
class Task:
    """A network that has learned a task with a known answer.

    Attributes:
        model: the network, in evaluation mode.
        graph: a structure that it was not trained on.
        chosen: (edges,) bool, the edges that the labels count.
        atoms: some at which a chosen edge ends.
        correlation: of predictions and labels on this structure.
    """

    model: nn.Module
    graph: Graph
    chosen: torch.Tensor
    atoms: list[int]
    correlation: float


class AddingLayer(MessagePassing):
    """Adds messages made of both atoms and the edge's length: it can count.

    Args:
        width: length of the atoms' features.
    """

    def __init__(self, width: int):
        super().__init__(aggr="add")
        sizes = [(2 * width + 1, width), (width, width)]
        hidden = [part for size in sizes for part in (nn.Linear(*size), nn.SiLU())]
        self.network = nn.Sequential(*hidden, nn.Linear(width, width))

    def forward(
        self, node: torch.Tensor, edge_index: torch.Tensor, length: torch.Tensor
    ) -> torch.Tensor:
        """New features of the atoms, (atoms, width)."""
        return node + self.propagate(edge_index, node=node, length=length)

    def message(
        self, node_i: torch.Tensor, node_j: torch.Tensor, length: torch.Tensor
    ) -> torch.Tensor:
        """What each edge brings, (edges, width)."""
        return self.network(torch.cat([node_i, node_j, length], dim=-1))


class AddingNetwork(nn.Module):
    """Two layers of `AddingLayer`: whatever edges a label counts, it can learn to count them."""

    def __init__(self, width: int = 16, layers: int = 2):
        super().__init__()
        self.species = nn.Embedding(100, width)
        self.layers = nn.ModuleList(AddingLayer(width) for _ in range(layers))
        self.out = nn.Linear(width, 1)

    def forward(
        self, species: torch.Tensor, edge_index: torch.Tensor, edge_vector: torch.Tensor
    ) -> torch.Tensor:
        """(atoms,) predictions."""
        node, length = self.species(species), edge_vector.norm(dim=1, keepdim=True) - 3.0
        for layer in self.layers:
            node = layer(node, edge_index, length)
        return self.out(node)[:, 0]


def solved_task(seed: int, *, structures: int = 5, epochs: int = 200) -> Task:
    """Train the adding network on random packings; the last one is kept for the test.

    Labels count the edges from Zr to Cu shorter than 3.4 Å.

    Args:
        seed: of the structures and of the network.
        structures: how many; all but the last are trained on.
        epochs: passes over them.
    """
    graphs = [random_packing(1000 * seed + k) for k in range(structures)]
    chosen = [chosen_edges(graph, (40, 29), (0.0, 3.4)) for graph in graphs]
    labels = [counted_edges(*pair) for pair in zip(graphs, chosen, strict=True)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AddingNetwork()
    fit(model, graphs[:-1], labels[:-1], epochs=epochs)
    model.requires_grad_(False)
    last = graphs[-1]
    found = model(last.species, last.edge_index, last.edge_vector)
    return Task(
        model=model,
        graph=last,
        chosen=chosen[-1],
        atoms=torch.unique(last.edge_index[1, chosen[-1]])[:16].tolist(),
        correlation=float(torch.corrcoef(torch.stack([found, labels[-1]]))[0, 1]),
    )


def random_packing(seed: int, *, atoms: int = 120, box: float = 15.0, apart: float = 2.0) -> Graph:
    """Atoms of two species at random places in a periodic cube, with edges up to 4 Å."""
    rng = np.random.default_rng(seed)
    positions = rng.random((1, 3)) * box
    while len(positions) < atoms:
        point = rng.random(3) * box
        offset = point - positions
        offset -= box * np.round(offset / box)
        if np.linalg.norm(offset, axis=1).min() > apart:
            positions = np.vstack([positions, point])
    edge_index, edge_vector = edges(positions, np.eye(3) * box, 4.0)
    return Graph(
        species=torch.from_numpy(rng.choice([29, 40], atoms)),
        edge_index=torch.from_numpy(edge_index),
        edge_vector=torch.from_numpy(edge_vector),
    )
