"""Many searches at a few atoms, or a few at many? What a model learns from one glass of one's own.

    symgnn barriers glass.xyz --potential Cu-Zr-2009 --searches 5 --region-searches 0 -o events.h5
    python benchmarks/leave_one_group_out.py FOLDER -o study
    python benchmarks/few_searches.py glass.xyz events.h5 study/graphs.h5 -o few \
        --validation other.xyz other.h5 \
        --atoms 200 400 800 --searches 1 2 5

Several files of events may be given, of other atoms of the same glass. Trains on the means of the
first searches at random atoms of those that have so many; what follows `--` goes to `symgnn train`.
A glass of `--validation` chooses the epoch and the penalty of the linear fit; without one the last
epoch counts and parts of the one glass choose the penalty, mostly one that is too small. Prints the
searches in all, and on the published graphs of the second command, whose labels no model here has
seen, the mean of Pearson's r over the graphs and of the area under the curve for the softest 5 %,
with the standard deviation over choices of the atoms.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from leave_one_group_out import symgnn

from symgnn import fields
from symgnn.barriers.events import read_columns
from symgnn.barriers.labels import counted
from symgnn.graphs.dataset import Dataset, read_graphs, write_graphs
from symgnn.graphs.graph import Graph
from symgnn.models.inputs import MODEL_INPUTS
from symgnn.training.checkpoint import load
from symgnn.training.loop import predict_graphs
from symgnn.training.metrics import pearson, softest_auc

INPUTS = MODEL_INPUTS["response"]


def few_labels(
    events: dict[str, np.ndarray], atoms: int, searches: int, choice: int
) -> dict[int, float]:
    """Mean barriers, eV, of the first searches at some random atoms, by atom."""
    number = np.bincount(events[fields.ATOM])
    enough = np.flatnonzero(number >= searches)
    if len(enough) < atoms:
        raise SystemExit(f"error: {len(enough)} atoms have {searches} searches: give at most these")
    chosen = np.random.default_rng(choice).permutation(enough)[:atoms]
    use = counted(events, "all") & (events[fields.SEARCH] < searches)
    use &= np.isin(events[fields.ATOM], chosen)
    return {
        int(atom): events[fields.BARRIER][use & (events[fields.ATOM] == atom)].mean()
        for atom in np.unique(events[fields.ATOM][use])
    }


def write_few(dataset: Dataset, path: Path, labels: dict[int, float]) -> None:
    """The graphs with few labels, eV, by atom, of the training glass."""
    (graph,) = dataset.of_split("train")
    graph.barrier = np.full(len(graph.barrier), np.nan)
    graph.barrier[list(labels)] = list(labels.values())
    write_graphs(path, dataset.graphs, cutoff=dataset.cutoff, **dataset.attributes)


def scores(run: Path, graphs: list[Graph]) -> tuple[float, float]:
    """Pearson's r and the AUC of the softest 5 %, means over the graphs."""
    trained = load(run / "checkpoint.pt")
    found = predict_graphs(trained.model, graphs, trained.scaling, "cpu", INPUTS)
    pairs = [(graph.barrier, found[graph.name]) for graph in graphs]
    return float(np.mean([pearson(*p) for p in pairs])), float(
        np.mean([softest_auc(*p) for p in pairs])
    )


def mean_and_deviation(values: np.ndarray) -> str:
    """With three decimals; of one value alone that value."""
    spread = f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else ""
    return f"{values.mean():.3f}{spread}"


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("glass", type=Path)
    parser.add_argument("files", type=Path, nargs="+", help="events of the glass, then graphs.h5")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--potential", default="Cu-Zr-2009")
    parser.add_argument("--atoms", type=int, nargs="+", default=[200, 400, 800])
    parser.add_argument("--searches", type=int, nargs="+", default=[1, 2, 5])
    parser.add_argument("--choices", type=int, default=3, help="of the atoms")
    parser.add_argument("--validation", type=Path, nargs=2, metavar=("GLASS", "EVENTS"))
    arguments, rest = sys.argv[1:], []
    if "--" in arguments:
        rest = arguments[arguments.index("--") + 1 :]
        arguments = arguments[: arguments.index("--")]
    options = parser.parse_args(arguments)
    *files, published = options.files
    columns = [read_columns(path) for path in files]
    events = {name: np.concatenate([part[name] for part in columns]) for name in columns[0]}
    options.output.mkdir(parents=True, exist_ok=True)
    chosen_by = options.validation[0].stem if options.validation else "alone"
    own = options.output / f"own-{chosen_by}.h5"
    if not own.exists():
        inputs = [word for name in INPUTS for word in ("--inputs", name)]
        given = [options.glass, "--events", files[0], "--train", options.glass.stem, *inputs]
        if options.validation:
            glass, labels = options.validation
            given += [glass, "--events", labels, "--validation", glass.stem]
        symgnn("graphs", *given, "--potential", options.potential, "-o", own)
    graphs = read_graphs(published).graphs
    print("| atoms | searches an atom | in all | r | softest 5 %, AUC |\n|---|---|---|---|---|")
    for searches in options.searches:
        for atoms in options.atoms:
            found = []
            enough = np.bincount(events[fields.ATOM]) >= searches
            whole = atoms == enough.sum()  # there is nothing to choose
            for choice in range(1 if whole else options.choices):
                run = options.output / f"{chosen_by}-{atoms}-{searches}-{choice}"
                if not (run / "checkpoint.pt").exists():
                    path = options.output / "few.h5"
                    write_few(read_graphs(own), path, few_labels(events, atoms, searches, choice))
                    symgnn("train", path, "--model", "response", "-o", run, *rest)
                found.append(scores(run, graphs))
            cells = " | ".join(mean_and_deviation(values) for values in np.transpose(found))
            print(f"| {atoms} | {searches} | {atoms * searches} | {cells} |")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
