"""Section on the glasses: energies against cooling rate, the quench, and what follows them."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import plotly.graph_objects as go

from symgnn.analysis.radial import radial_distribution
from symgnn.analysis.trend import rate_trend
from symgnn.report import glass_checks, radial_figures, references
from symgnn.report.inputs import Glass
from symgnn.report.page import Figure, Section, Table, figure
from symgnn.report.references import Reference
from symgnn.report.style import SOFT_INK, empty_plot, ordered_color, rate_axis
from symgnn.report.words import (
    MISSING,
    count,
    decimal,
    formula,
    listing,
    mean_and_spread,
    power_of_ten,
)

RECORD_POINTS = 240  # of a thermodynamic record against time: means over blocks
TEMPERATURE_STEP = 40.0  # K, of a record against temperature: means over bins


def section(glasses: Sequence[Glass]) -> Section:
    """Figures, tables and findings of a set of glasses."""
    groups = grouped(glasses)
    compositions = sorted({formula(glass.composition) for glass in glasses})
    rates = sorted({g.cooling_rate for g in glasses if not math.isnan(g.cooling_rate)})
    atoms = sorted({len(glass.atoms) for glass in glasses})
    size = f"{atoms[0]:,} atoms" if len(atoms) == 1 else f"{atoms[0]:,} to {atoms[-1]:,} atoms"
    each = " each" if len(glasses) > 1 else ""
    opening = f"{count(len(glasses), 'glass', 'glasses')} of {listing(compositions)}, {size}{each}"
    if rates:
        opening += ", quenched at " + listing([power_of_ten(rate) for rate in rates]) + " K/s"
    published = references.beside(glasses)
    trends = energy_trends(glasses) + references.comparison(glasses, published)
    blocks = [opening + ".", _table(groups)]
    if rates and any(math.isfinite(glass.number("energy_per_atom")) for glass in glasses):
        blocks.append(_energy_figure(glasses, trends, published))
    recorded = [glass for glass in glasses if glass.thermo]
    if recorded:
        blocks.append(_quench_figure(recorded))
    radial = {glass.name: radial_distribution(glass.atoms) for glass in glasses}
    blocks += radial_figures.blocks(groups, radial, published)
    checks = {one.glass.name: one for one in glass_checks.check(glasses, radial)}
    blocks += glass_checks.blocks(
        {name: [checks[glass.name] for glass in members] for name, members in groups.items()},
        published,
    )
    findings = trends + glass_checks.findings(list(checks.values()))
    facts = [(f"{len(glasses):,}", "glass" if len(glasses) == 1 else "glasses")]
    return Section("glasses", "Glasses", blocks, findings, facts)


def grouped(glasses: Sequence[Glass]) -> dict[str, list[Glass]]:
    """Glasses by composition, size and cooling rate, fast to slow.

    The key names the group by what is not the same for all of them.
    """
    parts = {glass.name: _group_parts(glass) for glass in glasses}
    varying = [len(set(column)) > 1 for column in zip(*parts.values(), strict=True)]
    if not any(varying):
        varying = [True] * len(varying)
    order = sorted(glasses, key=lambda g: (g.composition, len(g.atoms), -_known_rate(g)))
    groups: dict[str, list[Glass]] = {}
    for glass in order:
        named = [part for part, differs in zip(parts[glass.name], varying, strict=True) if differs]
        groups.setdefault(", ".join(named), []).append(glass)
    return groups


def _group_parts(glass: Glass) -> tuple[str, str, str]:
    rate = glass.cooling_rate
    speed = "cooling rate unknown" if math.isnan(rate) else f"{power_of_ten(rate)} K/s"
    return formula(glass.composition), f"{len(glass.atoms):,} atoms", speed


def _known_rate(glass: Glass) -> float:
    return 0.0 if math.isnan(glass.cooling_rate) else glass.cooling_rate


def rate_colors(glasses: Sequence[Glass]) -> dict[float, str]:
    """A colour for each cooling rate, slow (dark) to fast (light)."""
    rates = sorted({glass.cooling_rate for glass in glasses if not math.isnan(glass.cooling_rate)})
    return {rate: ordered_color(k / max(1, len(rates) - 1)) for k, rate in enumerate(rates)}


def energy_trends(glasses: Sequence[Glass]) -> list[str]:
    """A sentence a composition on how the energy changes with cooling rate, by least squares."""
    sentences = []
    for composition in sorted({glass.composition for glass in glasses}):
        chosen = [g for g in glasses if g.composition == composition]
        rate = np.array([glass.cooling_rate for glass in chosen])
        energy = np.array([glass.number("energy_per_atom") for glass in chosen])
        known = np.isfinite(rate) & np.isfinite(energy)
        trend = rate_trend(rate[known], energy[known])
        if trend is None:
            continue
        verb = "rises" if trend.slope > 0 else "falls"
        sentences.append(
            f"The energy of {formula(composition)} {verb} by {decimal(1000 * abs(trend.slope), 1)} "
            f"± {decimal(1000 * trend.error, 1)} meV per atom for each tenfold increase of the "
            "cooling rate "
            f"({count(int(known.sum()), 'glass', 'glasses')})."
        )
    return sentences


def _table(groups: dict[str, list[Glass]]) -> Table:
    rows = []
    for members in groups.values():
        first = members[0]
        force = max(glass.number("force_max") for glass in members)
        pressure = max(abs(glass.number("pressure")) for glass in members)
        rows.append(
            (
                formula(first.composition),
                f"{len(first.atoms):,}",
                power_of_ten(first.cooling_rate),
                str(len(members)),
                mean_and_spread([glass.number("energy_per_atom") for glass in members], 4),
                mean_and_spread([glass.number("density") for glass in members], 5),
                power_of_ten(float(f"{force:.1e}")),
                decimal(1000 * pressure, 2),
            )
        )
    caption = (
        "The glasses by composition, size and cooling rate: mean energy and density of the "
        "relaxed structures (± standard deviation over samples), the largest force left on an "
        "atom and the largest pressure left in a sample."
    )
    if any(MISSING in row for row in rows):
        caption += f" {MISSING} stands for a number that the files do not hold."
    header = ("composition", "atoms", "rate, K/s", "samples", "energy, eV/atom")
    header += ("density, atoms/Å³", "force, eV/Å", "pressure, MPa")
    return Table("glasses", caption, header, rows)


def _energy_figure(
    glasses: Sequence[Glass], trends: Sequence[str], published: Sequence[Reference]
) -> Figure:
    compositions = sorted({glass.composition for glass in glasses})
    step = 1 / max(1, len(compositions) - 1)
    colors = {name: ordered_color(k * step) for k, name in enumerate(compositions)}
    panels = [
        _against_rate(glasses, colors, "energy_per_atom", "energy, eV/atom", published),
        _against_rate(glasses, colors, "density", "density, atoms/Å³", published),
    ]
    caption = (
        "Energy and density of the relaxed glasses against the cooling rate (logarithmic). "
        "A point is a glass; the line joins the means. " + " ".join(trends)
    )
    legend = [(formula(name), colors[name]) for name in compositions]
    if published:
        legend.append((references.LEGEND, references.COLOR))
    return figure("energy", caption, *panels, legend=legend)


def _against_rate(
    glasses: Sequence[Glass],
    colors: dict[str, str],
    key: str,
    title: str,
    published: Sequence[Reference],
) -> go.Figure:
    """A number of each glass against its cooling rate, one colour a composition."""
    x_axis = rate_axis([one.cooling_rate for one in glasses] + [one.rate for one in published])
    plot = empty_plot("cooling rate, K/s", title, xaxis=x_axis)
    for composition, color in colors.items():
        chosen = [g for g in glasses if g.composition == composition]
        rate = np.array([glass.cooling_rate for glass in chosen])
        value = np.array([glass.number(key) for glass in chosen])
        known = sorted(set(rate[np.isfinite(rate)]))
        means = [value[rate == one].mean() for one in known]
        line = {"color": color, "width": 1.5}
        plot.add_scatter(x=known, y=means, mode="lines", line=line, hoverinfo="skip")
        plot.add_scatter(
            x=rate,
            y=value,
            mode="markers",
            marker={"color": color, "size": 8, "opacity": 0.75},
            text=[glass.name for glass in chosen],
            hovertemplate="%{text}<br>%{y:.5f}<extra></extra>",
        )
    if published:
        references.add_points(plot, published, key)
    return plot


def _quench_figure(glasses: Sequence[Glass]) -> Figure:
    colors = rate_colors(glasses)
    panels = [
        _record(glasses, colors, "time, ps", y_title, lambda record, y=y: in_time(record, y))
        for y, y_title in (("temperature", "temperature, K"), ("pressure", "pressure, GPa"))
    ]
    panels += [
        _record(glasses, colors, "temperature, K", title, lambda record, y=y: on_cooling(record, y))
        for y, title in (("energy", "energy, eV/atom"), ("density", "density, atoms/Å³"))
    ]
    caption = (
        f"{count(len(glasses), 'run')} from the melt to the glass: temperature and pressure in "
        f"time, as means over {RECORD_POINTS} blocks; potential energy and density against "
        f"temperature while the melt is cooled, as means over {TEMPERATURE_STEP:g} K, where the "
        "glass transition shows as a change of slope."
    )
    legend = [(f"{power_of_ten(rate)} K/s", color) for rate, color in colors.items()]
    return figure("quench", caption, *panels, legend=legend)


def _record(
    glasses: Sequence[Glass],
    colors: dict[float, str],
    x_title: str,
    y_title: str,
    points: Callable[[dict[str, np.ndarray]], tuple[np.ndarray, np.ndarray]],
) -> go.Figure:
    """A line a glass, of the points that `points` takes from its record."""
    plot = empty_plot(x_title, y_title, height=260)
    for glass in glasses:
        x, y = points(glass.thermo)
        line = {"color": colors.get(glass.cooling_rate, SOFT_INK), "width": 1.2}
        plot.add_scatter(x=x, y=y, mode="lines", line=line, name=glass.name)
    return plot


def in_time(record: dict[str, np.ndarray], key: str) -> tuple[np.ndarray, np.ndarray]:
    """Time (ps) and a column of a record, means over RECORD_POINTS blocks of equal length."""
    rows = np.array_split(np.arange(len(record[key])), min(RECORD_POINTS, len(record[key])))
    time, value = (
        np.array([record[name][block].mean() for block in rows], dtype=np.float32)
        for name in ("time", key)
    )
    return time, value


def on_cooling(record: dict[str, np.ndarray], key: str) -> tuple[np.ndarray, np.ndarray]:
    """Temperature (K) and a column of a record's quench, means over bins of TEMPERATURE_STEP."""
    chosen = record["stage"] == "quench" if "stage" in record else slice(None)
    temperature, value = record["temperature"][chosen], record[key][chosen]
    _, index = np.unique(temperature // TEMPERATURE_STEP, return_inverse=True)
    number = np.bincount(index)
    x, y = (np.bincount(index, values) / number for values in (temperature, value))
    return x.astype(np.float32), y.astype(np.float32)
