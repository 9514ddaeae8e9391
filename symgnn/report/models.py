"""Section on the models: their training and what they predict."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from symgnn.graphs.dataset import SPLITS
from symgnn.report.page import Figure, Section, Table
from symgnn.report.statistics import pearson
from symgnn.report.style import INK, SPLIT_COLORS, empty_plot
from symgnn.report.words import MISSING, count, decimal
from symgnn.training.evaluation import Run

MOST_POINTS = 1500  # of a panel of predicted against computed barriers
TABLE_COLUMNS = {  # of `symgnn evaluate` -> heading and decimals
    "train_pearson": ("train r", 3),
    "test_pearson": ("test r", 3),
    "test_spearman": ("test rank r", 3),
    "test_mae": ("test MAE, eV", 3),
    "test_auc_softest": ("softest 5 %, AUC", 3),
}


@dataclass(frozen=True)
class Training:
    """A finished run: its folder's name, its predictions, and its history by column."""

    name: str
    run: Run
    history: dict[str, np.ndarray]


def section(trainings: Sequence[Training], table: Sequence[dict[str, str]]) -> Section:
    """Figures, tables and findings of trained models.

    Args:
        trainings: finished runs; may be empty.
        table: rows of the table of `symgnn evaluate`; may be empty.
    """
    blocks: list[str | Figure | Table] = []
    findings: list[str] = []
    facts: list[tuple[str, str]] = []
    if table:
        blocks.append(_model_table(table))
        findings += table_findings(table)
        best = max(table, key=lambda row: _number(row, "test_pearson_mean", -2.0))
        correlation = _number(best, "test_pearson_mean", np.nan)
        if np.isfinite(correlation):
            facts.append((decimal(correlation, 3), f"test Pearson r of {best['model']}"))
    if trainings:
        models = {one.run.model for one in trainings}
        opening = (
            f"{count(len(trainings), 'training run')} of {count(len(models), 'model')}. The epoch "
            "of each run is the best on the validation glasses; the test glasses were not looked "
            "at before."
        )
        if any(one.run.epoch == 0 for one in trainings):
            opening += " Epoch 0 is a linear fit alone, than which no epoch was clearly better."
        opening += _constant_sentence([training.run for training in trainings])
        blocks = [opening, *blocks, _prediction_figure(trainings)]
        blocks += [_training_figure(trainings), _run_table(trainings)]
    return Section("models", "Models", blocks, findings, facts)


def _constant_sentence(runs: Sequence[Run]) -> str:
    """The error that predicting one number for all atoms would make on the test glasses.

    Nothing of runs that differ in their split, as the folds of a cross-validation.
    """
    if len({run.fold for run in runs}) > 1:
        return ""
    (train, _), (test, _) = (pooled(runs[0], split) for split in ("train", "test"))
    if not len(train) or not len(test):
        return ""
    error = np.abs(test - train.mean()).mean()
    return (
        " Predicting the mean of the training glasses for every atom would leave a mean absolute "
        f"error (MAE) of {decimal(float(error), 3)} eV on the test glasses."
    )


def table_findings(table: Sequence[dict[str, str]]) -> list[str]:
    """A sentence on the best model and the next best, by test correlation."""
    known = [row for row in table if np.isfinite(_number(row, "test_pearson_mean", np.nan))]
    ranked = sorted(known, key=lambda row: -_number(row, "test_pearson_mean", np.nan))
    if not ranked:
        return []
    parts = []
    for row in ranked[:2]:
        seeds = int(_number(row, "seeds", 1))
        times = "one seed" if seeds == 1 else f"mean of {seeds} seeds"
        parts.append(f"{row['model']}, {_plus_minus(row, 'test_pearson', 3)} ({times})")
    text = f"Best on the test glasses by Pearson's r: {parts[0]}"
    return [text + (f"; next {parts[1]}." if len(parts) > 1 else ".")]


def _number(row: dict[str, str], key: str, otherwise: float) -> float:
    try:
        return float(row[key])
    except (KeyError, TypeError, ValueError):
        return otherwise


def _plus_minus(row: dict[str, str], key: str, digits: int) -> str:
    mean, spread = _number(row, f"{key}_mean", np.nan), _number(row, f"{key}_std", np.nan)
    text = decimal(mean, digits)
    return f"{text} ± {decimal(spread, digits)}" if np.isfinite(spread) else text


def _model_table(table: Sequence[dict[str, str]]) -> Table:
    shown = {key: what for key, what in TABLE_COLUMNS.items() if f"{key}_mean" in table[0]}
    ranked = sorted(table, key=lambda row: -_number(row, "test_pearson_mean", -2.0))
    rows = [
        (
            row["model"],
            row.get("seeds", MISSING),
            *(_plus_minus(row, key, digits) for key, (_, digits) in shown.items()),
        )
        for row in ranked
    ]
    header = ("model", "seeds", *(title for title, _ in shown.values()))
    caption = (
        "The models, best on the test glasses first: Pearson's r of predicted and computed "
        "barriers over all labelled atoms of a split, rank correlation, mean absolute error, and "
        "the area under the curve for finding the softest 5 % of the atoms (0.5 is chance); mean "
        "± standard deviation over seeds."
    )
    return Table("models", caption, header, rows)


