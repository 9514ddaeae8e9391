"""Checks that a glass physicist would make: coordination, icosahedra, transition, crystals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from ase.data import chemical_symbols

from symgnn.analysis.coordination import coordination_numbers
from symgnn.analysis.crystallinity import CRYSTALLISED, crystalline_share, crystallised
from symgnn.analysis.radial import RadialDistribution, mean_distribution
from symgnn.analysis.transition import glass_transition
from symgnn.analysis.voronoi import ICOSAHEDRON, commonest_indices, voronoi_indices
from symgnn.report import references
from symgnn.report.inputs import Glass
from symgnn.report.page import Figure, Table, figure
from symgnn.report.references import Reference
from symgnn.report.style import SOFT_INK, empty_plot, rate_axis, species_color
from symgnn.report.words import MISSING, count, decimal, listing, mean_and_spread

MOST_INDICES = 8  # Voronoi indices in a figure
EVERY = "all atoms"


@dataclass(frozen=True)
class Checks:
    """What was found of one glass.

    Attributes:
        glass: the structure.
        coordination: (a, b) -> mean number of b around an a atom.
        indices: (atoms, 4), Voronoi indices.
        crystalline: share of atoms that are crystal-like.
        transition: K; NaN without a record or a kink.
    """

    glass: Glass
    coordination: dict[tuple[str, str], float]
    indices: np.ndarray
    crystalline: float
    transition: float

    def icosahedra(self, symbol: str = EVERY) -> float:
        """Share of the atoms (of an element) at the centre of a full icosahedron <0,0,12,0>."""
        full = (self.indices == ICOSAHEDRON).all(axis=1)
        if symbol != EVERY:
            full = full[self.glass.atoms.numbers == chemical_symbols.index(symbol)]
        return float(full.mean()) if len(full) else float("nan")


def check(glasses: Sequence[Glass], radial: Mapping[str, RadialDistribution]) -> list[Checks]:
    """Check glasses; the first shell of a composition ends alike in all of its glasses.

    Args:
        glasses: to check.
        radial: name of a glass -> its g(r).
    """
    by_composition: dict[str, list[RadialDistribution]] = {}
    for glass in glasses:
        by_composition.setdefault(glass.composition, []).append(radial[glass.name])
    shells = {name: mean_distribution(found) for name, found in by_composition.items()}
    return [
        Checks(
            glass=glass,
            coordination=coordination_numbers(glass.atoms, shells[glass.composition]),
            indices=voronoi_indices(glass.atoms),
            crystalline=crystalline_share(glass.atoms),
            transition=_transition(glass),
        )
        for glass in glasses
    ]


def _transition(glass: Glass) -> float:
    if glass.thermo is None or "stage" not in glass.thermo:
        return float("nan")
    cooling = glass.thermo["stage"] == "quench"
    kink = glass_transition(glass.thermo["temperature"][cooling], glass.thermo["energy"][cooling])
    return float("nan") if kink is None else kink.temperature


def findings(checks: Sequence[Checks]) -> list[str]:
    """Sentences on crystals and icosahedra, computed from the numbers."""
    share = np.array([100 * one.icosahedra() for one in checks])
    crystals = [one.glass.name for one in checks if crystallised(one.crystalline)]
    spread = (
        f" ({decimal(share.min(), 1)} to {decimal(share.max(), 1)} %)" if len(share) > 1 else ""
    )
    sentences = [
        f"{decimal(share.mean(), 1)} % of the atoms are centres of full icosahedra{spread}."
    ]
    if crystals:
        verb = "has" if len(crystals) == 1 else "have"
        sentences.append(
            f"{listing(crystals)} {verb} crystallised: more than {100 * CRYSTALLISED:g} % of the "
            "atoms are crystal-like."
        )
    else:
        largest = 100 * max(one.crystalline for one in checks)
        sentences.append(
            f"No glass has crystallised: at most {decimal(largest, 1)} % of the atoms of one are "
            f"crystal-like (limit {100 * CRYSTALLISED:g} %)."
        )
    return sentences


def blocks(
    groups: Mapping[str, Sequence[Checks]], published: Sequence[Reference] = ()
) -> list[str | Figure | Table]:
    """Figures and tables of checked glasses.

    Args:
        groups: name of a group of like glasses -> their checks.
        published: structures of others to set beside them.
    """
    every = [one for members in groups.values() for one in members]
    found: list[str | Figure | Table] = [" ".join(findings(every)), _table(groups, published)]
    rates = {one.glass.cooling_rate for one in every}
    if len(rates) > 1 and np.isfinite(list(rates)).all():
        found.append(_rate_figure(every, published))
    return [*found, _index_figure(groups)]


def _symbols(checks: Sequence[Checks]) -> list[str]:
    return sorted({symbol for one in checks for symbol in set(one.glass.atoms.symbols)})


def _table(groups: Mapping[str, Sequence[Checks]], published: Sequence[Reference]) -> Table:
    every = [one for members in groups.values() for one in members]
    pairs = sorted({pair for one in every for pair in one.coordination})
    rows = []
    for name, members in groups.items():
        known = [one.transition for one in members if np.isfinite(one.transition)]
        numbers = [
            decimal(float(np.mean([one.coordination.get(pair, np.nan) for one in members])))
            for pair in pairs
        ]
        rows.append(
            (
                name,
                mean_and_spread([100 * one.icosahedra() for one in members], 1),
                decimal(100 * max(one.crystalline for one in members), 1),
                mean_and_spread(known, 0) if known else MISSING,
                *numbers,
            )
        )
    for one in published:
        numbers = [decimal(one.coordination.get(pair, float("nan"))) for pair in pairs]
        shares = (decimal(100 * share, 1) for share in (one.icosahedra, one.crystalline))
        rows.append((f"published {one.name}", *shares, MISSING, *numbers))
    header = ("glasses", "icosahedra, %", "crystal-like, %", "transition, K")
    caption = (
        "Order in the glasses: share of atoms at the centre of a full icosahedron (Voronoi index "
        "⟨0,0,12,0⟩), largest share of crystal-like atoms in a sample, glass transition from the "
        "kink in the energy of the quench, and mean number of neighbours of the second element "
        "around the first, out to the first minimum of their g(r). ± is the standard deviation "
        "over samples."
    )
    names = (f"{a} → {b}" for a, b in pairs)
    return Table("checks", caption, (*header, *names), rows)


def _rate_figure(checks: Sequence[Checks], published: Sequence[Reference]) -> Figure:
    symbols = _symbols(checks)
    colors = {EVERY: SOFT_INK} | {symbol: species_color(symbol) for symbol in symbols}
    rates = [one.glass.cooling_rate for one in checks]
    x_axis = rate_axis(rates + [one.rate for one in published])
    shares = empty_plot("cooling rate, K/s", "full icosahedra, %", xaxis=x_axis)
    for name, color in colors.items():
        _points(shares, checks, [100 * one.icosahedra(name) for one in checks], color)
    if published:
        references.add_points(shares, published, "icosahedra", scale=100)
        colors[references.LEGEND] = references.COLOR
    panels = [shares]
    caption = "Share of atoms at the centre of full icosahedra against the cooling rate"
    if any(np.isfinite(one.transition) for one in checks):
        transition = empty_plot("cooling rate, K/s", "glass transition, K", xaxis=x_axis)
        _points(transition, checks, [one.transition for one in checks], SOFT_INK)
        panels.append(transition)
        caption += ", and the glass transition from the kink in the energy of the quench"
    caption += ". A point is a glass; the line joins the means."
    return figure("order", caption, *panels, legend=list(colors.items()))


def _points(plot: go.Figure, checks: Sequence[Checks], values: Sequence[float], color: str) -> None:
    rate, value = np.array([one.glass.cooling_rate for one in checks]), np.array(values)
    shown = np.isfinite(value)
    known = sorted(set(rate[shown]))
    means = [value[shown & (rate == one)].mean() for one in known]
    line = {"color": color, "width": 1.5}
    plot.add_scatter(x=known, y=means, mode="lines", line=line, hoverinfo="skip")
    plot.add_scatter(
        x=rate[shown],
        y=value[shown],
        mode="markers",
        marker={"color": color, "size": 7, "opacity": 0.75},
        text=[one.glass.name for one, keep in zip(checks, shown, strict=True) if keep],
        hovertemplate="%{text}<br>%{y:.4g}<extra></extra>",
    )


def _index_figure(groups: Mapping[str, Sequence[Checks]]) -> Figure:
    choices = {}
    for name, members in groups.items():
        indices = np.concatenate([one.indices for one in members])
        common = commonest_indices(indices, MOST_INDICES)
        plot = empty_plot(
            "share of the atoms, %",
            "",
            110 + 22 * len(common),
            yaxis={"autorange": "reversed", "ticksuffix": " "},
        )
        labels = [f"⟨{','.join(map(str, index))}⟩" for index, _ in common]
        shares = [100 * share for _, share in common]
        marker = {"color": SOFT_INK}
        plot.add_bar(x=shares, y=labels, orientation="h", marker=marker, hoverinfo="x")
        choices[name] = [plot]
    atoms = sum(len(one.indices) for members in groups.values() for one in members)
    caption = (
        f"The {MOST_INDICES} most frequent Voronoi indices ⟨n₃, n₄, n₅, n₆⟩, the numbers of faces "
        f"with three to six edges of an atom's cell ({count(atoms, 'atom')} in all groups)."
    )
    return Figure("voronoi", caption, choices, "Glasses")
