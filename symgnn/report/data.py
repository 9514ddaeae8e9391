"""Section on the data set: graphs, labels and their split."""

from collections.abc import Sequence

import numpy as np

from symgnn.graphs.dataset import SPLITS, Dataset
from symgnn.graphs.graph import Graph
from symgnn.report.page import Figure, Section, Table, figure
from symgnn.report.statistics import bins
from symgnn.report.style import SPLIT_COLORS, empty_plot
from symgnn.report.words import count, decimal


def section(dataset: Dataset) -> Section:
    """Table and label distribution of the graphs that models learn from."""
    labelled = {split: _labels(dataset.of_split(split)) for split in SPLITS}
    atoms = sum(len(graph.species) for graph in dataset.graphs)
    total = sum(map(len, labelled.values()))
    opening = (
        f"{count(len(dataset.graphs), 'graph')} of {atoms:,} atoms in all, with an edge in both "
        f"directions between atoms closer than {dataset.cutoff:g} Å; {count(total, 'atom')} of "
        "them carry a label, the mean barrier of their searches. Whole glasses are kept for "
        "training, validation or test."
    )
    rows = [_data_row(g) for split in SPLITS for g in dataset.of_split(split)]
    header = ("graph", "split", "atoms", "edges", "labelled", "mean, eV", "deviation, eV")
    caption = "The graphs: size, and number, mean and standard deviation of their labels."
    table = Table("graphs", caption, header, rows, words=(0, 1))
    blocks = [opening, table, *_label_figure(labelled)]
    return Section("data", "Data set", blocks, facts=[(f"{total:,}", "labelled atoms")])


def _labels(graphs: Sequence[Graph]) -> np.ndarray:
    barrier = np.concatenate([np.empty(0), *(graph.barrier for graph in graphs)])
    return barrier[np.isfinite(barrier)]


def _data_row(graph: Graph) -> tuple[str, ...]:
    label = _labels([graph])
    number = len(label)
    return (
        graph.name,
        graph.split,
        f"{len(graph.species):,}",
        f"{graph.edge_index.shape[1]:,}",
        f"{number:,}",
        decimal(label.mean() if number else np.nan),
        decimal(label.std() if number else np.nan),
    )


def _label_figure(labelled: dict[str, np.ndarray]) -> list[Figure]:
    shown = {split: values for split, values in labelled.items() if len(values)}
    if not shown:
        return []
    every = np.concatenate(list(shown.values()))
    edges = np.linspace(every.min(), every.max() + 1e-9, bins(len(every)) + 1)
    plot = empty_plot(
        "label: mean barrier of an atom, eV", "density, 1/eV", 280, yaxis={"rangemode": "tozero"}
    )
    middle = (edges[1:] + edges[:-1]) / 2
    for split, values in shown.items():
        height = np.histogram(values, edges, density=True)[0]
        line = {"color": SPLIT_COLORS[split], "shape": "hvh", "width": 1.8}
        plot.add_scatter(x=middle, y=height, mode="lines", line=line, name=split)
    parts = [f"{split} {decimal(values.mean())} eV" for split, values in shown.items()]
    caption = f"Distribution of the labels by split; means: {', '.join(parts)}."
    legend = [(split, SPLIT_COLORS[split]) for split in shown]
    return [figure("labels", caption, plot, legend=legend)]
