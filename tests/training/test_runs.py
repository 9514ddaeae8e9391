"""Training runs through the commands: results, resume and evaluation."""

import json
import pickle
from functools import partial

import numpy as np
import pytest
import torch

import symgnn
from symgnn import fields
from symgnn.errors import InputError, TimeBudgetReached
from symgnn.graphs.dataset import read_graphs, write_graphs
from symgnn.models.normalization import refresh
from symgnn.training import loop
from symgnn.training.batches import Scaling, as_batch, label_scaling, label_weights
from symgnn.training.checkpoint import load
from symgnn.training.loop import predict_graphs
from tests.training.runs import SMALL, glass, read_csv, run


def weights(folder):
    return load(folder / "checkpoint.pt").model.state_dict()


def test_a_run_leaves_its_files_and_no_resume_point(finished):
    folder = finished / "symgnn-0"
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["checkpoint.pt", "history.csv", "metrics.json", "predictions.h5"]
    rows = read_csv(folder / "history.csv")
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    found = json.loads((folder / "metrics.json").read_text())
    assert -1 <= found["test"]["pooled"]["pearson"] <= 1


def test_the_kept_epoch_is_the_best_on_validation_glasses(finished):
    rows = read_csv(finished / "symgnn-0" / "history.csv")
    scores = [float(row["validation_pearson"]) for row in rows]
    assert load(finished / "symgnn-0" / "checkpoint.pt").epoch == np.argmax(scores) + 1
    found = json.loads((finished / "symgnn-0" / "metrics.json").read_text())
    # the history was written in single-precision sums of another order
    assert found["validation"]["pooled"]["pearson"] == pytest.approx(max(scores), abs=1e-6)


def test_same_seed_same_weights_other_seed_other_weights(finished, graphs, tmp_path):
    """And an option that is given its default is none: the table has one row for both."""
    run("train", graphs, "--seed", 0, "--samples", 4, "-o", tmp_path / "again", *SMALL)
    first, again = weights(finished / "symgnn-0"), weights(tmp_path / "again")
    assert all(torch.equal(first[key], again[key]) for key in first)
    # the graphs' cutoff is 4 Å, not the 5 Å of the default
    assert load(tmp_path / "again" / "checkpoint.pt").options == {"width": 8, "reach": 4.0}
    other = weights(finished / "symgnn-1")
    assert not all(torch.equal(first[key], other[key]) for key in first)


def test_a_stopped_and_resumed_run_ends_with_the_same_weights(finished, graphs, tmp_path):
    command = ["train", graphs, "--seed", 0, "-o", tmp_path / "run", *SMALL]
    stops = 0
    while True:
        try:
            run(*command, "--time-budget", 0)
            break
        except TimeBudgetReached:
            stops += 1
            assert not (tmp_path / "run" / "checkpoint.pt").exists()
    assert stops == 4  # a budget of nothing allows one epoch a call
    unbroken, resumed = weights(finished / "symgnn-0"), weights(tmp_path / "run")
    assert all(torch.equal(unbroken[key], resumed[key]) for key in unbroken)
    assert (finished / "symgnn-0" / "history.csv").read_bytes() == (
        tmp_path / "run" / "history.csv"
    ).read_bytes()


def test_statistics_of_batch_norms_are_those_of_the_kept_weights(finished, graphs):
    """Though averaged weights are kept, and the running numbers of a training fit none of them."""
    trained = load(finished / "symgnn-0" / "checkpoint.pt")
    kept = {name: value.clone() for name, value in trained.model.state_dict().items()}
    training = read_graphs(graphs).of_split("train")
    batches = [as_batch(graph, trained.scaling) for graph in reversed(training)]
    refresh(trained.model, [partial(batch.through, trained.model) for batch in batches])
    torch.testing.assert_close(trained.model.state_dict(), kept)


