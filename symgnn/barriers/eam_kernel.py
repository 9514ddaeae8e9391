"""The compiled EAM kernel: energy and forces of one region.

A force call goes over the pairs in range of the densities (near) and then over those that only
the pair potential reaches (far). Both go by blocks that stay in the first-level cache: distances,
table look-ups and polynomials of many pairs in vector instructions, then the sums over atoms pair
by pair. Sites, forces and vectors hold four numbers an atom, of which the fourth is zero.

The compiler may not choose how sums and products of a pair are rounded: code that was just compiled
and code from numba's cache then differed in a last digit of one pair in thousands, and so did most
searches.
"""

from typing import NamedTuple

import numpy as np

from symgnn.barriers.quads import load, plus_multiple, square_distances, store, zero
from symgnn.compiled import njit
from symgnn.vectors import LANES, minus, read, transpose_rows, write

BLOCK = 256  # pairs


class Pairs(NamedTuple):
    """A pair list; its arrays go on for `LANES` valid entries after the last pair."""

    first: np.ndarray  # (pairs,), free atom; pairs of one atom follow one another
    second: np.ndarray  # (pairs,), site
    other: np.ndarray  # (pairs,), owner of the site
    kind: np.ndarray  # (pairs,), which of the tables
    kind_back: np.ndarray  # (pairs,), the same with the two elements exchanged
    near: int  # number of near pairs, which stand before the far ones
    total: int  # number of pairs


class Tables(NamedTuple):
    """What the kernel needs of the potential; see `tables.PackedTables`."""

    rows: np.ndarray
    knots: int
    cutoff: float
    distance_step: float
    symmetric: bool
    density_step: float
    embedding: np.ndarray
    density_max: float


class Owners(NamedTuple):
    """Atoms whose embedding the free atoms can change: themselves and frozen ones."""

    species: np.ndarray  # (owners,)
    background: np.ndarray  # (owners,), density that others than the free atoms lay
    energy_before: np.ndarray  # (owners,), eV, embedding energy at the start


class Scratch(NamedTuple):
    """Memory of a core, used for one region after the other."""

    slope: np.ndarray  # (near,), of the density at the atom over the distance
    slope_back: np.ndarray  # (near,), of the density at the neighbour
    pull: np.ndarray  # (near,), eV/Å², slope of the pair potential over the distance
    far_pull: np.ndarray  # (BLOCK,)
    square: np.ndarray  # (BLOCK,), Å², of the distances
    place: np.ndarray  # (BLOCK,), where the table rows of the pairs begin
    fraction: np.ndarray  # (BLOCK,), way from knot to knot
    weight: np.ndarray  # (BLOCK,), 1/Å, inverse distances
    columns: np.ndarray  # (8 BLOCK,), table rows, one number of all pairs after the other
    density: np.ndarray  # (BLOCK,), of pairs; before that their energies, eV
    energy: np.ndarray  # (LANES,), eV, sums over pairs
    total: np.ndarray  # (owners,), densities of the owners
    embedding: np.ndarray  # (owners,), eV
    embedding_slope: np.ndarray  # (owners,), eV, over the density


def make_scratch(near: int, owners: int, symmetric: bool) -> Scratch:
    """Scratch memory for regions of at most so many near pairs and owners."""
    slope = np.empty(near)
    return Scratch(
        slope=slope,
        slope_back=slope if symmetric else np.empty(near),
        pull=np.empty(near),
        far_pull=np.empty(BLOCK),
        square=np.empty(BLOCK),
        place=np.zeros(BLOCK, dtype=np.int32),
        fraction=np.empty(BLOCK),
        weight=np.empty(BLOCK),
        columns=np.empty(LANES * BLOCK),
        density=np.empty(BLOCK),
        energy=np.empty(LANES),
        total=np.empty(owners),
        embedding=np.empty(owners),
        embedding_slope=np.empty(owners),
    )


@njit(error_model="numpy", fastmath={"contract"})
def place_sites(position, offset, owner, moving, site):
    """Write the places of the sites that move, (4 sites,), for positions of the free atoms."""
    for s in moving:
        for x in range(3):
            site[4 * s + x] = offset[s, x] + position[owner[s], x]


@njit(error_model="numpy")
def block_distances(site, pairs, begin, count, square):
    """Squares of the distances of a block of pairs, Å²."""
    for k in range(0, count, LANES):
        square_distances(site, pairs.first, pairs.second, begin + k, square, k)


