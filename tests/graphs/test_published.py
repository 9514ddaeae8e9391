"""Importing the published graphs: safe reading, defects, splits."""

import json
import os
import pickle

import numpy as np
import pytest
from typer.testing import CliRunner

from symgnn import fields
from symgnn.cli import app
from symgnn.descriptors.registry import input_size
from symgnn.errors import InputError
from symgnn.graphs.dataset import read_graphs
from symgnn.graphs.published import read_pickle
from symgnn.models.inputs import MODEL_INPUTS


def made_up(seed, strain=(0.0, 0.0, 0.0), noise=0.0, atoms=200):
    """A dictionary as theirs: random atoms, labels of single precision."""
    random = np.random.default_rng(seed)
    box = 15.0 * np.ones(3)
    positions = (random.random((atoms, 3)) - 0.5) * box
    positions += noise * np.random.default_rng(99).normal(size=positions.shape)
    scale = 1 + np.array(strain)
    return {
        "positions": positions * scale,
        "box": (box * scale).astype(np.float32),
        "types": np.where(np.arange(atoms) % 3, 1, 2).astype(np.int32),
        "trajectory_start_velocities": random.random(atoms).astype(np.float32),
        "pot": np.full(atoms, -4.5, dtype=np.float32),
    }


@pytest.fixture
def folder(tmp_path):
    contents = {
        "train0": made_up(0),
        "train1": made_up(0, noise=0.01),
        "train2": made_up(2),
        "train3": made_up(3),
        "train6": made_up(3, strain=(0.04, -0.02, -0.02)),
        "test0": made_up(4),
    }
    for name, content in contents.items():
        (tmp_path / f"{name}.pickle").write_bytes(pickle.dumps(content))
    return tmp_path


def run(*arguments, inputs=("--inputs", "none")):
    result = CliRunner().invoke(app, ["import-published", *map(str, arguments), *inputs])
    if result.exception is not None:
        raise result.exception
    return result.output


def splits(path):
    return {graph.name: graph.split for graph in read_graphs(path).graphs}


def test_defects_are_named_and_the_papers_split_is_set(folder, tmp_path):
    output = run(folder, "-o", tmp_path / "graphs.h5")
    assert "train1 is a near-duplicate of train0" in output
    assert "train6 is a strained copy of train3" in output
    assert output.count("defect") == 2
    dataset = read_graphs(tmp_path / "graphs.h5")
    assert len(json.loads(dataset.attributes["defects"])) == 2
    assert splits(tmp_path / "graphs.h5") == {
        "test0": "test",
        "train0": "train",
        "train1": "train",
        "train2": "train",
        "train3": "train",
        "train6": "validation",
    }
    graph = dataset.graphs[1]
    content = made_up(0)
    np.testing.assert_array_equal(graph.species, np.where(content["types"] == 1, 29, 40))
    np.testing.assert_array_equal(graph.barrier, content["trajectory_start_velocities"])
    np.testing.assert_array_equal(graph.atom_fields[fields.PUBLISHED_ENERGY], content["pot"])


def test_grouped_split_moves_whole_groups(folder, tmp_path):
    path = tmp_path / "graphs.h5"
    run(folder, "--split", "grouped", "--test", "train6", "--validation", "train0", "-o", path)
    assert splits(path) == {
        "test0": "test",
        "train0": "validation",
        "train1": "validation",
        "train2": "train",
        "train3": "test",
        "train6": "test",
    }
    with pytest.raises(InputError, match="a copy of it is in"):
        run(folder, "--split", "grouped", "--test", "train1", "--validation", "train0", "-o", path)


def test_published_test_graphs_and_their_copies_only_test(folder, tmp_path):
    path = tmp_path / "graphs.h5"
    run(folder, "--split", "grouped", "-o", path)
    assert splits(path)["test0"] == "test"
    assert "train" in splits(path).values()
    (folder / "train7.pickle").write_bytes((folder / "test0.pickle").read_bytes())
    run(folder, "--split", "grouped", "--validation", "train0", "-o", path)
    assert splits(path)["train7"] == splits(path)["test0"] == "test"
    for name in ("test0", "train7"):
        with pytest.raises(InputError, match=f"--validation: {name}: a copy of it is in test"):
            run(folder, "--split", "grouped", "--validation", name, "-o", path)


def test_all_inputs_are_imported_by_default(tmp_path):
    """So that the models response and ridge need no further option."""
    (tmp_path / "train0.pickle").write_bytes(pickle.dumps(made_up(0)))
    run(tmp_path, "-o", tmp_path / "graphs.h5", inputs=())
    (graph,) = (dataset := read_graphs(tmp_path / "graphs.h5")).graphs
    assert dataset.attributes[fields.POTENTIAL] == "Cu-Zr-2009"
    for model in ("response", "ridge"):
        for name in MODEL_INPUTS[model]:
            assert graph.inputs[name].shape == (200, input_size(name, 2))


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    class Malicious:
        def __reduce__(self):
            return os.system, ("touch pwned",)

    for content in (Malicious(), {"positions": Malicious()}):
        (tmp_path / "train0.pickle").write_bytes(pickle.dumps(content))
        with pytest.raises(InputError, match=r"posix\.system"):
            read_pickle(tmp_path / "train0.pickle")


def test_wrong_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"no train<number>\.pickle"):
        run(tmp_path, "-o", tmp_path / "graphs.h5")
    path = tmp_path / "train0.pickle"
    for content, message in (
        (b"junk", "not a pickle"),
        (pickle.dumps([1]), "a list"),
        (pickle.dumps({"box": 1}), "not a published graph"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=message):
            run(tmp_path, "-o", tmp_path / "graphs.h5")


def test_the_real_files_have_the_known_defects_and_edges(shared, tmp_path):
    path = tmp_path / "graphs.h5"
    output = run(shared / "published", "-o", path)
    assert [line[:38] for line in output.splitlines()] == [
        "defect: train1 is a near-duplicate of ",
        "defect: train6 is a strained copy of t",
    ]
    edges = [graph.edge_index.shape[1] for graph in read_graphs(path).graphs]
    assert edges == [259838, 259948, 259358, 258976, 258276, 257762, 257658]  # published/README
