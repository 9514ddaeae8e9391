"""Compiled kernel: how the surroundings of an atom answer to small and to large pushes.

Plain loops over one region at a time, small enough to stay in a core's first-level cache; threads
share out the targets.
"""

from typing import NamedTuple

import numpy as np
from numba import njit, prange

SOFTEST = 0.2  # eV/Å², the least eigenvalue that is divided by where a Hessian is too soft
BLOCK = 128  # atoms that a thread takes at a time
SKIN = 0.8  # Å, beyond the cutoff within which pairs of the undisturbed structure are listed


class Splines(NamedTuple):
    """An EAM potential as cubic splines: in interval m the function is c0 + p (c1 + p (c2 + p c3)).

    Attributes:
        cutoff: Å.
        density_cutoff: Å, beyond which all densities are zero.
        step: spacing of the knots of the pair functions, Å.
        elements: E.
        knots: n.
        rows: (E * E * n * 12,): for an atom of element a with a neighbour of element b, interval m
            begins at 12 ((a E + b) n + m): r φ(r) in eV·Å, the density at the atom, the density at
            the neighbour.
        density_step: spacing of the knots of the embedding functions.
        embedding: (E, n_ρ, 4), eV.
    """

    cutoff: float
    density_cutoff: float
    step: float
    elements: int
    knots: int
    rows: np.ndarray
    density_step: float
    embedding: np.ndarray


@njit(cache=True, inline="always")
def _pair_function(splines, a, b, which, x):
    """Value, slope and curvature per knot spacing of r φ (0) or a density (1 at a, 2 at b)."""
    m = min(np.int32(x), splines.knots - 2)
    p = x - m
    q = 12 * ((a * splines.elements + b) * splines.knots + m) + 4 * which
    c0, c1, c2, c3 = (
        splines.rows[q],
        splines.rows[q + 1],
        splines.rows[q + 2],
        splines.rows[q + 3],
    )
    value = c0 + p * (c1 + p * (c2 + p * c3))
    return value, c1 + p * (2.0 * c2 + p * 3.0 * c3), 2.0 * c2 + 6.0 * p * c3


@njit(cache=True, inline="always")
def _spline(c, x):
    """Value, slope and curvature per knot spacing."""
    m = min(np.int32(x), len(c) - 2)
    p = x - m
    value = c[m, 0] + p * (c[m, 1] + p * (c[m, 2] + p * c[m, 3]))
    slope = c[m, 1] + p * (2.0 * c[m, 2] + p * 3.0 * c[m, 3])
    return value, slope, 2.0 * c[m, 2] + 6.0 * p * c[m, 3]


@njit(cache=True)
def _embed(splines, element, density):
    """F, F', F'' of an atom; beyond the table F goes on linearly."""
    c = splines.embedding[element]
    x = density / splines.density_step
    last = len(c) - 1
    if x > last:
        value, slope, _ = _spline(c, float(last))
        return value + slope * (x - last), slope / splines.density_step, 0.0
    value, slope, curvature = _spline(c, x)
    return value, slope / splines.density_step, curvature / splines.density_step**2


@njit(cache=True)
def gather(place, places, radius2, who, where):
    """Atoms and images within a radius of the atom at a place of the bin order, nearest bins first.

    Fills `who` with indices and `where` with vectors (Å) from it; the atom itself comes first.
    Returns how many there are, which can be more than fit.
    """
    n0, n1, n2 = places.bins
    i = places.members[place]
    x, y, z = places.ordered[place]
    cell, reach, start = places.cell, places.reach, places.start
    who[0] = i
    where[0, :] = 0.0
    found = 1
    b0, b1, b2 = places.bin_of[i]
    for u in range(b0 - reach[0], b0 + reach[0] + 1):
        q0 = u // n0
        for v in range(b1 - reach[1], b1 + reach[1] + 1):
            q1 = v // n1
            for w in range(b2 - reach[2], b2 + reach[2] + 1):
                q2 = w // n2
                own = q0 == 0 and q1 == 0 and q2 == 0
                tx = q0 * cell[0, 0] + q1 * cell[1, 0] + q2 * cell[2, 0] - x
                ty = q0 * cell[0, 1] + q1 * cell[1, 1] + q2 * cell[2, 1] - y
                tz = q0 * cell[0, 2] + q1 * cell[1, 2] + q2 * cell[2, 2] - z
                b = ((u - q0 * n0) * n1 + v - q1 * n1) * n2 + w - q2 * n2
                for k in range(start[b], start[b + 1]):
                    dx = places.ordered[k, 0] + tx
                    dy = places.ordered[k, 1] + ty
                    dz = places.ordered[k, 2] + tz
                    if dx * dx + dy * dy + dz * dz < radius2 and not (own and k == place):
                        if found < len(who):
                            who[found] = places.members[k]
                            where[found, 0] = dx
                            where[found, 1] = dy
                            where[found, 2] = dz
                        found += 1
    return found


