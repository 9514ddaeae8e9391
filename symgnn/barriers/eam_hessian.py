"""The Hessian of one region, as products with vectors, from the same splines as the forces.

At one place the force constants of the pairs are computed once; then a product goes over the pairs
without a look at the tables. With R the vector of a pair, r its length and w the difference of its
atoms' displacements, the force G R of a pair, G = E'/r, changes by G w + (G'/r) (R·w) R; and as all
densities change as well, by ρ'/r F'' dρ R of both its atoms (the second derivatives of the energy
of M. S. Daw, M. I. Baskes, doi:10.1103/PhysRevB.29.6443). Near and far pairs are those of
`eam_kernel`. Between the last knot and the cutoff, where LAMMPS takes values and slopes of the
knot, so do the products, and forces are no derivatives there.
"""

from typing import NamedTuple

import numpy as np

from symgnn.barriers.eam_kernel import (
    BLOCK,
    add_densities,
    add_densities_back,
    block_distances,
    cubic,
    density_interval,
    fetch_rows,
    find_rows,
)
from symgnn.barriers.lanczos_kernel import extend_row
from symgnn.barriers.quads import inner_product, load, plus_multiple, store, zero
from symgnn.compiled import njit
from symgnn.vectors import minus, read, write


class ForceConstants(NamedTuple):
    """What the pairs of a region add to its Hessian at one place, and memory for a product."""

    transverse: np.ndarray  # (pairs,), eV/Å², G
    longitudinal: np.ndarray  # (pairs,), eV/Å⁴, G'/r: what is more along the pair, over r²
    slope: np.ndarray  # (near,), 1/Å², of the density at the atom over the distance
    slope_back: np.ndarray  # (near,), the same of the density at the neighbour
    slope_change: np.ndarray  # (near,), 1/Å⁴, derivative of `slope` over the distance
    slope_back_change: np.ndarray  # (near,)
    embedding_slope: np.ndarray  # (owners,), eV, F'
    embedding_curvature: np.ndarray  # (owners,), eV, F''
    density_change: np.ndarray  # (owners,), dρ, then F'' dρ, eV
    displacement: np.ndarray  # (4 owners,), the vector, zero for frozen owners
    force_change: np.ndarray  # (4 owners,)


def make_constants(pairs: int, near: int, owners: int, symmetric: bool) -> ForceConstants:
    """Memory for regions of at most so many pairs and owners, of no set content."""
    slope, slope_change = np.empty((2, near))
    return ForceConstants(
        *np.empty((2, pairs)),
        slope=slope,
        slope_back=slope if symmetric else np.empty(near),
        slope_change=slope_change,
        slope_back_change=slope_change if symmetric else np.empty(near),
        embedding_slope=np.empty(owners),
        embedding_curvature=np.empty(owners),
        density_change=np.empty(owners),
        displacement=np.empty(4 * owners),
        force_change=np.empty(4 * owners),
    )


@njit(error_model="numpy")
def _differentiate_pairs(count, inverse, columns, fraction, weight, at, first, second):
    """G and G'/r of the pair potential for a block, from `at` on."""
    for k in range(count):
        per_distance = read(weight, k)
        value, rise, bend = cubic(columns, k, 2, read(fraction, k))
        phi = value * per_distance
        slope = (rise * inverse - phi) * per_distance
        curvature = (bend * inverse * inverse - 2.0 * slope) * per_distance
        pull = slope * per_distance
        write(first, at + k, pull)
        write(second, at + k, (curvature - pull) * per_distance * per_distance)


@njit(error_model="numpy")
def _differentiate_densities(count, inverse, columns, fraction, weight, density, at, first, second):
    """Densities of a block, and the same derivatives of them."""
    for k in range(count):
        per_distance = read(weight, k)
        value, rise, bend = cubic(columns, k, 0, read(fraction, k))
        write(density, k, value)
        pull = rise * inverse * per_distance
        write(first, at + k, pull)
        write(second, at + k, (bend * inverse * inverse - pull) * per_distance * per_distance)


