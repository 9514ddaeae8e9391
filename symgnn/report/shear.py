"""Section on sheared glasses: stress against strain, drops, and who rearranges."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from scipy.stats import spearmanr

from symgnn.report.page import Figure, Section, Table, figure
from symgnn.report.style import DECADES, SERIES, SOFT_INK, empty_plot
from symgnn.report.words import count, decimal
from symgnn.shear.plasticity import (
    area_under_curve,
    plastic_drops,
    roc_curve,
    shear_modulus,
    yield_point,
)
from symgnn.shear.storage import Shear

MOST_MOVED = 0.1  # share of the atoms that count as rearranged at a strain
FEWEST_LABELLED = 20  # atoms with a barrier, for a curve of them to mean anything


@dataclass(frozen=True)
class Foresight:
    """How well low barriers tell where a sheared glass rearranges.

    Attributes:
        strain: (snapshots,), above 0.
        correlation: (snapshots,), Spearman's, of D²min since the start with the barrier.
        area: (snapshots,), under the receiver operating curve of finding the most moved atoms.
        false, true: the curve at the last strain.
        atoms: atoms with a barrier.
    """

    strain: np.ndarray
    correlation: np.ndarray
    area: np.ndarray
    false: np.ndarray
    true: np.ndarray
    atoms: int


def foresight(curve: Shear, barrier: np.ndarray) -> Foresight | None:
    """Compare D²min with the barriers of the glass before shear.

    Args:
        curve: of the glass.
        barrier: (atoms,), eV, NaN where unknown.

    Returns:
        None where fewer than `FEWEST_LABELLED` atoms have a barrier.
    """
    known = np.isfinite(barrier)
    if known.sum() < FEWEST_LABELLED:
        return None
    later = curve.snapshot_strain > 0
    correlation, area, false, true = [], [], np.zeros(0), np.zeros(0)
    for moved in curve.non_affine[later][:, known]:
        correlation.append(spearmanr(moved, barrier[known]).statistic)
        false, true = roc_curve(-barrier[known], moved > np.quantile(moved, 1 - MOST_MOVED))
        area.append(area_under_curve(false, true))
    strain = curve.snapshot_strain[later]
    return Foresight(strain, np.array(correlation), np.array(area), false, true, int(known.sum()))


def section(curves: Mapping[str, Shear], barriers: Mapping[str, np.ndarray]) -> Section:
    """Figures and findings of sheared glasses.

    Args:
        curves: name of a glass -> its deformation.
        barriers: name of a glass -> (atoms,) mean barriers, eV, where there were searches.
    """
    found = {
        name: foresight(curve, barriers[name])
        for name, curve in curves.items()
        if name in barriers and len(barriers[name]) == curve.non_affine.shape[1]
    }
    known = {name: one for name, one in found.items() if one is not None}
    blocks: list[str | Figure | Table] = [_opening(curves), _table(curves), _curve_figure(curves)]
    if known:
        blocks += [_foresight_text(known), _foresight_figure(known)]
    else:
        blocks.append("No sheared glass has barriers of its own to compare the motion with.")
    return Section("shear", "Shear", blocks, [_foresight_text(known)] if known else [])


def _opening(curves: Mapping[str, Shear]) -> str:
    return (
        f"{count(len(curves), 'glass', 'glasses')} sheared without temperature, step by step, each "
        "step relaxed before the next. Falls of the stress are plastic: some atoms rearrange."
    )


def _table(curves: Mapping[str, Shear]) -> Table:
    rows = []
    for name, curve in curves.items():
        strain, stress = yield_point(curve.strain, curve.stress)
        drops = plastic_drops(curve.strain, curve.stress, curve.energy)
        largest = max((drop.stress for drop in drops), default=float("nan"))
        rows.append(
            (
                name,
                curve.plane,
                decimal(float(curve.strain[-1]), 3),
                decimal(shear_modulus(curve.strain, curve.stress), 1),
                decimal(stress, 2),
                decimal(strain, 3),
                str(len(drops)),
                decimal(largest, 3),
            )
        )
    header = ("glass", "plane", "last strain", "modulus, GPa", "largest stress, GPa")
    header += ("at strain", "drops", "largest drop, GPa")
    caption = (
        "Mechanics of the sheared glasses. The modulus is the slope up to a strain of 0.01; drops "
        "are falls of the stress of at least 0.001 GPa."
    )
    return Table("shear-table", caption, header, rows, words=(0, 1))


def _curve_figure(curves: Mapping[str, Shear]) -> Figure:
    stress = empty_plot("shear strain", "shear stress, GPa")
    moved = empty_plot("shear strain", "largest D²min of a step, Å²", yaxis=DECADES)
    legend = []
    for k, (name, curve) in enumerate(curves.items()):
        color = SERIES[k % len(SERIES)]
        line = {"color": color, "width": 1.5}
        stress.add_scatter(x=curve.strain, y=curve.stress, mode="lines", line=line, name=name)
        largest = curve.non_affine_step.max(axis=1)
        moved.add_scatter(x=curve.strain[1:], y=largest, mode="lines", line=line, name=name)
        legend.append((name, color))
    caption = (
        "Left: stress of the sheared plane. Right: the largest non-affine displacement D²min of an "
        "atom in each step (Falk and Langer, a mean over its neighbours); peaks are the plastic "
        "events that make the stress fall."
    )
    return figure("stress-strain", caption, stress, moved, legend=legend)


def _foresight_text(known: Mapping[str, Foresight]) -> str:
    parts = [
        f"{name}: {decimal(float(one.correlation[-1]), 2)} and {decimal(float(one.area[-1]), 2)} "
        f"at strain {one.strain[-1]:g} ({one.atoms:,} atoms)"
        for name, one in known.items()
    ]
    return (
        "Rank correlation of D²min with the barrier before shear (below 0 where atoms with low "
        "barriers move more), and area under the receiver operating curve of finding the "
        f"{100 * MOST_MOVED:g} % that move most by their low barriers (0.5 is chance): "
        + "; ".join(parts)
        + "."
    )


def _foresight_figure(known: Mapping[str, Foresight]) -> Figure:
    rank = empty_plot("shear strain", "rank correlation", yaxis={"range": [-1, 1]})
    roc = empty_plot("share of the others found", "share of the most moved found")
    chance = {"color": SOFT_INK, "width": 1, "dash": "dot"}
    roc.add_trace(go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line=chance, hoverinfo="skip"))
    legend = []
    for k, (name, one) in enumerate(known.items()):
        color = SERIES[k % len(SERIES)]
        rank.add_scatter(
            x=one.strain, y=one.correlation, mode="lines+markers", line={"color": color}, name=name
        )
        roc.add_scatter(x=one.false, y=one.true, mode="lines", line={"color": color}, name=name)
        legend.append((name, color))
    caption = (
        "Do low barriers tell which atoms will rearrange? Left: Spearman's rank correlation of "
        "D²min since the start with the barrier. Right: receiver operating curve at the last "
        f"strain for the {100 * MOST_MOVED:g} % of the atoms that moved most; dotted: chance."
    )
    return figure("foresight", caption, rank, roc, legend=legend)
