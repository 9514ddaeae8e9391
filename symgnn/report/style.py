"""Colours, fonts and axes that all figures of a report share."""

import math
from collections.abc import Iterable
from itertools import pairwise

import plotly.graph_objects as go
from ase.data import chemical_symbols

from symgnn.report.words import power_of_ten

INK, SOFT_INK, RULE = "#1f2933", "#5f6b76", "#d5dae0"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif"

# One colour an element in every figure; those that glass formers are made of are set by hand.
SPECIES_COLORS = {"Cu": "#c2672b", "Zr": "#2f6d9e", "Al": "#8a8f99", "Ni": "#3d8b57"}
SPECIES_COLORS |= {"Ag": "#7d6bb3", "Ti": "#a2476b", "Fe": "#9a5b34", "Mg": "#4f9a94"}
MORE_COLORS = ("#b8860b", "#6a7f2e", "#8c4a8c", "#3f5f8a", "#a0522d", "#2e8b8b", "#7a6652")
SERIES = ("#2f5d8a", "#c77f1a", "#3d8b57", "#a2476b", "#7d6bb3", "#5f6b76", "#4f9a94", "#9a5b34")
MOST_RATES = 8  # cooling rates that an axis names one by one
SPLIT_COLORS = {"train": "#8794a1", "validation": "#c77f1a", "test": "#1f7a5c"}
IMPORTANCE_SCALE = ((0.0, "#e3d9c6"), (0.35, "#e0a96d"), (0.7, "#c2452d"), (1.0, "#6b0f1a"))
ORDERED_SCALE = ((0.0, "#1d3557"), (0.5, "#5b8fa8"), (1.0, "#e0a458"))


def species_color(symbol: str) -> str:
    """The colour of an element."""
    number = chemical_symbols.index(symbol)
    return SPECIES_COLORS.get(symbol, MORE_COLORS[number % len(MORE_COLORS)])


def pair_color(pair: tuple[str, str]) -> str:
    """The colour of a pair of elements: the element's own for like pairs, their mean otherwise."""
    first, second = (_channels(species_color(symbol)) for symbol in pair)
    return "#" + "".join(f"{(a + b) // 2:02x}" for a, b in zip(first, second, strict=True))


def ordered_color(position: float) -> str:
    """A colour for a place in an order, `position` from 0 to 1: dark to light."""
    for (start, low), (end, high) in pairwise(ORDERED_SCALE):
        if position <= end:
            part = (position - start) / (end - start)
            pairs = zip(_channels(low), _channels(high), strict=True)
            return "#" + "".join(f"{round(a + part * (b - a)):02x}" for a, b in pairs)
    return ORDERED_SCALE[-1][1]


def _channels(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def axis(title: str, **options: object) -> dict:
    """An axis with its title (quantity and unit) in the style of the page."""
    return {
        "title": {"text": title, "standoff": 8},
        "automargin": True,
        "gridcolor": "#edf0f3",
        "linecolor": RULE,
        "showline": True,
        "ticks": "outside",
        "tickcolor": RULE,
        "ticklen": 4,
        "zeroline": False,
        **options,
    }


def empty_plot(x_title: str, y_title: str, height: int = 340, **layout: object) -> go.Figure:
    """A plot without data: two titled axes, no legend (the page draws it).

    Args:
        x_title, y_title: quantity and unit of each axis.
        height: height on the page, pixels.
        layout: further entries of plotly's layout; `xaxis` and `yaxis` add to the axes.
    """
    x_axis = axis(x_title, **layout.pop("xaxis", {}))
    y_axis = axis(y_title, **layout.pop("yaxis", {}))
    return go.Figure(layout={"xaxis": x_axis, "yaxis": y_axis, "height": height, **layout})


DECADES = {"type": "log", "dtick": 1, "exponentformat": "power"}  # an axis that spans several


def rate_axis(rates: Iterable[float]) -> dict:
    """A logarithmic axis of cooling rates, K/s, with a tick at each rate that occurs."""
    known = sorted({rate for rate in rates if math.isfinite(rate)})
    if len(known) > MOST_RATES:
        return DECADES
    return {"type": "log", "tickvals": known, "ticktext": [power_of_ten(rate) for rate in known]}


def shared_layout() -> dict:
    """The layout that the page gives to every figure: fonts and margins."""
    return {
        "font": {"family": FONT, "size": 13, "color": INK},
        "paper_bgcolor": "#fff",
        "plot_bgcolor": "#fff",
        "margin": {"l": 56, "r": 14, "t": 12, "b": 48},
        "showlegend": False,
        "modebar": {"bgcolor": "rgba(255,255,255,0.8)", "color": "#a3adb8", "activecolor": INK},
        "hoverlabel": {"font": {"family": FONT, "size": 12}},
        "colorway": list(SERIES),
        "bargap": 0.08,
    }
