"""The command from end to end, on a small model in a checkpoint."""

import json
import sys

import ase
import numpy as np
import pytest
import torch

from symgnn import cli
from symgnn.explanations.storage import read_explanations
from symgnn.graphs.graph import edges
from symgnn.models.registry import build_model
from symgnn.structures import write_structure
from symgnn.training.batches import Scaling
from symgnn.training.checkpoint import Trained, save_checkpoint


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return (
            build_model("symgnn", elements=[29, 40], heads=(2, 1), width=8)
            .eval()
            .requires_grad_(False)
        )


@pytest.fixture(scope="module")
def checkpoint(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "checkpoint.pt"
    trained = Trained(
        model=model,
        name="symgnn",
        options={"heads": (2, 1), "width": 8},
        elements=(29, 40),
        cutoff=4.0,
        scaling=Scaling(1.5, 0.3),
        seed=0,
        config={},
        data={
            "hash": "",
            "label": "barrier_mean",
            "splits": {},
            "density": [0.0, 1.0],
            "composition": {},
        },
        versions={},
        epoch=1,
    )
    save_checkpoint(path, trained)
    return path


@pytest.fixture(scope="module")
def glass(structure, tmp_path_factory):
    path = tmp_path_factory.mktemp("glass") / "glass.xyz"
    atoms = ase.Atoms(
        structure.species, positions=structure.position, cell=structure.cell, pbc=True
    )
    write_structure(path, atoms)
    return path


def run(monkeypatch, *words) -> int:
    """The exit code of `symgnn words...`."""
    monkeypatch.setattr(sys, "argv", ["symgnn", *map(str, words)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    return left.value.code or 0


def test_explains_and_writes(monkeypatch, tmp_path, glass, checkpoint, structure, model):
    out = tmp_path / "explanation.h5"
    words = ("explain", glass, "--checkpoint", checkpoint, "--atoms", "4,7", "-o", out)
    assert run(monkeypatch, *words, "--epochs", 5) == 0
    found = read_explanations(out)
    assert [one.atom for one in found.explanations] == [4, 7]
    edge_index, edge_vector = edges(structure.position, structure.cell, 4.0)
    standardised = model(
        torch.from_numpy(structure.species),
        torch.from_numpy(edge_index),
        torch.from_numpy(edge_vector),
    )
    assert found.explanations[1].prediction == pytest.approx(
        1.5 + 0.3 * standardised[7].item(), abs=1e-5
    )
    one = found.explanations[0]
    assert ((one.importance >= 0) & (one.importance <= 1)).all()
    ends = found.structure.edge_index[:, one.edge]
    assert set(one.field_atom) == set(np.append(ends, 4))
    assert json.loads(found.attributes["protocol"])["epochs"] == 5
    assert not out.with_name("explanation.h5.parts").exists()


def test_same_work_gives_the_same_bytes(monkeypatch, tmp_path, glass, checkpoint):
    words = ("explain", glass, "--checkpoint", checkpoint, "--atoms", 3, "--epochs", 3, "-o")
    assert run(monkeypatch, *words, tmp_path / "a.h5") == 0
    assert run(monkeypatch, *words, tmp_path / "b.h5") == 0
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_time_budget_is_exit_75_and_the_next_run_ends_it(monkeypatch, tmp_path, glass, checkpoint):
    out = tmp_path / "e.h5"
    words = ("explain", glass, "--checkpoint", checkpoint, "--atoms", "0:4", "-o", out)
    words += ("--epochs", 3, "--batch", 2)
    assert run(monkeypatch, *words, "--time-budget", 0) == 75
    assert not out.exists()
    assert run(monkeypatch, *words) == 0
    assert len(read_explanations(out).explanations) == 4


def test_parts_of_another_question_are_not_taken_up(monkeypatch, tmp_path, glass, checkpoint):
    out, other = tmp_path / "e.h5", tmp_path / "other.h5"
    words = ("explain", glass, "--checkpoint", checkpoint, "--atoms", "0:4", "--batch", 2)
    assert run(monkeypatch, *words, "--epochs", 3, "-o", out, "--time-budget", 0) == 75
    assert run(monkeypatch, *words, "--epochs", 4, "-o", out) == 0
    assert run(monkeypatch, *words, "--epochs", 4, "-o", other) == 0
    assert out.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("--method", "guess"), "--method guess: must be one of gnnexplainer"),
        (("--atoms", "99,"), "--atoms 99,: must be indices from 0 to 59"),
        (("--checkpoint", "none.pt"), "none.pt: no such file"),
    ],
)
def test_bad_input_is_exit_2(change, message, monkeypatch, tmp_path, glass, checkpoint, capsys):
    out = tmp_path / "e.h5"
    words = ("explain", glass, "--checkpoint", checkpoint, "--atoms", 1, "-o", out, *change)
    assert run(monkeypatch, *words) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_unknown_element_is_exit_2(monkeypatch, tmp_path, structure, checkpoint, capsys):
    path = tmp_path / "gold.xyz"
    gold = ase.Atoms(np.full(60, 79), positions=structure.position, cell=structure.cell, pbc=True)
    write_structure(path, gold)
    words = ("explain", path, "--checkpoint", checkpoint, "-o", tmp_path / "e.h5")
    assert run(monkeypatch, *words) == 2
    assert "atomic numbers [79] are unknown to" in capsys.readouterr().err
