"""Hand-made invariants of an atom's surroundings: the input of the ridge regression.

What any group would try first on a glass: radial densities (as J. Behler, doi:10.1063/1.3553717),
bond-orientational power spectra in shells (P. J. Steinhardt et al., doi:10.1103/PhysRevB.28.784),
energy and stress; each also averaged over the neighbours (E. Boattini et al.,
doi:10.1103/PhysRevLett.127.088007).
"""

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from scipy.sparse import csr_matrix
from scipy.special import sph_harm_y

from symgnn.descriptors.potential import mechanics_of, species_of, splines, stress_invariants
from symgnn.neighbors import Pairs, pairs
from symgnn.potentials import Potential

CUTOFF = 8.0  # Å
CENTRES = np.arange(2.0, CUTOFF + 0.01, 0.25)  # Å, of Gaussians of that width in the distance
SHELLS = ((2.0, 3.6), (3.6, 5.2), (5.2, 6.6), (6.6, CUTOFF))  # Å
DEGREES = range(2, 9)
AVERAGED_TO = (3.6, 5.0, 7.0)  # Å
VERSION = 1  # of these numbers; a model trained on others is refused


def size(elements: int) -> int:
    """Number of invariants for so many elements."""
    own = elements * (len(CENTRES) + len(SHELLS) * len(DEGREES)) + 3
    return own * (1 + len(AVERAGED_TO)) + elements


def features(atoms: Atoms, potential: Potential, elements: Sequence[int]) -> np.ndarray:
    """Invariants of every atom, (atoms, size(len(elements))) float32.

    In this order: radial densities and power spectra, element by element; energy (eV), pressure
    and von Mises stress times the atom's volume (eV); their means over the atoms within each of
    `AVERAGED_TO`, the atom itself included; and which element the atom is.

    Args:
        atoms: a periodic structure.
        potential: an EAM potential, for energy and stress.
        elements: atomic numbers, in the order of the columns.
    """
    found = pairs(atoms.positions, atoms.cell.array, CUTOFF)
    length = np.linalg.norm(found.vector, axis=1)
    kind = atoms.numbers[found.target]
    columns = []
    for element in elements:
        of_element = kind == element
        columns.append(_radial(found.source[of_element], length[of_element], len(atoms)))
        columns.append(_angular(found, length, of_element, len(atoms)))
    table = splines(potential)
    stated = mechanics_of(atoms, species_of(atoms, potential), table)
    columns += [stated.energy[:, None], stress_invariants(stated.virial)]
    own = np.concatenate(columns, axis=1)
    averaged = [_mean_around(own, found, length, radius) for radius in AVERAGED_TO]
    which = (atoms.numbers[:, None] == np.asarray(elements)).astype(np.float64)
    return np.concatenate([own, *averaged, which], axis=1).astype(np.float32)


def _radial(source: np.ndarray, length: np.ndarray, atoms: int) -> np.ndarray:
    """Neighbours counted by a Gaussian around each centre, (atoms, centres)."""
    width = CENTRES[1] - CENTRES[0]
    return np.stack(
        [
            np.bincount(source, np.exp(-0.5 * ((length - centre) / width) ** 2), atoms)
            for centre in CENTRES
        ],
        axis=1,
    )


def _angular(found: Pairs, length: np.ndarray, chosen: np.ndarray, atoms: int) -> np.ndarray:
    """Length of each degree's mean spherical harmonics in each shell, (atoms, shells * degrees)."""
    columns = []
    for inner, outer in SHELLS:
        inside = chosen & (length > inner) & (length <= outer)
        source, vector = found.source[inside], found.vector[inside]
        polar = np.arccos(np.clip(vector[:, 2] / length[inside], -1.0, 1.0))
        azimuth = np.arctan2(vector[:, 1], vector[:, 0])
        count = np.maximum(np.bincount(source, minlength=atoms), 1)
        for degree in DEGREES:
            power = np.zeros(atoms)
            for order in range(degree + 1):
                harmonic = sph_harm_y(degree, order, polar, azimuth)
                real = np.bincount(source, harmonic.real, atoms)
                imaginary = np.bincount(source, harmonic.imag, atoms)
                power += (1 if order == 0 else 2) * (real**2 + imaginary**2)
            columns.append(np.sqrt(power) / count)
    return np.stack(columns, axis=1)


def _mean_around(values: np.ndarray, found: Pairs, length: np.ndarray, radius: float) -> np.ndarray:
    """Mean of the atoms nearer than a radius to each atom, itself included."""
    near = length < radius
    atoms = len(values)
    ones = np.ones(int(near.sum()))
    sums = csr_matrix((ones, (found.source[near], found.target[near])), shape=(atoms, atoms))
    count = 1.0 + np.bincount(found.source[near], minlength=atoms)
    return (values + sums @ values) / count[:, None]
