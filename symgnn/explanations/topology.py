"""Persistent homology of an atom's neighbourhood, and the cycles that run through its edges.

The atoms around the explained one are a point cloud; its alpha complex grows with the radius of
the atoms (gudhi; Edelsbrunner & Mücke 1994). Each one-dimensional class is born when an edge
closes a loop. As its representative stands the shortest loop at its birth: the closing edge and
the shortest path between its ends among the edges that are there already (Dey, Hou & Mandal 2019,
"Persistent 1-cycles", doi:10.1007/978-3-030-10828-1_9).

The authors' later claim is that important edges lie on more such cycles than random ones (4.1
against 1.1). Edges nearby and short edges lie on more cycles whatever their importance, so a
control has to match distance and length.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from symgnn.explanations.bootstrap import Estimate, bootstrap_mean, matched_controls
from symgnn.explanations.geometry import edge_geometry
from symgnn.explanations.statistics import TOP, chosen_edges
from symgnn.explanations.storage import Explanation, Structure

RADIUS = 10.0  # Å, of the neighbourhood
PERSISTENCE = 0.1  # Å, classes that live shorter are noise of a dense packing
STRATUM = 0.5  # Å, in distance and in length
CONTROL_SETS = 10


@dataclass(frozen=True)
class Cycles:
    """One-dimensional cycles of a point cloud.

    Attributes:
        points: (cycles,) arrays of the points of each cycle, in order round it.
        birth: (cycles,), Å, radius at which the cycle closes.
        death: (cycles,), Å, radius at which it is filled.
    """

    points: list[np.ndarray]
    birth: np.ndarray
    death: np.ndarray


def cycles(points: np.ndarray, persistence: float = PERSISTENCE) -> Cycles:
    """The one-dimensional classes of a point cloud's alpha complex, each with a shortest cycle.

    Args:
        points: (points, 3), Å.
        persistence: least difference of death and birth, Å.
    """
    import gudhi

    tree = gudhi.AlphaComplex(points=points).create_simplex_tree()
    tree.compute_persistence(homology_coeff_field=2, min_persistence=0.0)
    edges = [(tuple(s), np.sqrt(value)) for s, value in tree.get_filtration() if len(s) == 2]
    order = {edge: rank for rank, (edge, _) in enumerate(edges)}
    ends = np.array([edge for edge, _ in edges]).reshape(-1, 2)
    length = np.linalg.norm(points[ends[:, 0]] - points[ends[:, 1]], axis=1)
    found, births, deaths = [], [], []
    for born, died in tree.persistence_pairs():
        if len(born) != 2 or len(died) != 3:
            continue
        birth, death = np.sqrt(tree.filtration(born)), np.sqrt(tree.filtration(died))
        if death - birth < persistence:
            continue
        rank = order[tuple(sorted(born))]
        found.append(_shortest_loop(ends[:rank], length[:rank], ends[rank], len(points)))
        births.append(birth)
        deaths.append(death)
    return Cycles(found, np.array(births), np.array(deaths))


def _shortest_loop(
    ends: np.ndarray, length: np.ndarray, closing: np.ndarray, size: int
) -> np.ndarray:
    """Points round the shortest loop that an edge closes with the edges before it."""
    graph = csr_matrix((length, tuple(ends.T)), shape=(size, size))
    start, end = closing
    _, before = dijkstra(graph, directed=False, indices=start, return_predecessors=True)
    path = [end]
    while path[-1] != start:
        path.append(before[path[-1]])
    return np.array(path)


def cycles_through_bonds(found: Cycles, size: int) -> dict[tuple[int, int], int]:
    """How many cycles run through each pair of points, the smaller index first."""
    number: dict[tuple[int, int], int] = {}
    for loop in found.points:
        pairs = np.sort(np.stack([loop, np.roll(loop, -1)], axis=1), axis=1)
        for pair in map(tuple, pairs.tolist()):
            number[pair] = number.get(pair, 0) + 1
    return number


def edge_cycles(
    structure: Structure, explanation: Explanation, radius: float = RADIUS
) -> tuple[np.ndarray, np.ndarray]:
    """How many cycles of the neighbourhood run through each edge of a receptive field.

    Args:
        structure: what was explained.
        explanation: of one atom.
        radius: of the neighbourhood, Å; at most half the thickness of the cell is of use.

    Returns:
        rows of the edges whose two atoms are in the neighbourhood, and the number of cycles
        through each.
    """
    geometry = edge_geometry(structure, explanation)
    end = geometry.start + geometry.vector
    inside = (np.linalg.norm(geometry.start, axis=1) < radius) & (
        np.linalg.norm(end, axis=1) < radius
    )
    rows = np.flatnonzero(inside)
    both = np.concatenate([geometry.start[rows], end[rows]])
    _, first, label = np.unique(np.round(both, 2), axis=0, return_index=True, return_inverse=True)
    number = cycles_through_bonds(cycles(both[first]), len(first))
    pairs = np.sort(label.reshape(2, -1).T, axis=1)
    return rows, np.array([number.get(tuple(pair), 0) for pair in pairs.tolist()])


def cycle_comparison(
    structure: Structure,
    explanations: Sequence[Explanation],
    *,
    top: int = TOP,
    radius: float = RADIUS,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Cycles through important edges, through random ones, and through matched ones.

    All edges compared lie in the neighbourhood.

    Returns:
        `important`, `random`, `same distance`, `same distance and length`: mean number of cycles
        an edge, over atoms; `less random`, `less same distance`, `less same distance and
        length`: the differences, paired by atom.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for explanation in explanations:
        edges, number = edge_cycles(structure, explanation, radius)
        geometry = edge_geometry(structure, explanation)
        chosen = chosen_edges(explanation, top)[edges]
        if not chosen.any():
            continue
        distance = (geometry.distance[edges] / STRATUM).astype(np.int64)
        length = (geometry.length[edges] / STRATUM).astype(np.int64)
        strata = (np.zeros_like(distance), distance, distance * 1000 + length)
        controls = [_control_mean(number, chosen, stratum, rng) for stratum in strata]
        rows.append([number[chosen].mean(), *controls])
    rows = np.array(rows).reshape(-1, 4)
    names = ("random", "same distance", "same distance and length")
    found = {"important": bootstrap_mean(rows[:, 0])}
    for k, name in enumerate(names, start=1):
        found[name] = bootstrap_mean(rows[:, k])
        found[f"less {name}"] = bootstrap_mean(rows[:, 0] - rows[:, k])
    return found


def _control_mean(
    number: np.ndarray, chosen: np.ndarray, stratum: np.ndarray, rng: np.random.Generator
) -> float:
    means = []
    for _ in range(CONTROL_SETS):
        controls = matched_controls(chosen, stratum, rng)
        if len(controls):
            means.append(number[controls].mean())
    return float(np.mean(means)) if means else float("nan")
