"""A small region of a structure, some of whose pairs are followed exactly, in compiled code.

The atoms of a region are free and all others frozen. Pairs that are near each other at the start
are listed, and their energy is followed wherever the atoms go; the rest of the potential acts by
its forces and second derivatives at the start:

    E(u) = E_listed(u) - g·u + ½ uᵀ S u,   S = H - H_listed,

with u the displacements, g the listed forces less all forces, H the Hessian. With all pairs listed
S is zero and E exact; to second order in u it always is.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from symgnn.descriptors.eam_splines import pair_function


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
