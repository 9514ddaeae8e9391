"""One training step of our models against a plain torch-geometric GATv2 with edge features.

    python benchmarks/training_epoch.py --atoms 8000 --threads 1

All networks see the same random graph with the density and cutoff of the glasses, and have the
same width and heads (8, 4, 2, 1 of 32 features). A step is a forward and a backward pass; times
are processor seconds, the smallest of the repeats, given as ratios to GATv2 as well. The memory is
the growth of the process's peak; each network runs in its own process.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np
import torch
from torch import nn
from torch_geometric.nn import GATv2Conv

from symgnn.graphs.graph import edges
from symgnn.models.registry import build_model

DENSITY = 0.063  # atoms/Å³
NETWORKS = ("gatv2", "symgnn", "edge_length", "density")


class GATv2(nn.Module):
    """Four GATv2 layers with edge features, heads 8, 4, 2, 1 of 32 features, and skips."""

    def __init__(self, width: int = 32, heads: tuple[int, ...] = (8, 4, 2, 1)):
        super().__init__()
        self.node, self.edge = nn.Embedding(119, width), nn.Linear(3, width)
        self.layers = nn.ModuleList(
            GATv2Conv(width, width, h, edge_dim=width, add_self_loops=False) for h in heads
        )
        self.mix = nn.ModuleList(nn.Linear(h * width, width) for h in heads)
        self.decoder = nn.Linear(width, 1)

    def forward(self, species, edge_index, edge_vector):
        node, edge = self.node(species), self.edge(edge_vector)
        for layer, mix in zip(self.layers, self.mix, strict=True):
            node = node + nn.functional.silu(mix(layer(node, edge_index, edge)))
        return self.decoder(node).squeeze(-1)


def random_graph(atoms: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Species, edge index and edge vectors of random atoms at the density of the glasses."""
    random = np.random.default_rng(0)
    side = (atoms / DENSITY) ** (1 / 3)
    index, vector = edges(random.random((atoms, 3)) * side, np.eye(3) * side, 5.0)
    species = random.choice([29, 40], atoms)
    return torch.from_numpy(species), torch.from_numpy(index), torch.from_numpy(vector)


def measure(name: str, atoms: int, repeats: int) -> dict[str, float]:
    """Processor seconds and peak memory of a step, and the number of edges."""
    torch.manual_seed(0)
    graph = random_graph(atoms)
    model = GATv2() if name == "gatv2" else build_model(name, elements=[29, 40])
    before, seconds = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, []
    for _ in range(repeats):
        start = time.process_time()
        model(*graph).square().mean().backward()
        seconds.append(time.process_time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": min(seconds), "mib": (peak - before) / 1024, "edges": graph[1].shape[1]}


def main() -> None:
    """Measure each network in a process of its own and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--atoms", type=int, default=8000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.only:
        print(json.dumps(measure(options.only, options.atoms, options.repeats)))
        return
    found = {}
    for name in NETWORKS:
        command = [sys.executable, __file__, *sys.argv[1:], "--only", name]
        found[name] = json.loads(subprocess.check_output(command, text=True))
    reference = found["gatv2"]
    print(f"{options.atoms} atoms, {reference['edges']} edges, {options.threads} thread(s)")
    for name, row in found.items():
        speed = reference["seconds"] / row["seconds"]
        print(f"{name:12} {row['seconds']:8.2f} s  {row['mib']:8.0f} MiB  {speed:6.2f} x GATv2")


if __name__ == "__main__":
    main()
