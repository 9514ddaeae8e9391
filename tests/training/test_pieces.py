"""Glasses in pieces and in mixed precision: the same mathematics, other memory."""

import copy

import numpy as np
import pytest
import torch
from ase.build import bulk

from symgnn.graphs.graph import glass_graph
from symgnn.models.inputs import MODEL_INPUTS
from symgnn.models.reach import reach
from symgnn.models.registry import MODELS, build_model
from symgnn.pieces import divide
from symgnn.training import loop
from symgnn.training.batches import as_batch, label_scaling
from symgnn.training.loop import start, train
from symgnn.training.pieces import piece_of
from symgnn.training.recipe import Recipe
from tests.models.test_laws import new_model

GRAPH_MODELS = [name for name in MODELS if name not in MODEL_INPUTS]
RECIPE = {
    "epochs": 2,
    "learning_rate": 3e-3,
    "batch_size": 1,
    "schedule": "constant",
    "weight_decay": 0.0,
    "gradient_clip": 0.0,
    "averaging": 0.0,
    "patience": 0,
    "evaluation_interval": 1,
    "label_noise": 0.0,
}


@pytest.fixture(scope="module")
def graph():
    """A disordered glass, 8 by 4 by 4 cells: 512 atoms, a third of them unlabelled."""
    random = np.random.default_rng(0)
    atoms = bulk("Cu", "fcc", a=4.0, cubic=True).repeat((8, 4, 4))
    atoms.symbols = random.choice(["Cu", "Zr"], len(atoms))
    atoms.positions += random.normal(scale=0.2, size=atoms.positions.shape)
    labels = np.where(random.random(len(atoms)) < 0.33, np.nan, random.normal(size=len(atoms)))
    return glass_graph("g", atoms, cutoff=3.6, barrier=labels)


def test_pieces_share_the_atoms_and_are_compact(graph):
    pieces = divide(graph.position, graph.cell, 100)
    assert sorted(np.concatenate(pieces)) == list(range(512))
    assert [len(piece) for piece in pieces] == [64] * 8
    for piece in pieces:
        place = graph.position[piece] % np.diag(graph.cell)  # of 32, 16 and 16 Å
        sides = np.sort(np.ptp(place, axis=0))
        assert sides[1] < 9.5
        assert sides[2] < 17.5
    (whole,) = divide(graph.position, graph.cell, 512)
    assert len(whole) == 512


@pytest.mark.parametrize("name", GRAPH_MODELS)
def test_a_piece_says_of_its_atoms_what_the_whole_glass_does(name, graph):
    """And with neighbours alone for a halo it does not, where the model sees farther."""
    torch.manual_seed(0)
    model = new_model(name).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # also those that begin as zero
            parameter.add_(0.1 * torch.randn_like(parameter))
    whole = as_batch(graph, label_scaling([graph]))
    own, depth = divide(graph.position, graph.cell, 40)[3], max(reach(model), 1)
    with torch.no_grad():
        expected = whole.through(model)
        piece = piece_of(whole, own, depth)
        assert len(piece.atoms) < 512
        found = piece.batch().through(model)
        mine = torch.isin(piece.atoms, torch.from_numpy(own))
        scale = expected.abs().max()
        torch.testing.assert_close(found[mine] / scale, expected[own] / scale, atol=1e-6, rtol=0)
        if reach(model) > 1:
            piece = piece_of(whole, own, 1)
            found = piece.batch().through(model)
            mine = torch.isin(piece.atoms, torch.from_numpy(own))
            assert ((found[mine] - expected[own]).abs().max() / scale) > 1e-5
    np.testing.assert_array_equal(piece.atoms[piece.labelled], own[np.isfinite(graph.barrier[own])])


def small(name, **options):
    torch.manual_seed(0)
    return build_model(name, elements=[29, 40], width=16, **options)


def trained(graph, model, **changes):
    recipe = Recipe(**RECIPE | changes)
    state = start(model, recipe)
    train(
        state,
        training=[graph],
        validation=[],
        scaling=label_scaling([graph]),
        recipe=recipe,
        device="cpu",
        after_epoch=lambda _: None,
    )
    return state


class Fixed(torch.nn.Module):
    """A model in double precision that a training never puts into training mode.

    In that mode batch norms see the halos as well, see `symgnn.training.pieces`.
    """

    def __init__(self, model):
        super().__init__()
        self.model = model.double()

    def train(self, mode=True):
        return super().train(False)

    def forward(self, species, edge_index, edge_vector):
        return self.model(species, edge_index, edge_vector.double())


# Few layers, as what comes through many is little; gcn looks one step beyond its layers.
LAYERED = {
    "edge_length": {"heads": (2, 1)},
    "density": {"layers": 2},
    "gcn": {"layers": 2},
    "egnn": {"layers": 2},
    "schnet": {"layers": 2},
}


@pytest.mark.filterwarnings("ignore:piece_atoms")  # in that mode they are fixed
@pytest.mark.parametrize("name", LAYERED)
def test_a_step_over_all_pieces_has_the_gradient_of_the_whole_glass(name, graph, monkeypatch):
    """With the halo that the loop chooses, and with one a step smaller it has not."""
    model = Fixed(small(name, **LAYERED[name]))
    with torch.no_grad():
        for parameter in model.parameters():  # also those that begin as zero
            parameter.add_(0.1 * torch.randn_like(parameter))

    def gradient(**changes):
        state = trained(graph, copy.deepcopy(model), epochs=1, batch_size=0, **changes)
        assert state.step == 1
        return torch.cat([p.grad.ravel() for p in state.model.parameters() if p.grad is not None])

    expected = gradient()
    scale = expected.abs().max()
    found = gradient(piece_atoms=40)
    # the loss is in single precision: one prediction rounded the other way makes 1e-10
    torch.testing.assert_close(found / scale, expected / scale, atol=1e-8, rtol=0)
    assert reach(model) > 1
    monkeypatch.setattr(loop, "reach", lambda model: reach(model) - 1)
    assert (gradient(piece_atoms=40) - expected).abs().max() > 1e-5 * scale


def test_a_training_in_pieces_takes_a_step_a_piece(graph):
    assert trained(graph, small("schnet"), piece_atoms=100).step == 16
    assert trained(graph, small("schnet"), piece_atoms=100, batch_size=3).step == 6
    assert trained(graph, small("schnet")).step == 2


@pytest.mark.parametrize("name", ["edge_length", "density", "mlp"])
def test_pieces_of_a_model_with_norms_are_warned_of(name, graph):
    with pytest.warns(UserWarning, match="normalises by all atoms of a piece"):
        trained(graph, small(name), piece_atoms=300)


@pytest.mark.parametrize("name", ["symgnn", "edge_length", "density", "schnet"])
def test_mixed_precision_is_close_and_not_the_same(name, graph):
    exact, mixed = (
        trained(graph, small(name), precision=precision).history
        for precision in ("float32", "bf16")
    )
    for one, other in zip(exact, mixed, strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=0.03)
    assert exact[0]["loss"] != mixed[0]["loss"]


def test_e3nn_s_products_stay_in_full_precision(graph):
    pytest.importorskip("e3nn", reason="the package e3nn is optional")
    exact, mixed = (
        trained(graph, small("equivariant"), precision=precision).history
        for precision in ("float32", "bf16")
    )
    assert [row["loss"] for row in exact] == [row["loss"] for row in mixed]
