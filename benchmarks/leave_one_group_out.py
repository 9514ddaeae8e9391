"""Grouped cross-validation on the published graphs: one fold a group of copies.

    python benchmarks/leave_one_group_out.py FOLDER -o study --seeds 4 -- --epochs 30

FOLDER holds train0.pickle ... train6.pickle. Each fold trains on all other groups, with no
validation glass (the last epoch counts), and tests on its group. What follows `--` goes to `symgnn
train`. Per-atom inputs are computed once for all folds and models. A finished run is kept and an
unfinished one resumed, so the command can be stopped and given again. Prints Pearson's
correlation of each graph, the mean over seeds and that of the ensemble, and the correlation over
all graphs of the folds together; beside them a ridge regression on the same split, ours and the
reference that was measured on these graphs.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from symgnn.graphs.dataset import read_graphs, write_graphs
from symgnn.training.evaluation import Run, read_run
from symgnn.training.metrics import pearson

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
INPUTS = ("response", "invariants")


def symgnn(*arguments: object) -> None:
    """Run a command of ours."""
    subprocess.run([sys.executable, "-m", "symgnn.cli", *map(str, arguments)], check=True)


def all_graphs(folder: Path, output: Path) -> Path:
    """The published graphs with their per-atom inputs, made once."""
    path = output / "graphs.h5"
    if not path.exists():
        inputs = [word for name in INPUTS for word in ("--inputs", name)]
        symgnn("import-published", folder, *inputs, "-o", path)
    return path


def fold_graphs(graphs: Path, output: Path, group: str) -> Path:
    """The same graphs, one group to test and all others to train."""
    path = output / f"{group}.h5"
    if not path.exists():
        dataset = read_graphs(graphs)
        for graph in dataset.graphs:
            held_out = graph.name in [group, *KIN.get(group, [])]
            graph.split = "test" if held_out else "train"
        attributes = dataset.attributes
        for name in ("format", "format_version"):
            attributes.pop(name, None)
        write_graphs(path, dataset.graphs, cutoff=dataset.cutoff, **attributes)
    return path


def run_fold(graphs: Path, output: Path, group: str, model: str, seed: int, rest: list[str]) -> Run:
    """Train one seed of a fold where that is not done; its predictions."""
    run = output / model / group / f"seed-{seed}"
    if not (run / "checkpoint.pt").exists():
        started = time.perf_counter()
        symgnn("train", graphs, "--model", model, "--seed", seed, "-o", run, *rest)
        (run / "seconds").write_text(f"{time.perf_counter() - started:.0f}\n")
    return read_run(run)


def seconds(run: Path) -> float:
    """How long a run's last call took, s; NaN where it was killed before it could say."""
    path = run / "seconds"
    return float(path.read_text()) if path.exists() else float("nan")


def main() -> None:
    """Run all folds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--model", default="response")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--groups", nargs="+", default=GROUPS)
    arguments, rest = sys.argv[1:], []
    if "--" in arguments:
        rest = arguments[arguments.index("--") + 1 :]
        arguments = arguments[: arguments.index("--")]
    options = parser.parse_args(arguments)
    graphs = all_graphs(options.folder, options.output)
    print("graph    mean over seeds   ensemble   our ridge   reference ridge   s a run", flush=True)
    everything: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
    for group in options.groups:
        fold = fold_graphs(graphs, options.output, group)
        ridge = run_fold(fold, options.output, group, "ridge", 0, [])
        seeds = range(options.seeds)
        runs = [run_fold(fold, options.output, group, options.model, seed, rest) for seed in seeds]
        folder = options.output / options.model / group
        spent = np.mean([seconds(folder / f"seed-{seed}") for seed in seeds])
        for name, computed in sorted(runs[0].computed["test"].items()):
            predicted = [run.predicted["test"][name] for run in runs]
            single = [pearson(computed, one) for one in predicted]
            together, linear = np.mean(predicted, axis=0), ridge.predicted["test"][name]
            everything[name] = computed, together, linear
            print(
                f"{name}   {np.mean(single):.3f} ± {np.std(single):.3f}     "
                f"{pearson(computed, together):.3f}      {pearson(computed, linear):.3f}"
                f"       {REFERENCE[name]:.3f}             {spent:.0f}",
                flush=True,
            )
    computed, together, linear = (
        np.concatenate(parts) for parts in zip(*everything.values(), strict=True)
    )
    print(f"all together: {pearson(computed, together):.3f}, ridge {pearson(computed, linear):.3f}")


if __name__ == "__main__":
    main()