@njit(cache=True)
def gather_most(places, radius2):
    """The largest number of atoms and images within a radius of any atom."""
    most = 0
    who = np.empty(1, np.int64)
    where = np.empty((1, 3))
    for place in range(len(places.ordered)):
        most = max(most, gather(place, places, radius2, who, where))
    return most


@njit(cache=True, parallel=True)
def mechanics(places, species, splines, most, density, energy, virial):
    """Fill density, energy (eV) and virial (eV) of every atom of a structure.

    The energy of a pair and its virial are shared in halves, as LAMMPS does. `virial` is
    (atoms, 3, 3), minus the stress times the atom's volume: positive under compression.
    """
    atoms = len(places.ordered)
    blocks = (atoms + BLOCK - 1) // BLOCK
    for block in prange(blocks):
        who = np.empty(most, np.int64)
        where = np.empty((most, 3))
        for place in range(block * BLOCK, min(atoms, (block + 1) * BLOCK)):
            count = gather(place, places, splines.cutoff**2, who, where)
            a = species[who[0]]
            total, half = 0.0, 0.0
            for k in range(1, count):
                r = np.sqrt(where[k, 0] ** 2 + where[k, 1] ** 2 + where[k, 2] ** 2)
                b = species[who[k]]
                total += _pair_function(splines, a, b, 1, r / splines.step)[0]
                half += 0.5 * _pair_function(splines, a, b, 0, r / splines.step)[0] / r
            density[who[0]] = total
            energy[who[0]] = half + _embed(splines, a, total)[0]
    for block in prange(blocks):
        who = np.empty(most, np.int64)
        where = np.empty((most, 3))
        for place in range(block * BLOCK, min(atoms, (block + 1) * BLOCK)):
            count = gather(place, places, splines.cutoff**2, who, where)
            i = who[0]
            a = species[i]
            mine = _embed(splines, a, density[i])[1]
            virial[i, :, :] = 0.0
            for k in range(1, count):
                r = np.sqrt(where[k, 0] ** 2 + where[k, 1] ** 2 + where[k, 2] ** 2)
                x, h, b = r / splines.step, splines.step, species[who[k]]
                z, dz, _ = _pair_function(splines, a, b, 0, x)
                theirs = _embed(splines, b, density[who[k]])[1]
                slope = (dz / h - z / r) / r
                slope += mine * _pair_function(splines, a, b, 1, x)[1] / h
                slope += theirs * _pair_function(splines, a, b, 2, x)[1] / h
                for u in range(3):
                    for v in range(3):
                        virial[i, u, v] -= 0.5 * slope * where[k, u] * where[k, v] / r


@njit(cache=True)
def _list_pairs(where, free, count, reach, begin, second):
    """Pairs of a free atom with any later site nearer than `reach`: see `_energy_and_forces`."""
    found = 0
    square = reach * reach
    for a in range(free):
        begin[a] = found
        for b in range(a + 1, count):
            dx = where[b, 0] - where[a, 0]
            dy = where[b, 1] - where[a, 1]
            dz = where[b, 2] - where[a, 2]
            if dx * dx + dy * dy + dz * dz < square:
                second[found] = b
                found += 1
    begin[free] = found


