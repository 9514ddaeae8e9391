"""Hand-made invariants of an atom's surroundings: the input of the ridge regression.

What any group would try first on a glass: radial densities (as J. Behler, doi:10.1063/1.3553717),
bond-orientational power spectra in shells (P. J. Steinhardt et al., doi:10.1103/PhysRevB.28.784),
energy and stress; each also averaged over the neighbours (E. Boattini et al.,
doi:10.1103/PhysRevLett.127.088007).
"""

import math
from collections.abc import Sequence

import numpy as np
from ase import Atoms

from symgnn.descriptors.averages import average_around
from symgnn.descriptors.invariants_kernel import densities_and_spectra
from symgnn.descriptors.potential import mechanics_of, species_of, splines, stress_invariants
from symgnn.neighbors import linked_cells, most_near
from symgnn.pieces import Done, unwatched
from symgnn.potentials import Potential

CUTOFF = 8.0  # Å
CENTRES = np.arange(2.0, CUTOFF + 0.01, 0.25)  # Å, of Gaussians of that width in the distance
SHELLS = np.array([2.0, 3.6, 5.2, 6.6, CUTOFF])  # Å, where the shells begin and end
DEGREES = range(2, 9)
AVERAGED_TO = (3.6, 5.0, 7.0)  # Å
VERSION = 1  # of these numbers; a model trained on others is refused


def size(elements: int, *, by_element: bool = False) -> int:
    """Number of invariants for so many elements."""
    own = elements * (len(CENTRES) + (len(SHELLS) - 1) * len(DEGREES)) + 3
    return own * (1 + len(AVERAGED_TO) * (elements if by_element else 1)) + elements


def features(
    atoms: Atoms,
    potential: Potential,
    elements: Sequence[int],
    done: Done = unwatched,
    *,
    by_element: bool = False,
) -> np.ndarray:
    """Invariants of every atom, (atoms, size(len(elements))) float32.

    In this order: radial densities and power spectra, element by element; energy (eV), pressure
    and von Mises stress times the atom's volume (eV); their means over the atoms within each of
    `AVERAGED_TO`, the atom itself included; and which element the atom is.

    Args:
        atoms: a periodic structure.
        potential: an EAM potential, for energy and stress.
        elements: atomic numbers, in the order of the columns.
        done: called with the number of atoms at the end.
        by_element: whether the means are taken over each element by itself.
    """
    kind = np.argmax(atoms.numbers[:, None] == np.asarray(elements), axis=1)
    places = linked_cells(atoms.positions, atoms.cell.array, CUTOFF)
    most = most_near(places, CUTOFF)
    spectra = (len(SHELLS) - 1) * len(DEGREES)
    found = np.empty((len(atoms), len(elements), len(CENTRES) + spectra))
    densities_and_spectra(
        places, kind, CUTOFF, CENTRES, SHELLS, DEGREES[0], _normalisation(), most, found
    )
    table = splines(potential)
    stated = mechanics_of(atoms, species_of(atoms, potential), table)
    stress = stress_invariants(stated.virial)
    own = np.hstack([found.reshape(len(atoms), -1), stated.energy[:, None], stress])
    width = own.shape[1] * len(AVERAGED_TO) * (len(elements) if by_element else 1)
    means = np.empty((len(atoms), width), dtype=np.float32)
    split, radii = np.full(len(AVERAGED_TO), by_element), np.array(AVERAGED_TO)
    average_around(places, kind, own, radii, split, len(elements), most, means)
    done(len(atoms))
    which = atoms.numbers[:, None] == np.asarray(elements)
    return np.hstack([own.astype(np.float32), means, which.astype(np.float32)])


def _normalisation() -> np.ndarray:
    """Factors of the spherical harmonics of l and m, (l, m), up to the last of `DEGREES`.

    sqrt((2 l + 1) / 4 π (l - m)! / (l + m)!); the sign (-1)^m does not matter for power spectra.
    """
    size = DEGREES[-1] + 1
    factors = np.zeros((size, size))
    for degree in range(size):
        for m in range(degree + 1):
            ratio = math.factorial(degree - m) / math.factorial(degree + m)
            factors[degree, m] = math.sqrt((2 * degree + 1) / (4 * math.pi) * ratio)
    return factors
