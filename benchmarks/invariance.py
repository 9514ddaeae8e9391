"""How far SymGNN is from invariant, against K, the aggregation and the distribution.

    python benchmarks/invariance.py -o invariance.csv --figure invariance.png \
        [--checkpoint run/checkpoint.pt] [--graphs graphs.h5]

For random orthogonal T, the mean and maximum over atoms and T of |f(T x) - f(x)|, in units of the
spread of f over the atoms. Without a checkpoint the network has random weights, without graphs the
atoms are random ones, and of graphs it is the first test glass. All distributions and aggregations
use the same weights.
"""

import argparse
import csv
from pathlib import Path

import matplotlib
import numpy as np
import torch
from scipy.stats import special_ortho_group

from symgnn.graphs.dataset import read_graphs
from symgnn.graphs.graph import edges
from symgnn.models.registry import build_model
from symgnn.training.checkpoint import load

SAMPLES = (1, 2, 4, 8, 16, 32)


@torch.no_grad()
def invariance_error(model, graph, transformations: int) -> tuple[float, float]:
    """Mean and maximum of |f(T x) - f(x)| over atoms and T, relative to the spread of f."""
    species, index, vector = graph
    before = model(species, index, vector)
    errors = []
    for seed in range(transformations):
        matrix = special_ortho_group.rvs(3, random_state=seed) * (-1) ** seed
        turned = vector @ torch.tensor(matrix, dtype=vector.dtype)
        errors.append((model(species, index, turned) - before).abs() / before.std())
    found = torch.stack(errors)
    return found.mean().item(), found.max().item()


def random_graph(atoms: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Species, edge index and edge vectors of random atoms, 1.8 Å apart, as dense as a glass."""
    random = np.random.default_rng(0)
    side = (atoms / 0.063) ** (1 / 3)
    places = np.empty((0, 3))
    while len(places) < atoms:
        place = random.random(3) * side
        apart = (places - place + side / 2) % side - side / 2
        if (apart**2).sum(1).min(initial=np.inf) > 1.8**2:
            places = np.vstack([places, place])
    index, vector = edges(places, np.eye(3) * side, 5.0)
    species = torch.from_numpy(random.choice([29, 40], atoms))
    return species, torch.from_numpy(index), torch.from_numpy(vector)


def test_glass(path: Path) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Species, edge index and edge vectors of the first test glass of a file of graphs."""
    graph = read_graphs(path).of_split("test")[0]
    return tuple(map(torch.from_numpy, (graph.species, graph.edge_index, graph.edge_vector)))


def network(checkpoint: Path | None, **options: object) -> torch.nn.Module:
    """SymGNN in evaluation mode, with the weights of a checkpoint or random ones."""
    torch.manual_seed(0)
    if checkpoint is None:
        model = build_model("symgnn", elements=[29, 40], **options)
        for seed in range(30):  # the normalisations have to know the features
            torch.manual_seed(seed)
            model(*random_graph(60))
        return model.eval()
    trained = load(checkpoint)
    model = build_model("symgnn", elements=trained.elements, **trained.options | options)
    model.load_state_dict(trained.model.state_dict(), strict=options["distribution"] == "learned")
    return model.eval()


def distributions(checkpoint: Path | None) -> tuple[str, ...]:
    """Those that the weights allow: a network trained with uniform ones has no learned ones."""
    if checkpoint and load(checkpoint).options.get("distribution") == "haar":
        return ("haar",)
    return ("haar", "learned")


def plot(rows: list[tuple], path: Path) -> None:
    """Maximum (solid) and mean (dashed) against K."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    kinds = sorted({row[:2] for row in rows})
    for kind, colour in zip(kinds, ("C0", "C1", "C2", "C3"), strict=False):
        points = np.array([row[2:] for row in rows if row[:2] == kind])
        axes.loglog(points[:, 0], points[:, 2], "o-", color=colour, label=", ".join(kind))
        axes.loglog(points[:, 0], points[:, 1], "o--", color=colour, alpha=0.5)
    axes.set_xlabel("K, rotations and as many non-rotations")
    axes.set_ylabel("|f(Tx) - f(x)| / spread of f\nlargest (solid), mean (dashed)")
    axes.set_xticks(SAMPLES, [str(k) for k in SAMPLES])
    axes.minorticks_off()
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measure all combinations and write a table and a figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--checkpoint", type=Path, help="a trained symgnn")
    parser.add_argument("--graphs", type=Path, help="its first test glass takes the atoms' place")
    parser.add_argument("--atoms", type=int, default=200)
    parser.add_argument("--transformations", type=int, default=6)
    options = parser.parse_args()
    graph = test_glass(options.graphs) if options.graphs else random_graph(options.atoms)
    rows = []
    with open(options.output, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["distribution", "aggregation", "K", "mean", "max"])
        for distribution in distributions(options.checkpoint):
            for aggregation in ("edge_representations", "predictions"):
                for samples in SAMPLES:
                    model = network(
                        options.checkpoint,
                        distribution=distribution,
                        aggregation=aggregation,
                        evaluation_samples=samples,
                    )
                    error = invariance_error(model, graph, options.transformations)
                    rows.append((distribution, aggregation, samples, *error))
                    row = [*rows[-1][:3], *(f"{e:.3g}" for e in error)]
                    writer.writerow(row)
                    print(*row, flush=True)
    if options.figure:
        plot(rows, options.figure)


if __name__ == "__main__":
    main()