@njit(cache=True)
def _hessian(where, element, density, free, begin, second, splines, hessian, gradient):
    """Second derivatives of the energy by the free atoms, (3 free, 3 free), eV/Å².

    `gradient` (sites, 3 free) is scratch: derivatives of each site's density. The rows of sites
    without a free neighbour stay zero.
    """
    hessian[:, :] = 0.0
    gradient[:, :] = 0.0
    for a in range(free):
        first_a = _embed(splines, element[a], density[a])[1]
        for k in range(begin[a], begin[a + 1]):
            b = second[k]
            d = where[b] - where[a]
            r = np.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
            if r >= splines.cutoff:
                continue
            x, h = r / splines.step, splines.step
            s, t = element[a], element[b]
            _, slope_a, bend_a = _pair_function(splines, s, t, 1, x)
            _, slope_b, bend_b = _pair_function(splines, s, t, 2, x)
            slope_a, slope_b, bend_a, bend_b = (
                slope_a / h,
                slope_b / h,
                bend_a / h**2,
                bend_b / h**2,
            )
            z, dz, ddz = _pair_function(splines, s, t, 0, x)
            dz, ddz = dz / h, ddz / h**2
            first_b = _embed(splines, t, density[b])[1]
            slope = dz / r - z / r**2 + first_a * slope_a + first_b * slope_b
            bend = ddz / r - 2.0 * dz / r**2 + 2.0 * z / r**3 + first_a * bend_a + first_b * bend_b
            for i in range(3):
                gradient[a, 3 * a + i] -= slope_a * d[i] / r
                if b < free:
                    gradient[a, 3 * b + i] += slope_a * d[i] / r
                    gradient[b, 3 * b + i] += slope_b * d[i] / r
                gradient[b, 3 * a + i] -= slope_b * d[i] / r
                for j in range(3):
                    k_ij = (bend - slope / r) * d[i] * d[j] / r**2
                    if i == j:
                        k_ij += slope / r
                    hessian[3 * a + i, 3 * a + j] += k_ij
                    if b < free:
                        hessian[3 * b + i, 3 * b + j] += k_ij
                        hessian[3 * a + i, 3 * b + j] -= k_ij
                        hessian[3 * b + i, 3 * a + j] -= k_ij
    used = np.empty(3 * free, np.int64)
    for c in range(len(gradient)):
        count = 0
        for i in range(3 * free):
            if gradient[c, i] != 0.0:
                used[count] = i
                count += 1
        if count == 0:
            continue
        bend = _embed(splines, element[c], density[c])[2]
        for i in range(count):
            row = bend * gradient[c, used[i]]
            for j in range(count):
                hessian[used[i], used[j]] += row * gradient[c, used[j]]


