"""Small glasses and short trainings of them, through the commands."""

import csv

import numpy as np
from ase import Atoms
from typer.testing import CliRunner

from symgnn.cli import app
from symgnn.graphs.graph import glass_graph

SMALL = ["--epochs", "4", "--width", "8", "--threads", "1"]


def glass(seed, atoms=60, side=10.0, unlabelled=0.5):
    """Atoms on a jittered grid; the label is the share of Zr among close neighbours."""
    random = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(4)] * 3), -1).reshape(-1, 3)[:atoms]
    positions = (grid + 0.4 * random.random((atoms, 3))) * side / 4
    structure = Atoms(random.choice(["Cu", "Zr"], atoms), positions, cell=[side] * 3, pbc=True)
    graph = glass_graph(f"g{seed}", structure, cutoff=4.0)
    close = np.linalg.norm(graph.edge_vector, axis=1) < 3.0
    zr = close & (graph.species[graph.edge_index[0]] == 40)
    count = [np.bincount(graph.edge_index[1], edges, atoms) for edges in (zr, close)]
    graph.barrier = 1 + count[0] / np.maximum(count[1], 1)
    graph.barrier[random.random(atoms) < unlabelled] = np.nan
    return structure, graph


def run(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None:
        raise result.exception
    return result


def read_csv(path):
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))
