"""A weight on an edge changes what it should, and removal is a weight of zero where it can be."""

import pytest
import torch
from torch_geometric.explain.algorithm.utils import clear_masks, set_masks

from symgnn.explanations.gnnexplainer import one_at_a_time
from symgnn.explanations.masks import message_weights, predict
from symgnn.explanations.receptive_field import receptive_fields
from symgnn.models.reach import reach

ROUNDING = {"rtol": 1e-5, "atol": 1e-6}  # float32 sums in another order


@pytest.fixture(scope="module")
def fields(graph):
    return receptive_fields(graph, [5, 9], 2)


@pytest.mark.parametrize("kind", ["adding", "attending"])
def test_weights_of_one_change_nothing(kind, fields, request):
    model = request.getfixturevalue(kind)
    ones = torch.ones(len(fields.edge))
    torch.testing.assert_close(predict(model, fields, ones), predict(model, fields), **ROUNDING)


@pytest.mark.parametrize("kind", ["adding", "attending"])
def test_weights_equal_those_of_torch_geometric(kind, fields, request):
    model, graph = request.getfixturevalue(kind), fields.graph
    weights = torch.rand(len(fields.edge), generator=torch.Generator().manual_seed(0))
    set_masks(model, weights, graph.edge_index, apply_sigmoid=False)
    theirs = model(graph.species, graph.edge_index, graph.edge_vector)[fields.targets]
    clear_masks(model)
    torch.testing.assert_close(predict(model, fields, weights), theirs, rtol=0, atol=0)


def test_removal_is_a_weight_of_zero_where_messages_are_added(fields, adding):
    for edge in (0, 3, len(fields.edge) - 1):
        removed = torch.arange(len(fields.edge)) == edge
        zeroed = predict(adding, fields, (~removed).float())
        torch.testing.assert_close(zeroed, predict(adding, fields.without(removed)), **ROUNDING)
        field = int(fields.edge_field[edge])
        moved = (zeroed - predict(adding, fields)).abs()
        assert moved[field] > 1e-5
        assert moved[1 - field] == 0


def test_removal_gives_attention_to_the_other_edges(fields, attending):
    removed = torch.arange(len(fields.edge)) == 0
    zeroed = predict(attending, fields, (~removed).float())
    gone = predict(attending, fields.without(removed))
    field = int(fields.edge_field[0])
    assert abs(float(zeroed[field] - gone[field])) > 1e-4


def test_the_model_is_left_as_it_was(fields, adding):
    before = predict(adding, fields)
    with (
        pytest.raises(RuntimeError, match="stop"),
        message_weights(adding, torch.zeros(len(fields.edge)), fields.graph.edge_index),
    ):
        raise RuntimeError("stop")
    assert torch.equal(predict(adding, fields), before)


def test_gradients_reach_a_computed_mask_after_torch_geometrics_explainer(graph, adding):
    single = receptive_fields(graph, [5], 2)
    one_at_a_time(adding, single, seeds=[0], epochs=2)
    logit = torch.zeros(len(single.edge), requires_grad=True)
    (gradient,) = torch.autograd.grad(predict(adding, single, logit.sigmoid()).sum(), logit)
    assert (gradient != 0).all()


def test_layers_are_counted(adding):
    assert reach(adding) == 2
