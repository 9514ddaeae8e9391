"""Rotatable pictures of an atom's surroundings with its important edges."""

import numpy as np
import plotly.graph_objects as go
from ase.data import chemical_symbols

from symgnn.explanations.geometry import EdgeGeometry, nearest_atoms, ranked_edges
from symgnn.explanations.storage import Explanation, Structure
from symgnn.report.style import IMPORTANCE_SCALE, INK, axis, species_color

HEIGHT = 420
CAMERA = {"eye": {"x": 1.7, "y": 1.4, "z": 0.9}, "center": {"x": 0, "y": 0, "z": -0.15}}


def top_edges(explanation: Explanation, number: int) -> np.ndarray:
    """Rows of the edges of largest magnitude of importance, the most important last.

    Edges of no importance are never among them, so that there can be fewer than `number`.
    """
    rows = ranked_edges(explanation.importance)[:number]
    return rows[explanation.importance[rows] != 0][::-1]


def edges_of_nearest(
    explanation: Explanation, geometry: EdgeGeometry, number: int
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest atoms of the explained one, and the edges that join them and it.

    Returns:
        rows of the atoms of the field (the explained atom first), rows of the edges, the most
        important last.
    """
    atoms = nearest_atoms(explanation, number)
    reach = np.linalg.norm(explanation.relative_position[atoms], axis=1).max() + 1e-3
    ends = geometry.start, geometry.start + geometry.vector
    near = np.all([np.linalg.norm(end, axis=1) <= reach for end in ends], axis=0)
    ranked = ranked_edges(explanation.importance)
    return atoms, ranked[near[ranked]][::-1]


def scene(
    structure: Structure,
    explanation: Explanation,
    geometry: EdgeGeometry,
    edges: np.ndarray,
    atoms: np.ndarray | None = None,
    *,
    limits: tuple[float, float],
    title: str,
) -> go.Figure:
    """Edges coloured by importance and the atoms at their ends, around the explained atom.

    Args:
        structure: what was explained.
        explanation: of one atom.
        geometry: of its edges.
        edges: rows of the explanation's edges to draw, the most important last.
        atoms: rows of the field's atoms to draw besides; the ends of edges are drawn anyway.
        limits: importance at which the colour scale starts and ends.
        title: of the panel.
    """
    start = geometry.start[edges]
    end = start + geometry.vector[edges]
    ends = structure.edge_index[:, explanation.edge[edges]]
    index, place = np.concatenate(ends), np.concatenate([start, end])
    if atoms is not None:
        index = np.concatenate([index, explanation.field_atom[atoms]])
        place = np.concatenate([place, explanation.relative_position[atoms]])
    key = np.column_stack([index, np.round(place, 2)])
    _, first = np.unique(key, axis=0, return_index=True)
    index, place = index[first], place[first]
    drawn = go.Figure(layout=_layout(title))
    drawn.add_scatter3d(**_lines(start, end, np.abs(explanation.importance[edges]), limits))
    for number in np.unique(structure.species[index]):
        chosen = (structure.species[index] == number) & (np.linalg.norm(place, axis=1) > 1e-6)
        drawn.add_scatter3d(**_spheres(chemical_symbols[number], index[chosen], place[chosen], 5))
    symbol = chemical_symbols[structure.species[explanation.atom]]
    target = _spheres(symbol, np.array([explanation.atom]), np.zeros((1, 3)), 13)
    target["marker"]["line"] = {"color": INK, "width": 3}
    drawn.add_scatter3d(**target)
    return drawn


def _lines(
    start: np.ndarray, end: np.ndarray, importance: np.ndarray, limits: tuple[float, float]
) -> dict:
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
            "cmin": limits[0],
            "cmax": limits[1],
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
