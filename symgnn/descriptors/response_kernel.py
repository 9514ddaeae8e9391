"""How the surroundings of each atom answer to pushes, in compiled code; threads share the atoms."""

import numpy as np
from numba import njit, prange

from symgnn.descriptors.eam_splines import BLOCK
from symgnn.descriptors.region import (
    SKIN,
    Region,
    energy_and_forces,
    hessian_of,
    inverse_of,
    list_pairs,
)
from symgnn.neighbors import near_atoms


@njit(cache=True)
def _free_first(who, where, count, radius2):
    """Sort the sites so that those within the radius come first; returns their number."""
    free = 0
    for k in range(count):
        if where[k, 0] ** 2 + where[k, 1] ** 2 + where[k, 2] ** 2 < radius2:
            swap = who[k]
            who[k] = who[free]
            who[free] = swap
            for i in range(3):
                keep = where[k, i]
                where[k, i] = where[free, i]
                where[free, i] = keep
            free += 1
    return free


@njit(cache=True)
def _longest(shift):
    """The largest displacement of an atom, from (3 atoms,)."""
    longest = 0.0
    for a in range(0, len(shift), 3):
        x, y, z = shift[a], shift[a + 1], shift[a + 2]
        longest = max(longest, np.sqrt(x * x + y * y + z * z))
    return longest


@njit(cache=True)
def _follow(region, splines, compliance, mode, stride, relaxations, path):
    """Fill `path` (steps, 2) with energies, but for a constant, and forces along a mode."""
    size = len(mode)
    answer = compliance @ mode
    total = answer @ mode
    moved, force, shift = region.start.copy(), np.empty(size), np.zeros(size)
    sign = 1.0 if stride > 0.0 else -1.0
    for step in range(len(path)):
        shift += stride * mode
        energy = 0.0
        for _ in range(relaxations):
            for i in range(size):
                moved[i] = region.start[i] + shift[i]
            energy = energy_and_forces(region, moved, splines, force)
            relax = compliance @ force
            relax -= (answer @ force) / total * answer
            longest = _longest(relax)
            if longest > abs(stride):
                relax *= abs(stride) / longest
            shift += relax
        path[step, 0] = energy
        path[step, 1] = sign * (force @ mode)


@njit(cache=True, parallel=True)
def push_softly(places, species, density, splines, radius, stride, relaxations, most, soft, path):
    """Fill `soft` and `path` for every atom, see `symgnn.descriptors.response.Response`.

    Args:
        places: the structure.
        species: (atoms,), elements in the tables.
        density: (atoms,), from `mechanics`.
        splines: the potential.
        radius: of the region, Å.
        stride: length of a step, Å.
        relaxations: of the other coordinates, at each step.
        most: from `symgnn.neighbors.most_near`.
        soft: (atoms, 7), out.
        path: (atoms, directions, 2, steps, 2), out.
    """
    outer = radius + splines.cutoff + SKIN
    atoms = len(places.ordered)
    blocks = (atoms + BLOCK - 1) // BLOCK
    for block in prange(blocks):
        who = np.empty(most, np.int64)
        where = np.empty((most, 3))
        element = np.empty(most, np.int32)
        own = np.empty(most)
        background = np.empty(most)
        embedded = np.empty((most, 2))
        begin = np.empty(most + 1, np.int32)
        second = np.empty(0, np.int32)
        scratch = np.empty(0)
        room = np.empty(0)
        for place in range(block * BLOCK, min(atoms, (block + 1) * BLOCK)):
            count = near_atoms(place, places, outer, who, where)
            atom = who[0]
            free = _free_first(who, where, count, radius * radius)
            size = 3 * free
            if free * count > len(second):
                second = np.empty(2 * free * count, np.int32)
                scratch = np.empty(6 * free * count)
                room = np.empty(6 * free * count)
            list_pairs(where, free, count, splines.cutoff + SKIN, begin, second)
            for c in range(count):
                element[c] = species[who[c]]
                own[c] = density[who[c]]
                background[c] = 0.0
            region = Region(
                where[:count].ravel(),
                element[:count],
                free,
                begin,
                second,
                background[:count],
                scratch,
                embedded[:count],
            )
            hessian = np.empty((size, size))
            gradient = room[: count * size].reshape(count, size)
            hessian_of(region, own, splines, hessian, gradient)
            compliance = inverse_of(hessian)
            near = np.ascontiguousarray(compliance[:, :3])
            softness, ways = np.linalg.eigh(near[:3].copy())
            soft[atom, :3] = softness
            soft[atom, 3:6] = np.linalg.eigvalsh(hessian[:3, :3].copy())
            soft[atom, 6] = (near * near).sum()
            force = np.empty(size)
            # the density that the listed pairs give at the start; the rest is the background
            energy_and_forces(region, region.start, splines, force)
            for c in range(count):
                background[c] = own[c] - embedded[c, 0]
            start = energy_and_forces(region, region.start, splines, force)
            for k in range(path.shape[1]):
                mode = near @ ways[:, 2 - k].copy()
                mode /= np.sqrt(mode @ mode)
                for side in range(2):
                    step = stride * (1.0 - 2.0 * side)
                    way = path[atom, k, side]
                    _follow(region, splines, compliance, mode, step, relaxations, way)
                    way[:, 0] -= start
