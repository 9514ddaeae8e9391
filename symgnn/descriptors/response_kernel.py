"""How the surroundings of each atom answer to pushes, in compiled code; threads share the atoms."""

import numpy as np
from numba import njit, prange

from symgnn.descriptors.eam_splines import BLOCK, embed
from symgnn.descriptors.lanes import load, store
from symgnn.descriptors.region import Region, lay_background, list_pairs
from symgnn.descriptors.region_forces import energy_and_forces, make_scratch, place_region
from symgnn.descriptors.region_hessian import inverse_of, listed_hessian, whole_hessian
from symgnn.neighbors import near_atoms
from symgnn.vectors import LANES, minus, plus_product, times


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
def _shorten(relax, longest):
    """Scale the lanes of displacements (3 atoms LANES,) whose longest atom's is longer."""
    most = np.zeros(LANES)
    for i in range(0, len(relax), 3 * LANES):
        for lane in range(LANES):
            x, y, z = relax[i + lane], relax[i + LANES + lane], relax[i + 2 * LANES + lane]
            most[lane] = max(most[lane], x * x + y * y + z * z)
    for lane in range(LANES):
        if most[lane] > longest * longest:
            factor = longest / np.sqrt(most[lane])
            for i in range(lane, len(relax), LANES):
                relax[i] *= factor


@njit(cache=True)
def _column_sums(a, b, total):
    """Sums over the rows of a times b, (rows LANES,) each, to (LANES,)."""
    total[:] = 0.0
    found = load(total, 0)
    for i in range(0, len(a), LANES):
        found = plus_product(found, load(a, i), load(b, i))
    store(total, 0, found)


