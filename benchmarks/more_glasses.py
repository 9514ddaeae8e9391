"""What another glass teaches: a model of one's own trained on one glass, on two, and so on.

    symgnn graphs a.xyz b.xyz c.xyz ... --train a --train c ... --validation b -o graphs.h5
    python benchmarks/leave_one_group_out.py FOLDER -o study
    python benchmarks/more_glasses.py graphs.h5 study/graphs.h5 -o more

Takes the graphs of the first command, with the inputs of the models (docs/accuracy.md has the whole
command), and tests on the published ones of the second. What follows `--` goes to `symgnn train`.
Finished trainings are kept. Prints glasses and labels to train on, and for each model on the
published graphs the mean of Pearson's r, of the area under the curve for the softest 5 %, and r of
all atoms together.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from leave_one_group_out import symgnn

from symgnn.graphs.dataset import read_graphs, write_graphs
from symgnn.graphs.graph import Graph
from symgnn.training.checkpoint import load
from symgnn.training.loop import predict_graphs
from symgnn.training.metrics import pearson, softest_auc


def figures(run: Path, graphs: list[Graph]) -> list[float]:
    """The three numbers of a row."""
    trained = load(run / "checkpoint.pt")
    inputs = trained.inputs.get("names", ())
    found = predict_graphs(trained.model, graphs, trained.scaling, "cpu", inputs)
    pairs = [(graph.barrier, found[graph.name]) for graph in graphs]
    means = [float(np.mean([score(*pair) for pair in pairs])) for score in (pearson, softest_auc)]
    return [*means, pearson(*(np.concatenate(side) for side in zip(*pairs, strict=True)))]


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("graphs", type=Path)
    parser.add_argument("published", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--models", nargs="+", default=["response"])
    parser.add_argument("--glasses", type=int, nargs="+", help="how many teach [1, 2, ... all]")
    arguments, rest = sys.argv[1:], []
    if "--" in arguments:
        rest = arguments[arguments.index("--") + 1 :]
        arguments = arguments[: arguments.index("--")]
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    dataset, published = read_graphs(options.graphs), read_graphs(options.published).graphs
    training, others = dataset.of_split("train"), dataset.of_split("validation")
    counts = options.glasses or range(1, len(training) + 1)
    if not all(1 <= count <= len(training) for count in counts):
        parser.error(f"--glasses: from 1 to {len(training)}, the training glasses")
    print("| glasses | labels | model | r | softest 5 %, AUC | r of all atoms together |")
    print("|---|---|---|---|---|---|")
    for count in counts:
        labels = sum(np.isfinite(graph.barrier).sum() for graph in training[:count])
        for model in options.models:
            run = options.output / model / "-".join(graph.name for graph in training[:count])
            if not (run / "checkpoint.pt").exists():
                path = options.output / "graphs.h5"
                chosen = [*training[:count], *others]
                write_graphs(path, chosen, cutoff=dataset.cutoff, **dataset.attributes)
                symgnn("train", path, "--model", model, "-o", run, *rest)
                path.unlink()
            cells = [f"{value:.3f}" for value in figures(run, published)]
            print(f"| {count} | {labels:,} | `{model}` | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
