"""Where a melt begins: atoms at random places of a box, none too near another."""

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, reference_states

from symgnn.errors import InputError

ATOMS_PER_CELL = {"fcc": 4, "bcc": 2, "diamond": 8, "sc": 1}
EXPANSION = 1.15  # volume of a metal's melt at high temperature over that of its crystal
SPACING = 0.7  # shortest distance at the start, in cube roots of the volume of an atom


def crystal_volume(symbol: str) -> float:
    """Volume of an atom in the crystal of an element, Å³, from ASE's table.

    Raises:
        InputError: the table has no cubic or hexagonal metal for the element.
    """
    state = reference_states[atomic_numbers[symbol]] or {}
    if state.get("symmetry") in ATOMS_PER_CELL:
        return state["a"] ** 3 / ATOMS_PER_CELL[state["symmetry"]]
    if state.get("symmetry") == "hcp":
        return 3**0.5 / 4 * state["a"] ** 2 * state["c/a"] * state["a"]
    raise InputError(f"start_density: needed, because no crystal's volume is known for {symbol}")


def melt_density(counts: dict[str, int]) -> float:
    """Guess of a melt's number density, atoms/Å³: the crystals' volumes, expanded.

    Args:
        counts: atoms of each element.
    """
    volume = sum(count * crystal_volume(symbol) for symbol, count in counts.items())
    return sum(counts.values()) / (EXPANSION * volume)


def random_start(counts: dict[str, int], density: float, seed: int) -> Atoms:
    """Atoms placed one after another at random in a cube, each apart from those before it.

    Random sequential addition; the shortest distance is `SPACING` cube roots of the volume of
    an atom, which fills 0.18 of space with spheres, far below jamming (0.38).

    Args:
        counts: atoms of each element.
        density: atoms/Å³.
        seed: of the positions.
    """
    generator = np.random.default_rng([seed, 0])
    atoms = sum(counts.values())
    length = (atoms / density) ** (1 / 3)
    shortest = SPACING * density ** (-1 / 3)
    positions = np.empty((atoms, 3))
    for index in range(atoms):
        while True:
            positions[index] = generator.uniform(0, length, 3)
            difference = positions[:index] - positions[index]
            difference -= length * np.rint(difference / length)
            if (np.einsum("ij,ij->i", difference, difference) >= shortest**2).all():
                break
    symbols = [symbol for symbol, count in counts.items() for _ in range(count)]
    return Atoms(symbols, positions, cell=[length] * 3, pbc=True)
