"""Whether a structure lies within what a model was trained on."""

from collections.abc import Mapping

from ase import Atoms
from ase.data import chemical_symbols

# How far outside of the training glasses a structure may lie before a warning.
DENSITY_MARGIN = 0.01  # relative
COMPOSITION_MARGIN = 0.02  # share of atoms


def outside_of(domain: Mapping, atoms: Atoms) -> list[str]:
    """In what a structure lies outside the training glasses: one line a reason.

    Args:
        domain: `data` of a model, with `density` and `composition`.
        atoms: the structure.
    """
    reasons, density = [], len(atoms) / atoms.cell.volume
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
