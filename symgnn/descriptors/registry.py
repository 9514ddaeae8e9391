"""Per-atom inputs by name."""

from collections.abc import Callable, Sequence

import numpy as np
from ase import Atoms

from symgnn.descriptors import invariants, response
from symgnn.errors import InputError
from symgnn.potentials import Potential

DESCRIPTORS: dict[str, Callable[[Atoms, Potential, Sequence[int]], np.ndarray]] = {
    "invariants": invariants.features,
    "response": response.features,
}


def describe(name: str, atoms: Atoms, potential: Potential, elements: Sequence[int]) -> np.ndarray:
    """Per-atom inputs of a structure, (atoms, inputs) float32.

    Args:
        name: a key of `DESCRIPTORS`.
        atoms: a periodic structure.
        potential: what the energies are computed with.
        elements: atomic numbers that the columns are ordered by.

    Raises:
        InputError: unknown name, or the potential does not fit.
    """
    if name not in DESCRIPTORS:
        raise InputError(f"--inputs: {name!r}: must be one of {', '.join(DESCRIPTORS)}")
    return DESCRIPTORS[name](atoms, potential, elements)


def input_size(name: str, elements: int) -> int:
    """Number of inputs an atom, for so many elements."""
    return (invariants if name == "invariants" else response).size(elements)
