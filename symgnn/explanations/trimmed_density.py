"""Evaluate the density network for the targets of receptive fields only; see `trimmed`."""

import torch
from torch import Tensor

from symgnn.explanations.masks import message_weights
from symgnn.explanations.receptive_field import Fields
from symgnn.models.density import DensityNetwork


class TrimmedDensity:
    """The density network, each layer on the atoms and edges that still matter.

    The geometry of the edges is computed once.

    Args:
        model: in evaluation mode.
        fields: receptive fields of as many steps as the model has layers.
    """

    def __init__(self, model: DensityNetwork, fields: Fields):
        layers = len(model.layers)
        self.model, self.fields = model, fields
        self.atoms = [int((fields.hop < layers - k).sum()) for k in range(layers)]
        edges = [int((fields.edge_hop < layers - k).sum()) for k in range(layers)]
        self.edge_index = [fields.graph.edge_index[:, :count] for count in edges]
        with torch.no_grad():
            self.geometry = [
                model.padded_geometry(atoms, index[1], fields.graph.edge_vector[: index.shape[1]])
                for atoms, index in zip(self.atoms, self.edge_index, strict=True)
            ]
            self.node = model.embedding(fields.graph.species)

    def __call__(self, weights: Tensor | None = None) -> Tensor:
        """(fields,) standardised barriers for (edges,) weights of the messages."""
        node = self.node
        steps = zip(self.model.layers, self.atoms, self.edge_index, self.geometry, strict=True)
        for layer, atoms, index, geometry in steps:
            own = None if weights is None else weights[: index.shape[1]]
            with message_weights(layer, own, index):
                node = layer(node, node[:atoms], index, *geometry)
        return self.model.decoder(node[self.fields.targets]).squeeze(-1)
