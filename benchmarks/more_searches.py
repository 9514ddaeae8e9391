"""What more or fewer searches at each atom do for a prediction by `searched`.

    python benchmarks/leave_one_group_out.py FOLDER -o study --models searched
    python benchmarks/more_searches.py study --searches 6 --graphs train2 train4

Prints for each glass and number of searches how the models of the other groups (the mean of their
seeds) do on it: Pearson's r, Spearman's rank r, the mean absolute error (eV) and the area under the
curve for the softest 5 %; then, of predictions with as many searches as in training, how far
another choice of them moves them (root mean square, eV). A search takes some 22 core-ms; what is
found is kept in the study, a file a glass.
"""

import argparse
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from leave_one_group_out import GROUPS, KIN

from symgnn.descriptors.searches import SEARCHES, VERSION, Saddles, columns_of, saddles_of
from symgnn.files import atomic_path
from symgnn.graphs.dataset import read_graphs
from symgnn.graphs.graph import Graph
from symgnn.models.inputs import MODEL_INPUTS
from symgnn.potentials import find_potential
from symgnn.progress import Progress
from symgnn.threads import use_threads
from symgnn.training.batches import as_batch
from symgnn.training.checkpoint import Trained, load
from symgnn.training.metrics import METRICS, metrics
from symgnn.training.pieces import predict_all

POTENTIAL = "Cu-Zr-2009"


def known_saddles(study: Path, graph: Graph, searches: int) -> Saddles:
    """So many searches at each atom, from a file where it is there."""
    path = study / f"{graph.name}-{searches}-searches-version-{VERSION}.npz"
    if not path.exists():
        with Progress(f"atoms of {graph.name}", len(graph.species)) as progress:
            found = saddles_of(
                graph.atoms, find_potential(POTENTIAL), searches=searches, done=progress.add
            )
        with atomic_path(path) as temporary, open(temporary, "wb") as stream:
            np.savez(stream, **vars(found))
    columns = dict(np.load(path))
    return Saddles(searches=int(columns.pop("searches")), **columns)


@torch.no_grad()
def predicted(models: list[Trained], graph: Graph, found: Saddles) -> np.ndarray:
    """Mean barrier of the models with these searches, (atoms,), eV."""
    members = []
    graph.inputs["searches"] = columns_of(graph.atoms, found, models[0].inputs["elements"])
    for trained in models:
        batch = as_batch(graph, trained.scaling, inputs=MODEL_INPUTS["searched"])
        standardised = predict_all(trained.model, batch, graph.position, graph.cell)
        members.append(trained.scaling.barrier(standardised.double().numpy()))
    return np.mean(members, axis=0)


def main() -> None:
    """Print a table of all glasses and numbers of searches."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path)
    parser.add_argument("--searches", type=int, default=6, help="most of them at each atom")
    parser.add_argument("--graphs", nargs="+", default=["train2", "train4"])
    parser.add_argument("--threads", type=int, default=0, help="processes; 0 for all")
    options = parser.parse_args()
    if options.searches < SEARCHES:
        parser.error(f"--searches: {options.searches}: must be at least {SEARCHES}, as in training")
    use_threads(options.threads)
    group_of = {name: group for group in GROUPS for name in (group, *KIN.get(group, []))}
    graphs = {graph.name: graph for graph in read_graphs(options.study / "graphs.h5").graphs}
    models = {}
    for name in options.graphs:
        if name not in group_of or name not in graphs:
            parser.error(
                f"--graphs: {name!r}: must be among {', '.join(group_of)}, and in the study"
            )
        runs = sorted((options.study / "searched" / group_of[name]).glob("seed-*/checkpoint.pt"))
        if not runs:
            parser.error(f"{options.study}: no run of searched without {group_of[name]}")
        models[name] = [load(run) for run in runs]
    print("| left out | searches at an atom | " + " | ".join(METRICS) + " |")
    print("|---|---|" + "---|" * len(METRICS))
    summaries = []
    for name in options.graphs:
        graph = graphs[name]
        found = known_saddles(options.study, graph, options.searches)
        for number in range(1, options.searches + 1):
            barriers = predicted(models[name], graph, found.of(range(number)))
            cells = " | ".join(f"{x:.3f}" for x in metrics(graph.barrier, barriers).values())
            print(f"| {name} | {number} | {cells} |", flush=True)
        starts = range(0, options.searches - SEARCHES + 1, SEARCHES)
        choices = [range(first, first + SEARCHES) for first in starts]
        others = [predicted(models[name], graph, found.of(choice)) for choice in choices]
        moved = [np.sqrt(np.mean((a - b) ** 2)) for a, b in combinations(others, 2)]
        own = [f"{metrics(graph.barrier, one)['pearson']:.3f}" for one in others]
        moves = f"; others move by {np.mean(moved):.3f} eV" if moved else ""
        summaries.append(
            f"{name}: {SEARCHES} searches, others each time: r {', '.join(own)}{moves}"
        )
    print("\n" + "\n".join(summaries))


if __name__ == "__main__":
    main()
