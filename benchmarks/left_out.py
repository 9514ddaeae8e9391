"""What `leave_one_group_out.py` makes of its folds: calibration, all models compared, a figure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from symgnn.training.evaluation import Run, table
from symgnn.training.metrics import (
    coverage,
    ensemble_error,
    errors_of,
    pearson,
    root_mean_square,
)

COLORS = {"model": "#2f5d8a", "ridge": "#c77f1a", "reference": "#8794a1"}

CALIBRATION = (
    "stated error, eV",
    "error made, eV",
    "within one",
    "within two",
    "one group validates: least within one",
    "most",
)

# Columns of `symgnn.training.evaluation.table` that compare models, and what they are called here
COMPARISON = {
    "train r": "train_pearson_per_glass_mean",
    "spread over seeds": "train_pearson_per_glass_std",
    "r": "test_pearson_per_glass_mean",
    "its spread over seeds": "test_pearson_per_glass_std",
    "r, seeds' mean": "test_pearson_per_glass_ensemble",
    "rank r": "test_spearman_per_glass_mean",
    "mae": "test_mae_per_glass_mean",
    "auc softest": "test_auc_softest_per_glass_mean",
    "r, all atoms": "test_pearson_mean",
    "its spread": "test_pearson_std",
    "r of all atoms, seeds' mean": "test_pearson_ensemble",
}


@dataclass(frozen=True)
class Fold:
    """The left-out graphs of one fold, each by name.

    Attributes:
        group: name of the left-out group.
        computed: (atoms,), eV, NaN where unlabelled.
        members: of each seed of the model, (seeds, atoms), eV.
        ridge: of the ridge regression, (atoms,), eV.
        level: mean of the training labels, eV.
    """

    group: str
    computed: dict[str, np.ndarray]
    members: dict[str, np.ndarray]
    ridge: dict[str, np.ndarray]
    level: float

    def predicted(self, name: str) -> np.ndarray:
        """What the seeds predict together, (atoms,), eV."""
        return self.members[name].mean(0)


def stated_error(fold: Fold, validating: Sequence[Fold]) -> dict[str, np.ndarray]:
    """The error that `symgnn predict` would write for each atom of a fold, (atoms,), eV, by name.

    See `symgnn.training.metrics.ensemble_error`. The folds have no validation glass, so other
    folds' left-out graphs stand for it, as predicted by models that did not see them.
    """
    computed = {name: values for one in validating for name, values in one.computed.items()}
    seeds = range(len(next(iter(fold.members.values()))))
    errors = [
        errors_of(
            computed,
            {name: all_[seed] for one in validating for name, all_ in one.members.items()},
        )
        for seed in seeds
    ]
    return {name: ensemble_error(errors, members) for name, members in fold.members.items()}


def share_within(fold: Fold, error: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Share of a fold's labels within one and two of the stated errors."""
    computed = {name: values / error[name] for name, values in fold.computed.items()}
    predicted = {name: fold.predicted(name) / error[name] for name in fold.computed}
    return coverage(computed, predicted, 1.0)


def calibration(folds: Sequence[Fold]) -> list[tuple[str, list[float]]]:
    """Whether the stated errors hold, a row a fold and their mean.

    Returns:
        by group: the stated error (mean over atoms, eV) and the one that was made (root mean
        square, eV); the share of the labels within one and two stated errors where all other
        groups validate; least and largest share within one where only one of them does.
    """
    rows = []
    for fold in folds:
        others = [other for other in folds if other is not fold]
        error = stated_error(fold, others)
        within = share_within(fold, error)
        single = [share_within(fold, stated_error(fold, [other]))["one"] for other in others]
        stated = float(np.concatenate(list(error.values())).mean())
        predicted = {name: fold.predicted(name) for name in fold.computed}
        made = root_mean_square(errors_of(fold.computed, predicted))
        rows.append(
            (fold.group, [stated, made, within["one"], within["two"], min(single), max(single)])
        )
    rows.append(("mean", np.mean([numbers for _, numbers in rows], axis=0).tolist()))
    return rows


def comparison(runs: Sequence[Run]) -> list[tuple[str, list[float]]]:
    """A row of `COMPARISON` a model, best first, from the runs of all folds, models and seeds."""
    rows = [(row["model"], [row[key] for key in COMPARISON.values()]) for row in table(runs)]
    place = list(COMPARISON).index("r")
    return sorted(rows, key=lambda one: -one[1][place])


def draw(folds: Sequence[Fold], model: str, reference: Mapping[str, float], path: Path) -> None:
    """Predicted against computed barriers of all left-out atoms, and r of each left-out graph."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    names = [(fold, name) for fold in folds for name in fold.computed]
    computed = np.concatenate([fold.computed[name] for fold, name in names])
    predicted = np.concatenate([fold.predicted(name) for fold, name in names])
    labelled = np.isfinite(computed)
    computed, predicted = computed[labelled], predicted[labelled]
    ends = (computed.min(), computed.max())
    bins = left.hexbin(computed, predicted, gridsize=60, bins="log", mincnt=1, cmap="Blues")
    figure.colorbar(bins, ax=left, label="atoms")
    left.plot(ends, ends, "--", color=COLORS["ridge"], linewidth=1)
    left.set(xlabel="computed mean barrier, eV", ylabel=f"predicted by {model}, eV", aspect="equal")
    left.set_title(f"{len(computed):,} left-out atoms, r = {pearson(computed, predicted):.3f}")
    names.sort(key=lambda pair: pair[1])
    own = [_correlation(fold.computed[name], fold.predicted(name)) for fold, name in names]
    ridge = [_correlation(fold.computed[name], fold.ridge[name]) for fold, name in names]
    heights = {model: own, "ridge": ridge, "ridge reference": [reference[n] for _, n in names]}
    place = np.arange(len(names))
    for k, ((label, values), color) in enumerate(
        zip(heights.items(), COLORS.values(), strict=True)
    ):
        right.bar(place + 0.27 * (k - 1), values, 0.26, color=color, label=label)
    right.set_xticks(place, [name for _, name in names], rotation=30)
    right.set(ylim=(0, 1), ylabel="Pearson's r on the left-out graph")
    right.legend(ncols=3, fontsize="small", loc="upper center", frameon=False)
    figure.savefig(path, dpi=110)


def _correlation(computed: np.ndarray, predicted: np.ndarray) -> float:
    labelled = np.isfinite(computed)
    return pearson(computed[labelled], predicted[labelled])