def test_how_often_one_looks_changes_nothing_where_no_glass_validates(
    graphs, tmp_path, monkeypatch
):
    """The last weights are kept, with norms of their own, which no others get."""
    refreshed = []
    monkeypatch.setattr(loop, "refresh", lambda *passes: refreshed.append(0) or refresh(*passes))
    dataset = read_graphs(graphs)
    known = dataset.of_split("train") + dataset.of_split("test")
    write_graphs(tmp_path / "graphs.h5", known, cutoff=dataset.cutoff, **dataset.attributes)
    for interval in (1, 4):
        words = ("--evaluation-interval", interval, "-o", tmp_path / str(interval))
        run("train", tmp_path / "graphs.h5", *words, *SMALL)
    assert len(refreshed) == 2
    always, once = (weights(tmp_path / str(interval)) for interval in (1, 4))
    assert all(torch.equal(always[key], once[key]) for key in always)
    trained = load(tmp_path / "1" / "checkpoint.pt")
    assert trained.epoch == 4
    batches = [as_batch(graph, trained.scaling) for graph in reversed(dataset.of_split("train"))]
    refresh(trained.model, [partial(batch.through, trained.model) for batch in batches])
    torch.testing.assert_close(trained.model.state_dict(), always)


def test_a_resume_point_of_other_arguments_is_not_used(finished, graphs, tmp_path):
    with pytest.raises(TimeBudgetReached):
        run("train", graphs, "--seed", 1, "-o", tmp_path, *SMALL, "--time-budget", 0)
    run("train", graphs, "--seed", 0, "-o", tmp_path, *SMALL)
    expected, found = weights(finished / "symgnn-0"), weights(tmp_path)
    assert all(torch.equal(expected[key], found[key]) for key in expected)


def test_labels_are_scaled_on_training_glasses_only(finished, graphs):
    trained = load(finished / "symgnn-0" / "checkpoint.pt")
    labels = np.concatenate([graph.barrier for graph in read_graphs(graphs).of_split("train")])
    assert trained.scaling.mean == pytest.approx(np.nanmean(labels))
    assert trained.scaling.std == pytest.approx(np.nanstd(labels))
    assert trained.scaling == label_scaling(read_graphs(graphs).of_split("train"))


def test_unlabelled_atoms_pass_messages_but_are_not_in_the_loss(graphs, tmp_path):
    """Removing unlabelled atoms changes predictions; moving their (absent) labels cannot."""
    trained_on = read_graphs(graphs)
    run("train", graphs, "--model", "gcn_edges", "-o", tmp_path, *SMALL)
    trained = load(tmp_path / "checkpoint.pt")
    graph = trained_on.graphs[0]
    full = predict_graphs(trained.model, [graph], trained.scaling, "cpu")[graph.name]
    keep = np.isfinite(graph.barrier)
    smaller = glass(0)[0][keep]
    (alone,) = symgnn.load(tmp_path / "checkpoint.pt").predict_members(smaller)
    assert np.isfinite(full).all()
    assert np.abs(alone - full[keep]).max() > 1e-4


def test_labels_of_more_searches_weigh_more():
    """Against the variance of the mean of n searches, by hand: std 0.1 eV, noise 0.2 eV."""
    _, graph = glass(0)
    scaling = Scaling(mean=1.5, std=0.1)
    np.testing.assert_array_equal(label_weights(graph, scaling, 0.2), np.full(60, 1 / 5))
    graph.atom_fields[fields.CONVERGED] = np.arange(60)
    weight = label_weights(graph, scaling, 0.2)
    assert weight[20] == pytest.approx(1 / (1 + 4 / 20))
    assert (np.diff(weight[1:]) > 0).all()
    graph.atom_fields[fields.COUNTED] = np.full(60, 3)  # of another label than all that converged
    np.testing.assert_allclose(label_weights(graph, scaling, 0.2), 1 / (1 + 4 / 3))
    assert (label_weights(graph, scaling, 0.0) == 1).all()