@njit(error_model="numpy")
def find_rows(kind, begin, count, tables, scratch):
    """Where the table rows of a block begin, how far between two knots, and 1 / distance."""
    square, place, fraction, weight = (
        scratch.square,
        scratch.place,
        scratch.fraction,
        scratch.weight,
    )
    inverse, knots, last = 1.0 / tables.distance_step, np.int32(tables.knots), tables.knots - 2
    cutoff2, zeros = tables.cutoff * tables.cutoff, np.int32(len(tables.rows) - 8)
    for k in range(count):
        r2 = read(square, k)
        per_distance = 1.0 / np.sqrt(r2)
        way = r2 * per_distance * inverse
        knot = min(np.int32(way), np.int32(last))
        found = np.int32(4) * (np.int32(read(kind, begin + k)) * knots + knot)
        write(place, k, found if r2 < cutoff2 else zeros)
        write(fraction, k, min(way - knot, 1.0))  # between last knot and cutoff, as LAMMPS
        write(weight, k, per_distance)


@njit(error_model="numpy")
def fetch_rows(rows, count, place, columns):
    """Copy the table rows of a block, one number of all pairs after the other."""
    for k in range(count, -(-count // LANES) * LANES):
        place[k] = 0
    for k in range(0, count, LANES):
        transpose_rows(rows, place, k, columns, BLOCK)


@njit(error_model="numpy", inline="always")
def cubic(columns, k, function, p):
    """Value, slope and second derivative, per knot spacing, of a function of pair k.

    The functions are 0: density, 2: r φ.
    """
    at = function * BLOCK + k
    value, slope = read(columns, at), read(columns, at + BLOCK)
    rise, end = read(columns, at + 4 * BLOCK) - value, read(columns, at + 5 * BLOCK)
    c2 = 3.0 * rise - 2.0 * slope - end
    c3 = slope + end - 2.0 * rise
    return (
        value + p * (slope + p * (c2 + p * c3)),
        slope + p * (2.0 * c2 + 3.0 * p * c3),
        2.0 * c2 + 6.0 * p * c3,
    )


@njit(error_model="numpy")
def _lay_densities(count, inverse, columns, fraction, weight, density, at, slope):
    """Densities of a block, and their slopes from `at` on."""
    for k in range(count):
        value, rise, _ = cubic(columns, k, 0, read(fraction, k))
        write(density, k, value)
        write(slope, at + k, rise * inverse * read(weight, k))


@njit(error_model="numpy")
def _pull_pairs(count, inverse, columns, fraction, weight, energies, total, at, pull):
    """Slopes of the pair potential, from `at` on, and its energies, eV, added up in eight sums."""
    for k in range(count):
        per_distance = read(weight, k)
        value, rise, _ = cubic(columns, k, 2, read(fraction, k))
        phi = value * per_distance
        write(energies, k, phi)
        write(pull, at + k, (rise * inverse - phi) * per_distance * per_distance)
    energies[count : -(-count // LANES) * LANES] = 0.0
    for k in range(0, count, LANES):
        for lane in range(LANES):
            total[lane] += energies[k + lane]


@njit(error_model="numpy", fastmath={"contract"})
def add_densities(first, begin, count, density, total):
    """Add the densities of a block at the first atoms of its pairs."""
    atom, own = first[begin], 0.0
    for k in range(count):
        if first[begin + k] != atom:
            total[atom] += own
            atom, own = first[begin + k], 0.0
        own += density[k]
    total[atom] += own


@njit(error_model="numpy", fastmath={"contract"})
def add_densities_back(other, begin, count, density, total):
    """Add them at the other atoms."""
    for k in range(count):
        total[other[begin + k]] += density[k]


@njit(error_model="numpy")
def add_near_densities(site, pairs, tables, density, scratch):
    """Add the near pairs' densities to `density` and energies to the scratch; keep slopes."""
    s, inverse = scratch, 1.0 / tables.distance_step
    for begin in range(0, pairs.near, BLOCK):
        count = min(BLOCK, pairs.near - begin)
        block_distances(site, pairs, begin, count, s.square)
        find_rows(pairs.kind, begin, count, tables, s)
        fetch_rows(tables.rows, count, s.place, s.columns)
        block = (count, inverse, s.columns, s.fraction, s.weight)
        _pull_pairs(*block, s.density, s.energy, begin, s.pull)
        _lay_densities(*block, s.density, begin, s.slope)
        add_densities(pairs.first, begin, count, s.density, density)
        if not tables.symmetric:
            find_rows(pairs.kind_back, begin, count, tables, s)
            fetch_rows(tables.rows, count, s.place, s.columns)
            _lay_densities(*block, s.density, begin, s.slope_back)
        add_densities_back(pairs.other, begin, count, s.density, density)


@njit(error_model="numpy", inline="always")
def density_interval(rho, step, last):
    """Which interval of an embedding table a density lies in, and how far in it."""
    m = max(min(int(rho / step), last - 1), 0)  # densities of some potentials dip below zero
    return m, min(rho / step - m, 1.0)


@njit(error_model="numpy")
def embed(owners, density, species, step, table, density_max, energy, slope):
    """Write the embedding energies (eV) of some owners and their slopes at their densities."""
    last = table.shape[1] - 1
    for i in owners:
        rho = density[i]
        m, p = density_interval(rho, step, last)
        c = table[species[i], m]
        energy[i] = c[0] + p * (c[1] + p * (c[2] + p * c[3]))
        slope[i] = (c[1] + p * (2.0 * c[2] + 3.0 * p * c[3])) / step
        if rho > density_max:
            energy[i] += slope[i] * (rho - density_max)


@njit(error_model="numpy", fastmath={"contract"})
def _sum_near_forces(site, pairs, embedding, scratch, force):
    """Add the forces of near pairs: to both atoms, or to the first where the other is frozen."""
    first, second, other = pairs.first, pairs.second, pairs.other
    pull, slope, slope_back = scratch.pull, scratch.slope, scratch.slope_back
    free = len(force) // 4
    atom = first[0]
    own, here, pulls = zero(), load(site, atom), embedding[atom]
    for k in range(pairs.near):
        if first[k] != atom:
            store(force, atom, plus_multiple(load(force, atom), 1.0, own))
            atom = first[k]
            own, here, pulls = zero(), load(site, atom), embedding[atom]
        vector = minus(load(site, second[k]), here)
        o = other[k]
        g = pull[k] + pulls * slope[k] + embedding[o] * slope_back[k]
        own = plus_multiple(own, g, vector)
        if o < free:
            store(force, o, plus_multiple(load(force, o), -g, vector))
    store(force, atom, plus_multiple(load(force, atom), 1.0, own))


@njit(error_model="numpy", fastmath={"contract"})
def _sum_far_forces(site, pairs, begin, count, pull, force):
    """Add the forces of a block of far pairs."""
    first, second, other = pairs.first, pairs.second, pairs.other
    free = len(force) // 4
    atom = first[begin]
    own, here = zero(), load(site, atom)
    for k in range(count):
        if first[begin + k] != atom:
            store(force, atom, plus_multiple(load(force, atom), 1.0, own))
            atom = first[begin + k]
            own, here = zero(), load(site, atom)
        vector = minus(load(site, second[begin + k]), here)
        g, o = pull[k], other[begin + k]
        own = plus_multiple(own, g, vector)
        if o < free:
            store(force, o, plus_multiple(load(force, o), -g, vector))
    store(force, atom, plus_multiple(load(force, atom), 1.0, own))


@njit(error_model="numpy")
def _add_far_forces(site, pairs, tables, force, scratch):
    """Add the forces of the far pairs; adds their energies to the scratch."""
    s, inverse = scratch, 1.0 / tables.distance_step
    for begin in range(pairs.near, pairs.total, BLOCK):
        count = min(BLOCK, pairs.total - begin)
        block_distances(site, pairs, begin, count, s.square)
        find_rows(pairs.kind, begin, count, tables, s)
        fetch_rows(tables.rows, count, s.place, s.columns)
        block = (count, inverse, s.columns, s.fraction, s.weight)
        _pull_pairs(*block, s.density, s.energy, 0, s.far_pull)
        _sum_far_forces(site, pairs, begin, count, s.far_pull, force)


@njit(error_model="numpy")
def energy_and_forces(site, pairs, tables, reached, owners, scratch, force):
    """Energy, eV, relative to the start; writes the forces (4 free,), eV/Å.

    Args:
        site: (4 sites,), Å, places of all sites; the free atoms stand first.
        pairs: the pair list.
        tables: the potential.
        reached: owners whose densities may have changed.
        owners: what their embedding starts from.
        scratch: see `make_scratch`.
        force: written.
    """
    density, embedding, slope = scratch.total, scratch.embedding, scratch.embedding_slope
    for i in reached:
        density[i] = owners.background[i]
    force[:] = 0.0
    scratch.energy[:] = 0.0
    add_near_densities(site, pairs, tables, density, scratch)
    _add_far_forces(site, pairs, tables, force, scratch)
    embed(
        reached,
        density,
        owners.species,
        tables.density_step,
        tables.embedding,
        tables.density_max,
        embedding,
        slope,
    )
    energy = 0.0
    for lane in range(LANES):
        energy += scratch.energy[lane]
    for i in reached:
        energy += embedding[i] - owners.energy_before[i]
    if pairs.near:
        _sum_near_forces(site, pairs, slope, scratch, force)
    return energy
