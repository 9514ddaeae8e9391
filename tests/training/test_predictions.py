"""Predictions for structures in files, and what is said of them."""

import gzip
import json
import shutil
from dataclasses import replace
from functools import partial

import ase.io
import numpy as np
import pytest
import torch

import symgnn
from symgnn import fields
from symgnn.errors import InputError
from symgnn.lammps_files import HEAD
from symgnn.progress import Progress
from symgnn.structures import read_structure, write_structure
from symgnn.training import pieces, prediction_files
from symgnn.training.checkpoint import load
from symgnn.training.loop import predict_graphs
from symgnn.training.prediction import Predictor
from tests.training.runs import SMALL, glass, run


def test_prediction_of_a_structure_is_that_of_its_graph(finished, graphs, tmp_path):
    structure, graph = glass(4)
    write_structure(tmp_path / "glass.xyz", structure)
    checkpoint = finished / "symgnn-0" / "checkpoint.pt"
    output = tmp_path / "predicted.xyz"
    run("predict", tmp_path / "glass.xyz", "--checkpoint", checkpoint, "-o", output)
    written = read_structure(output).arrays[fields.BARRIER]
    trained = load(checkpoint)
    expected = predict_graphs(trained.model, [graph], trained.scaling, "cpu")[graph.name]
    np.testing.assert_allclose(written, expected, atol=1e-5)  # 8 decimals in positions, float32
    np.testing.assert_allclose(symgnn.load(checkpoint).predict(structure), expected, atol=1e-6)


def test_a_batch_of_files_and_an_ensemble(finished, tmp_path):
    """LAMMPS data and dumps, and XYZ, give the same; the ensemble is the mean of its members."""
    structure, _ = glass(4)
    write_structure(tmp_path / "a.xyz", structure)
    ase.io.write(tmp_path / "b.data", structure, format="lammps-data", masses=True)
    types = np.where(structure.numbers == 29, 1, 2)
    rows = [f"{k + 1} {types[k]} {x} {y} {z}" for k, (x, y, z) in enumerate(structure.positions)]
    header = "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n60\nITEM: BOX BOUNDS pp pp pp\n"
    header += "0 10\n0 10\n0 10\nITEM: ATOMS id type x y z\n"
    (tmp_path / "c.dump").write_text(header + "\n".join(rows) + "\n")
    with gzip.open(tmp_path / "d.dump.gz", "wt") as stream:
        stream.write((tmp_path / "c.dump").read_text())
    checkpoints = [finished / f"symgnn-{seed}" / "checkpoint.pt" for seed in (0, 1)]
    inputs = [tmp_path / name for name in ("a.xyz", "b.data", "c.dump", "d.dump.gz")]
    members = ["--checkpoint", checkpoints[0], "--checkpoint", checkpoints[1]]
    run("predict", *inputs, *members, "--elements", "Cu,Zr", "-o", tmp_path / "out")
    each = np.stack([symgnn.load(path).predict(structure) for path in checkpoints])
    for path in inputs:
        written = read_structure(tmp_path / "out" / f"{path.stem}.xyz")
        np.testing.assert_allclose(written.arrays[fields.BARRIER], each.mean(0), atol=1e-5)
        spread = written.arrays[fields.BARRIER_SPREAD]
        np.testing.assert_allclose(spread, each.std(0, ddof=1), atol=1e-5)
        assert written.info["model"] == "symgnn symgnn"
        hashes = [load(one).data["hash"] for one in checkpoints]
        assert written.info["data_hash"].split() == hashes
        assert written.info["versions"]["torch"] == torch.__version__
        assert "warnings" not in written.info
    cut = tmp_path / "cut.dump.gz"
    cut.write_bytes((tmp_path / "d.dump.gz").read_bytes()[:200])
    with pytest.raises(InputError, match=r"cut\.dump\.gz: ASE cannot read it"):
        run("predict", cut, *members, "--elements", "Cu,Zr", "-o", tmp_path / "out.xyz")
    damaged = bytearray(gzip.compress((tmp_path / "b.data").read_bytes()))
    damaged[40:60] = bytes(20)
    (tmp_path / "damaged.data.gz").write_bytes(damaged)
    large = " xlo xhi" + "\n" * HEAD + "\n".join(map(str, range(3 * HEAD)))
    (tmp_path / "cut.data.gz").write_bytes(gzip.compress(large.encode())[:-2000])
    (tmp_path / "short.dump").write_text(header.partition(" id type")[0])
    for name in ("damaged.data.gz", "cut.data.gz", "short.dump"):
        with pytest.raises(InputError, match=name):
            run("predict", tmp_path / name, *members, "-o", tmp_path / "out.xyz")
    with pytest.raises(InputError, match="name them with --elements"):
        run("predict", inputs[2], *members, "-o", tmp_path / "out.xyz")
    with pytest.raises(InputError, match="'Xx': no chemical symbol"):
        run("predict", inputs[2], *members, "--elements", "Cu,Xx", "-o", tmp_path / "out.xyz")