@njit(error_model="numpy")
def _differentiate_embedding(owners, density, species, step, table, density_max, slope, curvature):
    """First and second derivatives of some owners' embedding energies, eV."""
    last = table.shape[1] - 1
    for i in owners:
        m, p = density_interval(density[i], step, last)
        c = table[species[i], m]
        slope[i] = (c[1] + p * (2.0 * c[2] + 3.0 * p * c[3])) / step
        linear = density[i] > density_max
        curvature[i] = 0.0 if linear else (2.0 * c[2] + 6.0 * p * c[3]) / (step * step)


@njit(error_model="numpy")
def find_constants(site, pairs, tables, reached, owners, scratch, constants):
    """Write the force constants of the pairs where the sites are.

    Args:
        site: (4 sites,), Å, places of all sites.
        pairs: the pair list.
        tables: the potential.
        reached: owners whose densities may have changed.
        owners: what their embedding starts from.
        scratch: see `eam_kernel.make_scratch`.
        constants: written.
    """
    s, c, inverse, density = scratch, constants, 1.0 / tables.distance_step, scratch.total
    c.displacement[: 4 * len(owners.species)] = 0.0
    for i in reached:
        density[i] = owners.background[i]
    for near in (True, False):
        start, end = (0, pairs.near) if near else (pairs.near, pairs.total)
        for begin in range(start, end, BLOCK):
            count = min(BLOCK, end - begin)
            block_distances(site, pairs, begin, count, s.square)
            find_rows(pairs.kind, begin, count, tables, s)
            fetch_rows(tables.rows, count, s.place, s.columns)
            block = (count, inverse, s.columns, s.fraction, s.weight)
            _differentiate_pairs(*block, begin, c.transverse, c.longitudinal)
            if not near:
                continue
            _differentiate_densities(*block, s.density, begin, c.slope, c.slope_change)
            add_densities(pairs.first, begin, count, s.density, density)
            if not tables.symmetric:
                find_rows(pairs.kind_back, begin, count, tables, s)
                fetch_rows(tables.rows, count, s.place, s.columns)
                back = (s.density, begin, c.slope_back, c.slope_back_change)
                _differentiate_densities(*block, *back)
            add_densities_back(pairs.other, begin, count, s.density, density)
    table = (tables.density_step, tables.embedding, tables.density_max)
    derivatives = (c.embedding_slope, c.embedding_curvature)
    _differentiate_embedding(reached, density, owners.species, *table, *derivatives)
    for k in range(pairs.near):
        here, there = c.embedding_slope[pairs.first[k]], c.embedding_slope[pairs.other[k]]
        c.transverse[k] += here * c.slope[k] + there * c.slope_back[k]
        c.longitudinal[k] += here * c.slope_change[k] + there * c.slope_back_change[k]


@njit(error_model="numpy", fastmath={"contract"})
def _add_pair_terms(site, pairs, constants, begin, end, near, free):
    """What the pairs alone change the forces by, and near ones the densities."""
    if begin == end:
        return
    first, second, other = pairs.first, pairs.second, pairs.other
    displacement, change = constants.displacement, constants.force_change
    density = constants.density_change
    atom = first[begin]
    own, here, moves, rise = zero(), load(site, atom), load(displacement, atom), 0.0
    for k in range(begin, end):
        if first[k] != atom:
            store(change, atom, plus_multiple(load(change, atom), 1.0, own))
            density[atom] += rise
            atom = first[k]
            own, here, moves, rise = zero(), load(site, atom), load(displacement, atom), 0.0
        o = other[k]
        vector, apart = minus(load(site, second[k]), here), minus(load(displacement, o), moves)
        along = inner_product(vector, apart)
        if near:
            rise += constants.slope[k] * along
            density[o] += constants.slope_back[k] * along
        transverse, longitudinal = constants.transverse[k], constants.longitudinal[k] * along
        own = plus_multiple(plus_multiple(own, transverse, apart), longitudinal, vector)
        if o < free:
            back = plus_multiple(load(change, o), -transverse, apart)
            store(change, o, plus_multiple(back, -longitudinal, vector))
    store(change, atom, plus_multiple(load(change, atom), 1.0, own))
    density[atom] += rise


