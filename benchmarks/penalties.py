"""What chooses the penalty of a linear fit: its training glasses, or validation glasses too?

    python benchmarks/leave_one_group_out.py FOLDER -o study
    python benchmarks/penalties.py study/graphs.h5

Takes the graphs of the first command. Fits the linear part of `response` to some labels of some
published glasses and tests it on those of every other group but the validation glass. Prints the
penalty and Pearson's r, mean over the test glasses, where the training glasses alone choose, where
labels of the validation glass do too, and for the penalty that is best on the test glasses.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from leave_one_group_out import GROUPS

from symgnn.graphs.dataset import read_graphs
from symgnn.graphs.graph import Graph
from symgnn.models import ridge
from symgnn.models.density import ResponseNetwork
from symgnn.models.inputs import MODEL_INPUTS
from symgnn.training.batches import Batch, as_batch, label_scaling
from symgnn.training.metrics import pearson

ELEMENTS = [29, 40]
TRAINING = (("train4",), ("train0",), ("train2", "train5"), ("train2", "train4", "train5"))
VALIDATION = "train3"


def some(batch: Batch, labels: int) -> Batch:
    """The same glass with so many random ones of its labels."""
    order = torch.randperm(len(batch.labelled), generator=torch.Generator().manual_seed(0))
    return replace(batch, labelled=batch.labelled[order[:labels]])


def fit(
    training: Sequence[Batch], validation: Sequence[Batch], tested: Sequence[tuple[Graph, Batch]]
) -> tuple[float, float]:
    """Pearson's r, mean over the tested glasses, and the penalty."""
    linear = ResponseNetwork(ELEMENTS).linear
    linear.solve(training, validation)
    r = [pearson(graph.barrier, linear(batch.inputs).numpy()) for graph, batch in tested]
    return float(np.mean(r)), float(linear.penalty)


def best(training: Sequence[Batch], tested: Sequence[tuple[Graph, Batch]]) -> tuple[float, float]:
    """The same for the penalty with the largest r, which only the tested labels know."""
    every, found = ridge.PENALTIES, []
    for penalty in every:
        ridge.PENALTIES = penalty.reshape(1)  # the only one there is to choose
        found.append(fit(training, [], tested))
    ridge.PENALTIES = every
    return max(found)


@torch.no_grad()
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("graphs", type=Path)
    parser.add_argument("--labels", type=int, nargs="+", default=[100, 1000, 8000])
    options = parser.parse_args()
    graphs = {graph.name: graph for graph in read_graphs(options.graphs).graphs}
    print("| training | labels of each | alone | 100 of validation | all of validation | best |")
    print("|---|---|---|---|---|---|")
    for names in TRAINING:
        scaling = label_scaling([graphs[name] for name in names])
        batches = {
            name: as_batch(graphs[name], scaling, inputs=MODEL_INPUTS["response"])
            for name in GROUPS
        }
        unseen = [name for name in GROUPS if name not in (*names, VALIDATION)]
        tested = [(graphs[name], batches[name]) for name in unseen]
        validation = batches[VALIDATION]
        for labels in options.labels:
            training = [some(batches[name], labels) for name in names]
            chosen = [[], [some(validation, 100)], [validation]]
            found = [fit(training, by, tested) for by in chosen] + [best(training, tested)]
            cells = [f"{r:.3f} ({penalty:,.0f})" for r, penalty in found]
            print(f"| {', '.join(names)} | {labels} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
