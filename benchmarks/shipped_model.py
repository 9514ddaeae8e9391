"""A trained model on the published structures, none of whose labels it has seen.

    python benchmarks/shipped_model.py FOLDER
    python benchmarks/shipped_model.py FOLDER --checkpoint a/checkpoint.pt b/checkpoint.pt

FOLDER holds train0.pickle ... of the paper. Prints for each graph Pearson's r, Spearman's rank r,
the mean absolute error (eV), the area under the curve for the softest 5 %, the mean of the
predictions over the labels' mean, and the shares of the labels within one and two stated errors.
The model is by default the one that comes with the program.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
from labelled import published
from leave_one_group_out import print_rows

import symgnn
from symgnn.training.metrics import METRICS, metrics
from symgnn.training.prediction import Predictor

COLUMNS = (*METRICS, "mean over labels' mean", "within one error", "within two")


def figures(predictor: Predictor, path: Path) -> list[float]:
    """What the columns say of one published graph."""
    atoms, barrier = published(path)
    for reason in predictor.outside(atoms):
        warnings.warn(f"{path.name}: {reason}", stacklevel=2)
    members = predictor.predict_members(atoms)
    predicted, error = members.mean(0), predictor.error(members)
    found = [*metrics(barrier, predicted).values(), predicted.mean() / barrier.mean()]
    if error is None:
        return [*found, np.nan, np.nan]
    off = np.abs(barrier - predicted) / error
    return [*found, (off < 1).mean(), (off < 2).mean()]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--checkpoint", nargs="+", default=["Cu64Zr36"])
    options = parser.parse_args()
    predictor = symgnn.load(options.checkpoint)
    rows = [
        (path.stem, figures(predictor, path)) for path in sorted(options.folder.glob("*.pickle"))
    ]
    rows.append(("mean", np.mean([row for _, row in rows], axis=0)))
    print_rows("graph", COLUMNS, rows)


if __name__ == "__main__":
    main()
