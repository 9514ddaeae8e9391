"""Rotatable pictures of an atom's surroundings with its important edges."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from ase.data import chemical_symbols

from symgnn.explanations.storage import Explanation, Structure
from symgnn.report.style import IMPORTANCE_SCALE, INK, axis, species_color

HEIGHT = 420
CAMERA = {"eye": {"x": 1.7, "y": 1.4, "z": 0.9}, "center": {"x": 0, "y": 0, "z": -0.15}}


def edge_ends(
    structure: Structure, explanation: Explanation, edges: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Where edges of a receptive field start and end, from the explained atom.

    Atoms stand at their image nearest to the explained atom. Of an edge, the atom nearer to the
    explained one stands there, and the edge's own vector gives the other end, so that an edge
    that leaves the cell is drawn in full and not across it.

    Args:
        structure: what was explained.
        explanation: of one atom.
        edges: rows of the explanation's edges.

    Returns:
        start and end, (edges, 3) each, Å.
    """
    columns = explanation.edge[edges]
    place = np.full((len(structure.species), 3), np.nan)
    place[explanation.field_atom] = explanation.relative_position
    source, target = (place[ends] for ends in structure.edge_index[:, columns])
    vector = structure.edge_vector[columns]
    from_source = np.linalg.norm(source, axis=1) <= np.linalg.norm(target, axis=1)
    start = np.where(from_source[:, None], source, target - vector)
    return start, start + vector


def top_edges(explanation: Explanation, number: int) -> np.ndarray:
    """Rows of the edges of largest magnitude of importance, the most important last.

    Edges of no importance are never among them, so that there can be fewer than `number`.
    """
    magnitude = np.nan_to_num(np.abs(explanation.importance), nan=0.0)
    order = np.argsort(magnitude, kind="stable")[-number:]
    return order[magnitude[order] > 0]


def edges_of_nearest(
    structure: Structure, explanation: Explanation, number: int
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest atoms of the explained one, and the edges that join them and it.

    Returns:
        rows of the atoms of the field (the explained atom first), rows of the edges, the most
        important last.
    """
    distance = np.linalg.norm(explanation.relative_position, axis=1)
    atoms = np.argsort(distance, kind="stable")[: number + 1]
    start, end = edge_ends(structure, explanation, np.arange(len(explanation.edge)))
    reach = distance[atoms[-1]] + 1e-3
    near = (np.linalg.norm(start, axis=1) <= reach) & (np.linalg.norm(end, axis=1) <= reach)
    rows = np.flatnonzero(near & np.isfinite(explanation.importance))
    return atoms, rows[np.argsort(np.abs(explanation.importance[rows]), kind="stable")]


def scene(
    structure: Structure,
    explanation: Explanation,
    edges: np.ndarray,
    atoms: np.ndarray | None = None,
    *,
    limit: float,
    title: str,
) -> go.Figure:
    """Edges coloured by importance and the atoms at their ends, around the explained atom.

    Args:
        structure: what was explained.
        explanation: of one atom.
        edges: rows of the explanation's edges to draw, the most important last.
        atoms: rows of the field's atoms to draw besides; the ends of edges are drawn anyway.
        limit: importance at which the colour scale ends.
        title: of the panel.
    """
    start, end = edge_ends(structure, explanation, edges)
    ends = structure.edge_index[:, explanation.edge[edges]]
    index, place = np.concatenate(ends), np.concatenate([start, end])
    if atoms is not None:
        index = np.concatenate([index, explanation.field_atom[atoms]])
        place = np.concatenate([place, explanation.relative_position[atoms]])
    key = np.column_stack([index, np.round(place, 2)])
    _, first = np.unique(key, axis=0, return_index=True)
    index, place = index[first], place[first]
    drawn = go.Figure(layout=_layout(title))
    drawn.add_scatter3d(**_lines(start, end, np.abs(explanation.importance[edges]), limit))
    for number in np.unique(structure.species[index]):
        chosen = (structure.species[index] == number) & (np.linalg.norm(place, axis=1) > 1e-6)
        drawn.add_scatter3d(**_spheres(chemical_symbols[number], index[chosen], place[chosen], 5))
    symbol = chemical_symbols[structure.species[explanation.atom]]
    target = _spheres(symbol, np.array([explanation.atom]), np.zeros((1, 3)), 13)
    target["marker"]["line"] = {"color": INK, "width": 3}
    drawn.add_scatter3d(**target)
    return drawn


def _lines(start: np.ndarray, end: np.ndarray, importance: np.ndarray, limit: float) -> dict:
    gap = np.full_like(start, np.nan)
    points = np.stack([start, end, gap], axis=1).reshape(-1, 3).astype(np.float32)
    return {
        "x": points[:, 0],
        "y": points[:, 1],
        "z": points[:, 2],
        "mode": "lines",
        "line": {
            "color": np.repeat(importance, 3).astype(np.float32),
            "colorscale": IMPORTANCE_SCALE,
            "cmin": 0,
            "cmax": limit,
            "width": 5,
        },
        "text": np.repeat([f"importance {value:.3g}" for value in importance], 3),
        "hovertemplate": "%{text}<extra></extra>",
    }


def _spheres(symbol: str, index: np.ndarray, place: np.ndarray, size: float) -> dict:
    distance = np.linalg.norm(place, axis=1)
    return {
        "x": place[:, 0].astype(np.float32),
        "y": place[:, 1].astype(np.float32),
        "z": place[:, 2].astype(np.float32),
        "mode": "markers",
        "marker": {"color": species_color(symbol), "size": size, "line": {"width": 0}},
        "text": [f"{symbol} {k}, {r:.2f} Å away" for k, r in zip(index, distance, strict=True)],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _layout(title: str) -> dict:
    style = {"standoff": None, "backgroundcolor": "#fff", "showspikes": False, "nticks": 5}
    axes = {}
    for name in "xyz":
        one = {**axis(f"{name}, Å"), **style}
        for key in ("automargin", "standoff", "ticklen"):
            one.pop(key)
        one["title"] = {"text": f"{name}, Å", "font": {"size": 11}}
        axes[f"{name}axis"] = {**one, "tickfont": {"size": 10}}
    return {
        "title": {"text": title, "font": {"size": 13}, "x": 0.02, "y": 0.98, "yanchor": "top"},
        "height": HEIGHT,
        "margin": {"l": 0, "r": 0, "t": 24, "b": 0},
        "scene": {**axes, "aspectmode": "data", "camera": CAMERA},
    }
