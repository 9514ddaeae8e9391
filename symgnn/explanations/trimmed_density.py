"""Evaluate the density network for the targets of receptive fields only; see `trimmed`."""

import torch
from torch import Tensor

from symgnn.explanations.masks import message_weights
from symgnn.explanations.receptive_field import Fields
from symgnn.models.density import DEGREES, DensityNetwork


class TrimmedDensity:
    """The density network, each layer on the atoms and edges that still matter.

    The geometry of the edges is computed once. What the first layer's neighbours send differs
    between elements only, so it projects the weights of each element's edges instead.

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
            self._prepare_first()

    def _prepare_first(self) -> None:
        """Mixtures of the projected weights, and the place of each edge's weight by element."""
        elements, kind = torch.unique(self.fields.graph.species, return_inverse=True)
        layer, self.kinds = self.model.layers[0], len(elements)
        sent = layer.send(self.model.embedding(elements))
        mixtures = layer.mixtures.unflatten(-1, (sent.shape[1], -1))
        self.mixtures = torch.einsum("lpcn,kc->lpkn", mixtures, sent).flatten(2)
        slot, padded = self.geometry[0]
        source, target = self.edge_index[0]
        places = padded.shape[1]
        self.slot = (target * self.kinds + kind[source]) * places + slot % places

    def __call__(self, weights: Tensor | None = None) -> Tensor:
        """(fields,) standardised barriers for (edges,) weights of the messages."""
        node = self._first_nodes(weights)
        steps = zip(self.model.layers, self.atoms, self.edge_index, self.geometry, strict=True)
        for layer, atoms, index, geometry in list(steps)[1:]:
            own = None if weights is None else weights[: index.shape[1]]
            with message_weights(layer, own, index):
                node = layer(node, node[:atoms], index, *geometry)
        return self.model.decoder(node[self.fields.targets]).squeeze(-1)

    def _first_nodes(self, weights: Tensor | None) -> Tensor:
        """Nodes after the first layer; the components of all atoms stand side by side."""
        if weights is None:
            weights = self.node.new_ones(len(self.slot))
        atoms, places, _ = self.geometry[0][1].shape
        by_kind = weights.new_zeros(atoms * self.kinds * places).index_copy(0, self.slot, weights)
        sums = by_kind.view(atoms, self.kinds, places) @ self.geometry[0][1]
        components = sums.view(atoms, -1, sum(DEGREES)).transpose(0, 1).split(DEGREES, -1)
        invariants = []
        for mixture, component in zip(self.mixtures, components, strict=True):
            mixed = (mixture @ component.flatten(1)).unflatten(1, (atoms, -1))
            first, second = mixed.chunk(2)
            invariants.append((first * second).mean(-1))
            if component.shape[-1] == 1:
                invariants.append(first.squeeze(-1))
        layer, own = self.model.layers[0], self.node[:atoms]
        found = layer.norm(torch.cat(invariants).T)
        return own + layer.update(torch.cat([found, own], -1))
