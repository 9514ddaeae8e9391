r"""How many saddle searches an atom a prediction is worth.

    python benchmarks/prediction_or_searches.py glass.xyz events.h5 \
        --checkpoint study/response/*/*/checkpoint.pt

glass.xyz is a glass whose labels the checkpoints have not seen, events.h5 the searches of all its
atoms, twenty of each for example. Half of the searches, chosen at random, are the reference: their
mean of each atom. Prints Pearson's r with it of the means of 1, 2, 5 ... of the other searches, for
each atom by itself and averaged over the atoms within 3.6 Å (labels are smooth in space), and of
the prediction: the mean and the standard deviation over `--repeats` choices of the half. The last
row is what a perfect label would have, from the scatter of the reference's searches, and the line
below it says of how many searches of an atom the means would be as near to it as the prediction is.
"""

import argparse
from pathlib import Path

import numpy as np
from ase.io import read
from ase.neighborlist import neighbor_list

import symgnn
from symgnn import fields
from symgnn.barriers.events import read_columns
from symgnn.barriers.labels import counted, means_of
from symgnn.training.metrics import pearson

NEAR = 3.6  # Å, nearest neighbours


def barrier_table(events: dict[str, np.ndarray], atoms: int) -> np.ndarray:
    """Barriers by atom and search, eV, (atoms, searches); nan where none converged."""
    table = np.full((atoms, events[fields.SEARCH].max() + 1), np.nan)
    converged = counted(events, "all")
    rows, columns = events[fields.ATOM][converged], events[fields.SEARCH][converged]
    table[rows, columns] = events[fields.BARRIER][converged]
    return table


def known_mean(table: np.ndarray) -> np.ndarray:
    """Mean of each atom's converged searches; of all atoms' where it has none."""
    known = np.isfinite(table)
    total, number = np.where(known, table, 0.0).sum(1), known.sum(1)
    return np.where(number > 0, total / np.maximum(number, 1), total.sum() / number.sum())


def perfect(table: np.ndarray) -> float:
    """Pearson's r of a label without noise with the means of the table's rows."""
    row, column = np.nonzero(np.isfinite(table))
    return float(np.sqrt(means_of(row, table[row, column], len(table)).reliability))


def equivalent_searches(share: float, perfect_of_half: float, half: int) -> float:
    """The number of searches whose means correlate with perfect labels at `share`.

    The reliability of means of n searches is n / (n + noise), and their correlation with labels
    without noise is its root.

    Args:
        share: of what a perfect label has, that the prediction has.
        perfect_of_half: root of the reliability of means of `half` searches.
        half: number of searches.
    """
    noise = half * (1.0 / perfect_of_half**2 - 1.0)
    return noise * share**2 / (1.0 - share**2)


def main() -> None:
    """Print a row for each number of searches, for the prediction and for the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("structure", type=Path)
    parser.add_argument("events", type=Path)
    parser.add_argument("--checkpoint", nargs="+", required=True)
    parser.add_argument("--repeats", type=int, default=50)
    options = parser.parse_args()
    atoms = read(options.structure)
    table = barrier_table(read_columns(options.events), len(atoms))
    predicted = symgnn.load(options.checkpoint).predict(atoms)
    source, target = neighbor_list("ij", atoms, NEAR)
    neighbors = np.bincount(source, minlength=len(atoms))

    def smooth(values: np.ndarray) -> np.ndarray:
        around = np.bincount(source, values[target], minlength=len(atoms))
        return (values + around) / (1 + neighbors)

    half = table.shape[1] // 2
    numbers = [number for number in (1, 2, 5, 10, 20, 50) if number <= half]
    found: dict[str, list[float]] = {}
    random = np.random.default_rng(0)
    for _ in range(options.repeats):
        order = random.permutation(table.shape[1])
        reference = known_mean(table[:, order[:half]])
        for number in numbers:
            mean = known_mean(table[:, order[half : half + number]])
            name = f"searches of each atom: {number}"
            found.setdefault(name, []).append(pearson(reference, mean))
            name = f"the same, averaged over the atoms within {NEAR} Å: {number}"
            found.setdefault(name, []).append(pearson(reference, smooth(mean)))
        found.setdefault("prediction", []).append(pearson(reference, predicted))
        limit = perfect(table[:, order[:half]])
        found.setdefault("a perfect label", []).append(limit)
    print("| what is compared | Pearson's r |\n|---|---|")
    for name, values in found.items():
        print(f"| {name} | {np.mean(values):.3f} ± {np.std(values):.3f} |")
    predicts, limit = (float(np.mean(found[name])) for name in ("prediction", "a perfect label"))
    number = equivalent_searches(predicts / limit, limit, half)
    print(f"The prediction is as near to it as the means of {number:.0f} searches of each atom.")


if __name__ == "__main__":
    main()
