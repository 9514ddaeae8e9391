"""How the surroundings of an atom answer to small and to large pushes.

The energy barrier of a rearrangement is a property of the energy landscape away from the minimum.
Two cheap looks at that landscape are taken with the potential itself, in a region around the atom
whose surroundings are frozen:

- The region's Hessian is inverted: the block of the atom is its compliance, the harmonic mean
  square displacement over k_B T (the flexibility volume of J. Ding et al.,
  doi:10.1038/ncomms13733, is its trace for the whole structure).
- The region is pushed along its softest answers to a force on the atom, both ways, in steps;
  between two steps the other coordinates follow by a Newton step with the inverted Hessian. The
  energy on the way says how soon the harmonic walls give way, at a tenth of the price of a saddle
  search.

All numbers are invariant under rotation, reflection, translation and permutation and do not depend
on the size of a supercell, where the three compliances of an atom differ: on the symmetric sites
of a crystal its softest direction is not defined. They cost the same for each atom.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from threadpoolctl import threadpool_limits

from symgnn.descriptors.averages import averages
from symgnn.descriptors.hessian import hessian_blocks, hessian_frame
from symgnn.descriptors.potential import (
    Mechanics,
    mechanics_of,
    species_of,
    splines,
    stress_invariants,
)
from symgnn.descriptors.response_kernel import push_softly
from symgnn.neighbors import linked_cells, mark_near, most_near
from symgnn.pieces import Done, divide, unwatched
from symgnn.potentials import Potential

RADIUS = 5.0  # Å, of the region: some 33 atoms
LISTED = 6.8  # Å, pairs nearer than this are followed exactly, see `symgnn.descriptors.region`
DIRECTIONS = 3  # softest answers that are followed
STEPS = 8
STRIDE = 0.2  # Å, of all atoms' displacements together
KEPT = slice(1, None, 2)  # steps whose energies and forces are inputs
RELAXATIONS = 1  # Newton steps of the other coordinates at each step, after its energy is taken
MOST_ATOMS = 50_000  # whose Hessian is kept at once, 0.9 GB with their surroundings
VERSION = 2  # of these numbers; a model trained on others is refused
# Radii of the means around an atom, Å, and whether each element is averaged by itself.
AVERAGED_TO = ((3.6, False), (3.6, True), (5.0, False), (5.5, True), (7.0, False), (9.0, False))
ENERGY_RANGE = (0.02, 20.0)  # eV, of the energies on the way
FORCE_RANGE = (-8.0, 8.0)  # eV/Å


@dataclass(frozen=True)
class Response:
    """The answers of every atom's surroundings.

    Attributes:
        compliance: (atoms, 3), eigenvalues of the atom's block of the inverse Hessian, Å²/eV.
        reach: (atoms,), sum of squares of the region's answer to unit forces on the atom, Å⁴/eV².
        stiffness: (atoms, 3), eigenvalues of the atom's block of the Hessian, eV/Å².
        energy: (atoms, directions, 2, steps), eV, along each direction both ways.
        force: (atoms, directions, 2, steps), eV/Å, along the way.
    """

    compliance: np.ndarray
    reach: np.ndarray
    stiffness: np.ndarray
    energy: np.ndarray
    force: np.ndarray


def response_of(
    atoms: Atoms,
    potential: Potential,
    *,
    radius: float = RADIUS,
    listed: float = LISTED,
    directions: int = DIRECTIONS,
    steps: int = STEPS,
    stride: float = STRIDE,
    relaxations: int = RELAXATIONS,
    most_atoms: int = MOST_ATOMS,
    known: Mechanics | None = None,
    done: Done = unwatched,
) -> Response:
    """Push every atom's surroundings, piece by piece: the Hessian takes some 13 kB an atom.

    Args:
        atoms: a periodic structure, at a minimum of the energy.
        potential: an EAM potential.
        radius: of the region that moves, Å.
        listed: pairs nearer than this at the start are followed exactly, the others to second
            order, Å.
        directions: how many of the three softest answers are followed.
        steps: number of steps along each way.
        stride: length of a step, Å.
        relaxations: force calls of a step, at least 1; after each the other coordinates make a
            Newton step. The last call's energy counts.
        most_atoms: that are done at once, which bounds the memory and changes no number.
        known: the structure's own densities and forces, from `mechanics_of`, where at hand.
        done: called after each piece with the number of its atoms.

    Raises:
        ValueError: directions or relaxations out of range.
        InputError: an element that the potential does not have, or not an EAM potential.
    """
    if not (1 <= directions <= 3 and relaxations >= 1):
        raise ValueError(f"{directions} directions, {relaxations} relaxations: 1 to 3, at least 1")
    table, species = splines(potential), species_of(atoms, potential)
    if known is None:
        known = mechanics_of(atoms, species, table)
    positions, cell = atoms.positions, atoms.cell.array
    near, frame = hessian_frame(positions, cell, species, known.density, table, 2.0 * radius)
    outer = radius + listed
    places = linked_cells(positions, cell, outer, finer=2)
    place_of, most = np.argsort(places.members), most_near(places, outer)
    soft = np.empty((len(atoms), 7))
    path = np.empty((len(atoms), directions, 2, steps, 2))
    for piece in divide(positions, cell, most_atoms):
        needed = _within(radius, piece, atoms)
        blocks = hessian_blocks(near, frame, species, table, listed, needed)
        with threadpool_limits(1):  # the loops run in parallel, their matrices are small
            push_softly(
                np.sort(place_of[piece]),
                places,
                species,
                (known.density, known.force),
                blocks,
                table,
                radius,
                listed,
                stride,
                relaxations,
                most,
                soft,
                path,
            )
        del blocks  # before there are the next ones
        done(len(piece))
    return Response(
        compliance=soft[:, :3],
        stiffness=soft[:, 3:6],
        reach=soft[:, 6],
        energy=path[..., 0],
        force=path[..., 1],
    )


def _within(radius: float, piece: np.ndarray, atoms: Atoms) -> np.ndarray:
    """Which atoms are nearer than the radius to an atom of the piece, (atoms,) bool."""
    if len(piece) == len(atoms):
        return np.ones(len(atoms), dtype=bool)
    places = linked_cells(atoms.positions, atoms.cell.array, radius)
    chosen, found = np.argsort(places.members)[piece], np.zeros(len(atoms), dtype=bool)
    mark_near(chosen, places, radius, most_near(places, radius), found)
    return found


def names() -> list[str]:
    """Names of an atom's own columns in `features`; a step is named by its distance in Å."""
    steps = [f"{STRIDE * (step + 1):g}" for step in range(STEPS)[KEPT]]
    found = ["energy", "density", "pressure", "von_mises"]
    found += [f"log_compliance_{k}" for k in range(3)] + [f"stiffness_{k}" for k in range(3)]
    found += ["log_reach"]
    for what in ("mean_log_energy", "least_log_energy", "mean_force", "least_force"):
        found += [f"{what}_{step}" for step in steps]
    return found + [f"least_log_energy_{k}_{step}" for k in range(DIRECTIONS) for step in steps]


