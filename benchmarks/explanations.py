"""Masks optimised side by side on trimmed fields, against torch-geometric's one-at-a-time loop.

    python benchmarks/explanations.py structure.xyz [--model symgnn] [--atoms 2] [--epochs 5]

Both optimise the same masks. Torch-geometric runs the model on the k-hop subgraph of an atom, as
its users do. Prints seconds of processor time an atom and epoch, and their ratio.
"""

import argparse
import time

import numpy as np
import torch
from torch_geometric.utils import k_hop_subgraph

from symgnn.explanations.gnnexplainer import one_at_a_time, optimised_masks
from symgnn.explanations.receptive_field import Fields, Graph, receptive_fields
from symgnn.graphs.graph import edges
from symgnn.models.reach import reach
from symgnn.models.registry import build_model
from symgnn.structures import read_structure


def whole_subgraph(graph: Graph, atom: int, steps: int) -> Fields:
    """The k-hop subgraph of an atom as torch-geometric cuts it."""
    subset, index, row, edge_mask = k_hop_subgraph(
        atom, steps, graph.edge_index, relabel_nodes=True, num_nodes=len(graph.species)
    )
    part = Graph(graph.species[subset], index, graph.edge_vector[edge_mask])
    zeros = torch.zeros(len(subset), dtype=torch.int64)
    return Fields(
        graph=part,
        targets=row,
        atom=subset,
        atom_field=zeros,
        hop=zeros,
        edge=torch.nonzero(edge_mask)[:, 0],
        edge_field=torch.zeros(index.shape[1], dtype=torch.int64),
        layers=steps,
    )


def seconds(work) -> float:
    """Processor time of a call, s."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("structure")
    parser.add_argument("--model", default="symgnn")
    parser.add_argument("--atoms", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    glass = read_structure(given.structure)
    edge_index, edge_vector = edges(glass.positions, glass.cell.array, 5.0)
    graph = Graph(
        torch.from_numpy(glass.numbers.astype(np.int64)),
        torch.from_numpy(edge_index),
        torch.from_numpy(edge_vector),
    )
    model = build_model(given.model, elements=sorted(set(glass.numbers.tolist())))
    model.eval().requires_grad_(False)
    steps, atoms = reach(model), list(range(given.atoms))
    options = {"epochs": given.epochs}

    def ours() -> None:
        for atom in atoms:
            optimised_masks(model, receptive_fields(graph, [atom], steps), seeds=[0], **options)

    def theirs() -> None:
        for atom in atoms:
            one_at_a_time(model, whole_subgraph(graph, atom, steps), seeds=[0], **options)

    work = given.atoms * given.epochs
    fast, slow = seconds(ours) / work, seconds(theirs) / work
    print(f"{given.model}: trimmed {fast:.4f} s, torch-geometric {slow:.4f} s an atom and epoch")
    print(f"ratio {slow / fast:.1f}")


if __name__ == "__main__":
    main()
