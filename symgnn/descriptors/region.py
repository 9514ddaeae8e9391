"""A small region of a structure, some of whose pairs are followed exactly, in compiled code.

The atoms of a region are free and all others frozen. Pairs that are near each other at the start
are listed, and their energy is followed wherever the atoms go; the rest of the potential acts by
its forces and second derivatives at the start:

    E(u) = E_listed(u) - g·u + ½ uᵀ S u,   S = H - H_listed,

with u the displacements, g the listed forces less all forces, H the Hessian. With all pairs listed
S is zero and E exact; to second order in u it always is.

`LANES` displacements of the same region are done side by side: the last dimension of arrays.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from symgnn.barriers.vectors import read, transpose_rows, write
from symgnn.descriptors.eam_splines import embed, pair_function
from symgnn.descriptors.hessian import stiffness
from symgnn.descriptors.lanes import LANES, load, minus, plus, plus_product, store, times

SOFTEST = 0.2  # eV/Å², the least eigenvalue that is divided by where a Hessian is too soft
SAME_PLACE = 1e-3  # Å, of one atom reached by two ways
ITEMS = 32 * LANES  # pairs by lanes that are looked up at once and stay in the first-level cache
SUMS = {"nsz", "contract", "arcp", "reassoc"}  # parts of a sum in any order


class Region(NamedTuple):
    """Free atoms, which come first, and the sites around them.

    Attributes:
        start: (sites, 3), Å, where all are at the start.
        atom: (sites,), which atom of the structure each is, or an image of.
        element: (sites,), in the tables.
        free: number of free atoms.
        begin: (free + 1,): the listed pairs of free atom a are those from begin[a] to begin[a + 1].
        second: (pairs,), the other site of each pair, of a greater number.
        density: (sites,), at the start.
        background: (sites,), the density that no listed pair gives.
    """

    start: np.ndarray
    atom: np.ndarray
    element: np.ndarray
    free: int
    begin: np.ndarray
    second: np.ndarray
    density: np.ndarray
    background: np.ndarray


class Scratch(NamedTuple):
    """Memory of a thread, of no set content: for energies and forces of one region.

    Attributes:
        place: (3 sites LANES,), Å.
        pull: (pairs LANES,), eV/Å², slope of the pair's own energy over the distance.
        slope: (pairs LANES,), of the density at the first atom over the distance.
        slope_back: (pairs LANES,), at the second.
        embedded: (sites LANES,), density of each site, then the slope of its embedding.
        row: (ITEMS,) int32, where the table rows of a block's items begin: pairs by lanes.
        items: (6 ITEMS,), of a block: squares of distances, their inverses, ways from knot to knot,
            energies, densities at the first and at the second atom.
        columns: (8 ITEMS,), table rows, one number of all items after the other.
    """

    place: np.ndarray
    pull: np.ndarray
    slope: np.ndarray
    slope_back: np.ndarray
    embedded: np.ndarray
    row: np.ndarray
    items: np.ndarray
    columns: np.ndarray


@njit(cache=True)
def make_scratch(sites, pairs):
    """Memory for regions of at most so many sites and listed pairs."""
    return Scratch(
        np.empty(3 * sites * LANES),
        np.empty(pairs * LANES),
        np.empty(pairs * LANES),
        np.empty(pairs * LANES),
        np.empty(sites * LANES),
        np.empty(ITEMS, np.int32),
        np.empty(6 * ITEMS),
        np.empty(8 * ITEMS),
    )


@njit(cache=True)
def list_pairs(where, free, count, reach, begin, second):
    """Pairs of a free atom with any later site nearer than `reach`: see `Region`."""
    found = 0
    square = reach * reach
    for a in range(free):
        begin[a] = found
        x, y, z = where[a, 0], where[a, 1], where[a, 2]
        for b in range(a + 1, count):
            dx, dy, dz = where[b, 0] - x, where[b, 1] - y, where[b, 2] - z
            second[found] = b
            found += 1 if dx * dx + dy * dy + dz * dz < square else 0
    begin[free] = found


@njit(cache=True)
def whole_hessian(region, blocks, first, hessian):
    """The Hessian by the free atoms, (3 free, 3 free), eV/Å², from the structure's blocks.

    Args:
        region: its free atoms are nearer to each other than the blocks reach.
        blocks: of the structure.
        first: (atoms,), all -1, and left so.
        hessian: out.
    """
    following = np.full(region.free, -1)  # images of one atom among the free ones
    for a in range(region.free):
        following[a] = first[region.atom[a]]
        first[region.atom[a]] = a
    for a in range(region.free):
        i, x = region.atom[a], region.start[a]
        hessian[3 * a : 3 * a + 3, 3 * a : 3 * a + 3] = blocks.own[i]
        for k in range(blocks.begin[i], blocks.begin[i + 1]):
            b = first[blocks.other[k]]
            while b >= 0:
                y, d = region.start[b], blocks.vector[k]
                if (
                    abs(x[0] + d[0] - y[0]) < SAME_PLACE
                    and abs(x[1] + d[1] - y[1]) < SAME_PLACE
                    and abs(x[2] + d[2] - y[2]) < SAME_PLACE
                ):
                    for u in range(3):
                        for v in range(3):
                            hessian[3 * a + u, 3 * b + v] = blocks.block[k, u, v]
                            hessian[3 * b + v, 3 * a + u] = blocks.block[k, u, v]
                    break
                b = following[b]
    for a in range(region.free):
        first[region.atom[a]] = -1


@njit(cache=True)
def listed_hessian(region, embedding, splines, hessian, used, slopes):
    """What the listed pairs add to the Hessian, (3 free, 3 free), eV/Å².

    Args:
        region: at its start.
        embedding: (sites, 2), F' and F''.
        splines: the potential.
        hessian: out.
        used: (sites, 1 + free) int32, of no set content.
        slopes: (sites, free, 3), of no set content.
    """
    free, count, h = region.free, len(region.atom), splines.step
    hessian[:, :] = 0.0
    used[:, 0] = 0  # how many atoms a site's density depends on; those follow
    for a in range(free):
        used[a, 0], used[a, 1] = 1, a
        slopes[a, 0, :] = 0.0
    part, d = np.empty((3, 3)), np.empty(3)
    for a in range(free):
        for k in range(region.begin[a], region.begin[a + 1]):
            b = region.second[k]
            for u in range(3):
                d[u] = region.start[b, u] - region.start[a, u]
            r = np.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
            if r >= splines.cutoff:
                continue
            s, t = region.element[a], region.element[b]
            stiffness(splines, s, t, embedding[a, 0], embedding[b, 0], d, r, part)
            for u in range(3):
                for v in range(3):
                    hessian[3 * a + u, 3 * a + v] += part[u, v]
                    if b < free:
                        hessian[3 * b + u, 3 * b + v] += part[u, v]
                        hessian[3 * b + u, 3 * a + v] -= part[u, v]
            if r >= splines.density_cutoff:
                continue
            here = pair_function(splines, s, t, 1, r / h)[1] / h / r
            there = pair_function(splines, s, t, 2, r / h)[1] / h / r
            of_a, of_b = used[a, 0], used[b, 0]
            for u in range(3):
                slopes[a, 0, u] -= here * d[u]
                slopes[b, of_b, u] = -there * d[u]
                if b < free:
                    slopes[a, of_a, u] = here * d[u]
                    slopes[b, 0, u] += there * d[u]
            used[b, 0], used[b, 1 + of_b] = of_b + 1, a
            if b < free:
                used[a, 0], used[a, 1 + of_a] = of_a + 1, b
    for c in range(count):
        bend = embedding[c, 1]
        for m in range(used[c, 0]):
            a = used[c, 1 + m]
            x = bend * slopes[c, m, 0]
            y = bend * slopes[c, m, 1]
            z = bend * slopes[c, m, 2]
            for n in range(used[c, 0]):
                b = used[c, 1 + n]
                if b > a:
                    continue
                for v in range(3):
                    hessian[3 * a, 3 * b + v] += x * slopes[c, n, v]
                    hessian[3 * a + 1, 3 * b + v] += y * slopes[c, n, v]
                    hessian[3 * a + 2, 3 * b + v] += z * slopes[c, n, v]
    for i in range(3 * free):
        for j in range(i):
            hessian[j, i] = hessian[i, j]


@njit(cache=True, fastmath=SUMS, error_model="numpy")
def _sweep(matrix, row):
    """Turn the lower triangle of a positive definite matrix into minus its inverse's.

    Returns False where the matrix is not positive definite (J. H. Goodnight,
    doi:10.1080/00031305.1979.10482685).
    """
    size = len(matrix)
    for k in range(size):
        pivot = matrix[k, k]
        if not pivot > 0.0:
            return False
        for j in range(k):
            row[j] = matrix[k, j]
        row[k] = 0.0
        for i in range(k + 1, size):
            row[i] = matrix[i, k]
        for i in range(size):
            factor = row[i] / pivot
            for j in range(i + 1):
                matrix[i, j] -= factor * row[j]
        for j in range(k):
            matrix[k, j] = row[j] / pivot
        for i in range(k + 1, size):
            matrix[i, k] = row[i] / pivot
        matrix[k, k] = -1.0 / pivot
    return True


@njit(cache=True)
def inverse_of(hessian, inverse):
    """Inverse of the Hessian, Å²/eV.

    Where it is not positive definite or an atom's own compliance is beyond 1 / SOFTEST, which
    happens away from minima, eigenvalues below `SOFTEST` are taken as that.

    Args:
        hessian: (size, size).
        inverse: out.
    """
    size = len(hessian)
    for i in range(size):
        for j in range(i + 1):
            inverse[i, j] = hessian[i, j]
        inverse[i, i] += 1e-9  # keeps atoms without neighbours from being an error
    fine = _sweep(inverse, np.empty(size))
    for i in range(size):
        fine = fine and -inverse[i, i] < 1.0 / SOFTEST
    if fine:
        for i in range(size):
            for j in range(i):
                inverse[i, j] = -inverse[i, j]
                inverse[j, i] = inverse[i, j]
            inverse[i, i] = -inverse[i, i]
        return
    value, vector = np.linalg.eigh(hessian)
    scaled = np.ascontiguousarray(vector / np.maximum(value, SOFTEST))
    inverse[:, :] = scaled @ np.ascontiguousarray(vector.T)


@njit(cache=True)
def place_region(region, place):
    """Put all sites at their start, in all lanes: (3 sites LANES,)."""
    for c in range(len(region.start)):
        for u in range(3):
            for lane in range(LANES):
                place[(3 * c + u) * LANES + lane] = region.start[c, u]


@njit(cache=True)
def lay_background(region, splines):
    """Set the density that no listed pair gives, from that at the start."""
    region.background[:] = region.density
    for a in range(region.free):
        for k in range(region.begin[a], region.begin[a + 1]):
            b, square = region.second[k], 0.0
            for u in range(3):
                square += (region.start[b, u] - region.start[a, u]) ** 2
            if square < splines.density_cutoff**2:
                x = np.sqrt(square) / splines.step
                s, t = region.element[a], region.element[b]
                region.background[a] -= pair_function(splines, s, t, 1, x)[0]
                region.background[b] -= pair_function(splines, s, t, 2, x)[0]


@njit(cache=True, error_model="numpy")
def _square_distances(a, region, begin, count, splines, place, row, items):
    """Squares of the distances of some pairs of free atom a, and which table is theirs."""
    x0, y0 = load(place, 3 * a * LANES), load(place, (3 * a + 1) * LANES)
    z0 = load(place, (3 * a + 2) * LANES)
    for k in range(count):
        b = region.second[begin + k]
        base = (region.element[a] * splines.elements + region.element[b]) * splines.knots
        dx = minus(load(place, 3 * b * LANES), x0)
        dy = minus(load(place, (3 * b + 1) * LANES), y0)
        dz = minus(load(place, (3 * b + 2) * LANES), z0)
        square = plus_product(plus_product(times(dx, dx), dy, dy), dz, dz)
        store(items, k * LANES, square)
        for lane in range(LANES):
            row[k * LANES + lane] = base


@njit(cache=True, fastmath=SUMS, error_model="numpy")
def _find_rows(total, splines, row, items):
    """Where the table rows of the items begin."""
    h, last = 1.0 / splines.step, np.int32(splines.knots - 2)
    for k in range(total):
        r2 = read(items, k)
        over = 1.0 / np.sqrt(r2)
        x = r2 * over * h
        knot = min(np.int32(x), np.int32(last))
        write(items, ITEMS + k, over)
        write(items, 2 * ITEMS + k, x - knot)
        write(row, k, np.int32(np.int32(12) * (np.int32(row[k]) + knot)))


@njit(cache=True, fastmath=SUMS, error_model="numpy", inline="always")
def _cubic(columns, at, p):
    """Value and slope per knot spacing."""
    c1, c2 = read(columns, at + ITEMS), read(columns, at + 2 * ITEMS)
    c3 = read(columns, at + 3 * ITEMS)
    value = read(columns, at) + p * (c1 + p * (c2 + p * c3))
    return value, c1 + p * (2.0 * c2 + p * 3.0 * c3)


@njit(cache=True, fastmath=SUMS, error_model="numpy")
def _pull_and_density(total, at, splines, items, columns, pull, slope):
    h, square, dense = 1.0 / splines.step, splines.cutoff**2, splines.density_cutoff**2
    for k in range(total):
        r2, over, p = read(items, k), read(items, ITEMS + k), read(items, 2 * ITEMS + k)
        value, rise = _cubic(columns, k, p)
        phi, within, inside = value * over, r2 < square, r2 < dense
        write(items, 3 * ITEMS + k, phi if within else 0.0)
        write(pull, at + k, (rise * h - phi) * over * over if within else 0.0)
        value, rise = _cubic(columns, 4 * ITEMS + k, p)
        write(items, 4 * ITEMS + k, value if inside else 0.0)
        write(slope, at + k, rise * h * over if inside else 0.0)


@njit(cache=True, fastmath=SUMS, error_model="numpy")
def _density_back(total, at, splines, items, columns, slope_back):
    h, dense = 1.0 / splines.step, splines.density_cutoff**2
    for k in range(total):
        value, rise = _cubic(columns, k, read(items, 2 * ITEMS + k))
        inside = read(items, k) < dense
        write(items, 5 * ITEMS + k, value if inside else 0.0)
        write(slope_back, at + k, rise * h * read(items, ITEMS + k) if inside else 0.0)


@njit(cache=True, error_model="numpy")
def _fetch_rows(rows, total, row, columns):
    for k in range(0, total, LANES):
        transpose_rows(rows, row, k, columns, ITEMS)


@njit(cache=True, error_model="numpy")
def _add_up(a, region, begin, count, items, embedded, energy):
    """Add energies and densities of some pairs of free atom a."""
    total, own = load(energy, 0), load(embedded, a * LANES)
    for k in range(count):
        b, at = region.second[begin + k] * LANES, k * LANES
        total = plus(total, load(items, 3 * ITEMS + at))
        own = plus(own, load(items, 4 * ITEMS + at))
        store(embedded, b, plus(load(embedded, b), load(items, 5 * ITEMS + at)))
    store(energy, 0, total)
    store(embedded, a * LANES, own)


@njit(cache=True, error_model="numpy")
def _look_up(region, splines, scratch, energy):
    """Energies and densities of all listed pairs; their slopes are left in `scratch`."""
    row, items, columns = scratch.row, scratch.items, scratch.columns
    for a in range(region.free):
        for begin in range(region.begin[a], region.begin[a + 1], ITEMS // LANES):
            count = min(region.begin[a + 1] - begin, ITEMS // LANES)
            total, at = count * LANES, begin * LANES
            _square_distances(a, region, begin, count, splines, scratch.place, row, items)
            _find_rows(total, splines, row, items)
            _fetch_rows(splines.rows, total, row, columns)
            _pull_and_density(total, at, splines, items, columns, scratch.pull, scratch.slope)
            for k in range(total):
                row[k] += 8
            _fetch_rows(splines.rows, total, row, columns)
            _density_back(total, at, splines, items, columns, scratch.slope_back)
            _add_up(a, region, begin, count, items, scratch.embedded, energy)


@njit(cache=True, fastmath=SUMS, error_model="numpy")
def _embed_sites(region, splines, embedded, energy):
    """Add embedding energies and leave the slopes in place of the densities."""
    for c in range(len(region.start)):
        for lane in range(LANES):
            value, slope, _ = embed(splines, region.element[c], embedded[c * LANES + lane])
            embedded[c * LANES + lane] = slope
            energy[lane] += value


@njit(cache=True, fastmath=SUMS, error_model="numpy")
def energy_and_forces(region, splines, scratch, energy, force):
    """Energy of the listed pairs (eV) but for a constant, and their forces on the free atoms.

    Args:
        region: with its background.
        splines: the potential.
        scratch: with the places of all sites.
        energy: (LANES,), out.
        force: (3 free, LANES), out, eV/Å.
    """
    embedded = scratch.embedded
    energy[:] = 0.0
    force[:, :] = 0.0
    for c in range(len(region.start)):
        for lane in range(LANES):
            embedded[c * LANES + lane] = region.background[c]
    _look_up(region, splines, scratch, energy)
    _embed_sites(region, splines, embedded, energy)
    _add_forces(region, scratch, force.ravel())


@njit(cache=True, error_model="numpy")
def _add_forces(region, scratch, force):
    """Add the forces of the listed pairs, (3 free LANES,)."""
    place, embedded = scratch.place, scratch.embedded
    for a in range(region.free):
        x, y, z = 3 * a * LANES, (3 * a + 1) * LANES, (3 * a + 2) * LANES
        x0, y0, z0 = load(place, x), load(place, y), load(place, z)
        fx, fy, fz = load(force, x), load(force, y), load(force, z)
        own = load(embedded, a * LANES)
        for k in range(region.begin[a], region.begin[a + 1]):
            b, at = region.second[k], k * LANES
            pull = plus_product(load(scratch.pull, at), own, load(scratch.slope, at))
            other = load(embedded, b * LANES)
            pull = plus_product(pull, other, load(scratch.slope_back, at))
            x, y, z = 3 * b * LANES, (3 * b + 1) * LANES, (3 * b + 2) * LANES
            dx = times(pull, minus(load(place, x), x0))
            dy = times(pull, minus(load(place, y), y0))
            dz = times(pull, minus(load(place, z), z0))
            fx, fy, fz = plus(fx, dx), plus(fy, dy), plus(fz, dz)
            if b < region.free:
                store(force, x, minus(load(force, x), dx))
                store(force, y, minus(load(force, y), dy))
                store(force, z, minus(load(force, z), dz))
        store(force, 3 * a * LANES, fx)
        store(force, (3 * a + 1) * LANES, fy)
        store(force, (3 * a + 2) * LANES, fz)
