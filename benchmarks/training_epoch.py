"""One training step of our models against torch-geometric's GATv2 and DGL's EGAT.

    python benchmarks/training_epoch.py --atoms 8000 --threads 1 [--dgl PYTHON] [--huge-pages]

All networks see the same random graph with the density and cutoff of the glasses, and have the
same width and heads (8, 4, 2, 1 of 32 features). A step is a forward pass, a backward pass and a
step of the optimiser; times are processor seconds, the smallest of the repeats, and their ratio
to GATv2. The memory is the growth of the process's peak; each network runs in its own process.

PYTHON is an interpreter with DGL, which needs versions of its own, for example

    python -m venv dgl && dgl/bin/pip install dgl==1.1.3 "setuptools<70" "numpy<2" torch packaging \
        pandas pydantic pyyaml

With `--huge-pages` torch asks the system for large pages: networks that make large tensors spend
less time in the system then.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch
from torch import nn

DENSITY = 0.063  # atoms/Å³
NETWORKS = ("gatv2", "symgnn", "no_symmetrization", "edge_length", "density")
HEADS, WIDTH = (8, 4, 2, 1), 32


class Attention(nn.Module):
    """Embedding, layers of attention with skips, and a number an atom: the frame of both."""

    def __init__(self):
        super().__init__()
        self.node, self.edge = nn.Embedding(119, WIDTH), nn.Linear(3, WIDTH)
        self.layers = nn.ModuleList(self.layer(heads) for heads in HEADS)
        self.mix = nn.ModuleList(nn.Linear(heads * WIDTH, WIDTH) for heads in HEADS)
        self.decoder = nn.Linear(WIDTH, 1)


class GATv2(Attention):
    """GATv2 sees the same edge features in each layer."""

    def layer(self, heads):
        from torch_geometric.nn import GATv2Conv

        return GATv2Conv(WIDTH, WIDTH, heads, edge_dim=WIDTH, add_self_loops=False)

    def forward(self, species, edge_index, edge_vector):
        node, edge = self.node(species), self.edge(edge_vector)
        for layer, mix in zip(self.layers, self.mix, strict=True):
            node = node + nn.functional.silu(mix(layer(node, edge_index, edge)))
        return self.decoder(node).squeeze(-1)


class EGAT(Attention):
    """DGL's EGATConv, edge features carried on as in SymGNN, batch norm as its authors have it."""

    def __init__(self):
        super().__init__()
        self.mix_edges = nn.ModuleList(nn.Linear(h * WIDTH, WIDTH) for h in HEADS[:-1])
        self.norm = nn.ModuleList(nn.BatchNorm1d(WIDTH) for _ in HEADS)
        self.norm_edges = nn.ModuleList(nn.BatchNorm1d(WIDTH) for _ in HEADS[:-1])

    def layer(self, heads):
        from dgl.nn import EGATConv

        return EGATConv(WIDTH, WIDTH, WIDTH, WIDTH, heads)

    def forward(self, species, edge_index, edge_vector):
        import dgl

        graph = dgl.graph((edge_index[0], edge_index[1]), num_nodes=len(species))
        node, edge = self.node(species), self.edge(edge_vector)
        for k, layer in enumerate(self.layers):
            mixed, feature = layer(graph, node, edge)
            node = node + nn.functional.silu(self.norm[k](self.mix[k](mixed.flatten(1))))
            if k < len(self.mix_edges):
                new = self.norm_edges[k](self.mix_edges[k](feature.flatten(1)))
                edge = edge + nn.functional.silu(new)
        return self.decoder(node).squeeze(-1)


def random_graph(atoms: int) -> dict[str, np.ndarray]:
    """Species, edge index and edge vectors of random atoms at the density of the glasses."""
    from symgnn.graphs.graph import edges

    random = np.random.default_rng(0)
    side = (atoms / DENSITY) ** (1 / 3)
    index, vector = edges(random.random((atoms, 3)) * side, np.eye(3) * side, 5.0)
    return {"species": random.choice([29, 40], atoms), "index": index, "vector": vector}


def build(name: str) -> nn.Module:
    """A network by name."""
    if name in ("gatv2", "egat"):
        return GATv2() if name == "gatv2" else EGAT()
    from symgnn.models.registry import build_model

    return build_model(name, elements=[29, 40])


def measure(name: str, path: str, repeats: int) -> dict[str, float]:
    """Processor seconds and peak memory of a step."""
    torch.manual_seed(0)
    with np.load(path) as stored:
        graph = [torch.from_numpy(stored[key]) for key in ("species", "index", "vector")]
    model = build(name)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, amsgrad=True)
    before, seconds = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, []
    for _ in range(repeats):
        start = time.process_time()
        optimizer.zero_grad()
        model(*graph).square().mean().backward()
        optimizer.step()
        seconds.append(time.process_time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": min(seconds), "mib": (peak - before) / 1024}


def main() -> None:
    """Measure each network in a process of its own and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--atoms", type=int, default=8000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--dgl", help="interpreter with DGL, for the row egat")
    parser.add_argument("--huge-pages", action="store_true")
    parser.add_argument("--only", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.only:
        print(json.dumps(measure(*options.only, options.repeats)))
        return
    environment = os.environ | {"DGLBACKEND": "pytorch", "OMP_NUM_THREADS": str(options.threads)}
    environment["THP_MEM_ALLOC_ENABLE"] = "1" if options.huge_pages else "0"
    interpreter = dict.fromkeys(options.networks, sys.executable)
    if options.dgl:
        interpreter["egat"] = options.dgl
    common = ["--threads", str(options.threads), "--repeats", str(options.repeats)]
    with tempfile.TemporaryDirectory() as folder:
        path, graph = f"{folder}/graph.npz", random_graph(options.atoms)
        np.savez(path, **graph)
        print(f"{options.atoms} atoms, {len(graph['vector'])} edges, {options.threads} thread(s)")
        reference = None
        for name, python in interpreter.items():
            command = [python, __file__, *common, "--only", name, path]
            found = json.loads(subprocess.check_output(command, text=True, env=environment))
            reference = reference or found
            speed, memory = (reference[key] / found[key] for key in ("seconds", "mib"))
            print(
                f"{name:18} {found['seconds']:8.2f} s {speed:6.2f} x as fast"
                f" {found['mib']:8.0f} MiB {memory:6.2f} x less",
                flush=True,
            )


if __name__ == "__main__":
    main()
