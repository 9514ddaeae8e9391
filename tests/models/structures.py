"""Random structures as networks see them."""

import numpy as np
import torch

from symgnn import neighbors
from symgnn.graphs.graph import edges


def random_structure(seed=0, atoms=40, side=9.5):
    random = np.random.default_rng(seed)
    return random.random((atoms, 3)) * side, np.eye(3) * side, random.choice([29, 40], atoms)


def tensors(positions, cell, species, cutoff=4.0, dtype=torch.float32):
    """species, edge_index and edge_vector of a graph; in double with vectors of full length."""
    index, vector = edges(positions, cell, cutoff)
    if dtype == torch.float64:
        vector = -neighbors.pairs(positions, cell, cutoff).vector  # in the order of the edges
    return torch.from_numpy(species), torch.from_numpy(index), torch.from_numpy(vector)


def with_an_atom_alone(seed, atoms, side):
    """species, edge_index, edge_vector of atoms in random order, one of which has no edges."""
    species, index, vector = tensors(*random_structure(seed, atoms, side))
    kept = (index != 17).all(0)
    return species, index[:, kept], vector[kept]
