"""What important edges have in common, against controls: figures and sentences from statistics."""

import numpy as np

from symgnn.explanations.bootstrap import Estimate
from symgnn.explanations.statistics import (
    NEAREST,
    RANGES,
    SHELL,
    TOP,
    angle_differences,
    barrier_correlations,
    distance_profile,
    property_differences,
    range_comparison,
)
from symgnn.explanations.storage import ExplanationFile
from symgnn.report.page import Figure, Table, figure
from symgnn.report.style import INK, SERIES, empty_plot
from symgnn.report.words import count, decimal, listing

FEWEST_ATOMS = 10  # an interval over fewer says little
CORRELATED = {
    "distance": "median distance of the important edges",
    "focus": "share of the importance that they hold",
    "own edges": "share of them that touch the atom",
}


def blocks(glass: str, file: ExplanationFile) -> tuple[list[str | Figure | Table], list[str]]:
    """Figures, tables and findings on the explained atoms of one glass; none for too few atoms.

    Args:
        glass: its name.
        file: its explanation.h5.
    """
    atoms = file.explanations
    if len(atoms) < FEWEST_ATOMS:
        missing = (
            f"What important edges have in common is not shown for {glass}: with "
            f"{count(len(atoms), 'atom')} explained, fewer than {FEWEST_ATOMS}, an interval over "
            "atoms would say little."
        )
        return [missing], []
    parts = (file.structure, atoms)
    ranges = range_comparison(*parts)
    differences = property_differences(*parts)
    angles = angle_differences(*parts)
    findings = [range_sentence(ranges), shape_sentence(differences, angles)]
    found: list[str | Figure | Table] = [
        _profile_figure(glass, distance_profile(*parts), ranges),
        _property_table(glass, differences, angles),
        _correlation_table(glass, barrier_correlations(*parts)),
    ]
    return found, findings


def interval(estimate: Estimate, digits: int = 2) -> str:
    """An estimate with its 95 % interval as text."""
    low, high = decimal(estimate.low, digits), decimal(estimate.high, digits)
    return f"{decimal(estimate.value, digits)} ({low} to {high})"


def range_sentence(ranges: dict[str, Estimate]) -> str:
    """Whether edges at middle range are important more often than near ones, and by how much."""
    near, middle = RANGES["near"][1], RANGES["middle"][1]
    names = {
        "near": f"nearer than {near:g} Å",
        "middle": f"at {near:g} to {middle:g} Å",
        "far": "farther away",
    }
    known = [key for key in names if np.isfinite(ranges[key].value)]
    shown = [
        f"{interval(ranges[key], 1)} times {'as often ' if key == known[0] else ''}{names[key]}"
        for key in known
    ]
    verdict = {
        "above": "Edges at middle range are more important than near ones",
        "below": "Near edges are more important than those at middle range",
        "undecided": "Whether near edges or those at middle range are more important is undecided",
    }[ranges["middle less near"].compared_with(0.0)]
    return (
        f"{verdict}: compared with a random edge, an edge is among the {TOP} most important "
        f"{listing(shown)} (95 % intervals over atoms)."
    )


def shape_sentence(differences: dict[str, dict[str, Estimate]], angles: dict[str, Estimate]) -> str:
    """Which properties set important edges apart from edges at equal distance."""
    verdicts: dict[str, list[str]] = {"above": [], "below": [], "undecided": []}
    matched = {name: both["matched"] for name, both in differences.items()} | angles
    for name, estimate in matched.items():
        if np.isfinite(estimate.value):
            verdicts[estimate.compared_with(0.0)].append(name.split(",")[0])
    parts = [
        f"{what} in {listing(verdicts[verdict])}"
        for verdict, what in (
            ("above", "are larger"),
            ("below", "are smaller"),
            ("undecided", "do not differ beyond the error"),
        )
        if verdicts[verdict]
    ]
    return f"Compared with edges at equal distance, important edges {'; '.join(parts)}."


def _profile_figure(
    glass: str, profile: list[tuple[float, Estimate]], ranges: dict[str, Estimate]
) -> Figure:
    x = np.array([outer - SHELL / 2 for outer, _ in profile])
    value, low, high = (
        np.array([getattr(estimate, name) for _, estimate in profile])
        for name in ("value", "low", "high")
    )
    plot = empty_plot(
        "distance of the edge, Å", "frequency relative to chance", yaxis={"rangemode": "tozero"}
    )
    plot.add_hline(y=1, line={"color": INK, "width": 1, "dash": "dot"})
    plot.add_scatter(
        x=x,
        y=value,
        error_y={"array": high - value, "arrayminus": value - low, "width": 0, "thickness": 1.4},
        mode="lines+markers",
        line={"color": SERIES[0], "width": 1.6},
        marker={"size": 6},
        hovertemplate="%{x:.1f} Å: %{y:.2f}<extra></extra>",
    )
    inside, chance = ranges["in nearest"], ranges["in nearest, at random"]
    caption = (
        f"How often an edge in a shell of {SHELL:g} Å is among the {TOP} most important ones of an "
        f"atom, relative to an edge drawn at random from its receptive field ({glass}, "
        f"{count(profile[0][1].atoms, 'atom')}; bars are 95 % intervals over atoms). Of the {TOP}, "
        f"{interval(inside, 1)} join the atom and its {NEAREST} nearest; "
        f"{decimal(chance.value, 1)} would at random."
    )
    return figure(f"profile-{glass}", caption, plot)


def _property_table(
    glass: str, differences: dict[str, dict[str, Estimate]], angles: dict[str, Estimate]
) -> Table:
    verdicts = {"above": "larger", "below": "smaller", "undecided": "undecided"}
    rows = [
        (
            name,
            interval(both["plain"], 3),
            interval(both["matched"], 3),
            verdicts[both["matched"].compared_with(0.0)],
        )
        for name, both in differences.items()
    ]
    rows += [
        (name, "", interval(estimate, 1), verdicts[estimate.compared_with(0.0)])
        for name, estimate in angles.items()
    ]
    caption = (
        f"The {TOP} most important edges less the others ({glass}): difference of the means, plain "
        "and among edges at equal distance from the atom, each with its 95 % interval over atoms. "
        "Larger and smaller mean that the interval at equal distance leaves out zero."
    )
    header = ("property", "plain", "at equal distance", "verdict")
    return Table(f"properties-{glass}", caption, header, rows, words=(0, 3))


def _correlation_table(glass: str, correlations: dict[str, Estimate]) -> Table:
    rows = [
        (CORRELATED[key], interval(estimate), f"{estimate.atoms:,}")
        for key, estimate in correlations.items()
    ]
    caption = (
        f"Rank correlation over atoms of the predicted barrier with where importance lies ({glass},"
        " 95 % interval)."
    )
    header = ("quantity", "correlation with the barrier", "atoms")
    return Table(f"barrier-importance-{glass}", caption, header, rows)
