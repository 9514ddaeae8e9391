"""Labels of atoms: which of their searches count, their mean barrier and its error."""

from dataclasses import dataclass

import numpy as np

from symgnn import fields
from symgnn.barriers.protocol import Status

TARGET_MOVES = 0.2  # Å; a search involves its target where the target goes further than this
# Å, about the length of a bond: a search in which an atom goes further than this from its place has
# left the surroundings of the start, and its energy is the sum of several rearrangements.
SINGLE = 2.5
LABELS = ("controlled", "all", "pushed", "single", "target", "connected")
# A slope of fewer differences between searches of one atom could add more noise than it takes away:
# its own relative variance is about one over their number.
LEAST_DIFFERENCES = 30

Columns = dict[str, np.ndarray]


def counted(events: Columns, label: str) -> np.ndarray:
    """Which searches count for a label.

    Args:
        events: columns of events.h5.
        label: `all` converged searches; `controlled`, which corrects their mean, and `pushed`,
            which weighs them (see `label_means`); the `single` ones, whose saddle no atom reaches
            from further than a bond; those that involve their `target`; those that are also
            `connected` to the start and distinct (the first of an atom's equal events).

    Returns:
        (searches,), mask.
    """
    mask = _with_barrier(events)
    if label in ("controlled", "all", "pushed"):
        return mask
    if label == "single":
        return mask & (np.nan_to_num(events[fields.DISPLACEMENT_MAX]) < SINGLE)
    mask = mask & (np.nan_to_num(events[fields.TARGET_DISPLACEMENT]) > TARGET_MOVES)
    if label == "target":
        return mask
    return mask & (events[fields.CONNECTED] == 1) & (events[fields.DUPLICATE_OF] < 0)


def _with_barrier(events: Columns) -> np.ndarray:
    """Searches that found a saddle above the start, (searches,); a search may have gone down."""
    converged = events[fields.STATUS] == int(Status.CONVERGED)
    return converged & (np.nan_to_num(events[fields.BARRIER]) > 0.0)


def weights(events: Columns, label: str) -> np.ndarray:
    """How much each search counts for a label, (searches,); 0 where it does not.

    In `pushed`, a converged search counts by the share that the atoms pushed at its start (the
    target and its neighbours) have in the moved atoms' squared displacements at the saddle:
    an event that took place elsewhere says little about its target. Otherwise 0 or 1, see
    `counted`.
    """
    mask = counted(events, label)
    return np.where(mask, events[fields.PUSHED_SHARE] if label == "pushed" else 1.0, 0.0)


@dataclass(frozen=True)
class Means:
    """What the searches of an atom say of it; NaN where no search counts.

    Attributes:
        mean: (atoms,), eV.
        deviation: (atoms,), eV, standard deviation of the barriers that count.
        error: (atoms,), eV, standard error of the mean from the scatter of the atom's own searches;
            NaN where fewer than two count.
        number: (atoms,), searches that count.
    """

    mean: np.ndarray
    deviation: np.ndarray
    error: np.ndarray
    number: np.ndarray

    @property
    def reliability(self) -> float:
        """Share of the variance of the means that is not sampling noise, see `reliability`."""
        return reliability(self.mean, self.error)


def means_of(
    atom: np.ndarray, value: np.ndarray, atoms: int, weight: np.ndarray | None = None
) -> Means:
    """Means of values by atom.

    The noise of a weighted mean is q / (1 - q) times the weighted variance, q = Σw² / (Σw)², which
    is 1 / n where all weigh the same.

    Args:
        atom: (values,), which atom a value belongs to.
        value: (values,), eV.
        atoms: number of atoms.
        weight: (values,), what each counts; those of 0 are left out. 1 where not given.
    """
    weight = np.ones(len(value)) if weight is None else weight
    atom, value, weight = atom[weight > 0], value[weight > 0], weight[weight > 0]
    number = np.bincount(atom, minlength=atoms)
    total = np.bincount(atom, weight, minlength=atoms).astype(float)  # of integers where none
    total[total == 0] = np.nan
    mean = np.bincount(atom, weight * value, minlength=atoms) / total
    variance = np.bincount(atom, weight * (value - mean[atom]) ** 2, minlength=atoms) / total
    squares = np.bincount(atom, weight**2, minlength=atoms) / total**2
    noise = np.full(atoms, np.nan)
    np.divide(variance * squares, 1.0 - squares, out=noise, where=number > 1)
    return Means(mean, np.sqrt(variance), np.sqrt(noise), number)


