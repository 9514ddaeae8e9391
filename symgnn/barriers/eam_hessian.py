"""The Hessian of one region, as products with vectors, from the same splines as the forces.

At one place the pairs' stiffnesses are computed once; then a product goes over the pairs twice
without a look at the tables. With R the vector of a pair, r its length and w the difference of its
atoms' motions, the force G R of a pair, G = E'/r, changes by G w + (G'/r) (R·w) R; and as all
densities change as well, by ρ'/r F'' dρ R of both its atoms (M. S. Daw, R. D. Hatcher,
doi:10.1016/0038-1098(85)90754-3). Near and far pairs are those of `eam_kernel`.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from symgnn.barriers.eam_kernel import (
    BLOCK,
    add_densities,
    add_densities_back,
    block_distances,
    fetch_rows,
    find_rows,
)
from symgnn.barriers.lanczos import extend_row
from symgnn.barriers.quads import inner_product, load, plus_multiple, store, zero
from symgnn.vectors import minus, read, write


class Stiffness(NamedTuple):
    """What the pairs of a region add to its Hessian at one place, and memory for a product."""

    tension: np.ndarray  # (pairs,), eV/Å², G
    bend: np.ndarray  # (pairs,), eV/Å⁴, G'/r
    slope: np.ndarray  # (near,), 1/Å², of the density at the atom over the distance
    slope_back: np.ndarray  # (near,), the same of the density at the neighbour
    bend_slope: np.ndarray  # (near,), 1/Å⁴, slope of `slope` over the distance
    bend_slope_back: np.ndarray  # (near,)
    embedding_slope: np.ndarray  # (owners,), eV, F'
    embedding_bend: np.ndarray  # (owners,), eV, F''
    change: np.ndarray  # (owners,), of the densities; then F'' times it
    motion: np.ndarray  # (4 owners,), the vector, zero for frozen owners
    product: np.ndarray  # (4 owners,), of it


def make_stiffness(pairs: int, near: int, owners: int, symmetric: bool) -> Stiffness:
    """Memory for regions of at most so many pairs and owners, of no set content."""
    slope, bend_slope = np.empty((2, near))
    return Stiffness(
        *np.empty((2, pairs)),
        slope=slope,
        slope_back=slope if symmetric else np.empty(near),
        bend_slope=bend_slope,
        bend_slope_back=bend_slope if symmetric else np.empty(near),
        embedding_slope=np.empty(owners),
        embedding_bend=np.empty(owners),
        change=np.empty(owners),
        motion=np.zeros(4 * owners),
        product=np.empty(4 * owners),
    )


@njit(cache=True, error_model="numpy", inline="always")
def _cubic_bend(columns, k, function, p):
    """Value, slope and bend, per knot spacing, of a function of pair k, 0: density, 2: r φ."""
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


@njit(cache=True, error_model="numpy")
def _bend_pairs(count, inverse, columns, fraction, weight, at, tension, bend):
    """G and G'/r of the pair potential for a block, from `at` on."""
    for k in range(count):
        per_distance = read(weight, k)
        value, rise, second = _cubic_bend(columns, k, 2, read(fraction, k))
        phi = value * per_distance
        slope = (rise * inverse - phi) * per_distance
        curvature = (second * inverse * inverse - 2.0 * slope) * per_distance
        pull = slope * per_distance
        write(tension, at + k, pull)
        write(bend, at + k, (curvature - pull) * per_distance * per_distance)


@njit(cache=True, error_model="numpy")
def _bend_densities(count, inverse, columns, fraction, weight, density, at, slope, bend):
    """Densities of a block, and the same of them."""
    for k in range(count):
        per_distance = read(weight, k)
        value, rise, second = _cubic_bend(columns, k, 0, read(fraction, k))
        write(density, k, value)
        pull = rise * inverse * per_distance
        write(slope, at + k, pull)
        write(bend, at + k, (second * inverse * inverse - pull) * per_distance * per_distance)


