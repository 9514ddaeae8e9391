"""Weights on the messages of a model's edges: the one way in which explainers touch a model."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch_geometric.nn import MessagePassing

from symgnn.explanations.receptive_field import Fields


@contextmanager
def message_weights(
    model: torch.nn.Module, weights: torch.Tensor | None, edge_index: torch.Tensor
) -> Iterator[None]:
    """Multiply the message of each edge, in every message passing layer, by a weight.

    The weight acts on the message that a layer has made of the edge, after the edge's vector has
    been symmetrized: a weight is a number for the edge, whatever the orientation of the axes, so
    that explanations keep the invariance of the model. A layer that normalises its attention over
    the edges of an atom has done so before: a weight of zero silences an edge and leaves the
    others as they were, whereas removing the edge gives its share of attention to the others. The
    two agree in layers that add up messages without such a normalisation.

    Torch-geometric's own masks mean the same. They are set here without `set_masks`, because that
    function registers the mask as a parameter of the layer once another explainer has done so, and
    a mask that is itself computed (scaled, shared between edges) would then get no gradient.

    Args:
        model: holds `torch_geometric.nn.MessagePassing` layers that see the edges in one order.
        weights: (edges,), or None to leave the model as it is.
        edge_index: (2, edges); layers that add self-loops put them after the other edges, and
            their messages keep a weight of one.
    """
    if weights is None:
        yield
        return
    layers = [module for module in model.modules() if isinstance(module, MessagePassing)]
    for layer in layers:
        layer._parameters.pop("_edge_mask", None)
        layer.explain = True
        layer._edge_mask = weights
        layer._loop_mask = edge_index[0] != edge_index[1]
        layer._apply_sigmoid = False
    try:
        yield
    finally:
        for layer in layers:
            layer.explain = None
            layer._edge_mask = layer._loop_mask = None
            layer._apply_sigmoid = True


def predict(
    model: torch.nn.Module, fields: Fields, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """The model's output at the target of every field.

    Args:
        model: called as model(species, edge_index, edge_vector).
        fields: receptive fields.
        weights: (edges,), weight of each edge's message; None for the model as it is.

    Returns:
        (fields,), standardised barrier.
    """
    graph = fields.graph
    with message_weights(model, weights, graph.edge_index):
        out = model(graph.species, graph.edge_index, graph.edge_vector)
    return out[fields.targets]
