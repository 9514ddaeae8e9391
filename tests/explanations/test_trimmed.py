"""The trimmed evaluation is the model, and explanations of it are invariant."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from symgnn.explanations.masks import predict
from symgnn.explanations.methods import METHODS, explain
from symgnn.explanations.receptive_field import Graph, receptive_fields
from symgnn.explanations.trimmed import predictor
from symgnn.models.normalization import RunningNorm
from symgnn.models.reach import reach
from symgnn.models.registry import build_model

MODELS = {
    "symgnn": {"heads": (4, 2, 1), "width": 8},
    "symgnn_predictions": {
        "heads": (4, 2),
        "width": 8,
        "aggregation": "predictions",
        "evaluation_samples": 2,
    },
    "no_symmetrization": {"heads": (4, 2), "width": 8},
    "edge_length": {"heads": (2, 2, 2, 1), "width": 8},
    "gcn_edges": {"layers": 2, "width": 8},
    "gcn": {"layers": 2, "width": 8},
    "density": {"layers": 3, "width": 8, "channels": 3, "radial": 4, "products": 4},
    "schnet": {},
    "egnn": {},
}


def built(name: str, **options) -> torch.nn.Module:
    """A model with random parameters and random running statistics, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        kind = "symgnn" if name.startswith("symgnn") else name
        model = build_model(kind, elements=[29, 40], **(MODELS[name] | options))
        for module in model.modules():
            if isinstance(module, RunningNorm):
                torch.nn.init.normal_(module.mean, std=0.1)
                torch.nn.init.uniform_(module.variance, 0.05, 0.1)
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize("name", MODELS)
def test_prediction_of_fields_is_that_of_the_structure(name, graph):
    model = built(name)
    whole = model(graph.species, graph.edge_index, graph.edge_vector)
    fields = receptive_fields(graph, [5, 9, 40], reach(model))
    torch.testing.assert_close(
        predictor(model, fields)(None), whole[[5, 9, 40]], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("name", MODELS)
def test_weights_and_their_gradients_are_those_of_the_model(name, graph):
    model = built(name)
    fields = receptive_fields(graph, [5, 9], reach(model))
    weights = torch.rand(len(fields.edge), generator=torch.Generator().manual_seed(0))
    weights.requires_grad_()
    theirs, ours = predict(model, fields, weights), predictor(model, fields)(weights)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    (expected,) = torch.autograd.grad(theirs.sum(), weights)
    (found,) = torch.autograd.grad(ours.sum(), weights)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)
    assert expected.abs().max() > 1e-4


def test_the_model_is_left_as_it_was(graph):
    model = built("symgnn")
    before = model(graph.species, graph.edge_index, graph.edge_vector)
    predictor(model, receptive_fields(graph, [5], 3))(None)
    assert torch.equal(model(graph.species, graph.edge_index, graph.edge_vector), before)


def explained_when_turned(model, graph, method, matrix):
    """Importances of the edges of one atom in the structure turned by a matrix."""
    vector = graph.edge_vector.double() @ torch.from_numpy(matrix).T
    fields = receptive_fields(Graph(graph.species, graph.edge_index, vector), [5], 3)
    options = {"epochs": 30, "learning_rate": 0.05, "size_weight": 1e-4}
    found = explain(model, fields, method=method, seeds=[0], **options).edges
    return found[~found.isnan()]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("improper", [False, True])
def test_explanations_of_symgnn_are_invariant(method, improper, graph):
    model = built("symgnn", distribution="haar", evaluation_samples=1000).double()
    turned = Rotation.random(rng=np.random.default_rng(1)).as_matrix() * (-1) ** improper
    before = explained_when_turned(model, graph, method, np.eye(3))
    after = explained_when_turned(model, graph, method, turned)
    # 2000 transformations stand for the integral over O(3) and leave an error of about 0.002;
    # Adam's first steps follow the sign of a gradient, which makes it larger where that is small
    tolerance = 0.05 if method.startswith("gnnexplainer") else 0.01
    torch.testing.assert_close(after, before, rtol=0, atol=tolerance * float(before.std()))
    assert torch.equal(before.argsort()[-3:], after.argsort()[-3:])


def test_explanations_without_symmetrization_are_not_invariant(graph):
    model = built("no_symmetrization", heads=(4, 2, 1)).double()
    turned = Rotation.random(rng=np.random.default_rng(1)).as_matrix()
    before = explained_when_turned(model, graph, "saliency", np.eye(3))
    after = explained_when_turned(model, graph, "saliency", turned)
    assert (after - before).abs().max() > 0.05 * before.std()
