"""Models with per-atom inputs, from graphs to predictions."""

import json
import subprocess
import sys
from dataclasses import replace

import ase.io
import h5py
import numpy as np
import pytest
import torch
from ase.build import bulk
from typer.testing import CliRunner

import symgnn
from symgnn import fields
from symgnn.cli import app
from symgnn.descriptors.registry import DESCRIPTORS
from symgnn.descriptors.response import response_of
from symgnn.errors import InputError, TimeBudgetReached
from symgnn.graphs.dataset import read_graphs, write_graphs
from symgnn.graphs.describing import Describer
from symgnn.graphs.graph import glass_graph
from symgnn.lammps_interface import LammpsForces
from symgnn.models.inputs import MODEL_INPUTS
from symgnn.models.ridge import LinearFit
from symgnn.potentials import find_potential
from symgnn.structures import write_structure
from symgnn.training.batches import as_batch, join, label_scaling
from symgnn.training.checkpoint import load, load_tensors
from symgnn.training.evaluation import read_run
from symgnn.training.metrics import pearson
from symgnn.training.prediction import WORK

INPUTS = sorted({name for model in ("response", "ridge") for name in MODEL_INPUTS[model]})
SHORT = ["--epochs", "10", "--width", "16", "--threads", "1"]


def run(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None:
        raise result.exception
    return result


def shaken(seed):
    random = np.random.default_rng(seed)
    atoms = bulk("Cu", "fcc", a=4.05, cubic=True).repeat(3)
    atoms.symbols = random.permutation(["Cu"] * 69 + ["Zr"] * 39)
    atoms.positions += random.normal(scale=0.15, size=atoms.positions.shape)
    return atoms


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    """Glasses whose label is a column of the response and of the invariants: the energy."""
    path = tmp_path_factory.mktemp("inputs") / "graphs.h5"
    structures = [shaken(seed) for seed in range(5)]
    describer = Describer(INPUTS, "Cu-Zr-2009", structures)
    found = []
    for seed, split in enumerate(["train"] * 3 + ["validation", "test"]):
        graph = glass_graph(f"g{seed}", structures[seed], cutoff=4.0)
        describer.describe(graph)
        graph.barrier = graph.inputs["response"][:, 0].astype(float)
        graph.split = split
        found.append(graph)
    write_graphs(path, found, cutoff=4.0, label="barrier_mean", **describer.attributes)
    return path


@pytest.fixture(scope="module")
def finished(graphs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for model in ("response", "ridge", "gcn"):
        rest = [] if model == "ridge" else SHORT
        run("train", graphs, "--model", model, "-o", folder / model, *rest)
    return folder


@pytest.mark.parametrize("model", ["response", "ridge"])
def test_models_learn_what_their_inputs_say(finished, model):
    found = read_run(finished / model)
    (computed,), (predicted,) = (
        part["test"].values() for part in (found.computed, found.predicted)
    )
    assert pearson(computed, predicted) > 0.95


def test_the_network_of_response_learns_what_a_line_cannot(graphs, tmp_path):
    """How far an atom's energy is from its element's mean, which has no slope."""
    dataset = read_graphs(graphs)
    for graph in dataset.graphs:
        graph.barrier = np.empty(108)
        for number in (29, 40):
            energy = graph.inputs["response"][graph.species == number, 0].astype(float)
            far = (energy - energy.mean()) / energy.std()
            graph.barrier[graph.species == number] = np.abs(far)
    attributes = {k: v for k, v in dataset.attributes.items() if not k.startswith("format")}
    write_graphs(tmp_path / "graphs.h5", dataset.graphs, cutoff=4.0, **attributes)
    words = ("--epochs", 60, "--learning-rate", 0.01, "--width", 32, "--threads", 1)
    run("train", tmp_path / "graphs.h5", "--model", "response", "-o", tmp_path / "run", *words)
    (computed,), (predicted,) = (
        part["test"].values()
        for part in (
            getattr(read_run(tmp_path / "run"), kind) for kind in ("computed", "predicted")
        )
    )
    linear = load(tmp_path / "run" / "checkpoint.pt").model.linear
    inputs = np.hstack([dataset.graphs[-1].inputs[name] for name in MODEL_INPUTS["response"]])
    alone = linear(torch.from_numpy(inputs)).numpy()
    assert pearson(computed, alone) < 0.4  # 0.29
    assert pearson(computed, predicted) > 0.5  # 0.60; 108 atoms


@pytest.mark.parametrize("model", ["response", "ridge"])
def test_prediction_computes_the_same_inputs(finished, model, tmp_path):
    found = read_run(finished / model)
    checkpoint = finished / model / "checkpoint.pt"
    with pytest.warns(UserWarning, match="largest force"):
        predicted = symgnn.load(checkpoint).predict(shaken(4))
    np.testing.assert_allclose(predicted, found.predicted["test"]["g4"], atol=2e-5)
    write_structure(tmp_path / "glass.xyz", shaken(4))
    run("predict", tmp_path / "glass.xyz", "--checkpoint", checkpoint, "-o", tmp_path / "p.xyz")


def test_the_loss_is_over_labelled_atoms(graphs, tmp_path):
    """Of the ridge, which has one evaluation: by hand, from its predictions of the glasses."""
    dataset = read_graphs(graphs)
    for graph in dataset.of_split("train"):
        graph.barrier[::3] = np.nan
    attributes = {k: v for k, v in dataset.attributes.items() if not k.startswith("format")}
    write_graphs(tmp_path / "graphs.h5", dataset.graphs, cutoff=4.0, **attributes)
    run("train", tmp_path / "graphs.h5", "--model", "ridge", "-o", tmp_path)
    found, terms = read_run(tmp_path), []
    scaling = load(tmp_path / "checkpoint.pt").scaling
    for name, computed in found.computed["train"].items():
        labelled = np.isfinite(computed)
        assert labelled.sum() == 72
        error = (found.predicted["train"][name] - computed)[labelled] / scaling.std
        terms.append((error**2).mean())
    header, row = (tmp_path / "history.csv").read_text().splitlines()
    loss = float(row.split(",")[header.split(",").index("loss")])
    assert loss == pytest.approx(np.mean(terms), rel=1e-5)  # single precision


def test_ridge_is_the_closed_form(graphs, finished):
    """Against normal equations in numpy, on standardised inputs."""
    training = read_graphs(graphs).of_split("train")
    scaling = label_scaling(training)
    batch = join([as_batch(graph, scaling, inputs=MODEL_INPUTS["ridge"]) for graph in training])
    x, y = batch.inputs.double().numpy(), batch.target.double().numpy()
    x = (x - x.mean(0)) / np.maximum(x.std(0, ddof=1), 1e-9)
    linear = load(finished / "ridge" / "checkpoint.pt").model.linear
    moments = x.T @ x + float(linear.penalty) * np.eye(x.shape[1])
    weight = np.linalg.solve(moments, x.T @ (y - y.mean()))
    np.testing.assert_allclose(linear.weight.numpy(), weight, rtol=1e-5, atol=1e-8)


def test_validation_glasses_help_to_choose_the_penalty(graphs, tmp_path):
    """Labels without a relation to the inputs, in as many atoms as count in full: a larger one."""
    dataset = read_graphs(graphs)
    training, validation = dataset.of_split("train"), dataset.of_split("validation")
    for graph in validation:
        graph.barrier = np.random.default_rng(5).permutation(graph.barrier)
    attributes = {k: v for k, v in dataset.attributes.items() if not k.startswith("format")}
    write_graphs(tmp_path / "graphs.h5", dataset.graphs, cutoff=4.0, **attributes)
    scaling, names = label_scaling(training), MODEL_INPUTS["ridge"]
    batches = [
        [as_batch(graph, scaling, inputs=names) for graph in part]
        for part in (training, validation)
    ]
    alone, expected = (LinearFit(batches[0][0].inputs.shape[1]) for _ in range(2))
    alone.solve(batches[0])
    expected.solve(*batches)
    run("train", tmp_path / "graphs.h5", "--model", "ridge", "-o", tmp_path)
    found = load(tmp_path / "checkpoint.pt").model.linear
    assert found.penalty == expected.penalty > alone.penalty
    torch.testing.assert_close(found.weight, expected.weight)


def test_glasses_without_a_label_change_nothing(graphs, finished, tmp_path):
    dataset = read_graphs(graphs)
    bare = replace(dataset.graphs[0], name="bare", barrier=np.full(108, np.nan))
    attributes = {k: v for k, v in dataset.attributes.items() if not k.startswith("format")}
    path = tmp_path / "graphs.h5"
    write_graphs(path, [bare, *dataset.graphs], cutoff=4.0, **attributes)
    for model, rest in (("ridge", []), ("response", SHORT)):
        run("train", path, "--model", model, "-o", tmp_path / model, *rest)
        expected, found = (
            load(folder / model / "checkpoint.pt").model.state_dict()
            for folder in (finished, tmp_path)
        )
        assert all(torch.equal(expected[key], found[key]) for key in expected)


def test_graphs_without_the_inputs_are_refused(graphs, tmp_path):
    dataset = read_graphs(graphs)
    for graph in dataset.graphs:
        del graph.inputs["response"]
    path = tmp_path / "graphs.h5"
    write_graphs(path, dataset.graphs, cutoff=4.0, label="barrier_mean")
    with pytest.raises(InputError, match=r"g0: no inputs 'response'.*--inputs response"):
        run("train", path, "--model", "response", "-o", tmp_path / "run", *SHORT)
    write_graphs(path, read_graphs(graphs).graphs, cutoff=4.0, label="barrier_mean")
    with pytest.raises(InputError, match="attribute 'potential' is missing"):
        run("train", path, "--model", "response", "-o", tmp_path / "run", *SHORT)
    assert not (tmp_path / "run").exists()


def test_structures_off_their_minimum_are_warned_of(finished, tmp_path):
    """By a model that knows its potential, and by one that is told."""
    crystal = bulk("Cu", "fcc", a=3.639, cubic=True).repeat(4)  # symmetry leaves no force
    moved = crystal.copy()
    moved.positions[3, 0] += 0.1
    for checkpoint, potential in ((finished / "ridge", None), (finished / "gcn", "Cu-Zr-2009")):
        predictor = symgnn.load(checkpoint / "checkpoint.pt", potential=potential)
        assert not [reason for reason in predictor.outside(crystal) if "force" in reason]
        (line,) = (reason for reason in predictor.outside(moved) if "force" in reason)
        assert line.endswith("relax the structure with Cu-Zr-2009")
    with LammpsForces(moved, find_potential("Cu-Zr-2009")) as forces:
        largest = np.linalg.norm(forces.energy_and_forces(moved.positions)[1], axis=1).max()
    assert line.startswith(f"largest force {largest:.2f} eV/Å")
    unknowing = symgnn.load(finished / "gcn" / "checkpoint.pt")
    assert not [reason for reason in unknowing.outside(moved) if "force" in reason]
    write_structure(tmp_path / "moved.xyz", moved)
    words = (tmp_path / "moved.xyz", "--checkpoint", finished / "ridge" / "checkpoint.pt")
    assert "warning: largest force" in run("predict", *words, "-o", tmp_path / "p.xyz").stderr


def test_progress_counts_inputs_and_networks(finished):
    """Inputs that two models share are computed once and count once."""
    assert WORK.keys() == DESCRIPTORS.keys()
    two = [finished / "response" / "checkpoint.pt"] * 2
    told = []
    symgnn.load(two).predict_members(shaken(4), told.append)
    work = WORK["response"] + WORK["invariants"] + 2
    assert sum(told) == pytest.approx(108)
    assert told[:2] == pytest.approx(
        [108 * WORK[name] / work for name in ("response", "invariants")]
    )
    alone = symgnn.load(two[0])
    for parameter in alone.members[0].model.decoder[-1].parameters():
        torch.nn.init.zeros_(parameter)  # a fit alone, which does without its layers
    told_alone = []
    alone.predict_members(shaken(4), told_alone.append)
    assert sum(told_alone) == pytest.approx(108)
    parts = []
    atoms, table = shaken(4).repeat((3, 1, 1)), find_potential("Cu-Zr-2009")
    known = response_of(atoms, table, done=parts.append)
    np.testing.assert_array_equal(parts, [324])
    parts.clear()
    found = response_of(atoms, table, most_atoms=100, done=parts.append)
    np.testing.assert_array_equal(parts, [81] * 4)
    np.testing.assert_array_equal(found.energy, known.energy)
    assert sum(told[2:]) == pytest.approx(108 * 2 / work)


def test_another_potential_of_the_same_name_is_refused(finished, tmp_path):
    content = load_tensors(finished / "ridge" / "checkpoint.pt")
    content["inputs"] = json.dumps(json.loads(content["inputs"]) | {"potential_sha256": "0" * 64})
    torch.save(content, tmp_path / "checkpoint.pt")
    with pytest.raises(
        InputError, match=r"Cu-Zr-2009: the model knows sha256 000000000000\.\.\., "
    ):
        symgnn.load(tmp_path / "checkpoint.pt").predict(shaken(0))


def test_a_potential_that_was_a_file_is_given_again(graphs, tmp_path):
    """Also one whose name is taken: a file of another content is refused with exit code 2."""
    own, other = tmp_path / "own.eam.fs", tmp_path / "other.eam.fs"
    text = find_potential("Cu-Zr-2009").path.read_text()
    own.write_text("a copy of\n" + text.split("\n", 1)[1])
    other.write_text("another copy of\n" + text.split("\n", 1)[1])
    dataset = read_graphs(graphs)
    describer = Describer(MODEL_INPUTS["ridge"], str(own), [shaken(0)])
    path, folder = tmp_path / "graphs.h5", tmp_path / "run"
    write_graphs(path, dataset.graphs, cutoff=4.0, label="barrier_mean", **describer.attributes)
    run("train", path, "--model", "ridge", "-o", folder)
    checkpoint = folder / "checkpoint.pt"
    write_structure(tmp_path / "glass.xyz", shaken(4))
    words = (
        "predict",
        tmp_path / "glass.xyz",
        "--checkpoint",
        checkpoint,
        "-o",
        tmp_path / "p.xyz",
    )
    with pytest.raises(InputError, match=r"own\.eam\.fs: no such potential.*with --potential"):
        run(*words)
    run(*words, "--potential", own)
    written = ase.io.read(tmp_path / "p.xyz").arrays["barrier"]
    np.testing.assert_allclose(written, read_run(folder).predicted["test"]["g4"], atol=2e-5)
    (tmp_path / "p.xyz").unlink()
    command = [sys.executable, "-m", "symgnn.cli", *map(str, words), "--potential", str(other)]
    failed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert failed.returncode == 2
    assert failed.stderr.startswith("symgnn: error: checkpoint: potential own.eam.fs: the model")
    assert len(failed.stderr.splitlines()) == 1
    assert not (tmp_path / "p.xyz").exists()


def test_models_with_inputs_are_not_explained(finished, tmp_path):
    write_structure(tmp_path / "glass.xyz", shaken(0))
    checkpoint = finished / "ridge" / "checkpoint.pt"
    with pytest.raises(InputError, match="model ridge has per-atom inputs"):
        run("explain", tmp_path / "glass.xyz", "--checkpoint", checkpoint, "-o", tmp_path / "e.h5")


def test_inputs_need_a_potential_and_a_known_name():
    with pytest.raises(InputError, match="give --potential"):
        Describer(["response"], "", [])
    with pytest.raises(InputError, match="inputs: 'energy': must be one of"):
        Describer(["energy"], "Cu-Zr-2009", [])


def test_errors_of_predictions_come_from_the_validation_glasses(graphs, finished, tmp_path):
    folder = finished / "response"
    found = read_run(folder)
    (computed,), (predicted,) = (
        part["validation"].values() for part in (found.computed, found.predicted)
    )
    expected = np.sqrt(np.mean((computed - predicted) ** 2))
    predictor = symgnn.load([folder / "checkpoint.pt", finished / "ridge" / "checkpoint.pt"])
    assert predictor.members[0].residual == pytest.approx(expected)
    members = predictor.predict_members(shaken(4))
    (other,) = read_run(finished / "ridge").predicted["validation"].values()
    both = [computed - predicted, computed - other]
    made = np.mean(np.mean(both, axis=0) ** 2)
    more = members.var(0, ddof=1) - np.var(both, axis=0, ddof=1).mean()
    error = np.sqrt(np.maximum(made + more, made / 4))
    np.testing.assert_allclose(predictor.error(members), error, rtol=1e-5)
    content = load_tensors(finished / "ridge" / "checkpoint.pt")
    graphs_with_others = json.loads(content["data"]) | {"hash": "of the same with other inputs"}
    torch.save(content | {"data": json.dumps(graphs_with_others)}, tmp_path / "others.pt")
    same = symgnn.load([folder / "checkpoint.pt", tmp_path / "others.pt"])
    np.testing.assert_array_equal(same.error(members), predictor.error(members))
    elsewhere = json.loads(content["data"]) | {"validation_hash": "of other atoms"}
    torch.save(content | {"data": json.dumps(elsewhere)}, tmp_path / "elsewhere.pt")
    mixed = symgnn.load([folder / "checkpoint.pt", tmp_path / "elsewhere.pt"])
    mean = np.sqrt(np.mean([member.residual**2 for member in mixed.members]))
    np.testing.assert_allclose(mixed.error(members), np.full(members.shape[1], mean))
    write_structure(tmp_path / "glass.xyz", shaken(4))
    run("predict", tmp_path / "glass.xyz", "--checkpoint", folder / "checkpoint.pt",
        "-o", tmp_path / "p.xyz")  # fmt: skip
    written = ase.io.read(tmp_path / "p.xyz").arrays["barrier_error"]
    np.testing.assert_allclose(written, expected, atol=1e-6)
    metrics = json.loads((folder / "metrics.json").read_text())
    (computed,), (predicted,) = (
        part["test"].values() for part in (found.computed, found.predicted)
    )
    inside = np.abs(computed - predicted) < expected
    assert metrics["test"]["coverage"]["one"] == pytest.approx(inside.mean())


def test_a_stopped_fit_ends_when_it_is_called_again(graphs, tmp_path):
    words = ("train", graphs, "--model", "ridge", "-o", tmp_path / "run")
    with pytest.raises(TimeBudgetReached):
        run(*words, "--time-budget", 0)
    run(*words)
    assert (tmp_path / "run" / "checkpoint.pt").is_file()
    assert len((tmp_path / "run" / "history.csv").read_text().splitlines()) == 2


def test_a_stopped_and_resumed_run_ends_with_the_same_weights(graphs, finished, tmp_path):
    words = ("train", graphs, "--model", "response", "-o", tmp_path / "run", *SHORT)
    for _ in range(3):
        with pytest.raises(TimeBudgetReached):
            run(*words, "--time-budget", 0)
    run(*words)
    whole, parts = (
        load(folder / "checkpoint.pt").model.state_dict()
        for folder in (finished / "response", tmp_path / "run")
    )
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_inputs_of_another_version_are_refused(finished, tmp_path):
    content = load_tensors(finished / "ridge" / "checkpoint.pt")
    versions = {"versions": {"invariants_by_element": 0}}
    content["inputs"] = json.dumps(json.loads(content["inputs"]) | versions)
    content["weights"] = {}  # of as many inputs as there were then: not what is said
    torch.save(content, tmp_path / "checkpoint.pt")
    with pytest.raises(
        InputError, match="knows version 0 of them, this program computes version 1"
    ):
        symgnn.load(tmp_path / "checkpoint.pt").predict(shaken(0))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"names": ["response"]}, "ridge was trained on response, this program gives it invar"),
        ({"names": []}, "ridge was trained on none, this program gives it invariants_by_element"),
        ({"names": ["foo"]}, "ridge was trained on foo"),
        ({}, "ridge was trained on none"),
        ({"potential": None}, "it has no 'potential'"),
    ],
)
def test_a_model_of_other_inputs_is_refused(finished, tmp_path, inputs, message):
    content = load_tensors(finished / "ridge" / "checkpoint.pt")
    known = json.loads(content["inputs"]) | inputs if inputs else {}
    content["inputs"] = json.dumps({k: v for k, v in known.items() if v is not None})
    torch.save(content, tmp_path / "checkpoint.pt")
    with pytest.raises(InputError, match=message):
        symgnn.load(tmp_path / "checkpoint.pt")


def test_inputs_in_another_order_are_refused(finished, tmp_path):
    """Their columns would be taken for one another."""
    content = load_tensors(finished / "response" / "checkpoint.pt")
    known = json.loads(content["inputs"])
    content["inputs"] = json.dumps(known | {"names": known["names"][::-1]})
    torch.save(content, tmp_path / "checkpoint.pt")
    with pytest.raises(InputError, match="trained on invariants, response, this program gives it "):
        symgnn.load(tmp_path / "checkpoint.pt")


def test_graphs_with_inputs_of_another_version_are_refused(graphs, tmp_path):
    path = tmp_path / "graphs.h5"
    path.write_bytes(graphs.read_bytes())
    with h5py.File(path, "r+") as file:
        made = json.loads(file.attrs[fields.INPUT_VERSIONS])
        file.attrs[fields.INPUT_VERSIONS] = json.dumps(made | {"response": 1})
    with pytest.raises(InputError, match="'response': version 1, this program computes version 2"):
        run("train", path, "--model", "response", "-o", tmp_path / "run", *SHORT)
    assert not (tmp_path / "run").exists()
