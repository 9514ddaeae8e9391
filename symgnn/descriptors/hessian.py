"""Second derivatives of an EAM structure's energy, as blocks of pairs of atoms, in compiled code.

With ρ_c the density at site c and F_c its embedding, for i ≠ j

    ∂²E/∂r_i ∂r_j = -K_ij + Σ_c F_c'' (∂ρ_c/∂r_i) (∂ρ_c/∂r_j)ᵀ,
    ∂²E/∂r_i² = Σ_j K_ij + Σ_c F_c'' (∂ρ_c/∂r_i) (∂ρ_c/∂r_i)ᵀ,

where K_ij is the second derivative of φ_ij + F_i' f_ij + F_j' f_ji by the vector between the two.
The blocks of a structure are made once; the regions around neighbouring atoms share most of theirs.
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from symgnn.compiled import njit
from symgnn.descriptors.eam_splines import BLOCK, Splines, embed, pair_function
from symgnn.neighbors import LinkedCells, linked_cells, most_near, near_atoms


class Blocks(NamedTuple):
    """The Hessian of a structure: blocks of pairs that are nearer than some reach.

    Of the two directions of a pair the one that `ahead` chooses is there: atom i with the pairs
    from begin[i] to begin[i + 1].

    Attributes:
        own: (atoms, 3, 3), eV/Å², of each atom with itself.
        beyond: (atoms, 3, 3), eV/Å², what K of its pairs that are not nearer than `listed` adds to
            that.
        begin: (atoms + 1,) int64.
        other: (pairs,) int32, the second atom.
        vector: (pairs, 3), Å, from the first to the second atom.
        block: (pairs, 3, 3), eV/Å², by the first and the second atom.
    """

    own: np.ndarray
    beyond: np.ndarray
    begin: np.ndarray
    other: np.ndarray
    vector: np.ndarray
    block: np.ndarray


class Frame(NamedTuple):
    """What all blocks of a structure are made from.

    Attributes:
        most: from `symgnn.neighbors.most_near`.
        reach: Å, of the pairs. At this distance blocks need not be small: two atoms act on each
            other through all that both are near to.
        embedding: (atoms, 2), F' and F''.
        gradient: (atoms, 3), the derivative of each atom's density by its own place.
        count: (atoms,) int64, pairs of each atom.
    """

    most: int
    reach: float
    embedding: np.ndarray
    gradient: np.ndarray
    count: np.ndarray


def hessian_frame(
    positions: np.ndarray,
    cell: np.ndarray,
    species: np.ndarray,
    density: np.ndarray,
    splines: Splines,
    reach: float,
) -> tuple[LinkedCells, Frame]:
    """Linked cells of a periodic structure and what else `hessian_blocks` needs of it.

    Args:
        positions: (atoms, 3), Å.
        cell: (3, 3), Å.
        species: (atoms,), elements in the tables.
        density: (atoms,), from `mechanics`.
        splines: the potential.
        reach: Å, see `Frame`.
    """
    outer, atoms = max(reach, splines.cutoff), len(positions)
    places = linked_cells(positions, cell, outer, finer=2)
    most, count = most_near(places, outer), np.empty(atoms, dtype=np.int64)
    embedding, gradient = np.empty((atoms, 2)), np.empty((atoms, 3))
    _prepare(places, species, density, splines, reach, most, embedding, gradient, count)
    return places, Frame(most, reach, embedding, gradient, count)


def hessian_blocks(
    places: LinkedCells,
    frame: Frame,
    species: np.ndarray,
    splines: Splines,
    listed: float,
    needed: np.ndarray,
) -> Blocks:
    """The blocks of some atoms; images of an atom count as atoms of their own.

    Args:
        places: of the structure, from `hessian_frame`.
        frame: from there as well.
        species: (atoms,), elements in the tables.
        splines: the potential.
        listed: Å, see `Blocks`.
        needed: (atoms,) bool, whose blocks are made; other atoms have no pairs, and their own
            blocks are not set.
    """
    atoms = len(species)
    begin = np.concatenate([[0], np.cumsum(np.where(needed, frame.count, 0))])
    blocks = Blocks(
        own=np.empty((atoms, 3, 3)),
        beyond=np.zeros((atoms, 3, 3)),
        begin=begin,
        other=np.empty(begin[-1], dtype=np.int32),
        vector=np.empty((begin[-1], 3)),
        block=np.empty((begin[-1], 3, 3)),
    )
    _fill(places, frame, species, splines, listed, needed, blocks)
    return blocks


@njit()
def ahead(vector):
    """True for exactly one of a vector and its opposite."""
    if vector[0] != 0.0:
        return vector[0] > 0.0
    if vector[1] != 0.0:
        return vector[1] > 0.0
    return vector[2] > 0.0


@njit()
def stiffness(splines, a, b, first_a, first_b, d, r, out):
    """K of a pair nearer than the cutoff, (3, 3), eV/Å².

    Args:
        splines: the potential.
        a: element of one atom.
        b: element of the other.
        first_a: F' of the one.
        first_b: F' of the other.
        d: (3,), Å, from one to the other.
        r: its length.
        out: (3, 3).
    """
    x, h = r / splines.step, splines.step
    z, dz, ddz = pair_function(splines, a, b, 0, x)
    _, slope_a, bend_a = pair_function(splines, a, b, 1, x)
    _, slope_b, bend_b = pair_function(splines, a, b, 2, x)
    slope = (dz / h - z / r) / r + (first_a * slope_a + first_b * slope_b) / h
    bend = (ddz / h**2 - 2.0 * (dz / h - z / r) / r) / r
    bend += (first_a * bend_a + first_b * bend_b) / h**2
    along, across = (bend - slope / r) / r**2, slope / r
    for u in range(3):
        for v in range(3):
            out[u, v] = along * d[u] * d[v]
        out[u, u] += across


@njit(parallel=True)
def _prepare(places, species, density, splines, reach, most, embedding, gradient, count):
    """Fill F' and F'', the derivatives of densities and the numbers of pairs."""
    atoms = len(species)
    for block in prange((atoms + BLOCK - 1) // BLOCK):
        who = np.empty(most, np.int64)
        where = np.empty((most, 3))
        for place in range(block * BLOCK, min(atoms, (block + 1) * BLOCK)):
            near = near_atoms(place, places, max(reach, splines.density_cutoff), who, where)
            i = who[0]
            bends = embed(splines, species[i], density[i])
            embedding[i, 0] = bends[1]
            embedding[i, 1] = bends[2]
            count[i] = _count_ahead(where[:near], reach)
            _density_gradient(who[:near], where, species, splines, gradient[i])


@njit()
def _count_ahead(where, reach):
    found = 0
    for d in where[1:]:
        if np.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]) < reach and ahead(d):
            found += 1
    return found