@njit(cache=True, fastmath={"nsz", "contract", "arcp", "reassoc"}, error_model="numpy")
def _energy_and_forces(
    where, kind, background, free, count, begin, second, splines, scratch, embedded, force
):
    """Energy (eV) but for a constant, and forces on the free atoms, eV/Å.

    Args:
        where: (3 sites,), Å.
        kind: (sites,), elements.
        background: (sites,), the density that no listed pair gives.
        free: number of free atoms, which come first.
        count: number of sites.
        begin: (free + 1,): the pairs of free atom a are those from begin[a] to begin[a + 1].
        second: (pairs,), the other site of each pair.
        splines: splines.
        scratch: (3 pairs,).
        embedded: (sites, 2), density and slope of the embedding energy, out.
        force: (3 free,), out.
    """
    energy = 0.0
    rows = splines.rows
    elements, knots = splines.elements, splines.knots
    h = 1.0 / splines.step
    square, dense = splines.cutoff**2, splines.density_cutoff**2
    for c in range(count):
        embedded[c, 0] = background[c]
    for a in range(free):
        x0, y0, z0 = where[3 * a], where[3 * a + 1], where[3 * a + 2]
        base = kind[a] * elements
        own = 0.0
        for k in range(begin[a], begin[a + 1]):
            b = second[k]
            dx = where[3 * b] - x0
            dy = where[3 * b + 1] - y0
            dz = where[3 * b + 2] - z0
            r2 = dx * dx + dy * dy + dz * dz
            if r2 >= square:
                scratch[3 * k] = 0.0
                scratch[3 * k + 1] = 0.0
                scratch[3 * k + 2] = 0.0
                continue
            over = 1.0 / np.sqrt(r2)
            x = r2 * over * h
            m = min(np.int32(x), knots - 2)
            p = x - m
            q = 12 * ((base + kind[b]) * knots + m)
            phi = rows[q] + p * (rows[q + 1] + p * (rows[q + 2] + p * rows[q + 3]))
            slope = rows[q + 1] + p * (2.0 * rows[q + 2] + p * 3.0 * rows[q + 3])
            phi *= over
            energy += phi
            scratch[3 * k] = (slope * h - phi) * over * over
            if r2 >= dense:
                scratch[3 * k + 1] = 0.0
                scratch[3 * k + 2] = 0.0
                continue
            q += 4
            own += rows[q] + p * (rows[q + 1] + p * (rows[q + 2] + p * rows[q + 3]))
            slope = rows[q + 1] + p * (2.0 * rows[q + 2] + p * 3.0 * rows[q + 3])
            scratch[3 * k + 1] = slope * h * over
            q += 4
            embedded[b, 0] += rows[q] + p * (rows[q + 1] + p * (rows[q + 2] + p * rows[q + 3]))
            slope = rows[q + 1] + p * (2.0 * rows[q + 2] + p * 3.0 * rows[q + 3])
            scratch[3 * k + 2] = slope * h * over
        embedded[a, 0] += own
    for c in range(count):
        value, slope, _ = _embed(splines, kind[c], embedded[c, 0])
        energy += value
        embedded[c, 1] = slope
    for i in range(3 * free):
        force[i] = 0.0
    for a in range(free):
        x0, y0, z0 = where[3 * a], where[3 * a + 1], where[3 * a + 2]
        mine = embedded[a, 1]
        fx = fy = fz = 0.0
        for k in range(begin[a], begin[a + 1]):
            b = second[k]
            g = scratch[3 * k] + mine * scratch[3 * k + 1] + embedded[b, 1] * scratch[3 * k + 2]
            px = g * (where[3 * b] - x0)
            py = g * (where[3 * b + 1] - y0)
            pz = g * (where[3 * b + 2] - z0)
            fx += px
            fy += py
            fz += pz
            if b < free:
                force[3 * b] -= px
                force[3 * b + 1] -= py
                force[3 * b + 2] -= pz
        force[3 * a] += fx
        force[3 * a + 1] += fy
        force[3 * a + 2] += fz
    return energy


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
def _inverse(hessian):
    """Inverse of the Hessian, Å²/eV.

    Where an atom's own compliance is negative or beyond 1 / SOFTEST, which happens away from
    minima, eigenvalues below `SOFTEST` are taken as that.
    """
    # the least number keeps atoms without neighbours from being an error
    inverse = np.linalg.inv(hessian + 1e-9 * np.eye(len(hessian)))
    least, most = 1.0, 0.0
    for i in range(len(inverse)):
        least = min(least, inverse[i, i])
        most = max(most, inverse[i, i])
    if least > 0.0 and most < 1.0 / SOFTEST:
        return np.ascontiguousarray(inverse)
    value, vector = np.linalg.eigh(hessian)
    scaled = np.ascontiguousarray(vector / np.maximum(value, SOFTEST))
    return np.ascontiguousarray(scaled @ np.ascontiguousarray(vector.T))


