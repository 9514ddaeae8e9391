"""Voronoi cells of a periodic structure and their indices <n3, n4, n5, n6>."""

from collections import Counter

import numpy as np
from ase import Atoms
from scipy.spatial import Voronoi

ICOSAHEDRON = (0, 0, 12, 0)
SMALLEST_FACE = 0.005  # of a cell's surface: smaller faces come from chance contacts of cells
MARGIN = 8.0  # Å of images around the cell; no Voronoi vertex of a dense phase is so far away


def voronoi_indices(atoms: Atoms, smallest_face: float = SMALLEST_FACE) -> np.ndarray:
    """Voronoi index of each atom: the numbers of faces with 3, 4, 5 and 6 edges.

    J. L. Finney, doi:10.1098/rspa.1970.0189. Faces below a share of the cell's surface are left
    out, edges of the others are counted as they are.

    Args:
        atoms: periodic structure of a dense phase.
        smallest_face: share of the cell's surface.

    Returns:
        (atoms, 4), int.
    """
    count = len(atoms)
    points = _with_images(atoms.get_scaled_positions(), atoms.cell.array)
    diagram = Voronoi(points)
    areas, edges, owners = [], [], []
    for (a, b), corners in zip(diagram.ridge_points, diagram.ridge_vertices, strict=True):
        if (a >= count and b >= count) or -1 in corners:
            continue
        area = _polygon_area(diagram.vertices[corners])
        for atom in (a, b):
            if atom < count:
                owners.append(atom)
                edges.append(len(corners))
                areas.append(area)
    owners, edges, areas = np.array(owners), np.array(edges), np.array(areas)
    surface = np.bincount(owners, areas, count)
    kept = areas >= smallest_face * surface[owners]
    return np.stack(
        [np.bincount(owners[kept & (edges == n)], minlength=count) for n in (3, 4, 5, 6)], axis=1
    )


def _with_images(fractional: np.ndarray, cell: np.ndarray) -> np.ndarray:
    heights = abs(np.linalg.det(cell)) / np.linalg.norm(
        np.cross(np.roll(cell, -1, axis=0), np.roll(cell, -2, axis=0)), axis=1
    )
    margin = MARGIN / heights
    reach = np.ceil(margin).astype(int)
    copies = [fractional]
    for shift in np.ndindex(*(2 * reach + 1)):
        offset = np.array(shift) - reach
        if offset.any():
            moved = fractional + offset
            near = ((moved > -margin) & (moved < 1 + margin)).all(axis=1)
            copies.append(moved[near])
    return np.concatenate(copies) @ cell


def _polygon_area(corners: np.ndarray) -> float:
    spokes = corners[1:] - corners[0]
    return 0.5 * float(np.linalg.norm(np.cross(spokes[:-1], spokes[1:]).sum(axis=0)))


def icosahedral_share(atoms: Atoms, symbol: str | None = None) -> float:
    """Share of the atoms, or of one element's, at the centre of a full icosahedron <0,0,12,0>."""
    indices = voronoi_indices(atoms)
    if symbol is not None:
        indices = indices[np.array(atoms.get_chemical_symbols()) == symbol]
    return float((indices == ICOSAHEDRON).all(axis=1).mean())


def commonest_indices(indices: np.ndarray, most: int = 10) -> list[tuple[tuple[int, ...], float]]:
    """The most frequent indices and their shares, (atoms, 4) in."""
    counts = Counter(map(tuple, indices.tolist()))
    return [(index, number / len(indices)) for index, number in counts.most_common(most)]
