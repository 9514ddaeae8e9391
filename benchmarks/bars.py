"""A figure of a table of models: bars of Pearson's r, with the spread over seeds."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

COLORS = {"ours": "#2f5d8a", "other": "#8794a1"}
OURS = ("density", "response", "searched")
RECIPE = ("epochs", "learning_rate", "compile")  # options that are not of a model itself


def bar_names(models: Sequence[str]) -> list[str]:
    """Models with their options (`variants.train_options`), less those of the recipe.

    They stay where two rows would have one name.
    """
    short = []
    for variant in models:
        model, _, rest = variant.partition(":")
        kept = [one for one in rest.split(",") if one and one.partition("=")[0] not in RECIPE]
        short.append(f"{model}:{','.join(kept)}" if kept else model)
    return [
        name if short.count(name) == 1 else model for name, model in zip(short, models, strict=True)
    ]


def draw_table(
    models: Sequence[str],
    mean: Sequence[float],
    spread: Sequence[float],
    title: str,
    path: Path,
) -> None:
    """Draw the rows of a table, best first.

    Args:
        models: names of the rows.
        mean: Pearson's r of each.
        spread: standard deviation over its seeds; NaN for one seed.
        title: what r is of.
        path: the figure.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    order = np.argsort(mean)
    bars = bar_names(models)
    names, r = [bars[k] for k in order], np.asarray(mean)[order]
    error = np.nan_to_num(np.asarray(spread, dtype=float)[order])
    figure, axes = pyplot.subplots(figsize=(7, 0.6 + 0.3 * len(names)), layout="constrained")
    colors = [COLORS["ours" if name.split(":")[0] in OURS else "other"] for name in names]
    axes.barh(names, r, xerr=error, color=colors, error_kw={"ecolor": "#333333", "capsize": 2})
    for place, value in enumerate(r):
        beside = 0.01 + max(error[place] + value, 0)
        axes.text(beside, place, f"{value:.2f}", va="center", size=8)
    left = float((r - error).min())
    axes.set(xlim=(left - 0.02 if left < 0 else 0.0, 1.0), xlabel=title)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
