"""One training step of our models against torch-geometric's GATv2 and DGL's EGAT.

    python benchmarks/training_epoch.py --atoms 8000 --threads 1 [--dgl PYTHON] [--bf16] [--compile]

All networks see the same random graph with the density and cutoff of the glasses, and have the
same width and heads (8, 4, 2, 1 of 32 features). A step is a forward pass, a backward pass and a
step of the optimiser; times are processor seconds, and their ratio to the first network's. The
memory is the growth of the process's peak. Each network runs in processes of its own, the networks
in turn; numbers are medians over the rounds. `--bf16` and `--compile` add rows of the same
networks in mixed precision and after torch.compile, as `symgnn train --precision bf16` and
`--compile` have them (attention, too, which `--compile` leaves out on a processor); the time of a
first step, in processor seconds too, has the compilation in it, with nothing in torch's cache.

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
import statistics
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


def processor_time() -> float:
    """Seconds of this process and of the compilers that it has called."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def measure(row: str, path: str, steps: int) -> dict[str, float]:
    """Processor seconds of a step (median) and of the first one, and peak memory."""
    name, *kind = row.split(":")
    torch.manual_seed(0)
    with np.load(path) as stored:
        graph = [torch.from_numpy(stored[key]) for key in ("species", "index", "vector")]
    model = build(name)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, amsgrad=True)
    before, seconds, first = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, [], 0.0
    network, begin = model, processor_time()
    if "compiled" in kind:
        from symgnn.training.compiling import COMPILER

        network = torch.compile(model, dynamic=True, **COMPILER)
    for step in range(steps + 1):  # the first one loads and prepares
        start = time.process_time()
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled="bf16" in kind):
            predicted = network(*graph)
        predicted.float().square().mean().backward()
        optimizer.step()
        if step:
            seconds.append(time.process_time() - start)
        else:
            first = processor_time() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "seconds": statistics.median(seconds),
        "mib": (peak - before) / 1024,
        "first": first,
    }


def measure_in_process(
    python: str, row: str, path: str, options: argparse.Namespace
) -> dict[str, float] | None:
    """`measure` in a process of its own; None where it does not end in time."""
    threads = str(options.threads)
    environment = os.environ | {"DGLBACKEND": "pytorch", "OMP_NUM_THREADS": threads}
    environment["THP_MEM_ALLOC_ENABLE"] = "1" if options.huge_pages else "0"
    environment["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # whose time is seen: no pool of processes
    common = ["--threads", threads, "--steps", str(options.steps), "--only", row, path]
    try:
        with tempfile.TemporaryDirectory() as cache:
            found = subprocess.run(
                [python, __file__, *common],
                text=True,
                env=environment | {"TORCHINDUCTOR_CACHE_DIR": cache},
                timeout=options.limit,
                stdout=subprocess.PIPE,
                check=True,
            )
    except subprocess.TimeoutExpired:
        return None
    return json.loads(found.stdout.splitlines()[-1])


def rows(options: argparse.Namespace) -> dict[str, str]:
    """What is measured, NETWORK[:bf16][:compiled], and the interpreter it needs."""
    kinds = [""] + [":bf16"] * options.bf16 + [":compiled"] * options.compile
    kinds += [":bf16:compiled"] * (options.bf16 and options.compile)
    found = {name + kind: sys.executable for name in options.networks for kind in kinds}
    return found | ({"egat": options.dgl} if options.dgl else {})


def show(measured: dict[str, list[dict[str, float]]]) -> None:
    """Medians over the rounds, and their ratios to the first row's."""
    middle = {
        row: {key: statistics.median(one[key] for one in found) for key in found[0]}
        for row, found in measured.items()
        if found
    }
    reference = next(iter(middle.values()))
    for row in measured:
        if row not in middle:
            print(f"{row:24} did not end in time")
            continue
        speed, memory = (reference[key] / middle[row][key] for key in ("seconds", "mib"))
        print(
            f"{row:24} {middle[row]['seconds']:6.2f} s {speed:5.2f} x as fast"
            f" {middle[row]['mib']:6.0f} MiB {memory:5.2f} x less"
            f"   first step {middle[row]['first']:5.1f} s"
        )


def main() -> None:
    """Measure each network in processes of its own, in turn, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--atoms", type=int, default=8000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--dgl", help="interpreter with DGL, for the row egat")
    parser.add_argument("--huge-pages", action="store_true")
    parser.add_argument("--bf16", action="store_true", help="each network under autocast, too")
    parser.add_argument("--compile", action="store_true", help="each with torch.compile, too")
    parser.add_argument("--limit", type=float, default=300, help="seconds of one process")
    parser.add_argument("--only", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.only:
        print(json.dumps(measure(*options.only, options.steps)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path, graph = f"{folder}/graph.npz", random_graph(options.atoms)
        np.savez(path, **graph)
        print(f"{options.atoms} atoms, {len(graph['vector'])} edges, {options.threads} thread(s)")
        measured: dict[str, list[dict[str, float]]] = {row: [] for row in rows(options)}
        for _ in range(options.rounds):
            for row, python in rows(options).items():
                found = measure_in_process(python, row, path, options)
                measured[row] += [found] if found else []
    show(measured)


if __name__ == "__main__":
    main()
