"""The models that come with the program: whole, found by name, and worth something."""

import shutil

import numpy as np
import pytest
from ase.build import bulk

import symgnn
from symgnn.errors import InputError
from symgnn.graphs.published import read_published
from symgnn.potentials import resources
from symgnn.training import shipped
from symgnn.training.checkpoint import load
from symgnn.training.metrics import pearson
from symgnn.training.shipped import find_checkpoints, shipped_models
from tests.training.runs import run


@pytest.mark.parametrize("name", sorted(shipped_models()))
def test_shipped_model_is_what_its_registry_says(name):
    """Unaltered, with its origin, and its inputs are those that this program computes."""
    entry, predictor = shipped_models()[name], symgnn.load(name)
    assert entry["description"]
    assert len(predictor.members) == len(entry["files"]) == len(set(entry["files"]))
    random = np.random.default_rng(0)
    glass = bulk("Cu", "fcc", a=3.987, cubic=True).repeat(4)
    glass.symbols = random.permutation(["Cu"] * 164 + ["Zr"] * 92)
    glass.rattle(0.05, seed=0)
    with pytest.warns(UserWarning, match="largest force"):
        barrier = predictor.predict(glass)
    assert np.isfinite(barrier).all()
    assert barrier.std() > 0.01


def test_shipped_model_on_a_published_glass(shared):
    """It has seen none of the published labels, whose own noise allows 0.88."""
    graph = read_published(shared / "published" / "train2.pickle", cutoff=5.0)
    atoms = graph.atoms
    predictor = symgnn.load("Cu64Zr36")
    members = predictor.predict_members(atoms)
    predicted = members.mean(0)
    assert pearson(graph.barrier, predicted) > 0.6
    assert abs(predicted.mean() - graph.barrier.mean()) < 0.15  # eV
    within = np.abs(graph.barrier - predicted) < predictor.error(members)
    assert 0.5 < within.mean() < 0.85


def test_checkpoints_are_files_or_names(finished, tmp_path):
    path = finished / "symgnn-0" / "checkpoint.pt"
    assert find_checkpoints(path) == [path]
    assert all(map(load, find_checkpoints("Cu64Zr36")))
    with pytest.raises(InputError, match=r"Cu64Zr37: no such file.*Cu64Zr36"):
        symgnn.load("Cu64Zr37")
    with pytest.raises(InputError, match=r"nothing\.pt: no such file"):
        run("predict", tmp_path / "a.xyz", "--checkpoint", "nothing.pt", "-o", tmp_path / "b.xyz")


def test_altered_or_missing_file_is_refused(tmp_path, monkeypatch):
    shutil.copytree(resources() / "models", tmp_path / "models")
    monkeypatch.setattr(shipped, "resources", lambda: tmp_path)
    first, *_ = find_checkpoints("Cu64Zr36")
    first.write_bytes(first.read_bytes() + b"\0")
    with pytest.raises(InputError, match=r"Cu64Zr36 was altered: sha256"):
        find_checkpoints("Cu64Zr36")
    first.unlink()
    with pytest.raises(InputError, match="is missing"):
        find_checkpoints("Cu64Zr36")
