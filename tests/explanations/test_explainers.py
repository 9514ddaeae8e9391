"""The explainers agree with independent codes and with the laws they must obey."""

import pytest
import torch
from torch_geometric.explain import CaptumExplainer, Explainer

from symgnn.explanations.gnnexplainer import _NodeRegression, one_at_a_time, optimised_masks
from symgnn.explanations.gradients import integrated_gradients, saliency
from symgnn.explanations.masks import predict
from symgnn.explanations.receptive_field import receptive_fields
from symgnn.explanations.removal import atom_removal, edge_removal

ATOMS = [5, 9, 30]


@pytest.mark.parametrize("kind", ["adding", "attending"])
def test_masks_found_together_are_those_of_torch_geometric_one_at_a_time(kind, graph, request):
    model = request.getfixturevalue(kind)
    options = {"epochs": 40, "learning_rate": 0.05, "size_weight": 0.5, "entropy_weight": 0.1}
    fields = receptive_fields(graph, ATOMS, 2)
    together = optimised_masks(model, fields, seeds=[1, 2, 3], **options)
    for row, atom in enumerate(ATOMS):
        single = one_at_a_time(
            model, receptive_fields(graph, [atom], 2), seeds=[row + 1], **options
        )
        # Adam divides by the gradient's size, which lets rounding grow over 40 steps
        torch.testing.assert_close(together[fields.edge_field == row], single, rtol=0, atol=1e-4)


def test_first_masks_depend_on_the_seed(graph, adding):
    fields = receptive_fields(graph, [5], 2)
    one = optimised_masks(adding, fields, seeds=[1], epochs=3)
    assert torch.equal(one, optimised_masks(adding, fields, seeds=[1], epochs=3))
    assert not torch.equal(one, optimised_masks(adding, fields, seeds=[2], epochs=3))


@pytest.mark.parametrize("kind", ["adding", "attending"])
def test_integrated_gradients_add_up_to_the_prediction(kind, graph, request):
    model = request.getfixturevalue(kind)
    fields = receptive_fields(graph, ATOMS, 2)
    found = integrated_gradients(model, fields, steps=16)
    total = torch.zeros(len(ATOMS)).index_add(0, fields.edge_field, found)
    none = predict(model, fields, torch.zeros(len(found)))
    torch.testing.assert_close(total, predict(model, fields) - none, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", ["Saliency", "IntegratedGradients"])
def test_gradients_agree_with_captum(method, graph, adding):
    fields = receptive_fields(graph, [5], 2)
    explainer = Explainer(
        model=_NodeRegression(adding),
        algorithm=CaptumExplainer(method),
        explanation_type="model",
        edge_mask_type="object",
        model_config={"mode": "regression", "task_level": "node", "return_type": "raw"},
    )
    theirs = explainer(
        fields.graph.species[:, None],
        fields.graph.edge_index,
        index=int(fields.targets[0]),
        edge_vector=fields.graph.edge_vector,
    ).edge_mask
    if method == "Saliency":
        torch.testing.assert_close(saliency(adding, fields).abs(), theirs, rtol=1e-4, atol=1e-6)
    else:
        ours = integrated_gradients(adding, fields, steps=50)
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


def test_edge_removal_is_the_difference_of_two_predictions(graph, attending):
    fields = receptive_fields(graph, [9, 5], 2)
    found = edge_removal(attending, fields, reach=2)
    whole = attending(graph.species, graph.edge_index, graph.edge_vector)
    assert not found.isnan().any()
    for row in (0, 4, len(found) - 1):
        keep = torch.arange(graph.edge_index.shape[1]) != fields.edge[row]
        gone = attending(graph.species, graph.edge_index[:, keep], graph.edge_vector[keep])
        atom = [9, 5][fields.edge_field[row]]
        torch.testing.assert_close(found[row], whole[atom] - gone[atom], rtol=1e-4, atol=1e-6)


def test_edges_out_of_reach_are_left_out(graph, attending):
    fields = receptive_fields(graph, [9, 5], 2)
    near = edge_removal(attending, fields, reach=1)
    assert torch.equal(near.isnan(), fields.edge_hop >= 1)


def test_atom_removal_is_the_prediction_without_the_atom(graph, attending):
    fields = receptive_fields(graph, [5], 2)
    found = atom_removal(attending, fields, reach=1)
    assert torch.equal(found.isnan(), fields.hop > 1)
    row_of_atom = int(torch.nonzero(fields.hop == 1)[3])
    kept = torch.arange(len(graph.species)) != fields.atom[row_of_atom]
    edges = kept[graph.edge_index].all(dim=0)
    row = torch.cumsum(kept, 0) - 1
    gone = attending(
        graph.species[kept], row[graph.edge_index[:, edges]], graph.edge_vector[edges]
    )[row[5]]
    whole = attending(graph.species, graph.edge_index, graph.edge_vector)[5]
    torch.testing.assert_close(found[row_of_atom], whole - gone, rtol=1e-4, atol=1e-6)