@njit(cache=True, parallel=True)
def push_softly(
    targets, places, species, density, splines, radius, directions, steps, stride, relaxations,
    most, soft, path,
):  # fmt: skip
    """Fill `soft` and `path` for some targets, see `symgnn.descriptors.response.Response`.

    Args:
        targets: (targets,), places of the bin order.
        places: the structure.
        species: (atoms,), elements in the tables.
        density: (atoms,), from `mechanics`.
        splines: the potential.
        radius: of the region, Å.
        directions: how many are followed, both ways.
        steps: number of steps.
        stride: length of a step, Å.
        relaxations: of the other coordinates, after each step.
        most: from `gather_most`.
        soft: (targets, 8), out.
        path: (targets, directions, 2, steps, 2), out.
    """
    outer = radius + splines.cutoff + SKIN
    blocks = (len(targets) + BLOCK - 1) // BLOCK
    for block in prange(blocks):
        who = np.empty(most, np.int64)
        where = np.empty((most, 3))
        moved = np.empty(3 * most)
        element = np.empty(most, np.int32)
        own = np.empty(most)
        background = np.empty(most)
        embedded = np.empty((most, 2))
        second = np.empty(0, np.int32)
        begin = np.empty(most + 1, np.int32)
        scratch = np.empty(0)
        room = np.empty(0)
        for at in range(block * BLOCK, min(len(targets), (block + 1) * BLOCK)):
            count = gather(targets[at], places, outer * outer, who, where)
            free = _free_first(who, where, count, radius * radius)
            if free * count > len(second):
                second = np.empty(2 * free * count, np.int32)
                scratch = np.empty(6 * free * count)
                room = np.empty(6 * free * count)
            _list_pairs(where, free, count, splines.cutoff + SKIN, begin, second)
            for c in range(count):
                element[c] = species[who[c]]
                own[c] = density[who[c]]
                background[c] = 0.0
            size = 3 * free
            hessian = np.empty((size, size))
            gradient = room[: count * size].reshape(count, size)
            _hessian(where, element, own, free, begin, second, splines, hessian, gradient)
            compliance = _inverse(hessian)
            near = np.ascontiguousarray(compliance[:, :3])
            softness, ways = np.linalg.eigh(near[:3].copy())
            stiffness = np.linalg.eigvalsh(hessian[:3, :3].copy())
            for i in range(3):
                soft[at, i] = softness[i]
                soft[at, 3 + i] = stiffness[i]
            soft[at, 6] = (near * near).sum()
            soft[at, 7] = free
            place = where.ravel()
            force = np.empty(size)
            # the density that the listed pairs give at the start; the rest is the background
            _energy_and_forces(
                place, element, background, free, count, begin, second, splines, scratch,
                embedded, force,
            )  # fmt: skip
            for c in range(count):
                background[c] = own[c] - embedded[c, 0]
            start = _energy_and_forces(
                place, element, background, free, count, begin, second, splines, scratch,
                embedded, force,
            )  # fmt: skip
            moved[: 3 * count] = place[: 3 * count]
            for k in range(directions):
                mode = near @ ways[:, 2 - k].copy()
                mode /= np.sqrt(mode @ mode)
                answer = compliance @ mode
                total = answer @ mode
                for side in range(2):
                    sign = 1.0 - 2.0 * side
                    shift = np.zeros(size)
                    for step in range(steps):
                        shift += sign * stride * mode
                        energy = 0.0
                        for _ in range(relaxations):
                            for i in range(size):
                                moved[i] = place[i] + shift[i]
                            energy = _energy_and_forces(
                                moved, element, background, free, count, begin, second, splines,
                                scratch, embedded, force,
                            )  # fmt: skip
                            relax = compliance @ force
                            relax -= (answer @ force) / total * answer
                            longest = 0.0
                            for a in range(free):
                                x, y, z = relax[3 * a], relax[3 * a + 1], relax[3 * a + 2]
                                longest = max(longest, np.sqrt(x * x + y * y + z * z))
                            if longest > stride:
                                relax *= stride / longest
                            shift += relax
                        path[at, k, side, step, 0] = energy - start
                        path[at, k, side, step, 1] = sign * (force @ mode)


@njit(cache=True, parallel=True)
def average_around(places, kind, values, squares, split, elements, most, means):
    """Means of per-atom values over the atoms within some radii, each atom itself included.

    Args:
        places: linked cells that reach as far as the largest radius.
        kind: (atoms,), element numbers from 0.
        values: (atoms, n).
        squares: (radii,), squared radii, ascending, Å².
        split: (radii,), whether the mean is taken over each element by itself.
        elements: number of elements.
        most: from `gather_most`.
        means: (atoms, columns), out: radius after radius, n columns each, or n for each element;
            zero where there is no atom of an element.
    """
    atoms, width = values.shape
    blocks = (atoms + BLOCK - 1) // BLOCK
    for block in prange(blocks):
        who = np.empty(most, np.int64)
        where = np.empty((most, 3))
        total = np.empty((len(squares), elements, width))
        count = np.empty((len(squares), elements))
        for place in range(block * BLOCK, min(atoms, (block + 1) * BLOCK)):
            near = gather(place, places, squares[-1], who, where)
            total[:] = 0.0
            count[:] = 0.0
            for k in range(near):
                r2 = where[k, 0] ** 2 + where[k, 1] ** 2 + where[k, 2] ** 2
                # each atom is counted in the smallest radius that holds it, and summed up below
                shell = 0
                while shell + 1 < len(squares) and r2 >= squares[shell]:
                    shell += 1
                element = kind[who[k]]
                count[shell, element] += 1.0
                for i in range(width):
                    total[shell, element, i] += values[who[k], i]
            column = 0
            for shell in range(len(squares)):
                if shell > 0:
                    total[shell] += total[shell - 1]
                    count[shell] += count[shell - 1]
                if split[shell]:
                    for element in range(elements):
                        for i in range(width):
                            mean = total[shell, element, i] / max(count[shell, element], 1.0)
                            means[who[0], column + i] = mean
                        column += width
                else:
                    for i in range(width):
                        mean = total[shell, :, i].sum() / count[shell].sum()
                        means[who[0], column + i] = mean
                    column += width