@njit(cache=True, error_model="numpy")
def _bend_embedding(owners, density, species, step, table, density_max, slope, bend):
    """Slopes and bends of some owners' embedding energies at their densities, eV."""
    last = table.shape[1] - 1
    for i in owners:
        rho = density[i]
        m = max(min(int(rho / step), last - 1), 0)
        p = min(rho / step - m, 1.0)
        c = table[species[i], m]
        slope[i] = (c[1] + p * (2.0 * c[2] + 3.0 * p * c[3])) / step
        bend[i] = 0.0 if rho > density_max else (2.0 * c[2] + 6.0 * p * c[3]) / (step * step)


@njit(cache=True, error_model="numpy")
def stiffen(site, pairs, tables, reached, owners, scratch, stiffness):
    """Write what the pairs add to the Hessian where the sites are.

    Args:
        site: (4 sites,), Å, places of all sites.
        pairs: the pair list.
        tables: the potential.
        reached: owners whose densities may have changed.
        owners: what their embedding starts from.
        scratch: see `eam_kernel.make_scratch`.
        stiffness: written.
    """
    s, inverse, density = scratch, 1.0 / tables.distance_step, scratch.total
    stiffness.motion[: 4 * len(owners.species)] = 0.0
    for i in reached:
        density[i] = owners.background[i]
    for part in range(2):
        start, end = (0, pairs.near) if part == 0 else (pairs.near, pairs.total)
        for begin in range(start, end, BLOCK):
            count = min(BLOCK, end - begin)
            block_distances(site, pairs, begin, count, s.square)
            find_rows(pairs.kind, begin, count, tables, s)
            fetch_rows(tables.rows, count, s.place, s.columns)
            block = (count, inverse, s.columns, s.fraction, s.weight)
            _bend_pairs(*block, begin, stiffness.tension, stiffness.bend)
            if part == 1:
                continue
            _bend_densities(*block, s.density, begin, stiffness.slope, stiffness.bend_slope)
            add_densities(pairs.first, begin, count, s.density, density)
            if not tables.symmetric:
                find_rows(pairs.kind_back, begin, count, tables, s)
                fetch_rows(tables.rows, count, s.place, s.columns)
                back = (s.density, begin, stiffness.slope_back, stiffness.bend_slope_back)
                _bend_densities(*block, *back)
            add_densities_back(pairs.other, begin, count, s.density, density)
    slope = stiffness.embedding_slope
    _bend_embedding(
        reached,
        density,
        owners.species,
        tables.density_step,
        tables.embedding,
        tables.density_max,
        slope,
        stiffness.embedding_bend,
    )
    for k in range(pairs.near):
        here, there = slope[pairs.first[k]], slope[pairs.other[k]]
        stiffness.tension[k] += here * stiffness.slope[k] + there * stiffness.slope_back[k]
        stiffness.bend[k] += here * stiffness.bend_slope[k] + there * stiffness.bend_slope_back[k]


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def _pull_pairs(site, pairs, stiffness, begin, end, near, free):
    """The change of the pairs' own forces, and of the densities where pairs are near."""
    first, second, other = pairs.first, pairs.second, pairs.other
    motion, product, change = stiffness.motion, stiffness.product, stiffness.change
    if begin == end:
        return
    atom = first[begin]
    own, here, moves, rise = zero(), load(site, atom), load(motion, atom), 0.0
    for k in range(begin, end):
        if first[k] != atom:
            store(product, atom, plus_multiple(load(product, atom), 1.0, own))
            change[atom] += rise
            atom = first[k]
            own, here, moves, rise = zero(), load(site, atom), load(motion, atom), 0.0
        o = other[k]
        vector, apart = minus(load(site, second[k]), here), minus(load(motion, o), moves)
        along = inner_product(vector, apart)
        if near:
            rise += stiffness.slope[k] * along
            change[o] += stiffness.slope_back[k] * along
        tension, bend = stiffness.tension[k], stiffness.bend[k] * along
        own = plus_multiple(plus_multiple(own, tension, apart), bend, vector)
        if o < free:
            back = plus_multiple(load(product, o), -tension, apart)
            store(product, o, plus_multiple(back, -bend, vector))
    store(product, atom, plus_multiple(load(product, atom), 1.0, own))
    change[atom] += rise


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def _pull_by_densities(site, pairs, stiffness, free):
    """The change of the near pairs' forces by that of the densities, F'' dρ in `change`."""
    first, second, other = pairs.first, pairs.second, pairs.other
    product, change = stiffness.product, stiffness.change
    slope, slope_back = stiffness.slope, stiffness.slope_back
    atom = first[0]
    own, here, mine = zero(), load(site, atom), change[atom]
    for k in range(pairs.near):
        if first[k] != atom:
            store(product, atom, plus_multiple(load(product, atom), 1.0, own))
            atom = first[k]
            own, here, mine = zero(), load(site, atom), change[atom]
        o = other[k]
        vector = minus(load(site, second[k]), here)
        pull = slope[k] * mine + slope_back[k] * change[o]
        own = plus_multiple(own, pull, vector)
        if o < free:
            store(product, o, plus_multiple(load(product, o), -pull, vector))
    store(product, atom, plus_multiple(load(product, atom), 1.0, own))