def test_structures_outside_of_the_training_glasses_are_warned_of(finished, tmp_path):
    structure, _ = glass(4)
    predictor = symgnn.load(finished / "symgnn-0" / "checkpoint.pt")
    assert predictor.outside(structure) == []
    structure.set_cell(structure.cell.array * 1.05, scale_atoms=True)
    structure.numbers[:] = 29
    density, copper, zirconium = predictor.outside(structure)
    assert density.startswith("density 0.0518 atoms/Å³")
    assert copper.startswith("100% Cu")
    assert zirconium.startswith("0% Zr")
    with pytest.warns(UserWarning, match="trained on") as caught:
        predictor.predict(structure)
    assert len(caught) == 3
    write_structure(tmp_path / "pressed.xyz", structure)
    words = ("predict", tmp_path / "pressed.xyz", "-o", tmp_path / "p.xyz")
    run(*words, "--checkpoint", finished / "symgnn-0" / "checkpoint.pt")
    said = read_structure(tmp_path / "p.xyz").info["warnings"]
    assert said == "; ".join((density, copper, zirconium))


def test_a_predicted_file_can_be_predicted_again(finished, tmp_path):
    structure, _ = glass(4)
    structure.info["warnings"] = "of before"
    for name in (fields.BARRIER, fields.BARRIER_SPREAD, fields.BARRIER_ERROR):
        structure.set_array(name, np.zeros(len(structure)))
    write_structure(tmp_path / "before.xyz", structure)
    checkpoint = finished / "symgnn-0" / "checkpoint.pt"
    run("predict", tmp_path / "before.xyz", "--checkpoint", checkpoint, "-o", tmp_path / "p.xyz")
    written = read_structure(tmp_path / "p.xyz")
    assert "warnings" not in written.info
    assert fields.BARRIER_SPREAD not in written.arrays
    assert (written.arrays[fields.BARRIER_ERROR] > 0).all()


def test_an_unknown_element_is_refused_by_name(finished, tmp_path):
    structure, _ = glass(4)
    structure.numbers[3] = 13
    write_structure(tmp_path / "glass.xyz", structure)
    checkpoint = finished / "symgnn-0" / "checkpoint.pt"
    with pytest.raises(InputError, match="Al: the model was trained on Cu, Zr only"):
        run("predict", tmp_path / "glass.xyz", "--checkpoint", checkpoint, "-o", tmp_path / "p.xyz")
    assert not (tmp_path / "p.xyz").exists()


