"""Figures of g(r): curves by pair of elements, and a table of first peaks."""

from collections.abc import Mapping, Sequence

import numpy as np

from symgnn.analysis.radial import RadialDistribution, first_peak, mean_distribution
from symgnn.report.inputs import Glass
from symgnn.report.page import Figure, Table
from symgnn.report.references import Reference
from symgnn.report.style import empty_plot, pair_color
from symgnn.report.words import MISSING, decimal

NEAREST_SHOWN = 1.8  # Å; no two atoms of a metal are closer


def blocks(
    groups: Mapping[str, Sequence[Glass]],
    radial: Mapping[str, RadialDistribution],
    published: Sequence[Reference],
) -> list[Figure | Table]:
    """The mean g(r) of each group of glasses, and the first peaks with those published.

    Args:
        groups: name of a group of like glasses -> the glasses.
        radial: name of a glass -> its g(r).
        published: structures of others to set beside them.
    """
    means = {
        name: mean_distribution([radial[glass.name] for glass in members])
        for name, members in groups.items()
    }
    pairs = sorted({pair for mean in means.values() for pair in mean.partial})
    choices = {}
    for name, mean in means.items():
        plot = empty_plot("distance r, Å", "g(r)", xaxis={"range": [NEAREST_SHOWN, None]})
        shown = mean.distance >= NEAREST_SHOWN
        for pair, g in mean.partial.items():
            line = {"color": pair_color(pair), "width": 1.8}
            x, y = mean.distance[shown].astype(np.float32), g[shown].astype(np.float32)
            plot.add_scatter(x=x, y=y, mode="lines", line=line, name="-".join(pair))
        choices[name] = [plot]
    caption = (
        "Partial radial distribution functions g(r): the density of one species at distance r "
        "from an atom of another, relative to its mean density. Mean over the samples."
    )
    legend = [("-".join(pair), pair_color(pair)) for pair in pairs]
    drawn = Figure("radial", caption, choices, "Glasses", legend)
    return [drawn, _peak_table(means, pairs, published)]


def _peak_table(
    means: Mapping[str, RadialDistribution],
    pairs: Sequence[tuple[str, str]],
    published: Sequence[Reference],
) -> Table:
    found = {
        name: {pair: first_peak(mean.distance, g) for pair, g in mean.partial.items()}
        for name, mean in means.items()
    }
    found |= {f"published {one.name}": one.peaks for one in published}
    rows = []
    for name, peaks in found.items():
        row = [name]
        for pair in pairs:
            if pair in peaks:
                position, height = peaks[pair]
                row += [decimal(position, 3), decimal(height, 2)]
            else:
                row += [MISSING, MISSING]
        rows.append(row)
    header = ["glasses"]
    for pair in pairs:
        header += [f"{'-'.join(pair)}, Å", "height"]
    caption = (
        "First peak of each partial g(r), mean over the samples: its position and height, from a "
        "quartic through its top."
    )
    if published:
        caption += f" Published: measured alike on the structures of {published[0].citation}."
    return Table("radial", caption, header, rows)
