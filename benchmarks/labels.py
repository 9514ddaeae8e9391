"""How barriers compare with the published labels, and how barriers vary in space.

    python benchmarks/labels.py train2 --published FOLDER -o train2.xyz
    symgnn barriers train2.xyz --potential Cu-Zr-2009 --atoms 200 --searches 20 -o train2.h5
    python benchmarks/labels.py train2 --published FOLDER --events train2.h5

The first line writes a published structure as extended XYZ. The last prints for each kind of label
Pearson's r with the published ones, the means' ratio, the reliability of our means (the share of
their variance that is not the scatter of the searches), and the r that two perfect protocols would
have with the noise of both; then how searches ended, what they cost and how far saddles move when
all atoms become free. Several files of events
(runs with other seeds, of other atoms) count together. `--converged 20` takes each atom's first 20
converged searches, of 25 for example, so that all means are of as many, and `--region 40` each
atom's first 40 searches that ended in the region.

    python benchmarks/labels.py glass.xyz --events events.h5

prints the same without labels and, where all atoms have one, how a barrier correlates with those of
its neighbours. Of a published glass the labels' own correlations stand beside them.
"""

import argparse
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list
from labelled import add_structure, structure

from symgnn import fields
from symgnn.barriers.events import read_columns, read_region
from symgnn.barriers.labels import LABELS, Columns, Means, counted, label_means, slope_within
from symgnn.barriers.protocol import Protocol, Status
from symgnn.structures import write_structure

# eV, of a published label: train0 and train1, copies of one glass with a standard deviation of
# 0.300 eV that were labelled independently, correlate at 0.775.
LABEL_NOISE = 0.142
SHELLS = ((0.0, 3.6), (3.6, 5.0), (5.0, 6.5), (6.5, 8.0), (8.0, 10.0))  # Å


def joined(parts: list[Columns]) -> Columns:
    """The searches of several events.h5 of one structure, one after another."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def first_saddles(searches: Columns, found: np.ndarray, number: int) -> Columns:
    """The searches of each atom up to its number `number` of those that found a saddle."""
    keep = np.zeros(len(found), dtype=bool)
    for atom in np.unique(searches[fields.ATOM]):
        rows = np.flatnonzero(searches[fields.ATOM] == atom)
        before = np.cumsum(found[rows]) - found[rows]
        keep[rows[before < number]] = True
    return {name: column[keep] for name, column in searches.items()}


def print_label(name: str, means: Means, labels: np.ndarray) -> None:
    """A row of the comparison."""
    known = np.isfinite(means.mean)
    ours, theirs, reliable = means.mean[known], labels[known], means.reliability
    r = np.corrcoef(ours, theirs)[0, 1]
    ratio = ours.mean() / theirs.mean()
    spread = np.std(ours - theirs) / theirs.mean() / np.sqrt(known.sum())
    error = (1 - r**2) / np.sqrt(known.sum())
    of_labels = 1 - LABEL_NOISE**2 / np.var(labels)
    print(f"| {name} | {r:.3f} ± {error:.3f} | {ratio:.3f} ± {spread:.3f} |", end=" ")
    print(f"{reliable:.2f} | {np.sqrt(reliable * of_labels):.3f} |")


def print_comparison(events: Columns, region: Columns, labels: np.ndarray) -> None:
    """Every kind of label beside the published ones."""
    print("| searches that count | Pearson | mean over labels' mean | reliability | r at most |")
    print("|---|---|---|---|---|")
    for name in LABELS:
        means = label_means(events, region, len(labels), name)
        if np.isfinite(means.mean).any():  # no connected ones where no sides were relaxed
            print_label(name, means, labels)
    frozen = {**events, fields.BARRIER: events[fields.REGION_BARRIER]}
    print_label("all, of the region", label_means(frozen, region, len(labels), "all"), labels)


def print_control(events: Columns, atoms: int) -> None:
    """How the barriers of one atom's searches go with those of the region."""
    used = counted(events, "all")
    names = fields.ATOM, fields.REGION_BARRIER, fields.BARRIER
    atom, before, barrier = (events[name][used] for name in names)
    slope = slope_within(atom, before, barrier, atoms)
    r = np.sqrt(max(slope * slope_within(atom, barrier, before, atoms), 0.0))
    print(f"within atoms barriers correlate with the region's at {r:.3f}, slope {slope:.3f}")


