"""Is a loss that knows the labels' noise worth it? Labels of few and of many searches, mixed.

    symgnn barriers glass.xyz --potential Cu-Zr-2009 --region-searches 0 -o events.h5
    python benchmarks/leave_one_group_out.py FOLDER -o study
    python benchmarks/few_searches.py glass.xyz events.h5 study/graphs.h5 -o few \
        --validation other.xyz other.h5
    python benchmarks/label_noise.py events.h5 study/graphs.h5 few/own-other.h5 -o noise

Takes the graphs of the second and the third command. Half of the atoms of a glass of one's own, at
random, have labels of few searches, the others of many. Trains with labels that all weigh the same
and with `--label-noise`, the scatter of the searches of one atom. Prints what `few_searches.py`
does.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from few_searches import few_labels, mean_and_deviation, scores
from leave_one_group_out import symgnn

from symgnn import fields
from symgnn.barriers.events import read_columns
from symgnn.barriers.labels import counted
from symgnn.graphs.dataset import read_graphs, write_graphs


def scatter(events: dict[str, np.ndarray]) -> float:
    """Standard deviation of the barriers of one atom's searches, eV, over all atoms."""
    use = counted(events, "all")
    atom, barrier = events[fields.ATOM][use], events[fields.BARRIER][use]
    number = np.bincount(atom)
    mean = np.bincount(atom, barrier) / np.maximum(number, 1)
    return float(np.sqrt(((barrier - mean[atom]) ** 2).sum() / (number - 1)[number > 1].sum()))


def write_mixed(path: Path, own: Path, labels: dict[int, dict[int, float]]) -> None:
    """The graphs with labels, eV, by atom, by the number of searches that they are means of."""
    dataset = read_graphs(own)
    (graph,) = dataset.of_split("train")
    graph.barrier = np.full(len(graph.barrier), np.nan)
    number = np.zeros(len(graph.barrier), dtype=np.int64)
    for searches, of_atoms in labels.items():
        chosen = list(of_atoms)
        graph.barrier[chosen], number[chosen] = list(of_atoms.values()), searches
    graph.atom_fields |= {fields.COUNTED: number}
    write_graphs(path, dataset.graphs, cutoff=dataset.cutoff, **dataset.attributes)


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("events", type=Path)
    parser.add_argument("published", type=Path)
    parser.add_argument("own", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--searches", type=int, nargs=2, default=[1, 20])
    parser.add_argument("--choices", type=int, default=3, help="of the atoms")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    events = read_columns(options.events)
    graphs, noise = read_graphs(options.published).graphs, scatter(events)
    atoms = np.unique(events[fields.ATOM])
    print("| label noise, eV | r | softest 5 %, AUC |\n|---|---|---|")
    for label_noise in (0.0, noise):
        found = []
        for choice in range(options.choices):
            few, many = options.searches
            run = options.output / f"{few}-{many}-{label_noise:.3f}-{choice}"
            if not (run / "checkpoint.pt").exists():
                labels, order = {}, np.random.default_rng(choice).permutation(atoms)
                for searches, half in zip(options.searches, np.array_split(order, 2), strict=True):
                    every = few_labels(events, len(atoms), searches, choice)
                    labels[searches] = {k: every[k] for k in half if k in every}
                path = options.output / "mixed.h5"
                write_mixed(path, options.own, labels)
                words = ["--model", "response", "--label-noise", label_noise, "-o", run]
                symgnn("train", path, *words)
            found.append(scores(run, graphs))
        cells = " | ".join(mean_and_deviation(values) for values in np.transpose(found))
        print(f"| {label_noise:.2f} | {cells} |")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
