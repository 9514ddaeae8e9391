"""Models with a solved part keep it alone where validation shows no epoch to be better."""

import numpy as np
import pytest
import torch

from symgnn.errors import TimeBudgetReached
from symgnn.graphs.dataset import read_graphs, write_graphs
from symgnn.models.inputs import MODEL_INPUTS
from symgnn.training import loop
from symgnn.training.checkpoint import load
from symgnn.training.evaluation import read_run
from symgnn.training.loop import predict_graphs
from symgnn.training.metrics import pearson
from tests.training.test_inputs import SHORT, graphs, run  # noqa: F401


def write(dataset, path):
    attributes = {k: v for k, v in dataset.attributes.items() if not k.startswith("format")}
    write_graphs(path, dataset.graphs, cutoff=dataset.cutoff, **attributes)


def scores_of(folder):
    history = np.genfromtxt(folder / "history.csv", delimiter=",", names=True)
    return np.nan_to_num(history["validation_pearson"], nan=-np.inf)


def test_the_fit_is_kept_where_no_epoch_is_surely_better(graphs, tmp_path):  # noqa: F811
    """Of labels that are noise the epoch with the best correlation is one by chance."""
    dataset, random = read_graphs(graphs), np.random.default_rng(4)
    for graph in dataset.graphs:
        graph.barrier = random.normal(1.0, 0.5, size=108)
    write(dataset, tmp_path / "graphs.h5")
    words = ("--epochs", 20, "--learning-rate", 0.003, "--width", 16, "--threads", 1)
    words = ("train", tmp_path / "graphs.h5", "--model", "response", "-o", tmp_path / "run", *words)
    with pytest.raises(TimeBudgetReached):  # stopped on the way
        run(*words, "--time-budget", 0)
    run(*words)
    trained, found = load(tmp_path / "run" / "checkpoint.pt"), read_run(tmp_path / "run")
    assert trained.epoch == 0
    for split in ("validation", "test"):
        (graph,) = dataset.of_split(split)
        inputs = np.hstack([graph.inputs[name] for name in MODEL_INPUTS["response"]])
        alone = trained.scaling.barrier(trained.model.linear(torch.from_numpy(inputs)).numpy())
        np.testing.assert_allclose(found.predicted[split][graph.name], alone, atol=1e-6)
        if split == "validation":  # it would have been kept
            assert scores_of(tmp_path / "run").max() > pearson(graph.barrier, alone)


def test_two_labels_show_no_epoch_to_be_better(graphs, tmp_path, monkeypatch):  # noqa: F811
    """Their squared errors differ by the same; and patience counts from the best score."""
    dataset = read_graphs(graphs)
    (validation,) = dataset.of_split("validation")
    validation.barrier[validation.barrier.argsort()[1:-1]] = np.nan
    write(dataset, tmp_path / "graphs.h5")
    made = []

    def with_a_bad_fit(*arguments):
        predicted = predict_graphs(*arguments)
        made.append(predicted)
        return predicted if len(made) > 1 else {name: -one for name, one in predicted.items()}

    monkeypatch.setattr(loop, "predict_graphs", with_a_bad_fit)
    words = ("--model", "response", "-o", tmp_path / "run", *SHORT, "--patience", 3)
    run("train", tmp_path / "graphs.h5", *words)
    scores = scores_of(tmp_path / "run")
    assert scores.max() == pytest.approx(1.0)  # the fit's is -1
    assert load(tmp_path / "run" / "checkpoint.pt").epoch == 0
    assert len(scores) == min(1 + scores.argmax() + 3, 10)


def test_an_epoch_without_numbers_is_not_kept(graphs, tmp_path, monkeypatch):  # noqa: F811
    """As of weights that diverged on one atom."""
    made = []

    def without_numbers(*arguments):
        predicted = predict_graphs(*arguments)
        if made:  # the first are the fit's
            next(iter(predicted.values()))[0] = np.nan
        made.append(predicted)
        return predicted

    monkeypatch.setattr(loop, "predict_graphs", without_numbers)
    run("train", graphs, "--model", "response", "-o", tmp_path / "run", *SHORT)
    assert len(made) == 11
    assert load(tmp_path / "run" / "checkpoint.pt").epoch == 0
