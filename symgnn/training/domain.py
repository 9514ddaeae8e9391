"""What a model was trained on, and whether a structure lies within it."""

from collections.abc import Mapping

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from symgnn.graphs.dataset import Dataset

# How far outside of the training glasses a structure may lie before a warning.
DENSITY_MARGIN = 0.01  # relative
COMPOSITION_MARGIN = 0.02  # share of atoms


def domain_of(dataset: Dataset) -> dict[str, object]:
    """Least and largest density (atoms/Å³) and share of each element of the training glasses."""
    training = dataset.of_split("train")
    densities = [_density(len(graph.species), graph.cell) for graph in training]
    shares = [_shares(graph.species) for graph in training]
    elements = sorted({number for share in shares for number in share})
    return {
        "density": [min(densities), max(densities)],
        "composition": {
            str(z): [min(s.get(z, 0.0) for s in shares), max(s.get(z, 0.0) for s in shares)]
            for z in elements
        },
    }


def _density(atoms: int, cell: np.ndarray) -> float:
    return atoms / abs(float(np.linalg.det(cell)))


def _shares(species: np.ndarray) -> dict[int, float]:
    return {int(z): float((species == z).mean()) for z in sorted(set(species.tolist()))}


def outside_of(domain: Mapping, atoms: Atoms) -> list[str]:
    """In what a structure lies outside the training glasses: one line a reason.

    Args:
        domain: from `domain_of`.
        atoms: the structure.
    """
    reasons, density = [], _density(len(atoms), atoms.cell.array)
    low, high = domain["density"]
    if not low * (1 - DENSITY_MARGIN) <= density <= high * (1 + DENSITY_MARGIN):
        reasons.append(
            f"density {density:.4f} atoms/Å³: the model was trained on {low:.4f} to {high:.4f}"
        )
    for number, (low, high) in domain["composition"].items():
        share = float((atoms.numbers == int(number)).mean())
        if not low - COMPOSITION_MARGIN <= share <= high + COMPOSITION_MARGIN:
            reasons.append(
                f"{share:.0%} {chemical_symbols[int(number)]}: the model was trained on "
                f"{low:.0%} to {high:.0%}"
            )
    return reasons
