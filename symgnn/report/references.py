"""Glasses that others published, beside ours: their figures from `resources/references`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import plotly.graph_objects as go
import yaml

from symgnn.analysis.trend import rate_trend
from symgnn.potentials import resources
from symgnn.report.inputs import Glass
from symgnn.report.words import decimal, formula, listing, power_of_ten

COLOR = "#a2476b"
LEGEND = "published, rates inferred"
SAME_RATE = 0.1  # largest relative difference of cooling rates that count as the same


@dataclass(frozen=True)
class Reference:
    """What was measured of a published structure.

    Attributes:
        name: theirs.
        composition: such as Cu64Zr36.
        atoms: how many.
        rate: K/s, inferred from its energy; NaN where it was not.
        energy_per_atom: eV.
        density: atoms/Å³.
        peaks: pair of symbols -> position (Å) and height of the first peak of g(r).
        coordination: (a, b) -> mean number of b around an a atom.
        icosahedra: share of the atoms in full icosahedra.
        crystalline: share of crystal-like atoms.
        citation: of the publication.
    """

    name: str
    composition: str
    atoms: int
    rate: float
    energy_per_atom: float
    density: float
    peaks: dict[tuple[str, str], tuple[float, float]]
    coordination: dict[tuple[str, str], float]
    icosahedra: float
    crystalline: float
    citation: str


@cache
def read_references() -> tuple[Reference, ...]:
    """All published structures that come with the project."""
    found = []
    for path in sorted((resources() / "references").glob("*.yaml")):
        table = yaml.safe_load(path.read_text())
        for name, one in table["structures"].items():
            found.append(
                Reference(
                    name,
                    table["composition"],
                    one["atoms"],
                    float(one.get("rate", "nan")),
                    one["energy_per_atom"],
                    one["density"],
                    {tuple(pair.split("-")): tuple(peak) for pair, peak in one["peaks"].items()},
                    {tuple(pair.split("-")): n for pair, n in one["coordination"].items()},
                    one["icosahedra"],
                    one["crystalline"],
                    table["citation"],
                )
            )
    return tuple(found)


def beside(glasses: Iterable[Glass]) -> list[Reference]:
    """The published structures of the compositions of some glasses, fast to slow."""
    compositions = {glass.composition for glass in glasses}
    found = [one for one in read_references() if one.composition in compositions]
    return sorted(found, key=lambda one: -one.energy_per_atom)


def add_points(
    plot: go.Figure, references: Sequence[Reference], key: str, scale: float = 1
) -> None:
    """Draw an attribute of those with a rate against it, as open diamonds joined by a line."""
    known = [one for one in references if np.isfinite(one.rate)]
    plot.add_scatter(
        x=[one.rate for one in known],
        y=[scale * getattr(one, key) for one in known],
        mode="lines+markers",
        marker={"color": COLOR, "size": 9, "symbol": "diamond-open"},
        line={"color": COLOR, "width": 1, "dash": "dot"},
        text=[f"published {one.name}" for one in known],
        hovertemplate="%{text}<br>%{y:.5g}<extra></extra>",
    )


def comparison(glasses: Sequence[Glass], references: Sequence[Reference]) -> list[str]:
    """Sentences on our energies and their trend beside the published ones."""
    sentences = []
    for composition in sorted({one.composition for one in references}):
        theirs = [r for r in references if r.composition == composition and np.isfinite(r.rate)]
        ours = [glass for glass in glasses if glass.composition == composition]
        parts = [
            f"{decimal(abs(gap), 1)} meV per atom {'above' if gap > 0 else 'below'} that of the "
            f"published {one.name} at {power_of_ten(one.rate)} K/s"
            for one in theirs
            if np.isfinite(gap := _gap(ours, one))
        ]
        if parts:
            sentences.append(f"The mean energy of {formula(composition)} lies {listing(parts)}.")
        trend = rate_trend(
            np.array([one.rate for one in theirs]),
            np.array([one.energy_per_atom for one in theirs]),
        )
        if trend is not None:
            sentences.append(
                f"The energies of the published {formula(composition)} structures, at the rates "
                f"inferred for them, rise by {decimal(1000 * trend.slope, 1)} ± "
                f"{decimal(1000 * trend.error, 1)} meV per atom a decade."
            )
    return sentences


def _gap(glasses: Sequence[Glass], one: Reference) -> float:
    """Mean energy of the glasses of a reference's rate less the reference's, meV per atom."""
    energies = [
        glass.number("energy_per_atom")
        for glass in glasses
        if abs(glass.cooling_rate / one.rate - 1) < SAME_RATE
    ]
    return 1000 * (float(np.mean(energies)) - one.energy_per_atom) if energies else float("nan")
