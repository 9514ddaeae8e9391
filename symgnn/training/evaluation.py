"""The table of models: mean and standard deviation over seeds."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from symgnn import fields
from symgnn.errors import InputError
from symgnn.files import atomic_path, open_hdf5
from symgnn.graphs.dataset import SPLITS
from symgnn.training.metrics import METRICS, metrics_of_glasses


@dataclass(frozen=True)
class Run:
    """What one training run predicted.

    Attributes:
        model: label of the model: its name and the options that were given.
        seed: of the run.
        epoch: chosen on the validation glasses; 0: the linear fit alone.
        computed: by split and glass, (atoms,), eV, NaN where unlabelled.
        predicted: by split and glass, (atoms,), eV.
        recipe: of the training.
        data: hash of the graphs that it was trained on.
    """

    model: str
    seed: int
    epoch: int
    computed: dict[str, dict[str, np.ndarray]]
    predicted: dict[str, dict[str, np.ndarray]]
    recipe: dict[str, object]
    data: str


def read_run(folder: Path) -> Run:
    """Read the predictions of a finished run.

    Raises:
        InputError: the folder is not that of a finished run.
    """
    if not (folder / "checkpoint.pt").is_file():
        raise InputError(f"{folder}: it has no checkpoint.pt: not a finished training run")
    computed: dict = {split: {} for split in SPLITS}
    predicted: dict = {split: {} for split in SPLITS}
    with open_hdf5(folder / "predictions.h5", "predictions") as file:
        options = json.loads(file.attrs["options"])
        options.pop("reach", None)  # that of the graphs
        given = "".join(f" {key}={value}" for key, value in sorted(options.items()))
        for name, group in file.items():
            split = group.attrs[fields.SPLIT]
            computed[split][name] = group[fields.BARRIER][()]
            predicted[split][name] = group[fields.PREDICTED][()]
        return Run(
            model=file.attrs["model"] + given,
            seed=int(file.attrs["seed"]),
            epoch=int(file.attrs["epoch"]),
            computed=computed,
            predicted=predicted,
            recipe=json.loads(file.attrs["protocol"]),
            data=str(file.attrs[fields.DATA_HASH]),
        )


def table(runs: Sequence[Run]) -> list[dict[str, object]]:
    """One row a model: each metric's mean and standard deviation over its runs.

    Columns are `<split>_<metric>_<mean|std>` over all atoms of a split together, and
    `<split>_<metric>_per_glass_<mean|std>` of the mean over its glasses. The standard deviation
    is that of a sample (n - 1), NaN for one run.

    Raises:
        InputError: two runs of one model have the same seed, other recipes or other graphs, or two
            runs have other glasses, splits or labels.
    """
    by_model: dict[str, list[Run]] = {}
    for run in runs:
        if not _same_labels(run, runs[0]):
            raise InputError(
                f"evaluate: {run.model} and {runs[0].model} differ in their glasses, splits or "
                "labels"
            )
        same = by_model.setdefault(run.model, [])
        if any(other.seed == run.seed for other in same):
            raise InputError(f"evaluate: {run.model}: seed {run.seed} was given twice")
        same.append(run)
        _check_seeds(same[0], run)
    return [_row(model, found) for model, found in by_model.items()]


def _same_labels(one: Run, other: Run) -> bool:
    return all(
        one.computed[split].keys() == other.computed[split].keys()
        and all(
            np.array_equal(labels, other.computed[split][name], equal_nan=True)
            for name, labels in one.computed[split].items()
        )
        for split in SPLITS
    )


def _check_seeds(first: Run, other: Run) -> None:
    """That nothing but the seed differs between two runs of one row."""
    for name, value in other.recipe.items():
        if value != first.recipe.get(name):
            raise InputError(
                f"evaluate: {other.model}: seeds {first.seed} and {other.seed}: {name} is "
                f"{first.recipe.get(name)} and {value}"
            )
    if other.data != first.data:
        raise InputError(
            f"evaluate: {other.model}: seeds {first.seed} and {other.seed} were trained on other "
            "graphs"
        )


def _row(model: str, runs: Sequence[Run]) -> dict[str, object]:
    row: dict[str, object] = {"model": model, "seeds": len(runs)}
    row["epoch_mean"] = float(np.mean([run.epoch for run in runs]))
    for split in SPLITS:
        found = [metrics_of_glasses(run.computed[split], run.predicted[split]) for run in runs]
        for metric in METRICS:
            for kind, suffix in (("pooled", ""), ("per_glass", "_per_glass")):
                values = np.array([metrics[kind][metric] for metrics in found])
                spread = values.std(ddof=1) if len(values) > 1 else np.nan
                row[f"{split}_{metric}{suffix}_mean"] = float(values.mean())
                row[f"{split}_{metric}{suffix}_std"] = float(spread)
    return row


def write_table(path: Path, rows: Sequence[dict[str, object]]) -> None:
    """Write the table as CSV, rows in the given order; empty cells are not numbers."""

    def cell(value: object) -> object:
        if isinstance(value, float):
            return "" if np.isnan(value) else f"{value:.6g}"
        return value

    with atomic_path(path) as temporary, open(temporary, "w", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows({key: cell(value) for key, value in row.items()} for row in rows)


def as_text(rows: Sequence[dict[str, object]]) -> str:
    """The table for a terminal, in Markdown: Pearson on train and test, then the other figures."""
    columns = {
        "train r": "train_pearson",
        "test r": "test_pearson",
        "test r per glass": "test_pearson_per_glass",
        "test MAE, eV": "test_mae",
        "test rank r": "test_spearman",
        "AUC softest 5 %": "test_auc_softest",
    }
    width = max(len("model"), *(len(str(row["model"])) for row in rows))
    lines = [
        f"| {'model':{width}} | seeds | " + " | ".join(columns) + " |",
        f"|{'-' * (width + 2)}|-------|" + "".join(f"{'-' * (len(c) + 2)}|" for c in columns),
    ]
    for row in rows:
        cells = [_plus_minus(row[f"{key}_mean"], row[f"{key}_std"]) for key in columns.values()]
        lines.append(f"| {row['model']:{width}} | {row['seeds']:5} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _plus_minus(mean: object, std: object) -> str:
    return f"{mean:.3f}" if np.isnan(std) else f"{mean:.3f} ± {std:.3f}"
