"""A small periodic structure and small models whose mathematics is plain to see."""

import numpy as np
import pytest
import torch
from torch_geometric.nn import MessagePassing
from torch_geometric.utils import softmax

from symgnn import neighbors
from symgnn.explanations.receptive_field import Graph
from symgnn.explanations.storage import Structure


class Layer(MessagePassing):
    """Messages tanh(A h_source + B |r|), added up over the edges of an atom."""

    def __init__(self, width: int):
        super().__init__(aggr="add")
        self.state = torch.nn.Linear(width, width)
        self.edge = torch.nn.Linear(1, width)

    def forward(self, state, edge_index, length):
        return state + torch.tanh(self.propagate(edge_index, state=state, length=length)) / 3

    def message(self, state_j, length):
        return torch.tanh(self.state(state_j) + self.edge(length))


class AttendingLayer(MessagePassing):
    """The same, with weights that a softmax normalises over the edges of an atom."""

    def __init__(self, width: int):
        super().__init__(aggr="add")
        self.state = torch.nn.Linear(width, width)
        self.edge = torch.nn.Linear(1, width)

    def forward(self, state, edge_index, length):
        return state + torch.tanh(self.propagate(edge_index, state=state, length=length))

    def message(self, state_j, length, index, size_i):
        made = torch.tanh(self.state(state_j) + self.edge(length))
        return made * softmax(made.sum(dim=1, keepdim=True), index, num_nodes=size_i)


class Model(torch.nn.Module):
    """A prediction from species and edge lengths that reaches `layers` steps."""

    def __init__(self, layer: type[MessagePassing], layers: int = 2, width: int = 6):
        super().__init__()
        self.species = torch.nn.Embedding(100, width)
        self.layers = torch.nn.ModuleList(layer(width) for _ in range(layers))
        self.out = torch.nn.Linear(width, 1)

    def forward(self, species, edge_index, edge_vector):
        state = self.species(species)
        length = edge_vector.norm(dim=1, keepdim=True)
        for layer in self.layers:
            state = layer(state, edge_index, length)
        return self.out(state)[:, 0]


def random_structure(atoms: int = 60, seed: int = 0, box: float = 14.0):
    """Positions (Å), cell (Å) and atomic numbers of a loose random packing."""
    rng = np.random.default_rng(seed)
    positions = rng.random((1, 3)) * box
    while len(positions) < atoms:
        point = rng.random(3) * box
        apart = point - positions
        apart -= box * np.round(apart / box)
        if np.linalg.norm(apart, axis=1).min() > 2.0:
            positions = np.vstack([positions, point])
    return positions, np.eye(3) * box, rng.choice([29, 40], atoms)


def make_graph(positions, cell, numbers, cutoff: float = 4.0) -> Graph:
    """The graph of a structure, as the explain command makes it."""
    pairs = neighbors.pairs(positions, cell, cutoff)
    return Graph(
        species=torch.from_numpy(numbers).long(),
        edge_index=torch.from_numpy(np.stack([pairs.source, pairs.target])),
        edge_vector=torch.from_numpy(pairs.vector).float(),
    )


@pytest.fixture(scope="session")
def graph() -> Graph:
    """60 atoms in a periodic box of 14 Å, edges to 4 Å."""
    return make_graph(*random_structure())


@pytest.fixture(scope="session")
def structure(graph) -> Structure:
    """The same, as files hold it."""
    positions, cell, numbers = random_structure()
    return Structure(positions, cell, numbers, graph.edge_index.numpy(), graph.edge_vector.numpy())


def seeded(layer: type[MessagePassing], layers: int = 2) -> Model:
    """A model with known random parameters, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return Model(layer, layers).eval().requires_grad_(False)


@pytest.fixture(scope="session")
def adding() -> Model:
    """Layers that add up messages."""
    return seeded(Layer)


@pytest.fixture(scope="session")
def attending() -> Model:
    """Layers with normalised attention."""
    return seeded(AttendingLayer)
