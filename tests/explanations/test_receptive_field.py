"""Receptive fields hold what a prediction depends on, and no more."""

import networkx
import numpy as np
import pytest
import torch

from symgnn.explanations.masks import predict
from symgnn.explanations.receptive_field import hops, receptive_fields

ROUNDING = {"rtol": 1e-5, "atol": 1e-6}  # float32 sums in another order


def test_hops_are_shortest_paths(graph):
    edges = graph.edge_index.numpy()
    network = networkx.DiGraph(list(edges.T))
    expected = networkx.single_target_shortest_path_length(network, 7, cutoff=2)
    found = hops(edges, len(graph.species), 7, 2)
    assert {int(a): int(found[a]) for a in np.flatnonzero(found >= 0)} == dict(expected)


@pytest.mark.parametrize("kind", ["adding", "attending"])
def test_prediction_of_the_field_is_that_of_the_structure(kind, graph, request):
    model = request.getfixturevalue(kind)
    atoms = [3, 11, 42, 11]
    whole = model(graph.species, graph.edge_index, graph.edge_vector)
    fields = receptive_fields(graph, atoms, 2)
    torch.testing.assert_close(predict(model, fields), whole[atoms], **ROUNDING)
    assert len(fields.atom) < len(atoms) * len(graph.species)


def test_one_layer_less_is_not_enough(graph, adding):
    whole = adding(graph.species, graph.edge_index, graph.edge_vector)
    short = predict(adding, receptive_fields(graph, [3], 1))
    assert abs(float(short[0] - whole[3])) > 1e-3


def test_every_edge_of_the_field_matters(graph, adding):
    fields = receptive_fields(graph, [5], 2)
    mask = torch.ones(len(fields.edge), requires_grad=True)
    (gradient,) = torch.autograd.grad(predict(adding, fields, mask).sum(), mask)
    assert (gradient != 0).all()


def test_atoms_and_edges_are_sorted_by_hop_and_refer_to_the_structure(graph):
    fields = receptive_fields(graph, [5, 9], 2)
    assert (fields.hop.diff() >= 0).all()
    assert (fields.edge_hop.diff() >= 0).all()
    assert fields.atom[fields.targets].tolist() == [5, 9]
    assert torch.equal(fields.graph.species, graph.species[fields.atom])
    ends = fields.atom[fields.graph.edge_index]
    assert torch.equal(ends, graph.edge_index[:, fields.edge])
    assert torch.equal(fields.atom_field[fields.graph.edge_index[0]], fields.edge_field)
