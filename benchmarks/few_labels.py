"""How many labels does a model need? Some atoms of one published glass teach, the others test.

    python benchmarks/leave_one_group_out.py FOLDER -o study
    python benchmarks/few_labels.py study/graphs.h5 -o few

Takes the graphs of the first command and gives each model a few random atoms of one glass. As many
of another glass, at most `--validation-labels`, choose the epoch and the penalty of linear fits;
one glass of every other group tests. Prints Pearson's r, mean over these glasses, with the mean and
the standard deviation over the choices of atoms. What follows `--` goes to `symgnn train`. Finished
trainings are kept.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from few_searches import mean_and_deviation
from leave_one_group_out import GROUPS, symgnn

from symgnn.graphs.dataset import Dataset, read_graphs, write_graphs
from symgnn.training.evaluation import read_run
from symgnn.training.metrics import pearson


def write_few(dataset: Dataset, path: Path, few: dict[str, tuple[str, int]], choice: int) -> None:
    """The groups' graphs, all to test but those with few labels.

    Args:
        dataset: of the published graphs.
        path: to write.
        few: split and number of labels of those, by name.
        choice: which atoms keep theirs.
    """
    chosen = [graph for graph in dataset.graphs if graph.name in GROUPS]
    for graph in chosen:
        graph.split = "test"
        if graph.name in few:
            graph.split, labels = few[graph.name]
            labelled = np.flatnonzero(np.isfinite(graph.barrier))
            kept = np.random.default_rng(choice).permutation(labelled)[:labels]
            barrier = np.full(len(graph.barrier), np.nan)
            barrier[kept] = graph.barrier[kept]
            graph.barrier = barrier
    write_graphs(path, chosen, cutoff=dataset.cutoff, **dataset.attributes)


def correlation(run: Path) -> float:
    """Pearson's r on the test glasses, their mean."""
    found = read_run(run)
    glasses = found.computed["test"].items()
    return float(np.mean([pearson(c, found.predicted["test"][name]) for name, c in glasses]))


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("graphs", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--glass", default="train4", choices=GROUPS)
    parser.add_argument("--validation", default="train3", choices=GROUPS)
    parser.add_argument("--validation-labels", type=int, default=100, help="at most")
    parser.add_argument("--labels", type=int, nargs="+", default=[100, 200, 400, 1000, 8000])
    parser.add_argument("--choices", type=int, default=3, help="of the atoms")
    parser.add_argument("--models", nargs="+", default=["response", "ridge"])
    arguments, rest = sys.argv[1:], []
    if "--" in arguments:
        rest = arguments[arguments.index("--") + 1 :]
        arguments = arguments[: arguments.index("--")]
    options = parser.parse_args(arguments)
    if options.glass == options.validation:
        parser.error("--glass and --validation must be of two groups")
    by = f"{options.validation}-{options.validation_labels}"
    options.output.mkdir(parents=True, exist_ok=True)
    print("| labels | " + " | ".join(options.models) + " |\n|" + "---|" * (len(options.models) + 1))
    for labels in options.labels:
        cells = []
        for model in options.models:
            runs = []
            for choice in range(options.choices):
                run = options.output / model / f"{options.glass}-{by}-{labels}-{choice}"
                runs.append(run)
                if (run / "checkpoint.pt").exists():
                    continue
                path = options.output / "graphs.h5"
                few = {
                    options.glass: ("train", labels),
                    options.validation: ("validation", min(labels, options.validation_labels)),
                }
                write_few(read_graphs(options.graphs), path, few, choice)
                symgnn("train", path, "--model", model, "-o", run, *rest)
                path.unlink()
            cells.append(mean_and_deviation(np.array([correlation(run) for run in runs])))
        print(f"| {labels} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
