"""Graphs and finished trainings that several files of tests look at."""

import pytest

from symgnn.graphs.dataset import write_graphs
from tests.training.runs import SMALL, glass, run


@pytest.fixture(scope="package")
def graphs(tmp_path_factory):
    """Three training glasses, one to validate and one to test."""
    path = tmp_path_factory.mktemp("graphs") / "graphs.h5"
    found = [glass(seed)[1] for seed in range(5)]
    for graph, split in zip(found, ["train"] * 3 + ["validation", "test"], strict=True):
        graph.split = split
    write_graphs(path, found, cutoff=4.0, label="barrier_mean")
    return path


@pytest.fixture(scope="package")
def finished(graphs, tmp_path_factory):
    """A finished run of each of two models."""
    folder = tmp_path_factory.mktemp("runs")
    for model, seed in (("symgnn", 0), ("symgnn", 1), ("edge_length", 0)):
        output = folder / f"{model}-{seed}"
        run("train", graphs, "--model", model, "--seed", seed, "-o", output, *SMALL)
    return folder
