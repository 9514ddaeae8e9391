"""A trained model on the published structures, none of whose labels it has seen.

    python benchmarks/leave_one_group_out.py FOLDER -o searched --models searched
    python benchmarks/shipped_model.py searched/graphs.h5
    python benchmarks/shipped_model.py searched/graphs.h5 --checkpoint Cu64Zr36-searched
    python benchmarks/shipped_model.py searched/graphs.h5 --checkpoint a/checkpoint.pt

Takes the graphs of the first command, whose per-atom inputs are those that `symgnn predict` would
compute (of another cutoff or potential they are refused). Prints for each graph Pearson's r,
Spearman's rank r, the mean absolute error (eV), the area under the curve for the softest 5 %, the
mean of the predictions over the labels' mean, and the shares of the labels within one and two
stated errors; then their means, and r of all atoms together. The model is by default the faster
one that comes with the program.
"""

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np
from leave_one_group_out import print_rows

import symgnn
from symgnn import fields
from symgnn.graphs.dataset import read_graphs
from symgnn.graphs.graph import Graph
from symgnn.training.loop import predict_graphs
from symgnn.training.metrics import METRICS, metrics, pearson
from symgnn.training.prediction import Predictor

COLUMNS = (*METRICS, "mean over labels' mean", "within one error", "within two")


def members_of(predictor: Predictor, graph: Graph) -> np.ndarray:
    """What each model predicts, (models, atoms), eV."""
    for reason in predictor.outside(graph.atoms):
        warnings.warn(f"{graph.name}: {reason}", stacklevel=2)
    found = []
    for one in predictor.members:
        names = one.inputs.get("names", ())
        found.append(predict_graphs(one.model, [graph], one.scaling, "cpu", names)[graph.name])
    return np.stack(found)


def figures(predictor: Predictor, graph: Graph, members: np.ndarray) -> list[float]:
    """What the columns say of one published graph."""
    predicted, error = members.mean(0), predictor.error(members)
    level = predicted.mean() / graph.barrier.mean()
    found = [*metrics(graph.barrier, predicted).values(), level]
    if error is None:
        return [*found, np.nan, np.nan]
    off = np.abs(graph.barrier - predicted) / error
    return [*found, (off < 1).mean(), (off < 2).mean()]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("graphs", type=Path)
    parser.add_argument("--checkpoint", nargs="+", default=["Cu64Zr36"])
    options = parser.parse_args()
    predictor = symgnn.load(options.checkpoint)
    dataset = read_graphs(options.graphs)
    for one in predictor.members:
        known = (one.cutoff, one.inputs.get("potential_sha256"))
        sha256 = str(dataset.attributes[fields.POTENTIAL_SHA256]) if one.inputs else None
        if known != (dataset.cutoff, sha256):
            sys.exit(f"{options.graphs}: cutoff or potential are not those of the model")
    graphs = dataset.graphs
    found = [members_of(predictor, graph) for graph in graphs]
    pairs = list(zip(graphs, found, strict=True))
    rows = [(graph.name, figures(predictor, graph, members)) for graph, members in pairs]
    rows.append(("mean", np.mean([row for _, row in rows], axis=0)))
    print_rows("graph", COLUMNS, rows)
    computed = np.concatenate([graph.barrier for graph in graphs])
    predicted = np.concatenate([members.mean(0) for members in found])
    print(f"\nr of all atoms together: {pearson(computed, predicted):.3f}")


if __name__ == "__main__":
    main()
