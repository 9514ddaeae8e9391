"""Energy, forces and Hessian of a small region in compiled code.

Plain loops over lists that stay in a core's cache. Unlike `symgnn.barriers.eam_kernel`, which
follows a search over several Å in vector instructions, the list of pairs is made once, from the
start, and the functions have the second derivatives that a Hessian needs.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from symgnn.descriptors.eam_splines import embed, pair_function

SOFTEST = 0.2  # eV/Å², the least eigenvalue that is divided by where a Hessian is too soft
SKIN = 0.8  # Å, beyond the cutoff within which pairs of the undisturbed structure are listed


class Region(NamedTuple):
    """Free atoms, which come first, and the sites around them, whose places are frozen.

    Attributes:
        start: (3 sites,), Å, where all are at the start.
        element: (sites,), in the tables.
        free: number of free atoms.
        begin: (free + 1,): the pairs of free atom a are those from begin[a] to begin[a + 1].
        second: (pairs,), the other site of each pair.
        background: (sites,), the density that no listed pair gives.
        scratch: (3 pairs,), of no set content.
        embedded: (sites, 2), of no set content.
    """

    start: np.ndarray
    element: np.ndarray
    free: int
    begin: np.ndarray
    second: np.ndarray
    background: np.ndarray
    scratch: np.ndarray
    embedded: np.ndarray


@njit(cache=True)
def list_pairs(where, free, count, reach, begin, second):
    """Pairs of a free atom with any later site nearer than `reach`: see `Region`."""
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
def hessian_of(region, density, splines, hessian, gradient):
    """Second derivatives of the energy by the free atoms, (3 free, 3 free), eV/Å².

    Args:
        region: at its start.
        density: (sites,), of the whole structure.
        splines: the potential.
        hessian: out.
        gradient: (sites, 3 free), out: derivatives of each site's density; zero for sites without
            a free neighbour.
    """
    free, element, begin, second = region.free, region.element, region.begin, region.second
    where = region.start.reshape(-1, 3)
    hessian[:, :] = 0.0
    gradient[:, :] = 0.0
    for a in range(free):
        first_a = embed(splines, element[a], density[a])[1]
        for k in range(begin[a], begin[a + 1]):
            b = second[k]
            d = where[b] - where[a]
            r = np.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
            if r >= splines.cutoff:
                continue
            x, h = r / splines.step, splines.step
            s, t = element[a], element[b]
            _, slope_a, bend_a = pair_function(splines, s, t, 1, x)
            _, slope_b, bend_b = pair_function(splines, s, t, 2, x)
            slope_a, slope_b, bend_a, bend_b = (
                slope_a / h,
                slope_b / h,
                bend_a / h**2,
                bend_b / h**2,
            )
            z, dz, ddz = pair_function(splines, s, t, 0, x)
            dz, ddz = dz / h, ddz / h**2
            first_b = embed(splines, t, density[b])[1]
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
        bend = embed(splines, element[c], density[c])[2]
        for i in range(count):
            row = bend * gradient[c, used[i]]
            for j in range(count):
                hessian[used[i], used[j]] += row * gradient[c, used[j]]


@njit(cache=True, fastmath={"nsz", "contract", "arcp", "reassoc"}, error_model="numpy")
def energy_and_forces(region, where, splines, force):
    """Energy (eV) but for a constant, and forces on the free atoms, eV/Å.

    Args:
        region: its `embedded` is left with the density of each site and the slope of its embedding.
        where: (3 sites,), Å.
        splines: the potential.
        force: (3 free,), out.
    """
    free, kind, begin, second = region.free, region.element, region.begin, region.second
    scratch, embedded = region.scratch, region.embedded
    count = len(embedded)
    energy = 0.0
    rows = splines.rows
    elements, knots = splines.elements, splines.knots
    h = 1.0 / splines.step
    square, dense = splines.cutoff**2, splines.density_cutoff**2
    for c in range(count):
        embedded[c, 0] = region.background[c]
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
        value, slope, _ = embed(splines, kind[c], embedded[c, 0])
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
def inverse_of(hessian):
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