def print_costs(events: Columns) -> None:
    """How searches ended, and their force calls."""
    status, total = events[fields.STATUS], len(events[fields.STATUS])
    for kind in Status:
        count = int((status == int(kind)).sum())
        print(f"{kind.name.lower():<14} {count:6d} {count / total:7.2%}")
    converged = status == int(Status.CONVERGED)
    calls = events[fields.FORCE_EVALUATIONS]
    way = np.where(converged, events[fields.SADDLE_EVALUATIONS], calls).sum() / converged.sum()
    print(f"force calls a saddle: {way:.0f},", end=" ")
    larger, sides = (
        events[name].sum() / converged.sum()  # also those that confirmed nothing
        for name in (fields.FULL_EVALUATIONS, fields.CHECK_EVALUATIONS)
    )
    print(f"of larger systems {larger:.0f} more, for second eigenvalue and sides {sides:.0f}")
    second, connected = events[fields.SECOND_CURVATURE], events[fields.CONNECTED] == 1
    negative = second[converged] < Protocol().second_negative
    print(f"second eigenvalue negative: {negative.mean():.1%};", end=" ")
    print(f"connected: {connected[converged].mean():.1%},", end=" ")
    unknown = np.isnan(events[fields.FINAL_ENERGY][converged]).mean()
    print(f"no final minimum known: {unknown:.1%},", end=" ")
    again = events[fields.DUPLICATE_OF] >= 0
    print(f"of those that involve their target {again.sum()} found by an earlier search")
    change = 1e3 * (events[fields.BARRIER] - events[fields.REGION_BARRIER])[converged]
    grown = 1e3 * (events[fields.BARRIER] - events[fields.GROWN_BARRIER])[converged]
    print(f"the largest region: {np.median(abs(grown)):.1f} meV in the median,", end=" ")
    print(f"{np.percentile(abs(grown), 95):.0f} at the 95th percentile, off the full system")
    print(f"all atoms free: {change.mean():.0f} meV in the mean,", end=" ")
    print(f"{np.median(abs(change)):.0f} in the median,", end=" ")
    print(f"{np.percentile(abs(change), 95):.0f} at the 95th percentile, of {len(change)} saddles")


def print_space(atoms: Atoms, values: dict[str, np.ndarray]) -> None:
    """Correlation of barriers with those of atoms around, for each set of values."""
    source, target, distance = neighbor_list("ijd", atoms, SHELLS[-1][1])
    near = distance < SHELLS[0][1]
    number = np.bincount(source[near], minlength=len(atoms))
    print("| barriers | mean ± deviation, eV | with the neighbours' mean |", end="")
    print("".join(f" {low:g}-{high:g} Å |" for low, high in SHELLS) + "\n" + "|---" * 8 + "|")
    for name, value in values.items():
        around = np.bincount(source[near], value[target[near]], len(atoms)) / number
        scaled = (value - value.mean()) / value.std()
        product = scaled[source] * scaled[target]
        shells = [product[(distance >= low) & (distance < high)].mean() for low, high in SHELLS]
        print(f"| {name} | {value.mean():.3f} ± {value.std():.3f} |", end=" ")
        print(f"{np.corrcoef(value, around)[0, 1]:.3f} |", end="")
        print("".join(f" {shell:.3f} |" for shell in shells))


def main() -> None:
    """Write a structure, or print what the arguments allow."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_structure(parser)
    parser.add_argument("--events", type=Path, nargs="+", help="events.h5 of this structure")
    parser.add_argument("--converged", type=int, help="first converged searches to take of an atom")
    parser.add_argument(
        "--region", type=int, help="first searches in the region to take of an atom"
    )
    parser.add_argument("-o", "--output", type=Path, help="write the structure here")
    arguments = parser.parse_args()
    atoms, labels = structure(arguments)
    if arguments.output:
        write_structure(arguments.output, atoms)
    values = {} if labels is None else {"published": labels}
    if arguments.events:
        events, region = (
            joined([r(p) for p in arguments.events]) for r in (read_columns, read_region)
        )
        if arguments.converged:
            events = first_saddles(events, counted(events, "all"), arguments.converged)
        if arguments.region is not None:
            region = first_saddles(region, region[fields.STATUS] == 0, arguments.region)
        print_costs(events)
        print_control(events, len(atoms))
        if labels is not None:
            print_comparison(events, region, labels)
        mean = label_means(events, region, len(atoms), "controlled").mean
        if np.isfinite(mean).all():
            values["ours"] = mean
    if values:
        print_space(atoms, values)


if __name__ == "__main__":
    main()
