"""Energy and forces of a region's listed pairs, in compiled code.

Several displacements of the same region are done side by side: the last dimension of arrays has
`LANES` numbers, a register, of which the first `WAYS` count. Where tables are looked up, only these
are there, the ones of a pair after those of the pair before it.
"""

from typing import NamedTuple

import numpy as np

from symgnn.compiled import njit
from symgnn.descriptors.eam_splines import embed
from symgnn.descriptors.lanes import any_above, inverse_root, load, spread, store, where_below
from symgnn.descriptors.table_rows import rows_of_4, rows_of_8, rows_of_12
from symgnn.vectors import LANES, minus, plus, plus_product, times

WAYS = 6


class Scratch(NamedTuple):
    """Memory of a thread, of no set content: for energies and forces of one region.

    Attributes:
        place: (3 sites LANES,), Å.
        pull: (pairs WAYS + LANES,), eV/Å², slope of the pair's own energy over the distance.
        slope: (pairs WAYS + LANES,), of the density at the first atom over the distance.
        slope_back: (pairs WAYS + LANES,), at the second, where the elements differ.
        embedded: (sites LANES,), density of each site, then the slope of its embedding.
        items: (4 (sites WAYS + LANES),), of an atom's pairs: squares of distances, energies,
            densities at the first and at the second atom.
    """

    place: np.ndarray
    pull: np.ndarray
    slope: np.ndarray
    slope_back: np.ndarray
    embedded: np.ndarray
    items: np.ndarray


@njit()
def make_scratch(sites, pairs):
    """Memory for regions of at most so many sites and listed pairs."""
    return Scratch(
        np.empty(3 * sites * LANES),
        np.zeros(pairs * WAYS + LANES),
        np.zeros(pairs * WAYS + LANES),
        np.zeros(pairs * WAYS + LANES),
        np.empty(sites * LANES),
        np.ones(4 * (sites * WAYS + LANES)),
    )


@njit()
def place_region(region, place):
    """Put all sites at their start, in all lanes: (3 sites LANES,)."""
    for c in range(len(region.start)):
        for u in range(3):
            for lane in range(LANES):
                place[(3 * c + u) * LANES + lane] = region.start[c, u]


@njit(error_model="numpy")
def _square_distances(a, second, begin, count, place, items):
    """Squares of the distances of some pairs of free atom a."""
    x0, y0 = load(place, 3 * a * LANES), load(place, (3 * a + 1) * LANES)
    z0 = load(place, (3 * a + 2) * LANES)
    for k in range(count):
        b = second[begin + k]
        dx = minus(load(place, 3 * b * LANES), x0)
        dy = minus(load(place, (3 * b + 1) * LANES), y0)
        dz = minus(load(place, (3 * b + 2) * LANES), z0)
        store(items, k * WAYS, plus_product(plus_product(times(dx, dx), dy, dy), dz, dz))


@njit(inline="always")
def _cubic(p, c0, c1, c2, c3):
    """Value of c0 + p (c1 + p (c2 + p c3)) and its slope."""
    outer = plus_product(c2, p, c3)
    inner = plus_product(c1, p, outer)
    return plus_product(c0, p, inner), plus_product(inner, p, plus_product(outer, p, c3))


