"""The models by name."""

import inspect
from collections.abc import Sequence

from torch import nn

from symgnn.errors import InputError
from symgnn.models.density import DensityNetwork
from symgnn.models.gcn import EdgeGraphConvolution, GraphConvolution
from symgnn.models.symgnn import Augmentation, EdgeLengthNetwork, NoSymmetrization, SymGNN

MODELS: dict[str, type[nn.Module]] = {
    "symgnn": SymGNN,
    "no_symmetrization": NoSymmetrization,
    "augmentation": Augmentation,
    "edge_length": EdgeLengthNetwork,
    "density": DensityNetwork,
    "gcn": GraphConvolution,
    "gcn_edges": EdgeGraphConvolution,
}


def build_model(name: str, *, elements: Sequence[int], **options: object) -> nn.Module:
    """A new model; its random start follows torch's global generator.

    Args:
        name: a key of `MODELS`.
        elements: atomic numbers that it has to know.
        options: keyword arguments of the model's class.

    Raises:
        InputError: unknown model, an option that it does not have, or a value out of range.
    """
    if name not in MODELS:
        raise InputError(f"--model: {name!r}: must be one of {', '.join(MODELS)}")
    known = [key for key in inspect.signature(MODELS[name]).parameters if key != "elements"]
    for key in options:
        if key not in known:
            raise InputError(f"--{key.replace('_', '-')}: {name} has only {', '.join(known)}")
    try:
        return MODELS[name](list(elements), **options)
    except ValueError as error:
        raise InputError(f"model {name}: {error}") from None
