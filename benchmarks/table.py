"""The paper's table 1 on any graphs: every model, several seeds, one recipe.

    symgnn import-published FOLDER --split grouped --validation train4 --test train2 -o graphs.h5
    python benchmarks/table.py graphs.h5 -o study --seeds 4 -- --epochs 15 --learning-rate 3e-3

Trains each model with each seed by `symgnn train` (what follows `--` goes to it) and prints the
table of `symgnn evaluate` after each round of seeds. Epochs are chosen on the validation glasses. A
finished run is kept and an unfinished one resumed, so give another folder for another recipe.
`--models` takes options too, `symgnn:gaussians=0,samples=8`; `--figure` draws the table. Models
that need a package that is not installed, or inputs that the graphs do not have, are left out with
the reason.
"""

import argparse
import csv
import subprocess
import sys
import time
from pathlib import Path

from bars import draw_table
from variants import AS_THE_PAPER, train_options

from symgnn.models.registry import MODELS


def symgnn(*arguments: object) -> int:
    """Run a command of ours; its exit code."""
    command = [sys.executable, "-m", "symgnn.cli", *map(str, arguments)]
    return subprocess.run(command, check=False).returncode


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("graphs", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--models", nargs="+", default=[*MODELS, *AS_THE_PAPER])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--figure", type=Path)
    arguments, rest = sys.argv[1:], []
    if "--" in arguments:
        rest = arguments[arguments.index("--") + 1 :]
        arguments = arguments[: arguments.index("--")]
    options = parser.parse_args(arguments)
    left_out = set()
    for seed in range(options.seeds):
        for model in options.models:
            run = options.output / model / f"seed-{seed}"
            if model in left_out or (run / "checkpoint.pt").exists():
                continue
            started = time.perf_counter()
            train = ["train", options.graphs, *rest, "--seed", seed, "-o", run]
            if symgnn(*train, *train_options(model)):
                left_out.add(model)
            else:
                (run / "seconds").write_text(f"{time.perf_counter() - started:.0f}\n")
        done = sorted(path.parent for path in options.output.glob("*/seed-*/checkpoint.pt"))
        symgnn("evaluate", *done, "-o", options.output / "table.csv")
        for path in sorted(options.output.glob("*/*/seconds")):
            print(f"{path.parent.relative_to(options.output)}: {path.read_text().strip()} s")
        sys.stdout.flush()
    if options.figure:
        with open(options.output / "table.csv", newline="") as stream:
            rows = list(csv.DictReader(stream))
        mean, spread = (
            [float(row[f"test_pearson_{kind}"] or "nan") for row in rows]
            for kind in ("mean", "std")
        )
        names = [row["model"] for row in rows]
        draw_table(names, mean, spread, "Pearson's r on the test glasses", options.figure)


if __name__ == "__main__":
    main()
