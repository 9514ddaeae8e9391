"""Grouped cross-validation on the published graphs: one fold a group of copies.

    python benchmarks/leave_one_group_out.py FOLDER -o study --seeds 4
    python benchmarks/leave_one_group_out.py FOLDER -o table --models all -- \
        --epochs 12 --learning-rate 3e-3

FOLDER holds train0.pickle ... train6.pickle. Each fold trains on all other groups, with no
validation glass (the last epoch counts), and tests on its group. What follows `--` goes to `symgnn
train`. Per-atom inputs are computed once for all folds and models. A finished run is kept and an
unfinished one resumed, so the command can be stopped and given again; give another folder for
another recipe. The inputs of model `searched` take 70 core-ms an atom, an hour for all; a
folder whose graphs were made without them is refused.

Prints a row for each left-out graph, for their mean and for all their atoms together. Of the model,
whose seeds are an ensemble, and of our ridge regression on the same split: Pearson's r, Spearman's
rank r, the mean absolute error (eV) and the area under the curve for the softest 5 %. Beside them
the error of the training labels' mean, the r of a reference that was measured on these graphs, and
how far the seeds' r spread. A second table says whether stated errors hold, see
`left_out.calibration`, and `--figure` draws the predictions. Of several models (`--models`, each
with options if wanted, `symgnn:gaussians=0`, and seeds of its own, `--seeds 4 1`; `all` for every
one there is) it ends with the paper's table 1 over all folds, as `symgnn evaluate` makes it of the
runs, and `--figure` draws that; `train r` is the mean of the folds' training glasses, and what is
said of the seeds' mean is of an ensemble of them.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from bars import draw_table
from left_out import CALIBRATION, COMPARISON, Fold, calibration, comparison, draw
from variants import AS_THE_PAPER, train_options

from symgnn import fields
from symgnn.descriptors.registry import input_version
from symgnn.files import open_hdf5
from symgnn.graphs.dataset import read_graphs, write_graphs
from symgnn.models.inputs import MODEL_INPUTS
from symgnn.models.registry import MODELS
from symgnn.training.evaluation import Run, read_run
from symgnn.training.metrics import METRICS, metrics, pearson

GROUPS = ("train0", "train2", "train3", "train4", "train5")
KIN = {"train0": ["train1"], "train5": ["train6"]}  # copies that a fold takes along
# Ridge regression on 436 hand-made invariants, leave-one-group-out, measured on these graphs.
REFERENCE = {
    "train0": 0.734,
    "train1": 0.728,
    "train2": 0.695,
    "train3": 0.675,
    "train4": 0.668,
    "train5": 0.666,
    "train6": 0.641,
}


def symgnn(*arguments: object) -> None:
    """Run a command of ours."""
    subprocess.run([sys.executable, "-m", "symgnn.cli", *map(str, arguments)], check=True)


def all_graphs(folder: Path, output: Path, models: Sequence[str] = ()) -> Path:
    """The published graphs with the per-atom inputs of the models, made once."""
    path = output / "graphs.h5"
    names = ["ridge", "response", *(model.partition(":")[0] for model in models)]
    wanted = dict.fromkeys(one for name in names for one in MODEL_INPUTS.get(name, ()))
    if path.exists():
        with open_hdf5(path, "graphs") as file:
            made = json.loads(file.attrs[fields.INPUT_VERSIONS])
        missing = [name for name in wanted if made.get(name) != input_version(name)]
        if missing:
            names = ", ".join(sorted(missing))
            sys.exit(f"{path}: no inputs {names} of this version: give another folder")
    else:
        inputs = [word for one in wanted for word in ("--inputs", one)]
        symgnn("import-published", folder, "-o", path, *inputs)
    return path


def fold_graphs(graphs: Path, output: Path, group: str) -> Path:
    """The same graphs, one group to test and all others to train."""
    path = output / f"{group}.h5"
    if not path.exists():
        dataset = read_graphs(graphs)
        for graph in dataset.graphs:
            held_out = graph.name in [group, *KIN.get(group, [])]
            graph.split = "test" if held_out else "train"
        known = [graph for graph in dataset.graphs if graph.name in REFERENCE]  # no test graphs
        write_graphs(path, known, cutoff=dataset.cutoff, **dataset.attributes)
    return path


def run_fold(graphs: Path, output: Path, group: str, model: str, seed: int, rest: list[str]) -> Run:
    """Train one seed of a fold where that is not done; its predictions."""
    run = output / model / group / f"seed-{seed}"
    if not (run / "checkpoint.pt").exists():
        started = time.perf_counter()
        symgnn("train", graphs, *rest, *train_options(model), "--seed", seed, "-o", run)
        (run / "seconds").write_text(f"{time.perf_counter() - started:.0f}\n")
    return read_run(run)


def seconds(run: Path) -> float:
    """How long a run's last call took, s; NaN where it was killed before it could say."""
    path = run / "seconds"
    return float(path.read_text()) if path.exists() else float("nan")