@njit(cache=True, error_model="numpy")
def multiply(site, pairs, reached, bound, stiffness, vector, product):
    """The product of the Hessian with a vector (3 free,), written to `product`, eV/Å².

    Args:
        site: (4 sites,), Å, places of all sites.
        pairs: the pair list.
        reached: owners whose densities may change.
        bound: whether frozen atoms hold the free ones; others have no product along their motion
            as a whole, of which the sums' rounding would leave a trace.
        stiffness: by `stiffen`.
        vector: (3 free,).
        product: (3 free,), written.
    """
    motion, found, change = stiffness.motion, stiffness.product, stiffness.change
    free = len(vector) // 3
    for i in range(free):
        for x in range(3):
            motion[4 * i + x] = vector[3 * i + x]
    found[: 4 * free] = 0.0
    for i in reached:
        change[i] = 0.0
    _pull_pairs(site, pairs, stiffness, 0, pairs.near, True, free)
    _pull_pairs(site, pairs, stiffness, pairs.near, pairs.total, False, free)
    if pairs.near:
        for i in reached:
            change[i] *= stiffness.embedding_bend[i]
        _pull_by_densities(site, pairs, stiffness, free)
    for x in range(3):
        drift = 0.0
        if not bound:
            for i in range(free):
                drift += found[4 * i + x]
        for i in range(free):
            product[3 * i + x] = drift / free - found[4 * i + x]


@njit(cache=True, error_model="numpy")
def iterate(site, pairs, reached, free, bound, stiffness, basis, stop, value, vector):
    """Lanczos iterations with the Hessian to their end.

    Args:
        site: (4 sites,), Å, places of all sites.
        pairs: the pair list.
        reached: owners whose densities may change.
        free: number of free atoms.
        bound: whether frozen atoms hold them.
        stiffness: by `stiffen`.
        basis: a `lanczos.Basis` that has its first vector, with zeros behind the free atoms.
        stop: when to end, a `lanczos.Stop`.
        value: (pairs,), written, eV/Å².
        vector: (pairs, dimension of the basis), written.

    Returns:
        vectors used.
    """
    product = np.zeros(basis.vectors.shape[1])
    before, count, done = np.inf, 0, False
    while not done:
        newest = basis.vectors[count][: 3 * free]
        multiply(site, pairs, reached, bound, stiffness, newest, product[: 3 * free])
        done, before = extend_row(basis, count, before, product, stop, value, vector)
        product[3 * free :] = 0.0
        count += 1
    return count