@njit(inline="always")
def _store_energy(splines, scratch, k, at, r2, over, value, rise):
    """Keep a pair's energy and its slope, from r φ and its slope per knot spacing."""
    phi = times(value, over)
    pull = minus(times(rise, spread(1.0 / splines.step)), phi)
    pull = times(times(pull, over), over)
    square = splines.cutoff**2
    store(scratch.items, len(scratch.items) // 4 + k, where_below(r2, square, phi))
    store(scratch.pull, at + k, where_below(r2, square, pull))


@njit(inline="always")
def _store_density(splines, slope, items, to, k, at, r2, over, value, rise):
    """Keep a density and its slope."""
    square = splines.density_cutoff**2
    rise = times(times(rise, spread(1.0 / splines.step)), over)
    store(items, to + k, where_below(r2, square, value))
    store(slope, at + k, where_below(r2, square, rise))


@njit(error_model="numpy")
def _look_up_like(begin, count, first, row, splines, scratch):
    """Energies and densities of some pairs of the same element, and their slopes.

    Args:
        begin: first of the pairs.
        count: of the pairs.
        first: pair whose items come first.
        row: where the elements' table begins.
        splines: the potential.
        scratch: with squares of distances.
    """
    items, h, last = scratch.items, 1.0 / splines.step, float(splines.knots - 2)
    room, at = len(items) // 4, first * WAYS
    for k in range((begin - first) * WAYS, (begin - first + count) * WAYS, LANES):
        r2 = load(items, k)
        over = inverse_root(r2)
        x = times(times(r2, over), spread(h))
        p, a0, a1, a2, a3, b0, b1, b2, b3 = rows_of_8(splines.rows, row, 12, x, last)
        value, rise = _cubic(p, a0, a1, a2, a3)
        _store_energy(splines, scratch, k, at, r2, over, value, rise)
        value, rise = _cubic(p, b0, b1, b2, b3)
        _store_density(splines, scratch.slope, items, 2 * room, k, at, r2, over, value, rise)


@njit(error_model="numpy")
def _look_up_unlike(begin, count, first, row, splines, scratch):
    """The same for pairs of two elements, whose densities at each other differ."""
    items, h, last = scratch.items, 1.0 / splines.step, float(splines.knots - 2)
    room, at = len(items) // 4, first * WAYS
    for k in range((begin - first) * WAYS, (begin - first + count) * WAYS, LANES):
        r2 = load(items, k)
        over = inverse_root(r2)
        x = times(times(r2, over), spread(h))
        p, a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3 = rows_of_12(
            splines.rows, row, 12, x, last
        )
        value, rise = _cubic(p, a0, a1, a2, a3)
        _store_energy(splines, scratch, k, at, r2, over, value, rise)
        value, rise = _cubic(p, b0, b1, b2, b3)
        _store_density(splines, scratch.slope, items, 2 * room, k, at, r2, over, value, rise)
        value, rise = _cubic(p, c0, c1, c2, c3)
        _store_density(splines, scratch.slope_back, items, 3 * room, k, at, r2, over, value, rise)


@njit(error_model="numpy")
def _add_up(a, second, begin, count, at, back, scratch, energy):
    """Add energies and densities of some pairs of free atom a, whose items begin `at`."""
    items, embedded, room = scratch.items, scratch.embedded, len(scratch.items) // 4
    total, own = load(energy, 0), load(embedded, a * LANES)
    for k in range(begin, begin + count):
        b = second[k] * LANES
        total = plus(total, load(items, room + at))
        own = plus(own, load(items, 2 * room + at))
        store(embedded, b, plus(load(embedded, b), load(items, back * room + at)))
        at += WAYS
    store(energy, 0, total)
    store(embedded, a * LANES, own)


@njit(error_model="numpy")
def _look_up(region, splines, scratch, energy):
    """Energies and densities of all listed pairs; their slopes are left in `scratch`.

    All pairs of an atom are taken through one step after the other: registers of six numbers that
    are read soon after they were written as eight would have to wait for the memory.
    """
    second, groups = region.second, len(region.group) - 1
    for a in range(region.free):
        s, runs = region.element[a], region.begin[a * groups : (a + 1) * groups + 1]
        first = runs[0]
        _square_distances(a, second, first, runs[groups] - first, scratch.place, scratch.items)
        for g in range(groups):
            begin, count = runs[g], runs[g + 1] - runs[g]
            if count:
                t = region.element[second[begin]]
                row = 12 * splines.knots * (s * splines.elements + t)
                if s == t:
                    _look_up_like(begin, count, first, row, splines, scratch)
                else:
                    _look_up_unlike(begin, count, first, row, splines, scratch)
        for g in range(groups):
            begin, count = runs[g], runs[g + 1] - runs[g]
            if count:
                back = 2 if s == region.element[second[begin]] else 3
                at = (begin - first) * WAYS
                _add_up(a, second, begin, count, at, back, scratch, energy)


@njit(error_model="numpy")
def _embed_sites(region, splines, embedded, energy):
    """Add embedding energies and leave the slopes in place of the densities."""
    rows, knots = splines.embedding.ravel(), splines.embedding.shape[1]
    h, total = 1.0 / splines.density_step, load(energy, 0)
    for c in range(len(region.start)):
        x = times(load(embedded, c * LANES), spread(h))
        if any_above(x, knots - 1.0):  # where the embedding goes on linearly
            store(energy, 0, total)
            for lane in range(WAYS):
                value, slope, _ = embed(splines, region.element[c], embedded[c * LANES + lane])
                embedded[c * LANES + lane] = slope
                energy[lane] += value
            total = load(energy, 0)
        else:
            begin = 4 * knots * region.element[c]
            p, c0, c1, c2, c3 = rows_of_4(rows, begin, 4, x, knots - 2.0)
            value, slope = _cubic(p, c0, c1, c2, c3)
            total = plus(total, value)
            store(embedded, c * LANES, times(slope, spread(h)))
    store(energy, 0, total)


@njit(error_model="numpy")
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
        store(embedded, c * LANES, spread(region.background[c]))
    _look_up(region, splines, scratch, energy)
    _embed_sites(region, splines, embedded, energy)
    _add_forces(region, scratch, force.ravel())


@njit(error_model="numpy")
def start_energy_and_forces(region, splines, scratch, energy, force):
    """The same at the start, where the region gets its background. Puts all sites there."""
    embedded = scratch.embedded
    energy[:] = 0.0
    force[:, :] = 0.0
    embedded[:] = 0.0
    place_region(region, scratch.place)
    _look_up(region, splines, scratch, energy)
    for c in range(len(region.start)):
        region.background[c] = region.density[c] - embedded[c * LANES]
        store(embedded, c * LANES, spread(region.density[c]))
    _embed_sites(region, splines, embedded, energy)
    _add_forces(region, scratch, force.ravel())


@njit(error_model="numpy")
def _add_forces(region, scratch, force):
    """Add the forces of the listed pairs, (3 free LANES,)."""
    place, embedded, groups = scratch.place, scratch.embedded, len(region.group) - 1
    for run in range(region.free * groups):
        first, last = region.begin[run], region.begin[run + 1]
        if first == last:
            continue
        a = run // groups
        like = region.element[a] == region.element[region.second[first]]
        x, y, z = 3 * a * LANES, (3 * a + 1) * LANES, (3 * a + 2) * LANES
        x0, y0, z0 = load(place, x), load(place, y), load(place, z)
        fx, fy, fz = load(force, x), load(force, y), load(force, z)
        own = load(embedded, a * LANES)
        for k in range(first, last):
            b, at = region.second[k], k * WAYS
            slope = load(scratch.slope, at)
            pull = plus_product(load(scratch.pull, at), own, slope)
            if not like:
                slope = load(scratch.slope_back, at)
            pull = plus_product(pull, load(embedded, b * LANES), slope)
            u, v, w = 3 * b * LANES, (3 * b + 1) * LANES, (3 * b + 2) * LANES
            dx = times(pull, minus(load(place, u), x0))
            dy = times(pull, minus(load(place, v), y0))
            dz = times(pull, minus(load(place, w), z0))
            fx, fy, fz = plus(fx, dx), plus(fy, dy), plus(fz, dz)
            if b < region.free:
                store(force, u, minus(load(force, u), dx))
                store(force, v, minus(load(force, v), dy))
                store(force, w, minus(load(force, w), dz))
        store(force, x, fx)
        store(force, y, fy)
        store(force, z, fz)