def test_tensorboard_logs_where_it_is_installed(graphs, tmp_path):
    pytest.importorskip("tensorboard", reason="the package tensorboard is optional")
    run("train", graphs, "--model", "gcn", "-o", tmp_path, *SMALL, "--tensorboard")
    assert list((tmp_path / "tensorboard").glob("events.*"))


def test_a_resumed_log_has_each_epoch_once(graphs, tmp_path):
    """Without what a killed call wrote after its last resume point."""
    pytest.importorskip("tensorboard", reason="the package tensorboard is optional")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    command = ["train", graphs, "--model", "gcn", "-o", tmp_path, *SMALL, "--tensorboard"]
    with pytest.raises(TimeBudgetReached):
        run(*command, "--time-budget", 0)
    with SummaryWriter(str(tmp_path / "tensorboard")) as log:
        for epoch in range(2, 9):
            log.add_scalar("loss", 99.0, epoch)
    run(*command)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    found = events.Scalars("loss")
    assert [event.step for event in found] == [1, 2, 3, 4]
    assert all(event.value < 99.0 for event in found)


@pytest.mark.parametrize("model", ["edge_length", "symgnn"])
def test_learning_works(tmp_path, model):
    """Which of the close neighbours are Zr is easy for attention that sees lengths.

    Three seeds of each gave 0.969 to 0.989.
    """
    found = [glass(seed, unlabelled=0.0)[1] for seed in range(8)]
    for graph, split in zip(found, ["train"] * 6 + ["validation", "test"], strict=True):
        graph.split = split
    write_graphs(tmp_path / "graphs.h5", found, cutoff=4.0)
    options = ["--epochs", "15", "--width", "16", "--threads", "1", "--learning-rate", "0.01"]
    run("train", tmp_path / "graphs.h5", "--model", model, "-o", tmp_path, *options)
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert found["test"]["pooled"]["pearson"] > 0.9  # chance: 0, deviation 0.13 over 60 atoms


def test_checkpoint_carries_what_it_needs_and_holds_no_code(finished):
    content = torch.load(finished / "symgnn-0" / "checkpoint.pt", weights_only=True)
    assert content["elements"] == [29, 40]
    assert content["cutoff"] == 4.0
    assert json.loads(content["data"])["splits"]["g3"] == "validation"
    assert json.loads(content["versions"])["torch"]
    assert json.loads(content["config"])["epochs"] == 4


def test_foreign_and_broken_checkpoints_are_refused(finished, tmp_path):
    whole = finished / "symgnn-0" / "checkpoint.pt"
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(whole.read_bytes()[:2000])
    with pytest.raises(InputError, match="not a checkpoint"):
        load(path)
    path.write_bytes(pickle.dumps({"format": print}))
    with pytest.raises(InputError, match="not a checkpoint"):
        load(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="not a checkpoint"):
        load(path)
    content = torch.load(whole, weights_only=True)
    torch.save(content | {"model": "edge_length"}, path)
    with pytest.raises(InputError, match="weights are not those of its model"):
        load(path)
    torch.save(content | {"options": "{"}, path)
    with pytest.raises(InputError, match="weights are not those of its model"):
        load(path)
    torch.save(content | {"data": "{}"}, path)
    with pytest.raises(InputError, match=r"checkpoint\.pt: it has no 'hash'"):
        load(path)
    torch.save(content | {"format": "other"}, path)
    with pytest.raises(InputError, match="format is 'other'"):
        load(path)
    torch.save(content | {"format_version": 7}, path)
    with pytest.raises(InputError, match="format_version is 7"):
        load(path)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--epochs", "0", "--epochs: 0: must be at least 1"),
        ("--learning-rate", "-1", "--learning-rate: -1.0"),
        ("--schedule", "step", "one of constant, cosine"),
        ("--precision", "fp8", "--precision: fp8: must be one of float32, bf16"),
        ("--piece-atoms", "-1", "--piece-atoms: -1: must be 0"),
        ("--model", "transformer", "must be one of"),
        ("--gaussians", "1", "gaussians is 1, must be 0 or at least 2"),
        ("--device", "tpu", "auto, cpu, cuda"),
        pytest.param(
            "--device",
            "cuda",
            "has no CUDA",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA here"),
        ),
    ],
)
def test_bad_options_are_refused_by_name(graphs, tmp_path, option, value, message):
    with pytest.raises(InputError, match=message):
        run("train", graphs, "-o", tmp_path / "run", option, value)
    assert not (tmp_path / "run").exists()


