"""An EAM potential as the descriptors' kernels take it, and what it says of every atom."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from ase import Atoms
from scipy.interpolate import CubicHermiteSpline

from symgnn.barriers.tables import hermite_coefficients, pack
from symgnn.descriptors.eam_splines import Splines, mechanics
from symgnn.errors import InputError
from symgnn.neighbors import linked_cells, most_near
from symgnn.potentials import Potential, check_elements, read_eam

# Knots of the pair functions, 5 mÅ apart for Cu-Zr-2009. Interpolating the file's own splines there
# leaves energies within 1e-6 eV an atom of LAMMPS's (tested), takes away the roughness that the
# file's rounding gives second derivatives, and the tables of a binary alloy fit a core's cache.
KNOTS = 1500


@dataclass(frozen=True)
class Mechanics:
    """What the potential says of every atom of a structure.

    Attributes:
        density: (atoms,), electron density, in the potential's unit.
        energy: (atoms,), eV.
        force: (atoms, 3), eV/Å.
        virial: (atoms, 3, 3), eV, minus the stress times the atom's volume.
    """

    density: np.ndarray
    energy: np.ndarray
    force: np.ndarray
    virial: np.ndarray


@cache
def splines(potential: Potential) -> Splines:
    """The tables of a potential as cubic splines on coarser knots.

    Raises:
        InputError: not an EAM potential.
    """
    if not potential.is_eam:
        raise InputError(
            f"{potential.path.name}: style {potential.style}: per-atom inputs need an EAM potential"
        )
    tables = pack(read_eam(potential))
    count = tables.pair.shape[2]
    old = np.arange(count) * tables.distance_step
    new = np.linspace(0.0, old[-1], KNOTS)
    density, pair = (
        _resampled(old, tables.pair[..., k], tables.pair[..., k + 1], new) for k in (0, 2)
    )
    rows = np.concatenate([pair, density, np.swapaxes(density, 0, 1)], axis=-1)
    return Splines(
        cutoff=float(tables.pair_reach.max()),
        density_cutoff=float(tables.density_reach.max() + new[1]),
        step=float(new[1]),
        elements=len(density),
        knots=KNOTS,
        rows=np.append(rows.ravel(), np.zeros(4)),  # so that eight numbers can be read from any
        density_step=float(tables.density_step),
        embedding=np.ascontiguousarray(tables.embedding),
    )


def _resampled(
    old: np.ndarray, values: np.ndarray, slopes: np.ndarray, new: np.ndarray
) -> np.ndarray:
    """Cubic coefficients (..., n, 4) on new knots, through the old cubics there."""
    function = CubicHermiteSpline(old, values, slopes / old[1], axis=-1)
    return hermite_coefficients(function(new), function(new, 1) * new[1])


def species_of(atoms: Atoms, potential: Potential) -> np.ndarray:
    """Element numbers of the atoms in the potential's tables, (atoms,) int64.

    Raises:
        InputError: an element that the potential does not have.
    """
    symbols = atoms.get_chemical_symbols()
    check_elements(potential, symbols)
    return np.array([potential.elements.index(symbol) for symbol in symbols], dtype=np.int64)


def mechanics_of(atoms: Atoms, species: np.ndarray, table: Splines) -> Mechanics:
    """Density, energy, force and virial of every atom of a periodic structure."""
    places = linked_cells(atoms.positions, atoms.cell.array, table.cutoff)
    found = Mechanics(
        density=np.zeros(len(atoms)),
        energy=np.zeros(len(atoms)),
        force=np.zeros((len(atoms), 3)),
        virial=np.zeros((len(atoms), 3, 3)),
    )
    most = most_near(places, table.cutoff)
    out = found.density, found.energy, found.force, found.virial
    mechanics(places, species, table, most, *out)
    return found


LARGEST_FORCE = 0.05  # eV/Å, on an atom: barriers are those of minima of the energy


def largest_force(atoms: Atoms, potential: Potential) -> float:
    """Length of the largest force on an atom of a periodic structure, eV/Å.

    Raises:
        InputError: an element that the potential does not have, or not an EAM potential.
    """
    found = mechanics_of(atoms, species_of(atoms, potential), splines(potential))
    return float(np.linalg.norm(found.force, axis=1).max(initial=0.0))


def stress_invariants(virial: np.ndarray) -> np.ndarray:
    """A third of the trace and von Mises' invariant of each virial, (atoms, 2), eV."""
    pressure = np.trace(virial, axis1=1, axis2=2) / 3.0
    deviator = virial - pressure[:, None, None] * np.eye(3)
    mises = np.sqrt(1.5 * np.einsum("nij,nij->n", deviator, deviator))
    return np.stack([pressure, mises], axis=1)
