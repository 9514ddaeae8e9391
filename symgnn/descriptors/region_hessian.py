"""Second derivatives of a region's energy and their inverse, in compiled code."""

import numpy as np

from symgnn.compiled import njit
from symgnn.descriptors.eam_splines import pair_function
from symgnn.descriptors.hessian import stiffness

SOFTEST = 0.2  # eV/Å², the least eigenvalue that is divided by where a Hessian is too soft
SAME_PLACE = 1e-3  # Å, of one atom reached by two ways


@njit()
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


@njit()
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
    groups = len(region.group) - 1
    hessian[:, :] = 0.0
    used[:, 0] = 0  # how many atoms a site's density depends on; those follow
    for a in range(free):
        used[a, 0], used[a, 1] = 1, a
        slopes[a, 0, :] = 0.0
    part, d = np.empty((3, 3)), np.empty(3)
    for a in range(free):
        for k in range(region.begin[groups * a], region.begin[groups * (a + 1)]):
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


@njit()
def unlisted_hessian(region, blocks, splines, listed, hessian):
    """What pairs that are not listed add to the Hessian, (3 free, 3 free), eV/Å².

    Only where all pairs that add to a density are listed: those beyond act by themselves, and what
    they do to an atom's own block is the same in all regions.

    Args:
        region: at its start.
        blocks: of the structure.
        splines: the potential.
        listed: Å, from where pairs are not listed.
        hessian: out.
    """
    part, d = np.empty((3, 3)), np.empty(3)
    hessian[:, :] = 0.0
    for a in range(region.free):
        hessian[3 * a : 3 * a + 3, 3 * a : 3 * a + 3] = blocks.beyond[region.atom[a]]
        for b in range(a + 1, region.free):
            for u in range(3):
                d[u] = region.start[b, u] - region.start[a, u]
            square = d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
            if listed**2 <= square < splines.cutoff**2:
                s, t = region.element[a], region.element[b]
                stiffness(splines, s, t, 0.0, 0.0, d, np.sqrt(square), part)
                for u in range(3):
                    for v in range(3):
                        hessian[3 * a + u, 3 * b + v] = -part[u, v]
                        hessian[3 * b + u, 3 * a + v] = -part[u, v]


@njit(fastmath={"nsz", "contract", "arcp", "reassoc"}, error_model="numpy")
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


@njit()
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
