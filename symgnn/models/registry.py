"""The models by name."""

import inspect
from collections.abc import Mapping, Sequence
from importlib import import_module

from torch import nn

from symgnn.errors import InputError
from symgnn.models.inputs import MODEL_INPUTS

# Where each model is: imported when it is asked for, since e3nn is slow to import and optional.
MODELS = {
    "symgnn": ("symgnn", "SymGNN"),
    "no_symmetrization": ("symgnn", "NoSymmetrization"),
    "augmentation": ("symgnn", "Augmentation"),
    "edge_length": ("symgnn", "EdgeLengthNetwork"),
    "density": ("density", "DensityNetwork"),
    "response": ("density", "ResponseNetwork"),
    "searched": ("density", "SearchedNetwork"),
    "ridge": ("ridge", "RidgeRegression"),
    "gcn": ("gcn", "GraphConvolution"),
    "gcn_edges": ("gcn", "EdgeGraphConvolution"),
    "mlp": ("mlp", "NearestNeighboursMLP"),
    "egnn": ("egnn", "EquivariantNetwork"),
    "schnet": ("schnet", "SchNet"),
    "equivariant": ("equivariant", "TensorProductNetwork"),
}

# The options that `symgnn train` offers. Models have others, for those who build them in Python.
OFFERED = (
    "width",
    "dropout",
    "distribution",
    "aggregation",
    "gaussians",
    "samples",
    "evaluation_samples",
)


def model_class(name: str) -> type[nn.Module]:
    """The class of a model.

    Raises:
        InputError: unknown model, or its library is not installed.
    """
    if name not in MODELS:
        raise InputError(f"--model: {name!r}: must be one of {', '.join(MODELS)}")
    module, attribute = MODELS[name]
    try:
        return getattr(import_module(f"symgnn.models.{module}"), attribute)
    except ImportError as error:
        raise InputError(
            f"--model: {name}: it needs the package {error.name}; pip install 'symgnn[models]'"
        ) from None


def model_inputs(name: str) -> tuple[str, ...]:
    """Names of the per-atom inputs that a model takes as its fourth argument; mostly none."""
    model_class(name)
    return MODEL_INPUTS.get(name, ())


def takes(name: str, option: str) -> bool:
    """Whether a model has an option.

    Raises:
        InputError: unknown model, or its library is not installed.
    """
    return option in inspect.signature(model_class(name)).parameters


def changed_options(name: str, options: Mapping[str, object]) -> dict[str, object]:
    """The options of a model that are not its defaults, so that one model has one name.

    Raises:
        InputError: unknown model, or its library is not installed.
    """
    known = inspect.signature(model_class(name)).parameters
    return {
        key: value
        for key, value in options.items()
        if key not in known or value != known[key].default
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
    found = model_class(name)
    known = inspect.signature(found).parameters.keys() - {"elements"}
    for key in options:
        if key not in known:
            offered = ", ".join(_as_typed(one) for one in OFFERED if one in known)
            has = f"has only {offered}" if offered else "has no options"
            raise InputError(f"{_as_typed(key)}: {name} {has}")
    try:
        return found(list(elements), **options)
    except ValueError as error:
        raise InputError(f"model {name}: {error}") from None


def _as_typed(option: str) -> str:
    return f"--{option.replace('_', '-')}"
