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

from symgnn.compiled import njit


class Region(NamedTuple):
    """Free atoms, which come first, and the sites around them.

    Attributes:
        start: (sites, 3), Å, where all are at the start.
        atom: (sites,), which atom of the structure each is, or an image of.
        element: (sites,), in the tables.
        free: number of free atoms.
        group: (groups + 1,): the free sites of each element and then the frozen ones of each, group
            g from group[g] to group[g + 1]; the first site's element comes first.
        begin: (groups free + 1,): the listed pairs of free atom a with the later sites of group g
            are those from begin[groups a + g] on.
        second: (pairs,), the other site of each pair, of a greater number.
        density: (sites,), at the start.
        background: (sites,), the density that no listed pair gives.
    """

    start: np.ndarray
    atom: np.ndarray
    element: np.ndarray
    free: int
    group: np.ndarray
    begin: np.ndarray
    second: np.ndarray
    density: np.ndarray
    background: np.ndarray


@njit()
def sort_sites(who, where, species, radius, atom, start, element, group):
    """Sort sites into the groups of `Region`; returns the number of free ones.

    Args:
        who: (sites,), atoms of the structure, the one in the middle first.
        where: (sites, 3), Å, from the middle.
        species: (atoms,), elements in the tables.
        radius: within which sites are free, Å.
        atom: (sites,), out; and the next three, see `Region`.
        start: out.
        element: out.
        group: out.
    """
    elements = (len(group) - 1) // 2
    group[:] = 0
    for k in range(len(who)):
        element[k] = (species[who[k]] - species[who[0]]) % elements
        if where[k, 0] ** 2 + where[k, 1] ** 2 + where[k, 2] ** 2 >= radius * radius:
            element[k] += elements
        group[element[k] + 1] += 1
    group[:] = np.cumsum(group)
    place = group[:-1].copy()
    for k in range(len(who)):
        at = place[element[k]]
        place[element[k]] += 1
        atom[at] = who[k]
        start[at] = where[k]
    for k in range(len(who)):
        element[k] = species[atom[k]]
    return group[elements]


@njit()
def list_pairs(start, group, free, reach, begin, second):
    """Pairs of a free atom with any later site nearer than `reach`: see `Region`."""
    found, groups = 0, len(group) - 1
    square = reach * reach
    for a in range(free):
        x, y, z = start[a, 0], start[a, 1], start[a, 2]
        for g in range(groups):
            begin[groups * a + g] = found
            for b in range(max(a + 1, group[g]), group[g + 1]):
                dx, dy, dz = start[b, 0] - x, start[b, 1] - y, start[b, 2] - z
                second[found] = b
                found += 1 if dx * dx + dy * dy + dz * dz < square else 0
    begin[groups * free] = found
