"""How far SymGNN is from invariant, against K, the aggregation and the distribution.

    python benchmarks/invariance.py -o invariance.csv [--checkpoint run/checkpoint.pt]

For random orthogonal T, the mean and maximum over atoms and T of |f(T x) - f(x)|, in units of the
spread of f over the atoms. Without a checkpoint the network has random weights.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
import torch
from scipy.stats import special_ortho_group

from symgnn.graphs.graph import edges
from symgnn.models.registry import build_model
from symgnn.training.checkpoint import load

SAMPLES = (1, 2, 4, 8, 16, 32, 64, 128)


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


def main() -> None:
    """Measure all combinations and write a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, help="a trained symgnn")
    parser.add_argument("--atoms", type=int, default=200)
    parser.add_argument("--transformations", type=int, default=6)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    side = (options.atoms / 0.063) ** (1 / 3)
    index, vector = edges(random.random((options.atoms, 3)) * side, np.eye(3) * side, 5.0)
    species = torch.from_numpy(random.choice([29, 40], options.atoms))
    graph = (species, torch.from_numpy(index), torch.from_numpy(vector))
    with open(options.output, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["distribution", "aggregation", "K", "mean", "max"])
        for distribution in ("haar", "learned"):
            for aggregation in ("edge_representations", "predictions"):
                for samples in SAMPLES:
                    torch.manual_seed(0)
                    model = build_model(
                        "symgnn",
                        elements=[29, 40],
                        distribution=distribution,
                        aggregation=aggregation,
                        evaluation_samples=samples,
                    )
                    if options.checkpoint:
                        weights = load(options.checkpoint).model.state_dict()
                        model.load_state_dict(weights, strict=distribution == "learned")
                    error = invariance_error(model.eval(), graph, options.transformations)
                    row = [distribution, aggregation, samples, *(f"{e:.3g}" for e in error)]
                    writer.writerow(row)
                    print(*row, flush=True)


if __name__ == "__main__":
    main()
