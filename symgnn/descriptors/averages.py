"""Means of per-atom values over the atoms around each atom, in compiled code."""

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from numba import prange

from symgnn.compiled import njit
from symgnn.descriptors.eam_splines import BLOCK
from symgnn.neighbors import linked_cells, most_near, near_atoms


def averages(
    atoms: Atoms,
    own: np.ndarray,
    elements: Sequence[int],
    averaged_to: Sequence[tuple[float, bool]],
) -> np.ndarray:
    """Means of per-atom columns around each atom, itself included, (atoms, columns) float32.

    Args:
        atoms: a periodic structure.
        own: (atoms, n) float32.
        elements: atomic numbers, in the order of the columns.
        averaged_to: ascending radii, Å, and whether each element is averaged by itself; n columns
            of each, or n for each element.
    """
    radii = np.array([radius for radius, _ in averaged_to])
    split = np.array([by_element for _, by_element in averaged_to])
    kind = np.argmax(atoms.numbers[:, None] == np.asarray(elements), axis=1)
    places = linked_cells(atoms.positions, atoms.cell.array, radii[-1])
    most = most_near(places, radii[-1])
    columns = own.shape[1] * sum(len(elements) if one else 1 for one in split)
    means = np.empty((len(atoms), columns), dtype=np.float32)
    average_around(places, kind, own, radii, split, len(elements), most, means)
    return means


@njit(parallel=True)
def average_around(places, kind, values, radii, split, elements, most, means):
    """Means of per-atom values over the atoms within some radii, each atom itself included.

    Args:
        places: linked cells that reach as far as the largest radius.
        kind: (atoms,), element numbers from 0.
        values: (atoms, n).
        radii: (radii,), ascending, Å.
        split: (radii,), whether the mean is taken over each element by itself.
        elements: number of elements.
        most: from `symgnn.neighbors.most_near`.
        means: (atoms, columns), out: radius after radius, n columns each, or n for each element;
            zero where there is no atom of an element.
    """
    atoms, width = values.shape
    blocks = (atoms + BLOCK - 1) // BLOCK
    for block in prange(blocks):
        who = np.empty(most, np.int64)
        where = np.empty((most, 3))
        total = np.empty((len(radii), elements, width))
        count = np.empty((len(radii), elements))
        for place in range(block * BLOCK, min(atoms, (block + 1) * BLOCK)):
            near = near_atoms(place, places, radii[-1], who, where)
            total[:] = 0.0
            count[:] = 0.0
            for k in range(near):
                r2 = where[k, 0] ** 2 + where[k, 1] ** 2 + where[k, 2] ** 2
                # each atom is counted in the smallest radius that holds it, and summed up below
                shell = 0
                while shell + 1 < len(radii) and r2 >= radii[shell] ** 2:
                    shell += 1
                element = kind[who[k]]
                count[shell, element] += 1.0
                for i in range(width):
                    total[shell, element, i] += values[who[k], i]
            column = 0
            for shell in range(len(radii)):
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