@njit(error_model="numpy")
def _sum_of_products(a, b, c, d):
    """a b + c d, which the compiler may not make one instruction of, in either of two ways."""
    return a * b + c * d


@njit(error_model="numpy", fastmath={"contract"})
def _add_density_terms(site, pairs, constants, free):
    """What changes of the densities, F'' dρ by now, change the forces of near pairs by."""
    first, second, other = pairs.first, pairs.second, pairs.other
    change, density = constants.force_change, constants.density_change
    slope, slope_back = constants.slope, constants.slope_back
    atom = first[0]
    own, here, mine = zero(), load(site, atom), density[atom]
    for k in range(pairs.near):
        if first[k] != atom:
            store(change, atom, plus_multiple(load(change, atom), 1.0, own))
            atom = first[k]
            own, here, mine = zero(), load(site, atom), density[atom]
        o = other[k]
        vector = minus(load(site, second[k]), here)
        pull = _sum_of_products(slope[k], mine, slope_back[k], density[o])
        own = plus_multiple(own, pull, vector)
        if o < free:
            store(change, o, plus_multiple(load(change, o), -pull, vector))
    store(change, atom, plus_multiple(load(change, atom), 1.0, own))


@njit(error_model="numpy")
def multiply(site, pairs, reached, bound, constants, vector, product):
    """The product of the Hessian with a vector.

    Args:
        site: (4 sites,), Å, places of all sites.
        pairs: the pair list.
        reached: owners whose densities may change.
        bound: whether frozen atoms hold the free ones. Others have no product along their motion
            as a whole, of which the rounding of sums would leave a trace.
        constants: by `find_constants`.
        vector: (3 free,).
        product: (3 free,), written, eV/Å² for a vector without unit.
    """
    displacement, change = constants.displacement, constants.force_change
    free = len(vector) // 3
    for i in range(free):
        for x in range(3):
            displacement[4 * i + x] = vector[3 * i + x]
    change[: 4 * free] = 0.0
    for i in reached:
        constants.density_change[i] = 0.0
    _add_pair_terms(site, pairs, constants, 0, pairs.near, True, free)
    _add_pair_terms(site, pairs, constants, pairs.near, pairs.total, False, free)
    if pairs.near:
        for i in reached:
            constants.density_change[i] *= constants.embedding_curvature[i]
        _add_density_terms(site, pairs, constants, free)
    for x in range(3):
        drift = 0.0
        if not bound:
            for i in range(free):
                drift += change[4 * i + x]
        for i in range(free):
            product[3 * i + x] = drift / free - change[4 * i + x]


@njit(error_model="numpy")
def iterate(site, pairs, reached, bound, constants, free, basis, stop, value, vector):
    """Lanczos iterations with the Hessian to their end.

    Args:
        site: (4 sites,), Å, places of all sites.
        pairs: the pair list.
        reached: owners whose densities may change.
        bound: whether frozen atoms hold the free ones.
        constants: by `find_constants`.
        free: number of free atoms.
        basis: a `lanczos.Basis` that has its first vector, with zeros behind the free atoms.
        stop: when to end, a `lanczos.Stop`.
        value: (eigenpairs,), written, eV/Å².
        vector: (eigenpairs, dimension of the basis), written.

    Returns:
        vectors used.
    """
    product = np.zeros(basis.vectors.shape[1])
    before, count, done = np.inf, 0, False
    while not done:
        newest = basis.vectors[count][: 3 * free]
        multiply(site, pairs, reached, bound, constants, newest, product[: 3 * free])
        done, before = extend_row(basis, count, before, product, stop, value, vector)
        product[3 * free :] = 0.0
        count += 1
    return count
