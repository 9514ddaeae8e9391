"""The table of models: mean and standard deviation over seeds."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from symgnn import fields
from symgnn.errors import InputError
from symgnn.files import atomic_path, open_hdf5
from symgnn.graphs.dataset import SPLITS
from symgnn.training.metrics import METRICS, mean, metrics_of_glasses

Fold = tuple[tuple[str, str], ...]  # glass and split of each


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

    @property
    def fold(self) -> Fold:
        """The split of every glass, by which the folds of a cross-validation differ."""
        parts = self.computed.items()
        return tuple(sorted((name, split) for split, glasses in parts for name in glasses))


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
    """One row a model: each metric's mean and standard deviation over its seeds.

    Columns are `<split>_<metric>_<mean|std>` over all atoms of a split together, and
    `<split>_<metric>_per_glass_<mean|std>` of the mean over its glasses; `<..>_ensemble` is of the
    mean of the seeds' predictions. The standard deviation is that of a sample (n - 1), NaN for one
    seed.

    Runs whose splits differ are the folds of a cross-validation: a seed's test glasses are those of
    all its folds, each predicted by the run that has not seen it, and what it has on training and
    validation glasses is the mean of its folds.

    Raises:
        InputError: two runs have other glasses or labels; a seed lacks a fold that another one
            has, or has it twice; a glass is tested in two folds; two runs of one model have other
            recipes, or, with the same split, were trained on other graphs.
    """
    for run in runs:
        if not _same_labels(run, runs[0]):
            raise InputError(
                f"evaluate: {run.model} and {runs[0].model} differ in glasses or labels"
            )
    folds = list(dict.fromkeys(run.fold for run in runs))
    tested = [name for fold in folds for name in _tested(fold)]
    for name in tested:
        if tested.count(name) > 1:
            raise InputError(f"evaluate: {name} is a test glass of two splits")
    by_model: dict[str, list[Run]] = {}
    for run in runs:
        by_model.setdefault(run.model, []).append(run)
    return [_row(model, _by_seed(found, folds)) for model, found in by_model.items()]


def _tested(fold: Fold) -> list[str]:
    return [name for name, split in fold if split == "test"]


def _same_labels(one: Run, other: Run) -> bool:
    mine, theirs = (
        {name: labels for part in run.computed.values() for name, labels in part.items()}
        for run in (one, other)
    )
    return mine.keys() == theirs.keys() and all(
        np.array_equal(labels, theirs[name], equal_nan=True) for name, labels in mine.items()
    )


def _by_seed(runs: Sequence[Run], folds: Sequence[Fold]) -> list[list[Run]]:
    """The runs of one model, of each seed in the order of the folds."""
    firsts: dict[Fold, Run] = {}
    by_seed: dict[int, dict[Fold, Run]] = {}
    for run in runs:
        _check_recipe(runs[0], run)
        if run.data != firsts.setdefault(run.fold, run).data:
            raise InputError(
                f"evaluate: {run.model}: seeds {firsts[run.fold].seed} and {run.seed} were trained "
                "on other graphs"
            )
        mine = by_seed.setdefault(run.seed, {})
        if run.fold in mine:
            raise InputError(f"evaluate: {run.model}: seed {run.seed} was given twice")
        mine[run.fold] = run
    for seed, mine in by_seed.items():
        for fold in folds:
            if fold not in mine:
                tested = ", ".join(_tested(fold)) or "no glass"
                raise InputError(
                    f"evaluate: {runs[0].model}: seed {seed}: no run of the split "
                    f"that tests {tested}"
                )
    return [[mine[fold] for fold in folds] for mine in by_seed.values()]


def _check_recipe(first: Run, other: Run) -> None:
    """That nothing but seed and split differs between two runs of one row."""
    which = "two splits" if first.seed == other.seed else f"seeds {first.seed} and {other.seed}"
    for name, value in other.recipe.items():
        if value != first.recipe.get(name):
            raise InputError(
                f"evaluate: {other.model}: {which}: {name} is {first.recipe.get(name)} and {value}"
            )


def _row(model: str, seeds: Sequence[Sequence[Run]]) -> dict[str, object]:
    """A model's row from the runs of each seed, its folds in one order."""
    row: dict[str, object] = {"model": model, "seeds": len(seeds)}
    row["epoch_mean"] = float(np.mean([run.epoch for folds in seeds for run in folds]))
    for split in SPLITS:
        found = [_of_folds(folds, split) for folds in seeds]
        together = _of_folds([_mean_of_seeds(same) for same in zip(*seeds, strict=True)], split)
        for metric in METRICS:
            for kind, suffix in (("pooled", ""), ("per_glass", "_per_glass")):
                values = np.array([metrics[kind][metric] for metrics in found])
                spread = values.std(ddof=1) if len(values) > 1 else np.nan
                row[f"{split}_{metric}{suffix}_mean"] = float(values.mean())
                row[f"{split}_{metric}{suffix}_std"] = float(spread)
                row[f"{split}_{metric}{suffix}_ensemble"] = together[kind][metric]
    return row


def _of_folds(folds: Sequence[Run], split: str) -> dict[str, dict[str, float]]:
    """Metrics of one seed's runs: of all test glasses, or the mean of the folds' own."""
    if split == "test":
        computed, predicted = {}, {}
        for run in folds:
            computed |= run.computed[split]
            predicted |= run.predicted[split]
        return metrics_of_glasses(computed, predicted)
    own = [metrics_of_glasses(run.computed[split], run.predicted[split]) for run in folds]
    return {
        kind: {metric: mean([found[kind][metric] for found in own]) for metric in METRICS}
        for kind in ("pooled", "per_glass")
    }


def _mean_of_seeds(runs: Sequence[Run]) -> Run:
    """The runs of one fold as one that predicts their mean."""
    predicted = {
        split: {name: np.mean([run.predicted[split][name] for run in runs], 0) for name in glasses}
        for split, glasses in runs[0].predicted.items()
    }
    return replace(runs[0], predicted=predicted)


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
    headers = [*columns, "test r, mean of seeds"]
    width = max(len("model"), *(len(str(row["model"])) for row in rows))
    lines = [
        f"| {'model':{width}} | seeds | " + " | ".join(headers) + " |",
        f"|{'-' * (width + 2)}|-------|" + "".join(f"{'-' * (len(c) + 2)}|" for c in headers),
    ]
    for row in rows:
        cells = [_plus_minus(row[f"{key}_mean"], row[f"{key}_std"]) for key in columns.values()]
        cells.append(f"{row['test_pearson_ensemble']:.3f}")
        lines.append(f"| {row['model']:{width}} | {row['seeds']:5} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _plus_minus(mean: object, std: object) -> str:
    return f"{mean:.3f}" if np.isnan(std) else f"{mean:.3f} ± {std:.3f}"