@njit(cache=True)
def _energies_and_forces(region, splines, scratch, rest, forces, shift, energy, force, pull):
    """Energies from the start (LANES,) and forces (3 free, LANES) at some displacements.

    The last lane is at the start: what the listed pairs do not give of the structure's forces is
    the difference there. See `symgnn.descriptors.region` for the equation.
    """
    for i in range(len(shift)):
        x = region.start[i // 3, i % 3]
        for lane in range(LANES):
            scratch.place[i * LANES + lane] = x + shift[i, lane]
    energy_and_forces(region, splines, scratch, energy, force)
    np.dot(rest, shift, pull)
    for i in range(len(shift)):
        missing = forces[region.atom[i // 3], i % 3] - force[i, LANES - 1]
        for lane in range(LANES):
            energy[lane] += (0.5 * pull[i, lane] - missing) * shift[i, lane]
            force[i, lane] += missing - pull[i, lane]
    energy -= energy[LANES - 1]


@njit(cache=True)
def _follow(region, splines, scratch, compliance, rest, forces, mode, stride, relaxations, path):
    """Fill `path` (steps, 2, LANES) with energies and forces along a way in each lane.

    Args:
        region: with its background.
        splines: the potential.
        scratch: memory.
        compliance: inverse Hessian.
        rest: what the listed pairs do not give of the Hessian.
        forces: (atoms, 3), eV/Å, of the structure at the start.
        mode: (3 free, LANES), unit vectors; in the last lane zero.
        stride: Å.
        relaxations: Newton steps of the other coordinates at each step.
        path: out.
    """
    shift, force, other = np.zeros(mode.shape), np.empty(mode.shape), np.empty(mode.shape)
    total, along, energy = np.empty(LANES), np.empty(LANES), np.empty(LANES)
    answer = compliance @ mode
    ways, answers, moves, relax = mode.ravel(), answer.ravel(), shift.ravel(), other.ravel()
    _column_sums(answers, ways, total)
    total[total == 0.0] = 1.0
    place_region(region, scratch.place)
    for step in range(len(path)):
        for k in range(len(moves)):
            moves[k] += stride * ways[k]
        for _ in range(relaxations):
            _energies_and_forces(
                region, splines, scratch, rest, forces, shift, energy, force, other
            )
            np.dot(compliance, force, other)
            _column_sums(answers, force.ravel(), along)
            along /= total
            part = load(along, 0)
            for k in range(0, len(relax), LANES):
                store(relax, k, minus(load(relax, k), times(part, load(answers, k))))
                relax[k + LANES - 1] = 0.0
            _shorten(relax, stride)
            for k in range(len(moves)):
                moves[k] += relax[k]
        _column_sums(force.ravel(), ways, along)
        path[step, 0] = energy
        path[step, 1] = along


@njit(cache=True)
def _ways(near, ways, count):
    """The answers to forces along the softest directions, both ways, unit length: (size, LANES).

    Lanes that are left over, the last one at least, stay at the start.

    Args:
        near: (size, 3), answers to forces on the atom along x, y and z.
        ways: (3, 3), directions of forces, the softest last.
        count: number of directions, at most three.
    """
    mode = np.zeros((len(near), LANES))
    for k in range(count):
        way = near @ np.ascontiguousarray(ways[:, 2 - k])
        way /= np.sqrt(way @ way)
        mode[:, 2 * k] = way
        mode[:, 2 * k + 1] = -way
    return mode


@njit(cache=True)
def _push(
    region,
    embedding,
    forces,
    blocks,
    splines,
    scratch,
    lists,
    first,
    stride,
    relaxations,
    soft,
    path,
):
    """Fill `soft` (7,) and `path` (directions, 2, steps, 2) for the first atom of a region.

    Args:
        region: without its background.
        embedding: (sites, 2), F' and F''.
        forces: (atoms, 3), eV/Å, of the structure.
        blocks: of the structure's Hessian.
        splines: the potential.
        scratch: memory.
        lists: more of it, (sites (free + 1),) int32 and (3 sites free,) at least.
        first: (atoms,), all -1, and left so.
        stride: Å.
        relaxations: Newton steps.
        soft: out.
        path: out.
    """
    free, count = region.free, len(region.atom)
    size = 3 * free
    hessian, compliance = np.empty((size, size)), np.empty((size, size))
    whole_hessian(region, blocks, first, hessian)
    inverse_of(hessian, compliance)
    near = np.ascontiguousarray(compliance[:, :3])
    softness, ways = np.linalg.eigh(near[:3].copy())
    soft[:3] = softness
    soft[3:6] = np.linalg.eigvalsh(hessian[:3, :3].copy())
    soft[6] = (near * near).sum()
    lay_background(region, splines)
    rest = np.empty((size, size))
    used, slopes = lists
    listed_hessian(
        region,
        embedding,
        splines,
        rest,
        used[: count * (free + 1)].reshape(count, free + 1),
        slopes[: count * free * 3].reshape(count, free, 3),
    )
    for i in range(size):
        for j in range(size):
            rest[i, j] = hessian[i, j] - rest[i, j]
    mode = _ways(near, ways, len(path))
    found = np.empty((path.shape[2], 2, LANES))
    _follow(region, splines, scratch, compliance, rest, forces, mode, stride, relaxations, found)
    for k in range(len(path)):
        for side in range(2):
            path[k, side] = found[:, :, 2 * k + side]


@njit(cache=True, parallel=True)
def push_softly(
    places, species, known, blocks, splines, radius, listed, stride, relaxations, most, soft, path
):
    """Fill `soft` and `path` for every atom, see `symgnn.descriptors.response.Response`.

    Args:
        places: the structure.
        species: (atoms,), elements in the tables.
        known: densities (atoms,) and forces (atoms, 3), from `mechanics`.
        blocks: of the structure's Hessian, of pairs up to twice the radius.
        splines: the potential.
        radius: of the region, Å.
        listed: Å, pairs nearer than this are followed exactly.
        stride: length of a step, Å.
        relaxations: of the other coordinates, at each step.
        most: from `symgnn.neighbors.most_near`.
        soft: (atoms, 7), out.
        path: (atoms, directions, 2, steps, 2), out.
    """
    density, forces = known
    outer = radius + listed
    atoms = len(places.ordered)
    for block in prange((atoms + BLOCK - 1) // BLOCK):
        who = np.empty(most, np.int64)
        where = np.empty((most, 3))
        begin = np.empty(most + 1, np.int32)
        element = np.empty(most, np.int32)
        own, background, embedding = np.empty(most), np.empty(most), np.empty((most, 2))
        first = np.full(atoms, -1, np.int32)
        second = np.empty(0, np.int32)
        lists = np.empty(0, np.int32), np.empty(0)
        scratch = make_scratch(most, 0)
        for place in range(block * BLOCK, min(atoms, (block + 1) * BLOCK)):
            count = near_atoms(place, places, outer, who, where)
            free = _free_first(who, where, count, radius * radius)
            if free * count > len(second):
                second = np.empty(2 * free * count, np.int32)
                lists = np.empty(4 * free * count, np.int32), np.empty(6 * free * count)
            list_pairs(where, free, count, listed, begin, second)
            if begin[free] * LANES > len(scratch.pull):
                scratch = make_scratch(most, 2 * begin[free])
            for c in range(count):
                element[c] = species[who[c]]
                own[c] = density[who[c]]
                bends = embed(splines, element[c], own[c])
                embedding[c, 0] = bends[1]
                embedding[c, 1] = bends[2]
            region = Region(
                where[:count],
                who[:count],
                element[:count],
                free,
                begin,
                second,
                own[:count],
                background[:count],
            )
            _push(
                region,
                embedding[:count],
                forces,
                blocks,
                splines,
                scratch,
                lists,
                first,
                stride,
                relaxations,
                soft[who[0]],
                path[who[0]],
            )
