"""Per-atom inputs by name."""

from collections.abc import Sequence

import numpy as np
from ase import Atoms

from symgnn.descriptors import invariants, invariants_by_element, response, searches
from symgnn.errors import InputError
from symgnn.pieces import Done, unwatched
from symgnn.potentials import Potential

DESCRIPTORS = {
    "invariants": invariants,
    "invariants_by_element": invariants_by_element,
    "response": response,
    "searches": searches,
}

# Time that inputs take, about, over that of a network: so that progress is even.
WORK = {"response": 5.0, "invariants": 0.5, "invariants_by_element": 0.5, "searches": 300.0}


def describe(
    name: str,
    atoms: Atoms,
    potential: Potential,
    elements: Sequence[int],
    done: Done = unwatched,
    **options: object,
) -> np.ndarray:
    """Per-atom inputs of a structure, (atoms, inputs) float32.

    Args:
        name: a key of `DESCRIPTORS`.
        atoms: a periodic structure.
        potential: what the energies are computed with.
        elements: atomic numbers that the columns are ordered by.
        done: called after each part of the work; adds up to all atoms.
        options: further arguments of the module's `features`.

    Raises:
        InputError: unknown name, or the potential does not fit.
    """
    _check(name)
    unknown = sorted(set(atoms.numbers.tolist()) - set(elements))
    if unknown:
        raise InputError(f"--inputs: atomic numbers {unknown} are not among {list(elements)}")
    return DESCRIPTORS[name].features(atoms, potential, elements, done, **options)


def input_size(name: str, elements: int) -> int:
    """Number of inputs an atom, for so many elements.

    Raises:
        InputError: unknown name.
    """
    _check(name)
    return DESCRIPTORS[name].size(elements)


def input_version(name: str) -> int:
    """Version of the numbers: a model trained on others must not be given these.

    Raises:
        InputError: unknown name.
    """
    _check(name)
    return DESCRIPTORS[name].VERSION


def _check(name: str) -> None:
    if name not in DESCRIPTORS:
        raise InputError(f"inputs: {name!r}: must be one of {', '.join(DESCRIPTORS)}")
