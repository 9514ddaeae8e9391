"""How the surroundings of each atom answer to pushes, in compiled code; threads share the atoms."""

import numpy as np
from numba import prange

from symgnn.compiled import njit
from symgnn.descriptors.eam_splines import BLOCK, embed
from symgnn.descriptors.region import Region, list_pairs, sort_sites
from symgnn.descriptors.region_forces import WAYS, make_scratch
from symgnn.descriptors.region_hessian import (
    inverse_of,
    listed_hessian,
    unlisted_hessian,
    whole_hessian,
)
from symgnn.descriptors.region_path import follow
from symgnn.neighbors import near_atoms
from symgnn.vectors import LANES


@njit()
def _ways(near, ways, count):
    """The answers to forces along the softest directions, both ways, unit length: (size, LANES).

    Lanes that are left over stay at the start.

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


@njit()
def _push(
    region,
    embedding,
    forces,
    blocks,
    splines,
    scratch,
    lists,
    first,
    listed,
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
        listed: Å, pairs nearer than this are.
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
    rest = np.empty((size, size))
    if listed >= splines.density_cutoff:
        unlisted_hessian(region, blocks, splines, listed, rest)
    else:
        used, slopes = lists
        listed_hessian(
            region,
            embedding,
            splines,
            rest,
            used[: count * (free + 1)].reshape(count, free + 1),
            slopes[: count * free * 3].reshape(count, free, 3),
        )
        rest[:, :] = hessian - rest
    mode = _ways(near, ways, len(path))
    found = np.empty((path.shape[2], 2, LANES))
    follow(region, splines, scratch, compliance, rest, forces, mode, stride, relaxations, found)
    for k in range(len(path)):
        for side in range(2):
            path[k, side] = found[:, :, 2 * k + side]


@njit(parallel=True)
def push_softly(
    chosen,
    places,
    species,
    known,
    blocks,
    splines,
    radius,
    listed,
    stride,
    relaxations,
    most,
    soft,
    path,
):
    """Fill `soft` and `path` for some atoms, see `symgnn.descriptors.response.Response`.

    Args:
        chosen: (n,), the atoms' places in the bin order.
        places: the structure.
        species: (atoms,), elements in the tables.
        known: densities (atoms,) and forces (atoms, 3), from `mechanics`.
        blocks: of the structure's Hessian, of pairs up to twice the radius, of all atoms within
            the radius of a chosen one.
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
    for block in prange((len(chosen) + BLOCK - 1) // BLOCK):
        who, where = np.empty(most, np.int64), np.empty((most, 3))
        atom, start = np.empty(most, np.int64), np.empty((most, 3))
        element, group = np.empty(most, np.int32), np.empty(2 * splines.elements + 1, np.int32)
        begin, second = np.empty(2 * splines.elements * most + 1, np.int32), np.empty(0, np.int32)
        own, background, embedding = np.empty(most), np.empty(most), np.empty((most, 2))
        first = np.full(atoms, -1, np.int32)
        lists = np.empty(0, np.int32), np.empty(0)
        scratch = make_scratch(most, 0)
        for place in chosen[block * BLOCK : (block + 1) * BLOCK]:
            count = near_atoms(place, places, outer, who, where)
            free = sort_sites(
                who[:count], where[:count], species, radius, atom, start, element, group
            )
            if free * count > len(second):
                second = np.empty(2 * free * count, np.int32)
                lists = np.empty(4 * free * count, np.int32), np.empty(6 * free * count)
            list_pairs(start, group, free, listed, begin, second)
            pairs = begin[(len(group) - 1) * free]
            if pairs * WAYS + LANES > len(scratch.pull):
                scratch = make_scratch(most, 2 * pairs)
            for c in range(count):
                own[c] = density[atom[c]]
                bends = embed(splines, element[c], own[c])
                embedding[c, 0] = bends[1]
                embedding[c, 1] = bends[2]
            region = Region(
                start[:count],
                atom[:count],
                element[:count],
                free,
                group,
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
                listed,
                stride,
                relaxations,
                soft[who[0]],
                path[who[0]],
            )