def figures(computed: np.ndarray, predicted: Sequence[np.ndarray]) -> list[float]:
    """Metrics of the model and of the ridge regression, and the error of a constant.

    Args:
        computed: (atoms,), eV.
        predicted: (atoms,) of the model, the ridge regression and the constant.
    """
    of_model, of_ridge, of_constant = (metrics(computed, one) for one in predicted)
    return [*of_model.values(), *of_ridge.values(), of_constant["mae"]]


def row(name: str, numbers: Sequence[float]) -> str:
    """A row of the table."""
    return f"| {name} | " + " | ".join("" if np.isnan(x) else f"{x:.3f}" for x in numbers) + " |"


def print_rows(
    first: str, columns: Iterable[str], rows: Iterable[tuple[str, Sequence[float]]]
) -> None:
    """A table of named rows."""
    names = [first, *columns]
    print(f"\n| {' | '.join(names)} |\n|" + "---|" * len(names))
    for name, numbers in rows:
        print(row(name, numbers))


def run_folds(
    options: argparse.Namespace, model: str, seeds: int, rest: list[str]
) -> Iterator[tuple[Fold, list[Run], float]]:
    """Each fold of a model, the runs of its seeds, and their mean time, s."""
    graphs = all_graphs(options.folder, options.output, options.models)
    for group in options.groups:
        path = fold_graphs(graphs, options.output, group)
        ridge = run_fold(path, options.output, group, "ridge", 0, rest)
        runs = [run_fold(path, options.output, group, model, seed, rest) for seed in range(seeds)]
        folder = options.output / model / group
        fold = Fold(
            group=group,
            computed=runs[0].computed["test"],
            members={
                name: np.stack([run.predicted["test"][name] for run in runs])
                for name in runs[0].computed["test"]
            },
            ridge=ridge.predicted["test"],
            level=float(np.concatenate(list(runs[0].computed["train"].values())).mean()),
        )
        runs = [replace(run, model=model) for run in runs]  # variants may differ in their recipe
        spent = np.mean([seconds(folder / f"seed-{seed}") for seed in range(seeds)])
        yield fold, runs, float(spent)


def print_table(
    folds: Iterable[tuple[Fold, list[Run], float]], model: str
) -> tuple[list[Fold], list[Run]]:
    """Print the rows as the folds are done; the folds and all runs."""
    columns = [f"{who} {key}" for who in (model, "ridge") for key in METRICS]
    columns += ["constant mae", "reference r", "spread over seeds", "s a run"]
    print("| left out | " + " | ".join(columns) + " |\n|" + "---|" * (len(columns) + 1), flush=True)
    done, all_runs, rows, everything = [], [], [], []
    for fold, runs, spent in folds:
        done.append(fold)
        all_runs += runs
        for name, computed in sorted(fold.computed.items()):
            spread = float(np.std([pearson(computed, one) for one in fold.members[name]]))
            constant = np.full(len(computed), fold.level)
            predicted = (fold.predicted(name), fold.ridge[name], constant)
            everything.append((computed, *predicted))
            rows.append([*figures(computed, predicted), REFERENCE[name], spread, spent])
            print(row(name, rows[-1]), flush=True)
    print(row(f"mean of the {len(rows)}", np.mean(rows, axis=0)))
    computed, *predicted = (np.concatenate(parts) for parts in zip(*everything, strict=True))
    print(row("all atoms together", figures(computed, predicted)))
    return done, all_runs


def main() -> None:
    """Run all folds of all models and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--models", nargs="+", default=["response"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1], help="one, or one a model")
    parser.add_argument("--groups", nargs="+", default=GROUPS)
    parser.add_argument("--figure", type=Path)
    arguments, rest = sys.argv[1:], []
    if "--" in arguments:
        rest = arguments[arguments.index("--") + 1 :]
        arguments = arguments[: arguments.index("--")]
    options = parser.parse_args(arguments)
    every = [*MODELS, *AS_THE_PAPER]
    options.models = models = every if options.models == ["all"] else options.models
    if len(options.seeds) not in (1, len(models)):
        parser.error(f"--seeds: {len(options.seeds)} numbers, {len(models)} models")
    if len(set(models)) < len(models):
        parser.error("--models: one was given twice")
    seeds = options.seeds if len(options.seeds) > 1 else options.seeds * len(models)
    runs = []
    for model, number in zip(models, seeds, strict=True):
        folds, found = print_table(run_folds(options, model, number, rest), model)
        runs += found
        if len(options.groups) > 1:
            print_rows("left out", CALIBRATION, calibration(folds))
    if len(models) > 1:
        rows = comparison(runs)
        print_rows("model", COMPARISON, rows)
        if options.figure:
            names, numbers = zip(*rows, strict=True)
            of = dict(zip(COMPARISON, zip(*numbers, strict=True), strict=True))
            title = "Pearson's r on left-out graphs, mean of the graphs"
            draw_table(names, of["r"], of["its spread over seeds"], title, options.figure)
    elif options.figure:
        draw(folds, models[0], REFERENCE, options.figure)


if __name__ == "__main__":
    main()