def test_graphs_without_labels_are_refused(tmp_path):
    _, graph = glass(0)
    graph.split, graph.barrier = "train", np.full(60, np.nan)
    write_graphs(tmp_path / "graphs.h5", [graph], cutoff=4.0)
    with pytest.raises(InputError, match="fewer than two labelled atoms"):
        run("train", tmp_path / "graphs.h5", "-o", tmp_path / "run")


@pytest.mark.parametrize("validation", ["as ever", "all equal"])
def test_patience_counts_evaluations_and_never_keeps_untrained_weights(
    graphs, tmp_path, validation
):
    """Also where no epoch has a correlation, since the validation labels are all equal."""
    dataset = read_graphs(graphs)
    if validation == "all equal":
        (graph,) = dataset.of_split("validation")
        graph.barrier[np.isfinite(graph.barrier)] = 1.5
    path = tmp_path / "graphs.h5"
    write_graphs(path, dataset.graphs, cutoff=4.0)
    words = ("--model", "gcn", "--epochs", "9", "--evaluation-interval", "3", "--patience", "1")
    run("train", path, *words, "-o", tmp_path / "run", "--threads", "1")
    rows = read_csv(tmp_path / "run" / "history.csv")
    best = load(tmp_path / "run" / "checkpoint.pt").epoch
    assert best in (3, 6, 9)
    assert int(rows[-1]["epoch"]) in (best + 3, 9)
    if validation == "all equal":
        assert (best, len(rows)) == (3, 2)


def test_glasses_of_one_element_are_refused_where_attention_is_blind(tmp_path):
    structure, graph = glass(0, unlabelled=0.0)
    graph.split, graph.species[:] = "train", 29
    write_graphs(tmp_path / "graphs.h5", [graph], cutoff=4.0)
    for model in ("symgnn", "no_symmetrization", "augmentation", "edge_length"):
        with pytest.raises(InputError, match="the same for all atoms of one element"):
            run("train", tmp_path / "graphs.h5", "--model", model, "-o", tmp_path / "run", *SMALL)
    assert not (tmp_path / "run").exists()
    run("train", tmp_path / "graphs.h5", "--model", "schnet", "-o", tmp_path / "run", *SMALL)
    structure.numbers[:] = 29
    assert np.ptp(symgnn.load(tmp_path / "run" / "checkpoint.pt").predict(structure)) > 1e-4


def test_an_element_that_only_test_glasses_have_is_refused(graphs, tmp_path):
    dataset = read_graphs(graphs)
    dataset.of_split("test")[0].species[5] = 13
    write_graphs(tmp_path / "graphs.h5", dataset.graphs, cutoff=4.0)
    with pytest.raises(InputError, match="g4: Al: no training glass has it"):
        run("train", tmp_path / "graphs.h5", "-o", tmp_path / "run", *SMALL)


@pytest.mark.parametrize("model", ["density", "symgnn", "edge_length"])
def test_radial_functions_reach_as_far_as_the_edges(graphs, tmp_path, model):
    """They end at the cutoff of the graphs, 4 Å here, not at the default's 5 Å."""
    run("train", graphs, "--model", model, "-o", tmp_path, *SMALL)
    trained = load(tmp_path / "checkpoint.pt")
    assert trained.options["reach"] == 4.0
    if model != "density":
        assert trained.model.encoder.centres[-1] == 4.0