def by_model(trainings: Sequence[Training]) -> dict[str, list[Training]]:
    """Runs by model, best on the validation glasses first; seeds in order."""
    models: dict[str, list[Training]] = {}
    for one in sorted(trainings, key=lambda one: (one.run.model, one.run.seed)):
        models.setdefault(one.run.model, []).append(one)

    def score(model: str) -> float:
        return np.nan_to_num(
            np.mean([pearson(*pooled(t.run, "validation")) for t in models[model]])
        )

    return {model: models[model] for model in sorted(models, key=score, reverse=True)}


def pooled(run: Run, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Computed and predicted barriers, eV, of all labelled atoms of a split."""
    glasses = sorted(run.computed[split])
    computed = np.concatenate([np.empty(0), *(run.computed[split][name] for name in glasses)])
    predicted = np.concatenate([np.empty(0), *(run.predicted[split][name] for name in glasses)])
    labelled = np.isfinite(computed)
    return computed[labelled], predicted[labelled]


def _prediction_figure(trainings: Sequence[Training]) -> Figure:
    choices, sentences = {}, []
    for model, runs in by_model(trainings).items():
        run = runs[0].run
        parts = {split: pooled(run, split) for split in SPLITS}
        parts = {split: values for split, values in parts.items() if len(values[0])}
        limits = _limits(parts.values())
        choices[f"{model}, seed {run.seed}"] = [
            _prediction_panel(*values, split, limits) for split, values in parts.items()
        ]
        numbers = [f"{decimal(pearson(*v), 3)} ({split})" for split, v in parts.items()]
        sentences.append(f"{model}: {', '.join(numbers)}")
    caption = (
        "Predicted against computed barriers of the labelled atoms, one run a model; on the line "
        f"both are equal. Pearson's r of these runs: {'; '.join(sentences)}."
    )
    if any(len(panel.data[-1].x) >= MOST_POINTS for row in choices.values() for panel in row):
        caption += f" A panel shows {MOST_POINTS:,} atoms evenly chosen; r is over all."
    legend = [(split, SPLIT_COLORS[split]) for split in SPLITS]
    return Figure("predicted", caption, choices, "Model", legend)


def _limits(parts) -> list[float]:
    every = np.concatenate([values for pair in parts for values in pair])
    return [float(every.min() - 0.05), float(every.max() + 0.05)]


def _prediction_panel(
    computed: np.ndarray, predicted: np.ndarray, split: str, limits: list[float]
) -> go.Figure:
    plot = empty_plot(
        "computed barrier, eV",
        "predicted barrier, eV",
        300,
        xaxis={"range": limits},
        yaxis={"range": limits},
    )
    chosen = np.arange(len(computed))
    if len(chosen) > MOST_POINTS:
        chosen = np.unique(np.linspace(0, len(computed) - 1, MOST_POINTS).astype(int))
    line = {"color": INK, "width": 1}
    plot.add_scatter(x=limits, y=limits, mode="lines", line=line, hoverinfo="skip")
    plot.add_scatter(
        x=computed[chosen].astype(np.float32),
        y=predicted[chosen].astype(np.float32),
        mode="markers",
        marker={"color": SPLIT_COLORS[split], "size": 4, "opacity": 0.6},
        hovertemplate="computed %{x:.2f} eV<br>predicted %{y:.2f} eV<extra></extra>",
    )
    text = f"{split}: r = {decimal(pearson(computed, predicted), 3)}"
    plot.add_annotation(
        text=text, x=0.03, y=0.98, xref="paper", yref="paper", showarrow=False, yanchor="top"
    )
    return plot


def _training_figure(trainings: Sequence[Training]) -> Figure:
    choices = {
        model: [
            _history_panel(runs, *what)
            for what in (
                ("loss", "training loss", "train", "log"),
                ("validation_mae", "validation MAE, eV", "validation", "linear"),
                ("validation_pearson", "validation r", "validation", "linear"),
            )
            if any(what[0] in one.history for one in runs)
        ]
        for model, runs in by_model(trainings).items()
    }
    caption = (
        "Training, a line a run: loss on the training glasses (squared error in units of the "
        "labels' variance), mean absolute error and Pearson's r on the validation glasses. A "
        "dotted line marks the epoch that was kept."
    )
    legend = [(split, SPLIT_COLORS[split]) for split in ("train", "validation")]
    return Figure("training", caption, choices, "Model", legend)


def _history_panel(
    runs: Sequence[Training], column: str, title: str, split: str, kind: str
) -> go.Figure:
    plot = empty_plot("epoch", title, 280, yaxis={"type": kind})
    for one in runs:
        if column in one.history:
            x, y = one.history["epoch"], one.history[column]
            line = {"color": SPLIT_COLORS[split], "width": 1.3}
            plot.add_scatter(x=x, y=y, mode="lines", line=line, name=one.name)
        mark = {"color": INK, "width": 1, "dash": "dot"}
        plot.add_vline(x=one.run.epoch, line=mark, opacity=0.6)
    return plot


def _run_table(trainings: Sequence[Training]) -> Table:
    rows = []
    for model, runs in by_model(trainings).items():
        for one in runs:
            correlations = [decimal(pearson(*pooled(one.run, split)), 3) for split in SPLITS]
            rows.append((model, str(one.run.seed), f"{one.run.epoch:,}", *correlations))
    header = ("model", "seed", "epoch kept", *(f"{split} r" for split in SPLITS))
    return Table("runs", "The runs one by one: Pearson's r over all labelled atoms.", header, rows)