@njit()
def _density_gradient(who, where, species, splines, gradient):
    """The derivative of an atom's density by its own place, to (3,)."""
    gradient[:] = 0.0
    for k in range(1, len(who)):
        d = where[k]
        r = np.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
        if r < splines.density_cutoff:
            x = r / splines.step
            slope = pair_function(splines, species[who[0]], species[who[k]], 1, x)[1]
            for u in range(3):
                gradient[u] -= slope / splines.step * d[u] / r


@njit()
def _add_outer(out, factor, a, b):
    """out += factor a bᵀ."""
    for u in range(3):
        for v in range(3):
            out[u, v] += factor * a[u] * b[v]


@njit(parallel=True)
def _fill(places, frame, species, splines, listed, needed, blocks):
    atoms, outer = len(species), max(frame.reach, splines.cutoff)
    for block in prange((atoms + BLOCK - 1) // BLOCK):
        who = np.empty(frame.most, np.int64)
        where = np.empty((frame.most, 3))
        close = np.empty(frame.most, np.int64)
        slopes = np.empty((frame.most, 3))
        for place in range(block * BLOCK, min(atoms, (block + 1) * BLOCK)):
            if not needed[places.members[place]]:
                continue
            near = near_atoms(place, places, outer, who, where)
            found = _pair_terms(
                who[:near], where[:near], species, splines, listed, frame, blocks, close, slopes
            )
            _shared_terms(
                who, where, species, splines, frame, blocks, close[:found], slopes[:found]
            )


@njit()
def _pair_terms(who, where, species, splines, listed, frame, blocks, close, slopes):
    """What an atom and each of its neighbours give by themselves.

    Fills `close` and `slopes` with the sites whose density the atom adds to and the derivatives of
    that by its place; returns their number.
    """
    i, h = who[0], splines.step
    s, own, embedding, gradient = species[i], blocks.own[i], frame.embedding, frame.gradient
    own[:, :] = 0.0
    _add_outer(own, embedding[i, 1], gradient[i], gradient[i])
    slope, part, nothing = np.empty(3), np.empty((3, 3)), np.empty((3, 3))
    at, found = blocks.begin[i], 0
    for k in range(1, len(who)):
        d, j = where[k], who[k]
        r2 = d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
        r = np.sqrt(r2)
        t, pair = species[j], nothing
        if r < frame.reach and ahead(d):
            pair = blocks.block[at]
            pair[:, :] = 0.0
            blocks.other[at] = j
            blocks.vector[at, :] = d
            at += 1
        if r < splines.cutoff:
            stiffness(splines, s, t, embedding[i, 0], embedding[j, 0], d, r, part)
            for u in range(3):
                for v in range(3):
                    own[u, v] += part[u, v]
                    pair[u, v] -= part[u, v]
                    if r2 >= listed * listed:
                        blocks.beyond[i, u, v] += part[u, v]
        if r < splines.density_cutoff:
            here = pair_function(splines, s, t, 1, r / h)[1] / h / r
            there = pair_function(splines, s, t, 2, r / h)[1] / h / r
            close[found] = k
            for u in range(3):
                slopes[found, u] = -there * d[u]
                slope[u] = here * d[u]
            _add_outer(own, embedding[j, 1], slopes[found], slopes[found])
            _add_outer(pair, embedding[i, 1], gradient[i], slope)
            _add_outer(pair, embedding[j, 1], slopes[found], gradient[j])
            found += 1
    return found


@njit()
def _shared_terms(who, where, species, splines, frame, blocks, close, slopes):
    """Add what an atom and each other one do to the densities of sites that both are near to."""
    i, h, dense2 = who[0], splines.step, splines.density_cutoff**2
    for k in range(blocks.begin[i], blocks.begin[i + 1]):
        d, t, pair = blocks.vector[k], species[blocks.other[k]], blocks.block[k]
        for n in range(len(close)):
            c = close[n]
            x, y, z = d[0] - where[c, 0], d[1] - where[c, 1], d[2] - where[c, 2]
            r2 = x * x + y * y + z * z
            if r2 >= dense2 or r2 == 0.0:
                continue
            r = np.sqrt(r2)
            factor = pair_function(splines, species[who[c]], t, 1, r / h)[1] / h / r
            factor *= frame.embedding[who[c], 1]
            for u in range(3):
                pair[u, 0] += factor * slopes[n, u] * x
                pair[u, 1] += factor * slopes[n, u] * y
                pair[u, 2] += factor * slopes[n, u] * z