def size(elements: int) -> int:
    """Number of columns of `features` for so many elements."""
    return len(names()) * (1 + sum(elements if split else 1 for _, split in AVERAGED_TO))


def features(
    atoms: Atoms, potential: Potential, elements: Sequence[int], done: Done = unwatched
) -> np.ndarray:
    """Per-atom inputs of a model, (atoms, size(len(elements))) float32.

    An atom's own come first, see `names`; their means around the atom follow, see `AVERAGED_TO`:
    labels are smooth in space, as neighbours share their rearrangements.

    Args:
        atoms: a periodic structure, at a minimum of the energy.
        potential: an EAM potential.
        elements: atomic numbers, in the order of the columns.
        done: see `response_of`.

    Raises:
        InputError: an element that the potential does not have, or not an EAM potential.
    """
    table, species = splines(potential), species_of(atoms, potential)
    found = mechanics_of(atoms, species, table)
    answer = response_of(atoms, potential, known=found, done=done)
    energy = np.log(np.clip(answer.energy[..., KEPT], *ENERGY_RANGE))
    force = np.clip(answer.force[..., KEPT], *FORCE_RANGE)
    ways = (len(atoms), 2 * DIRECTIONS, energy.shape[-1])
    all_energy, all_force = energy.reshape(ways), force.reshape(ways)
    columns = [
        found.energy[:, None],
        found.density[:, None],
        stress_invariants(found.virial),
        np.log(np.maximum(answer.compliance, 1e-6)),
        answer.stiffness,
        np.log(np.maximum(answer.reach, 1e-9))[:, None],
        all_energy.mean(1),
        all_energy.min(1),
        all_force.mean(1),
        all_force.min(1),
        energy.min(2).reshape(len(atoms), -1),
    ]
    own = np.concatenate(columns, axis=1).astype(np.float32)
    return np.concatenate([own, averages(atoms, own, elements, AVERAGED_TO)], axis=1)