def label_means(events: Columns, region: Columns, atoms: int, label: str) -> Means:
    """The mean barrier of every atom.

    `controlled` is the mean over all converged searches, corrected with the further ones that
    ended in the region, whose saddles nobody confirmed: see `controlled_means`. Without further
    searches it is the mean over all.

    Args:
        events: columns of events.h5.
        region: columns of its group `region`.
        atoms: number of atoms of the structure.
        label: one of `LABELS`.
    """
    plain = means_of(events[fields.ATOM], events[fields.BARRIER], atoms, weights(events, label))
    return controlled_means(events, region, plain) if label == "controlled" else plain


def controlled_means(events: Columns, region: Columns, plain: Means) -> Means:
    """Means over converged searches with the barriers of the region as a control variate.

    The barrier of a region says much about that of the full system, and costs little. So where the
    saddles of the region that were handed to confirmation lie by chance above all that the atom's
    searches found in the region, its mean is lowered by `slope` times the difference (multifidelity
    Monte Carlo: Peherstorfer, Willcox and Gunzburger 2016, doi:10.1137/15M1046472). The
    difference is zero on average whatever confirmation loses, so the mean is as unbiased as the
    plain one; the slope is the regression of barriers on those of the region within atoms, as
    differences between atoms have no part in it.

    Args:
        events: columns of events.h5.
        region: columns of its group `region`.
        plain: the means over all converged searches.
    """
    atoms = len(plain.mean)
    in_region = events[fields.STATUS] == int(Status.NOT_CONFIRMED)
    in_region = in_region | (events[fields.STATUS] == int(Status.CONVERGED))
    further = region[fields.STATUS] == int(Status.CONVERGED)
    used = counted(events, "all")
    atom, before = events[fields.ATOM], events[fields.REGION_BARRIER]
    slope = slope_within(atom[used], before[used], events[fields.BARRIER][used], atoms)
    if slope == 0.0 or not further.any():
        return plain
    of_further = region[fields.ATOM][further]
    own = means_of(atom[in_region], before[in_region], atoms)
    every = means_of(
        np.concatenate([atom[in_region], of_further]),
        np.concatenate([before[in_region], region[fields.BARRIER][further]]),
        atoms,
    )
    mean = plain.mean - slope * (own.mean - every.mean)
    # The mean is a sum over independent searches; this is what each of them adds to it.
    atom, before, used = atom[in_region], before[in_region], used[in_region]
    first, total = (np.maximum(found.number, 1) for found in (own, every))  # 1: of no use below
    parts = -slope * (before - own.mean[atom]) * (1.0 / first - 1.0 / total)[atom]
    barrier = events[fields.BARRIER][in_region][used]
    parts[used] += (barrier - plain.mean[atom[used]]) / plain.number[atom[used]]
    noise = np.bincount(atom, parts**2, minlength=atoms) * first / np.maximum(first - 1, 1)
    noise += (slope * every.error) ** 2 * (total - first) / total
    error = np.where(plain.number > 1, np.sqrt(noise), np.nan)
    return Means(mean, plain.deviation, error, plain.number)


def slope_within(atom: np.ndarray, first: np.ndarray, second: np.ndarray, atoms: int) -> float:
    """The regression of one column on another within atoms.

    Args:
        atom: (searches,).
        first: (searches,), what is regressed on.
        second: (searches,).
        atoms: number of atoms.

    Returns:
        the slope; 0 where there are fewer than `LEAST_DIFFERENCES` to know it from.
    """
    differences = len(atom) - len(np.unique(atom))
    if differences < LEAST_DIFFERENCES:
        return 0.0
    first = first - means_of(atom, first, atoms).mean[atom]
    second = second - means_of(atom, second, atoms).mean[atom]
    square = (first**2).sum()
    return float((first * second).sum() / square) if square > 0.0 else 0.0


def reliability(mean: np.ndarray, error: np.ndarray) -> float:
    """Share of the variance of means that is not sampling noise (from 0 to 1).

    One-way analysis of variance with random effects: 1 - E[error²] / Var(mean), over the means
    whose error is known (Shrout and Fleiss 1979, doi:10.1037/0033-2909.86.2.420, case ICC(1, k)).
    A model without any error of its own correlates with such means at the square root of it. NaN
    for fewer than three.

    Args:
        mean: (n,).
        error: (n,), standard error of each; NaN where it is not known.
    """
    usable = np.isfinite(error)
    if usable.sum() < 3:
        return float("nan")
    spread = mean[usable].var(ddof=1)
    if not spread > 0.0:
        return float("nan")
    return float(np.clip(1 - (error[usable] ** 2).mean() / spread, 0, 1))
