"""How far a model's prediction sees."""

import torch
from torch_geometric.nn import GCNConv, MessagePassing


def reach(model: torch.nn.Module) -> int:
    """How many steps along edges a model's prediction reaches.

    One step for each message passing layer. A convolution that divides by the degree of the
    source (GCNConv) counts the source's own edges, which lie one step farther out.
    """
    modules = list(model.modules())
    layers = sum(isinstance(module, MessagePassing) for module in modules)
    return layers + any(isinstance(module, GCNConv) for module in modules)