def test_structures_of_one_name_are_not_written_over_each_other(finished, tmp_path):
    paths = [tmp_path / folder / "glass.xyz" for folder in "ab"]
    for path in paths:
        path.parent.mkdir()
        write_structure(path, glass(4)[0])
    checkpoint = finished / "symgnn-0" / "checkpoint.pt"
    with pytest.raises(InputError, match=r"b/glass\.xyz: .*a/glass\.xyz is written to"):
        run("predict", *paths, "--checkpoint", checkpoint, "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_models_of_different_labels_are_no_ensemble(finished, tmp_path):
    whole = finished / "symgnn-0" / "checkpoint.pt"
    content = torch.load(whole, weights_only=True)
    data = json.loads(content["data"]) | {"label": "barrier_pushed"}
    torch.save(content | {"data": json.dumps(data)}, tmp_path / "checkpoint.pt")
    with pytest.raises(InputError, match="different labels: barrier_mean and barrier_pushed"):
        symgnn.load([whole, tmp_path / "checkpoint.pt"])
    write_structure(tmp_path / "glass.xyz", glass(4)[0])
    words = ("predict", tmp_path / "glass.xyz", "--checkpoint", tmp_path / "checkpoint.pt")
    run(*words, "-o", tmp_path / "predicted.xyz")
    assert read_structure(tmp_path / "predicted.xyz").info["label"] == "barrier_pushed"


def test_unsound_structures_are_refused(finished):
    predictor = symgnn.load(finished / "symgnn-0" / "checkpoint.pt")
    structure, _ = glass(4)
    for change, message in (
        ({"pbc": [True, True, False]}, "must be in all three"),
        ({"cell": [0, 0, 0]}, "no cell with a volume"),
    ):
        broken = structure.copy()
        for key, value in change.items():
            setattr(broken, key, value)
        with pytest.raises(InputError, match=message):
            predictor.predict(broken)


@pytest.mark.parametrize("name", ["gcn", "schnet"])
def test_large_structures_in_pieces_give_the_same(name, graphs, tmp_path, monkeypatch):
    """Of a model without blocks: each piece with its halo, no piece the whole structure."""
    run("train", graphs, "--model", name, "-o", tmp_path, *SMALL)
    predictor = symgnn.load(tmp_path / "checkpoint.pt")
    structure = glass(4)[0].repeat((8, 1, 1))
    structure.rattle(0.1, seed=1)
    (whole,) = predictor.predict_members(structure)
    seen = []
    model = predictor.members[0].model
    model.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    monkeypatch.setattr(pieces, "AT_ONCE", 100)
    monkeypatch.setattr(pieces, "PIECE", 60)
    (parts,) = predictor.predict_members(structure)
    assert len(seen) == 8
    assert max(seen) < len(structure)
    np.testing.assert_allclose(parts, whole, atol=1e-6)  # eV, in float32
    assert whole.std() > 1e-4


@pytest.mark.parametrize("fault", ["missing", "cut", "overlap", "element"])
def test_all_structures_are_checked_before_the_first_is_predicted(finished, tmp_path, fault):
    good, bad = tmp_path / "good.xyz", tmp_path / "bad.xyz"
    structure, _ = glass(4)
    write_structure(good, structure)
    if fault == "element":
        structure.numbers[3] = 13
    if fault == "overlap":
        structure.positions[3] = structure.positions[4]
    write_structure(bad, structure)
    if fault == "cut":
        bad.write_bytes(good.read_bytes()[:500])
    if fault == "missing":
        bad.unlink()
    checkpoint = ("--checkpoint", finished / "symgnn-0" / "checkpoint.pt")
    with pytest.raises(InputError, match=r"^[^\n]*bad\.xyz: [^\n]+$"):
        run("predict", good, bad, *checkpoint, "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_outputs_that_cannot_be_written_are_refused_at_once(finished, tmp_path):
    paths = [tmp_path / "a.xyz", tmp_path / "b.xyz"]
    for path in paths:
        write_structure(path, glass(4)[0])
    checkpoint = ("--checkpoint", finished / "symgnn-0" / "checkpoint.pt")
    (tmp_path / "out" / "b.xyz").mkdir(parents=True)
    (tmp_path / "file").touch()
    for given, output, message in (
        (paths, "out", r"out/b\.xyz: is a folder"),
        (paths, "file", "file: is a file; name a folder"),
        (paths[:1], "file/p.xyz", "file: is a file; name a folder"),
    ):
        with pytest.raises(InputError, match=message):
            run("predict", *given, *checkpoint, "-o", tmp_path / output)
    assert not list((tmp_path / "out" / "b.xyz").iterdir())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.xyz"]


def test_the_command_shows_its_progress_and_python_none(finished, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(prediction_files, "Progress", partial(Progress, interval=0.0))
    paths = [tmp_path / "a.xyz", tmp_path / "b.xyz"]
    for path in paths:
        write_structure(path, glass(4)[0])
    members = [finished / f"symgnn-{seed}" / "checkpoint.pt" for seed in (0, 1)]
    checkpoints = [word for path in members for word in ("--checkpoint", path)]
    shown = run("predict", *paths, *checkpoints, "-o", tmp_path / "out").stderr.splitlines()
    counts = [line.split()[2] for line in shown]
    # four layers of two models, and the line at the end
    assert counts == [f"{round(7.5 * part)}/120" for part in range(1, 17)] + ["120/120"]
    capfd.readouterr()
    symgnn.load(members).predict(glass(4)[0])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "words",
    [
        ("gcn",),
        ("density",),
        ("symgnn", "--aggregation", "predictions", "--evaluation-samples", "2"),
    ],
)
def test_progress_adds_up_to_all_atoms(words, graphs, tmp_path, monkeypatch):
    """With blocks, with pieces, and with several passes; and watching changes no number."""
    run("train", graphs, "--model", *words, "-o", tmp_path, *SMALL[:4], "--epochs", "1")
    predictor = symgnn.load(tmp_path / "checkpoint.pt")
    structure = glass(4)[0].repeat((4, 1, 1))
    monkeypatch.setattr(pieces, "AT_ONCE", 100)
    monkeypatch.setattr(pieces, "PIECE", 60)
    monkeypatch.setattr("symgnn.models.blocks.EDGES_AT_ONCE", 1000)
    told = []
    watched = predictor.predict_members(structure, told.append)
    assert sum(told) == pytest.approx(len(structure))
    assert len(told) >= 4
    assert max(told) <= len(structure) / 4
    np.testing.assert_array_equal(watched, predictor.predict_members(structure))
    for module in predictor.members[0].model.modules():
        assert not module._forward_hooks


def test_no_structure_is_written_over(finished, tmp_path):
    write_structure(tmp_path / "a.xyz", glass(4)[0])
    shutil.copy(tmp_path / "a.xyz", tmp_path / "b.xyz")
    before = (tmp_path / "a.xyz").read_bytes()
    checkpoint = ("--checkpoint", finished / "symgnn-0" / "checkpoint.pt")
    for structures, output in ((["a.xyz", "b.xyz"], tmp_path), (["a.xyz"], tmp_path / "a.xyz")):
        given = [tmp_path / name for name in structures]
        with pytest.raises(InputError, match=r"a\.xyz: is one of the structures"):
            run("predict", *given, *checkpoint, "-o", output)
    assert (tmp_path / "a.xyz").read_bytes() == before


def test_an_ensemble_warns_of_what_is_outside_for_any_of_its_models(finished):
    structure, _ = glass(4)
    member = load(finished / "symgnn-0" / "checkpoint.pt")
    other = replace(member, data=member.data | {"density": [0.1, 0.1]})
    (density,) = Predictor([member, other]).outside(structure)
    assert density == "density 0.0600 atoms/Å³: the model was trained on 0.1000 to 0.1000"
    assert len(Predictor([other, other]).outside(structure)) == 1
