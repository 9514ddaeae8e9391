"""How well predicted barriers agree with computed ones."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

LEAST = 0.5  # of the error on validation atoms that an ensemble's error is at least
SOFTEST = 0.05  # share of atoms that counts as soft (Wang, Ding, Ma 2020)


def pearson(computed: np.ndarray, predicted: np.ndarray) -> float:
    """Pearson's correlation; NaN where one of both does not vary."""
    x, y = computed - computed.mean(), predicted - predicted.mean()
    scale = np.sqrt((x * x).sum() * (y * y).sum())
    return float((x * y).sum() / scale) if scale > 0 else float("nan")


def spearman(computed: np.ndarray, predicted: np.ndarray) -> float:
    """Spearman's rank correlation, ties at their mean rank."""
    return pearson(rankdata(computed), rankdata(predicted))


def mean_absolute_error(computed: np.ndarray, predicted: np.ndarray) -> float:
    """Mean absolute error, eV."""
    return float(np.abs(computed - predicted).mean())


def softest_auc(computed: np.ndarray, predicted: np.ndarray) -> float:
    """Area under the receiver's curve for finding the softest 5 % of the atoms.

    The probability that a soft atom (among the lowest 5 % of the computed barriers) is predicted
    below one that is not soft; ties count half. 0.5 is chance.
    """
    count = max(1, round(SOFTEST * len(computed)))
    soft = np.zeros(len(computed), dtype=bool)
    soft[np.argsort(computed, kind="stable")[:count]] = True
    if soft.all():
        return float("nan")
    ranks = rankdata(-predicted)
    above = ranks[soft].sum() - count * (count + 1) / 2
    return float(above / (count * (len(computed) - count)))


METRICS = {
    "pearson": pearson,
    "spearman": spearman,
    "mae": mean_absolute_error,
    "auc_softest": softest_auc,
}


def metrics(computed: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """All of `METRICS` over the atoms whose computed barrier is finite; NaN without two of them.

    Args:
        computed: (atoms,), eV, NaN where unlabelled.
        predicted: (atoms,), eV.
    """
    labelled = np.isfinite(computed)
    if labelled.sum() < 2:
        return dict.fromkeys(METRICS, float("nan"))
    x, y = computed[labelled].astype(np.float64), predicted[labelled].astype(np.float64)
    return {name: function(x, y) for name, function in METRICS.items()}


def metrics_of_glasses(
    computed: dict[str, np.ndarray], predicted: dict[str, np.ndarray]
) -> dict[str, dict[str, float]]:
    """Metrics pooled over all atoms of some glasses, and the mean of each glass's own.

    Glasses of which a metric is no number, as of those with fewer than two labels, are not in its
    mean.

    Args:
        computed: by glass, (atoms,), eV, NaN where unlabelled.
        predicted: by glass, (atoms,), eV.

    Returns:
        `pooled`, `per_glass`, and one entry a glass.
    """
    own = {name: metrics(computed[name], predicted[name]) for name in computed}
    each = {key: mean([found[key] for found in own.values()]) for key in METRICS}
    pooled = metrics(
        np.concatenate([np.empty(0), *computed.values()]),
        np.concatenate([np.empty(0), *(predicted[name] for name in computed)]),
    )
    return {"pooled": pooled, "per_glass": each, "glasses": own}


def mean(values: Sequence[float]) -> float:
    """Of those that are numbers; NaN without any."""
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


def errors_of(computed: dict[str, np.ndarray], predicted: dict[str, np.ndarray]) -> np.ndarray:
    """Computed minus predicted barriers of all labelled atoms, eV."""
    errors = [computed[name] - predicted[name] for name in computed]
    errors = np.concatenate([np.empty(0), *errors])
    return errors[np.isfinite(errors)]


def root_mean_square(errors: np.ndarray) -> float:
    """Of errors (n,); NaN without any."""
    return float(np.sqrt((errors.astype(np.float64) ** 2).mean())) if len(errors) else float("nan")


def ensemble_error(errors: Sequence[np.ndarray], members: np.ndarray) -> np.ndarray:
    """Standard error of an ensemble's mean prediction, (atoms,), eV.

    The root mean square error that the mean made on the validation atoms, raised or lowered, in
    squares, by how much more or less than there the members differ; never below `LEAST` of it. A
    member's own error has the spread in it already.

    Args:
        errors: of each member on the same validation atoms, (validation atoms,), eV.
        members: (models, atoms), eV, predictions.
    """
    together = np.stack(errors).astype(np.float64)
    made = (together.mean(0) ** 2).mean()
    if len(together) == 1:
        return np.full(members.shape[1], np.sqrt(made))
    more = members.var(0, ddof=1) - together.var(0, ddof=1).mean()
    return np.sqrt(np.maximum(made + more, LEAST**2 * made))


def coverage(
    computed: dict[str, np.ndarray], predicted: dict[str, np.ndarray], error: float
) -> dict[str, float]:
    """Share of the labelled atoms whose computed barrier lies within one and two errors.

    A well calibrated error of a normal distribution gives 0.683 and 0.954. NaN without atoms or
    without an error.

    Args:
        computed: by glass, (atoms,), eV, NaN where unlabelled.
        predicted: by glass, (atoms,), eV.
        error: what is claimed, eV.
    """
    errors = np.abs(errors_of(computed, predicted))
    if not len(errors) or not np.isfinite(error):
        return {"one": float("nan"), "two": float("nan")}
    return {"one": float((errors < error).mean()), "two": float((errors < 2 * error).mean())}
