"""Energy and forces of a region's listed pairs, in compiled code.

`LANES` displacements of the same region are done side by side: the last dimension of arrays.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from symgnn.descriptors.eam_splines import embed
from symgnn.descriptors.lanes import load, store
from symgnn.vectors import LANES, minus, plus, plus_product, read, times, transpose_rows, write

ITEMS = 32 * LANES  # pairs by lanes that are looked up at once and stay in the first-level cache
SUMS = {"nsz", "contract", "arcp", "reassoc"}  # parts of a sum in any order


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
def place_region(region, place):
    """Put all sites at their start, in all lanes: (3 sites LANES,)."""
    for c in range(len(region.start)):
        for u in range(3):
            for lane in range(LANES):
                place[(3 * c + u) * LANES + lane] = region.start[c, u]


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
