"""Section on the explanations: important edges in space and against distance."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from ase.data import chemical_symbols

from symgnn.explanations.geometry import EdgeGeometry, edge_geometry
from symgnn.explanations.storage import Explanation, ExplanationFile, Structure
from symgnn.report import explanation_controls
from symgnn.report.page import Figure, Section, Table, figure
from symgnn.report.scenes import edges_of_nearest, scene, top_edges
from symgnn.report.statistics import spearman
from symgnn.report.style import IMPORTANCE_SCALE, INK, SERIES, SOFT_INK, empty_plot, species_color
from symgnn.report.words import count, decimal, listing

TOP = 50  # edges, as in the paper's figure 2
NEAREST = 10  # atoms, as in the paper's figure 3
MOST_SCENES = 12  # atoms whose surroundings can be looked at; more would make the page heavy
SHELL = 1.0  # Å, width of a bin of distance


@dataclass(frozen=True)
class Explained:
    """The explanation of one atom with its structure."""

    glass: str
    structure: Structure
    explanation: Explanation

    @property
    def name(self) -> str:
        """Element and index, such as "Zr 12"."""
        return f"{self.symbol} {self.explanation.atom}"

    @property
    def symbol(self) -> str:
        """Element of the atom."""
        return chemical_symbols[self.structure.species[self.explanation.atom]]

    @cached_property
    def geometry(self) -> EdgeGeometry:
        """Where the edges of the receptive field lie, seen from the atom."""
        return edge_geometry(self.structure, self.explanation)


def section(files: Sequence[tuple[str, ExplanationFile]]) -> Section:
    """Figures, tables and findings of explained atoms.

    Args:
        files: name of the glass and content of its explanation.h5.
    """
    atoms = [
        Explained(glass, file.structure, explanation)
        for glass, file in files
        for explanation in file.explanations
    ]
    methods = sorted({str(file.attributes.get("method", "unknown")) for _, file in files})
    edges = [len(one.explanation.edge) for one in atoms]
    opening = (
        f"{count(len(atoms), 'atom')} of {count(len(files), 'glass', 'glasses')} explained by "
        f"{listing(methods)}. The prediction of an atom rests on its receptive field, "
        f"{np.mean(edges):,.0f} directed edges in the mean; the importance of an edge says how "
        "much the prediction depends on its message."
    )
    finding = distance_sentence(atoms)
    blocks = [opening, _table(atoms), _scene_figure(atoms), _distance_figure(atoms, finding)]
    blocks.append(_pair_table(atoms))
    findings = [finding]
    for glass, file in files:
        controls, supported = explanation_controls.blocks(glass, file)
        blocks += controls
        findings += supported
    facts = [(f"{len(atoms):,}", "atom explained" if len(atoms) == 1 else "atoms explained")]
    return Section("explanations", "Explanations", blocks, findings, facts)


def distance_sentence(atoms: Sequence[Explained]) -> str:
    """Where the most important edges lie, against where all edges lie."""
    top, every = _distances(atoms)
    return (
        f"The {TOP} most important edges of an atom lie at a median of {decimal(np.median(top))} Å "
        f"from it, all edges of its receptive field at {decimal(np.median(every))} Å."
    )


def _distances(atoms: Sequence[Explained]) -> tuple[np.ndarray, np.ndarray]:
    """Distances, Å, of the most important edges and of all edges, of all atoms together."""
    top, every = [], []
    for one in atoms:
        distance = one.geometry.distance
        top.append(distance[top_edges(one.explanation, TOP)])
        every.append(distance)
    return np.concatenate(top), np.concatenate(every)


def _table(atoms: Sequence[Explained]) -> Table:
    rows, shown = [], atoms[:MOST_SCENES]
    for one in shown:
        importance = np.abs(one.explanation.importance)
        distance, known = one.geometry.distance, np.isfinite(importance)
        top = top_edges(one.explanation, TOP)
        mean = importance[known].mean() if known.any() else 0.0
        rows.append(
            (
                one.glass,
                one.name,
                decimal(one.explanation.prediction),
                f"{len(one.explanation.field_atom):,}",
                f"{len(one.explanation.edge):,}",
                decimal(float(importance[top].mean() / mean) if len(top) else np.nan),
                decimal(float(np.median(distance[top])) if len(top) else np.nan),
                decimal(spearman(distance[known], importance[known])),
            )
        )
    caption = (
        "The explained atoms: element and index, predicted barrier, atoms and directed edges of "
        f"the receptive field; mean importance of the {TOP} most important edges relative to that "
        "of all (1 where no edge stands out), their median distance from the atom, and the rank "
        "correlation of importance and distance over all edges."
    )
    if len(atoms) > len(shown):
        caption += f" The first {len(shown)} of {len(atoms)} atoms."
    header = ("glass", "atom", "predicted, eV", "atoms", "edges", f"top {TOP} / all")
    return Table("explained", caption, (*header, "distance, Å", "correlation"), rows, words=(0, 1))


def _scene_figure(atoms: Sequence[Explained]) -> Figure:
    shown = atoms[:MOST_SCENES]
    choices = {}
    for one in shown:
        top = top_edges(one.explanation, TOP)
        near_atoms, near_edges = edges_of_nearest(one.explanation, one.geometry, NEAREST)
        magnitude = np.abs(one.explanation.importance)
        limits = float(np.nanmedian(magnitude)), float(np.nanmax(magnitude))
        parts = (one.structure, one.explanation, one.geometry)
        choices[f"{one.name} of {one.glass}"] = [
            scene(*parts, top, limits=limits, title=f"{len(top)} most important edges"),
            scene(*parts, near_edges, near_atoms, limits=limits, title=f"{NEAREST} nearest atoms"),
        ]
    caption = (
        f"Surroundings of an explained atom (the large one): first its {TOP} most important edges, "
        f"then all edges between it and its {NEAREST} nearest atoms. Positions are relative to "
        "the atom, periodic images brought next to it; drag to rotate. Edges go from pale "
        "(importance of the median edge of the field, or less) to dark red (the largest)."
    )
    if len(atoms) > len(shown):
        caption += f" The first {len(shown)} of {len(atoms)} explained atoms can be chosen."
    species = sorted({chemical_symbols[z] for one in shown for z in set(one.structure.species)})
    legend = [(symbol, species_color(symbol)) for symbol in species]
    legend += [("weak edge", IMPORTANCE_SCALE[1][1]), ("strong edge", IMPORTANCE_SCALE[-1][1])]
    return Figure("surroundings", caption, choices, "Atom", legend)


def _distance_figure(atoms: Sequence[Explained], finding: str) -> Figure:
    top, every = _distances(atoms)
    edges = np.arange(0, np.ceil(every.max() / SHELL) + 1) * SHELL
    middle = (edges[1:] + edges[:-1]) / 2
    left = empty_plot("distance of the edge, Å", "mean importance", yaxis={"rangemode": "tozero"})
    curves = np.array([_mean_importance(one, edges) for one in atoms])
    for one, curve in zip(atoms[:MOST_SCENES], curves, strict=False):
        line = {"color": SOFT_INK, "width": 1}
        left.add_scatter(x=middle, y=curve, mode="lines", line=line, name=one.name, opacity=0.5)
    filled = np.isfinite(curves).any(axis=0)
    mean = np.nanmean(curves[:, filled], axis=0)
    line = {"color": INK, "width": 2.5}
    left.add_scatter(x=middle[filled], y=mean, mode="lines", line=line, name="mean")
    right = empty_plot("distance of the edge, Å", "share of edges, %", barmode="overlay")
    for values, color, name in ((every, SOFT_INK, "all edges"), (top, SERIES[1], f"top {TOP}")):
        share = 100 * np.histogram(values, edges)[0] / len(values)
        marker = {"color": color, "opacity": 0.6}
        right.add_bar(x=middle, y=share, marker=marker, name=name, width=SHELL)
    caption = (
        "Importance against distance, from the atom to the middle of the edge: first the mean "
        f"importance in shells of {decimal(SHELL, 0)} Å, a thin line an atom and the thick line "
        f"their mean; then where the {TOP} most important edges lie, against all. {finding}"
    )
    legend = [("an atom", "#b5bcc4"), ("mean of the atoms", INK)]
    legend += [("all edges", "#9aa3ac"), (f"{TOP} most important edges", SERIES[1])]
    return figure("distance", caption, left, right, legend=legend)


def _mean_importance(one: Explained, edges: np.ndarray) -> np.ndarray:
    """Mean magnitude of importance in each shell of distance; NaN where it has no edge."""
    importance, distance = np.abs(one.explanation.importance), one.geometry.distance
    known = np.isfinite(importance)
    number = np.histogram(distance[known], edges)[0]
    total = np.histogram(distance[known], edges, weights=importance[known])[0]
    return np.divide(total, number, out=np.full(len(total), np.nan), where=number > 0)


def _pair_table(atoms: Sequence[Explained]) -> Table:
    top: Counter[str] = Counter()
    every: Counter[str] = Counter()
    for one in atoms:
        pairs = one.geometry.pair
        for counts, chosen in (
            (every, pairs),
            (top, pairs[top_edges(one.explanation, TOP)]),
        ):
            for pair, times in zip(*np.unique(chosen, axis=0, return_counts=True), strict=True):
                counts["-".join(sorted(chemical_symbols[z] for z in pair))] += int(times)
    total_top, total = max(1, top.total()), every.total()
    rows = []
    for pair in sorted(every):
        part, whole = top[pair] / total_top, every[pair] / total
        rows.append((pair, decimal(100 * part, 1), decimal(100 * whole, 1), decimal(part / whole)))
    caption = (
        f"Species of the two atoms of an edge: their share among the {TOP} most important edges "
        "and among all edges of the receptive fields, and the ratio of both."
    )
    header = ("pair", "most important, %", "all, %", "ratio")
    return Table("pairs", caption, header, rows)
