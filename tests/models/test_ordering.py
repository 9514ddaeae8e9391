"""Atoms in an order that keeps neighbours together: a permutation that changes no result."""

import numpy as np
import pytest
import torch

from symgnn.models import ordering
from symgnn.models.registry import build_model
from tests.models.structures import with_an_atom_alone


@pytest.fixture
def graph():
    """In double precision."""
    species, index, vector = with_an_atom_alone(5, 500, 20.0)
    return species, index, vector.double()


def test_every_atom_and_edge_comes_once_and_neighbours_come_together(graph):
    _, index, _ = graph
    atoms, kept = ordering.order_of(index, 500)
    assert torch.equal(atoms.sort().values, torch.arange(500))
    assert torch.equal(kept.sort().values, torch.arange(index.shape[1]))
    place = torch.empty(500, dtype=torch.long)
    place[atoms] = torch.arange(500)
    ordered = place[index[:, kept]]
    assert (ordered[1, 1:] >= ordered[1, :-1]).all()
    apart = [(one[0] - one[1]).abs().double().mean() for one in (index, ordered)]
    assert apart[1] < 0.5 * apart[0]


def test_edges_without_their_reverse_and_atoms_without_edges_come_once_too():
    random = np.random.default_rng(1)
    ends = random.integers(0, 300, (2, 500))
    index = torch.from_numpy(ends[:, np.lexsort(ends)])
    atoms, kept = ordering.order_of(index, 400)
    assert torch.equal(atoms.sort().values, torch.arange(400))
    assert torch.equal(kept.sort().values, torch.arange(500))
    place = torch.empty(400, dtype=torch.long)
    place[atoms] = torch.arange(400)
    target = place[index[1, kept]]
    assert (target[1:] >= target[:-1]).all()


@pytest.mark.parametrize("name", ["symgnn", "no_symmetrization", "edge_length"])
def test_order_changes_no_result(graph, name, monkeypatch):
    species, index, vector = graph
    torch.manual_seed(2)
    model = build_model(name, elements=[29, 40], width=8).double()
    vector.requires_grad_()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    weight, calls, order_of = torch.randn(500, dtype=torch.float64), [], ordering.order_of

    def watched(*arguments):
        calls.append(arguments)
        return order_of(*arguments)

    monkeypatch.setattr(ordering, "order_of", watched)
    found = []
    for few in (10, 500):
        monkeypatch.setattr(ordering, "FEW_ATOMS", few)
        model.load_state_dict(state)
        torch.manual_seed(3)  # the same transformations
        out = model(species, index, vector)
        wanted = [*model.parameters(), vector]
        gradients = torch.autograd.grad((out * weight).sum(), wanted, allow_unused=True)
        found.append([out, *(torch.zeros(()) if g is None else g for g in gradients)])
    assert len(calls) == 1
    torch.testing.assert_close(*found, atol=1e-10, rtol=1e-8)


def test_who_looks_at_messages_sees_the_atoms_own_order(graph, monkeypatch):
    species, index, vector = graph
    monkeypatch.setattr(ordering, "FEW_ATOMS", 10)
    model = build_model("edge_length", elements=[29, 40], width=8).double()
    seen = []
    model.prediction.layers[0].attention.register_propagate_forward_pre_hook(
        lambda layer, given: seen.append(given[0])
    )
    model(species, index, vector)
    assert torch.equal(seen[0], index)


def test_predictions_and_explanations_see_the_atoms_own_order(graph, monkeypatch):
    species, index, vector = graph
    monkeypatch.setattr(ordering, "FEW_ATOMS", 10)
    model = build_model("edge_length", elements=[29, 40], width=8).double()
    seen = []
    model.prediction.layers[0].register_forward_pre_hook(lambda layer, given: seen.append(given[1]))
    with torch.no_grad():
        model(species, index, vector)
    model.eval()
    model(species, index, vector.requires_grad_())
    assert all(torch.equal(one, index) for one in seen)
    model.train()
    model(species, index, vector)
    assert not torch.equal(seen[2], index)
