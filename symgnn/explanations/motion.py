"""Do important atoms move? Explanations against the displacements of our own saddle searches."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from symgnn import fields
from symgnn.barriers.labels import counted
from symgnn.explanations.bootstrap import Estimate, bootstrap_mean, stratified_difference
from symgnn.explanations.storage import Explanation
from symgnn.files import open_hdf5

MOVES = 0.2  # Å, start to saddle: more than the breathing of the surroundings
REACH = 8.0  # Å, atoms farther away hardly ever move and would make any ranking look good
STRATUM = 0.5  # Å


def mean_displacements(path: Path | str, label: str = "target") -> dict[int, dict[int, float]]:
    """How far atoms go, on average over the searches of a target that count.

    Args:
        path: events.h5.
        label: which searches count, see `barriers.labels.counted`.

    Returns:
        target -> atom -> mean displacement from the start to the saddle, Å; atoms that never go
        further than the file's threshold are left out.

    Raises:
        InputError: no whole events.h5 of this version.
    """
    with open_hdf5(path, "events") as file:
        events = {name: data[()] for name, data in file[fields.EVENTS].items()}
        start = file[fields.MOVED][fields.MOVED_START][()]
        atom = file[fields.MOVED][fields.MOVED_ATOMS][()]
        way = np.linalg.norm(file[fields.MOVED][fields.SADDLE_DISPLACEMENT][()], axis=1)
    rows = np.flatnonzero(counted(events, label))
    target = events[fields.ATOM]
    found: dict[int, dict[int, float]] = {}
    number: dict[int, int] = {}
    for row in rows:
        own = found.setdefault(int(target[row]), {})
        number[int(target[row])] = number.get(int(target[row]), 0) + 1
        for k in range(start[row], start[row + 1]):
            own[int(atom[k])] = own.get(int(atom[k]), 0.0) + float(way[k])
    return {t: {a: s / number[t] for a, s in own.items()} for t, own in found.items()}


def ranking_quality(score: np.ndarray, positive: np.ndarray) -> float:
    """Chance that a positive item scores above another one (area under the ROC curve).

    Returns:
        0.5 for no relation; NaN where all or none are positive.
    """
    number = int(positive.sum())
    if number in (0, len(positive)):
        return float("nan")
    ranks = stats.rankdata(score)
    return float(
        (ranks[positive].sum() - number * (number + 1) / 2) / number / (len(positive) - number)
    )


def motion_overlap(
    explanations: Sequence[Explanation],
    displacements: dict[int, dict[int, float]],
    *,
    moves: float = MOVES,
    reach: float = REACH,
) -> dict[str, Estimate]:
    """How well importance tells the atoms that move from those that do not.

    Args:
        explanations: of some atoms.
        displacements: see `mean_displacements`.
        moves: mean displacement above which an atom moves, Å.
        reach: atoms within this distance of the target are compared, Å.

    Returns:
        over the explained atoms with searches: `importance`, `nearness`: area under the ROC curve
        of ranking atoms by importance, and by nearness to the target; `within shells`: mean
        percentile of importance (0 to 1) of moving atoms less that of atoms that stay at the same
        distance: what importance knows beyond distance; `moving`: atoms that move, per target.
    """
    rows = []
    for one in explanations:
        if one.atom not in displacements:
            continue
        distance = np.linalg.norm(one.relative_position, axis=1)
        near = (distance < reach) & (one.field_atom != one.atom)
        near &= np.isfinite(one.atom_importance)
        way = np.array([displacements[one.atom].get(int(a), 0.0) for a in one.field_atom[near]])
        size, moving = np.abs(one.atom_importance[near]), way > moves
        percentile = (stats.rankdata(size) - 1) / max(len(size) - 1, 1)
        stratum = (distance[near] / STRATUM).astype(np.int64)
        beyond = float("nan")
        if moving.any() and not moving.all():
            beyond = stratified_difference(percentile, moving, stratum)
        rows.append(
            (
                ranking_quality(size, moving),
                ranking_quality(-distance[near], moving),
                beyond,
                moving.sum(),
            )
        )
    rows = np.array(rows, dtype=float).reshape(-1, 4)
    names = ("importance", "nearness", "within shells", "moving")
    return {name: bootstrap_mean(rows[:, k]) for k, name in enumerate(names)}
