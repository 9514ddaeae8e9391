"""Figures of saddle searches: how they ended, what they found and what they cost."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from symgnn import fields
from symgnn.barriers.labels import counted
from symgnn.report.glasses import grouped
from symgnn.report.inputs import Events, Glass
from symgnn.report.page import Figure, figure
from symgnn.report.statistics import bins, pearson
from symgnn.report.style import (
    INK,
    SOFT_INK,
    empty_plot,
    ordered_color,
    rate_axis,
    species_color,
)
from symgnn.report.words import count, decimal, listing, share

CONVERGED = "converged"  # name of the status of a search that reached a saddle
BELOW = "converged_not_above_the_start"  # such saddles have no barrier
EVERY = "all"  # where the glass of the searches is not given
STATUS_COLORS = ("#1f7a5c", "#c77f1a", "#a2476b", "#8794a1", "#7d6bb3")


def found(events: Events) -> np.ndarray:
    """(searches,) bool: which searches reached a saddle."""
    return counted(events.columns, "all")


def status_figure(events: Sequence[Events], glasses: Sequence[Glass]) -> Figure:
    groups = events_by_group(events, glasses)
    names = sorted({name for one in events for name in one.statuses} | {BELOW})
    names.sort(key=lambda name: (name != CONVERGED, name))
    counts = {
        name: np.array([sum(ended(one, name) for one in members) for members in groups.values()])
        for name in names
    }
    totals = sum(counts.values())
    counts = {name: number for name, number in counts.items() if number.sum()}
    colors = dict(zip(counts, STATUS_COLORS, strict=False))
    plot = empty_plot(
        "share of the searches, %",
        "",
        110 + 30 * len(groups),
        barmode="stack",
        xaxis={"range": [0, 100]},
        yaxis={"autorange": "reversed", "ticksuffix": " "},
    )
    for name, number in counts.items():
        plot.add_bar(
            x=100 * number / np.maximum(totals, 1),
            y=list(groups),
            customdata=number,
            orientation="h",
            marker={"color": colors.get(name, SOFT_INK)},
            hovertemplate="%{y}<br>" + words(name) + ": %{customdata} (%{x:.1f} %)<extra></extra>",
        )
    total = int(totals.sum())
    parts = [f"{words(k)} {n.sum():,} ({share(int(n.sum()), total)})" for k, n in counts.items()]
    caption = f"How the searches ended: {', '.join(parts)}."
    legend = [(words(name), colors.get(name, SOFT_INK)) for name in counts]
    return figure("status", caption, plot, legend=legend)


def ended(events: Events, status: str) -> int:
    """Number of searches that ended with a status; those that converged are divided in two."""
    reached = int(found(events).sum())
    if status == CONVERGED:
        return reached
    number = events.statuses.get(CONVERGED if status == BELOW else status)
    total = 0 if number is None else int((events.columns[fields.STATUS] == number).sum())
    return total - reached if status == BELOW else total


def events_by_group(events: Sequence[Events], glasses: Sequence[Glass]) -> dict[str, list[Events]]:
    """Searches by composition, size and cooling rate of their glass."""
    searched = {one.name: one for one in events}
    groups = {
        name: [searched[glass.name] for glass in members if glass.name in searched]
        for name, members in (grouped(glasses).items() if glasses else ())
    }
    known = {glass.name for glass in glasses}
    groups[EVERY] = [one for one in events if one.name not in known]
    return {name: members for name, members in groups.items() if members}


def words(name: str) -> str:
    """The name of a status as words."""
    return name.lower().replace("_", " ")


def _steps(plot: go.Figure, values: np.ndarray, edges: np.ndarray, color: str, name: str) -> None:
    """Add the density of values as a line of steps."""
    height = np.histogram(values, edges, density=True)[0].astype(np.float32)
    line = {"color": color, "shape": "hvh", "width": 1.8}
    middle = ((edges[1:] + edges[:-1]) / 2).astype(np.float32)
    plot.add_scatter(x=middle, y=height, mode="lines", line=line, name=name)


def barrier_figure(events: Sequence[Events], glasses: Sequence[Glass]) -> Figure:
    groups = {
        name: np.concatenate([one.columns[fields.BARRIER][found(one)] for one in members])
        for name, members in events_by_group(events, glasses).items()
    }
    step = 1 / max(1, len(groups) - 1)
    group_colors = {name: ordered_color(1 - k * step) for k, name in enumerate(groups)}
    group_colors |= {EVERY: SOFT_INK} if EVERY in groups else {}
    species = means_by_species(events, glasses)
    species_colors = {s: SOFT_INK if s == EVERY else species_color(s) for s in species}
    every = np.concatenate(list(groups.values()))
    edges = np.linspace(0, max(float(np.quantile(every, 0.995)), 0.1), bins(len(every)) + 1)
    panels = []
    for title, parts, colors in (
        ("barrier of a saddle, eV", groups, group_colors),
        ("mean barrier of an atom, eV", species, species_colors),
    ):
        plot = empty_plot(title, "density, 1/eV", yaxis={"rangemode": "tozero"})
        for name, values in parts.items():
            _steps(plot, values, edges, colors[name], name)
        panels.append(plot)
    means = [
        f"{decimal(values.mean())} eV for {name} ({count(len(values), 'atom')})"
        for name, values in species.items()
    ]
    caption = (
        "Distribution of the barriers, first of single saddles, then of the mean barrier of an "
        f"atom (its label) by its element; in the mean {listing(means)}."
    )
    legend = list((group_colors | species_colors).items())
    return figure("barriers", caption, *panels, legend=legend)


def means_by_species(events: Sequence[Events], glasses: Sequence[Glass]) -> dict[str, np.ndarray]:
    """Labels of atoms, eV, by the element of the atom where its glass is known."""
    by_name = {glass.name: glass for glass in glasses}
    values: dict[str, list[np.ndarray]] = {}
    for one in events:
        label, glass = one.atoms[fields.BARRIER_MEAN], by_name.get(one.name)
        symbols = np.array(glass.atoms.symbols if glass else [EVERY] * len(label))
        for symbol in np.unique(symbols[np.isfinite(label)]):
            chosen = label[(symbols == symbol) & np.isfinite(label)]
            values.setdefault(str(symbol), []).append(chosen)
    return {symbol: np.concatenate(values[symbol]) for symbol in sorted(values)}


def trend_figure(events: Sequence[Events], glasses: Sequence[Glass]) -> list[Figure]:
    """Mean barrier of a glass against its cooling rate and energy; none where they are unknown."""
    by_name = {glass.name: glass for glass in glasses}
    known = [one for one in events if one.name in by_name and found(one).any()]
    rate = np.array([by_name[one.name].cooling_rate for one in known])
    energy = np.array([by_name[one.name].number("energy_per_atom") for one in known])
    if len(known) < 2 or not (np.isfinite(rate).all() and np.isfinite(energy).all()):
        return []
    barrier = [one.columns[fields.BARRIER][found(one)] for one in known]
    mean = np.array([values.mean() for values in barrier])
    error = np.array([_error_of_mean(one) for one in known])
    panels = []
    for x, title, options in (
        (rate, "cooling rate, K/s", rate_axis(rate)),
        (energy, "energy, eV/atom", {}),
    ):
        plot = empty_plot(title, "mean barrier, eV", xaxis=options)
        plot.add_scatter(
            x=x,
            y=mean,
            error_y={"array": error, "width": 0, "thickness": 1.2},
            mode="markers",
            marker={"color": INK, "size": 7, "opacity": 0.75},
            text=[one.name for one in known],
            hovertemplate="%{text}<br>%{y:.3f} eV<extra></extra>",
        )
        panels.append(plot)
    correlation = pearson(energy, mean)
    caption = (
        "Mean barrier of each glass against its cooling rate (logarithmic) and its energy; bars "
        "are the standard error over its atoms."
    )
    if np.isfinite(correlation):
        caption += f" Mean barrier and energy correlate at {decimal(correlation)} (Pearson)."
    return [figure("trend", caption, *panels)]


def _error_of_mean(events: Events) -> float:
    """Standard error of the mean barrier, eV; the searches of one atom are not independent."""
    chosen = found(events)
    _, index = np.unique(events.columns[fields.ATOM][chosen], return_inverse=True)
    mean = np.bincount(index, events.columns[fields.BARRIER][chosen]) / np.bincount(index)
    return float(mean.std(ddof=1) / len(mean) ** 0.5) if len(mean) > 1 else float("nan")


def cost_figure(events: Sequence[Events]) -> Figure:
    cost = np.concatenate([one.columns[fields.FORCE_EVALUATIONS] for one in events])
    converged = np.concatenate([found(one) for one in events])
    edges = np.linspace(0, float(np.quantile(cost, 0.995)) + 1, bins(len(cost)) + 1)
    ticks = {"tick0": 0, "dtick": 100 * max(1, round(edges[-1] / 800))}  # else few bars have theirs
    plot = empty_plot(
        "force evaluations of a search", "searches", height=300, barmode="stack", xaxis=ticks
    )
    middle = (edges[1:] + edges[:-1]) / 2
    parts = (
        ("reached a saddle", converged, STATUS_COLORS[0]),
        ("ended otherwise", ~converged, STATUS_COLORS[1]),
    )
    for name, chosen, color in parts:
        plot.add_bar(
            x=middle, y=np.histogram(cost[chosen], edges)[0], marker={"color": color}, name=name
        )
    caption = (
        f"Cost of a search. Half of the searches took fewer than {np.median(cost):,.0f} force "
        f"evaluations, 95 % fewer than {np.quantile(cost, 0.95):,.0f}; "
        f"{cost.sum() / converged.sum():,.0f} were spent for each saddle."
    )
    return figure("cost", caption, plot, legend=[(name, color) for name, _, color in parts])
