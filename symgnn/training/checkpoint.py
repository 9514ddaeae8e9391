"""A trained model in one file that loads without running code (`weights_only=True`)."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from symgnn import fields
from symgnn.descriptors.registry import input_version
from symgnn.errors import InputError
from symgnn.files import atomic_path
from symgnn.graphs.dataset import Dataset
from symgnn.models.registry import build_model, model_inputs
from symgnn.provenance import versions
from symgnn.training.batches import Scaling
from symgnn.training.metrics import root_mean_square

FORMAT = "symgnn-model"
FORMAT_VERSION = 3


@dataclass(frozen=True)
class Trained:
    """A trained model and what is needed to use it.

    Attributes:
        model: in evaluation mode; called as model(species, edge_index, edge_vector), it returns
            standardised barriers.
        name: of the model in `symgnn.models.registry.MODELS`.
        options: of the model.
        elements: atomic numbers that it knows.
        cutoff: longest edge, Å.
        scaling: from standardised to eV.
        seed: of the training.
        config: keyword arguments of the training.
        data: hash, label and splits of the training data, and a hash of its validation glasses.
        versions: of the packages that trained it.
        epoch: the one whose weights these are, chosen on the validation glasses; 0 of a solved
            part alone, see `symgnn.training.loop.train`.
        inputs: per-atom inputs: their names, the potential they are computed with and its
            checksum, and the order of the elements; empty for a model of the graph alone.
        errors: (atoms,) float32, computed minus predicted barriers of the labelled validation
            atoms, eV, which the labels' own noise is part of; empty without such atoms.
    """

    model: nn.Module
    name: str
    options: dict[str, object]
    elements: tuple[int, ...]
    cutoff: float
    scaling: Scaling
    seed: int
    config: dict[str, object]
    data: dict[str, object]
    versions: dict[str, str]
    epoch: int
    inputs: dict[str, object] = field(default_factory=dict)
    errors: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.float32))

    @property
    def residual(self) -> float:
        """Root mean square of `errors`, eV; NaN where there are none."""
        return root_mean_square(self.errors)


def data_summary(dataset: Dataset) -> dict[str, object]:
    """What a model was trained on: a hash of graphs, labels and split, and what they span."""
    digest, validation = hashlib.sha256(), hashlib.sha256()
    for graph in dataset.of_split("validation"):
        validation.update(graph.name.encode())
        for array in (graph.species, graph.position, graph.barrier):
            validation.update(array.tobytes())
    for graph in dataset.graphs:
        digest.update(f"{graph.name} {graph.split}".encode())
        arrays = (graph.species, graph.edge_index, graph.edge_vector, graph.barrier)
        for array in (*arrays, *(graph.inputs[name] for name in sorted(graph.inputs))):
            digest.update(array.tobytes())
    return {
        "hash": digest.hexdigest(),
        "validation_hash": validation.hexdigest(),
        "label": str(dataset.attributes.get(fields.LABEL, fields.BARRIER)),
        "splits": {graph.name: graph.split for graph in dataset.graphs},
        **_domain(dataset),
    }


def _domain(dataset: Dataset) -> dict[str, object]:
    """Least and largest density (atoms/Å³) and share of each element of the training glasses."""
    training = dataset.of_split("train")
    densities = [len(graph.species) / graph.atoms.cell.volume for graph in training]
    shares = [_shares(graph.species) for graph in training]
    elements = sorted({number for share in shares for number in share})
    return {
        "density": [min(densities), max(densities)],
        "composition": {
            str(z): [min(s.get(z, 0.0) for s in shares), max(s.get(z, 0.0) for s in shares)]
            for z in elements
        },
    }


def _shares(species: np.ndarray) -> dict[int, float]:
    return {int(z): float((species == z).mean()) for z in sorted(set(species.tolist()))}


def save_checkpoint(path: Path | str, trained: Trained) -> None:
    """Write a trained model, whole or not at all."""
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "weights": trained.model.state_dict(),
        "model": trained.name,
        "options": json.dumps(trained.options, sort_keys=True),
        "elements": list(trained.elements),
        "cutoff": trained.cutoff,
        "scaling": asdict(trained.scaling),
        "seed": trained.seed,
        "config": json.dumps(trained.config, sort_keys=True),
        "data": json.dumps(trained.data, sort_keys=True),
        "versions": json.dumps(trained.versions or versions(), sort_keys=True),
        "epoch": trained.epoch,
        "inputs": json.dumps(trained.inputs, sort_keys=True),
        "errors": torch.from_numpy(trained.errors),
    }
    with atomic_path(path) as temporary:
        torch.save(content, temporary)


def load(path: Path | str) -> Trained:
    """Load a trained model; no code in the file is run.

    Raises:
        InputError: no such file, not a checkpoint of ours, of another version or trained on other
            inputs or another version of them, or with weights that do not fit its model.
    """
    content = load_tensors(path)
    if content.get("format") != FORMAT:
        raise InputError(f"{path}: format is {content.get('format')!r}, expected {FORMAT!r}")
    if content.get("format_version") != FORMAT_VERSION:
        raise InputError(
            f"{path}: format_version is {content.get('format_version')!r}, "
            f"this program reads {FORMAT_VERSION}"
        )
    try:
        options, data = json.loads(content["options"]), json.loads(content["data"])
        for key in ("hash", "label", "splits", "density", "composition"):
            data[key]
        inputs = json.loads(content["inputs"]) or {}
        _check_inputs(content["model"], inputs)
        elements: Sequence[int] = content["elements"]
        model = build_model(content["model"], elements=elements, **options)
        model.load_state_dict(content["weights"])
        return Trained(
            model=model.eval(),
            name=content["model"],
            options=options,
            elements=tuple(elements),
            cutoff=content["cutoff"],
            scaling=Scaling(**content["scaling"]),
            seed=content["seed"],
            config=json.loads(content["config"]),
            data=data,
            versions=json.loads(content["versions"]),
            epoch=content["epoch"],
            inputs=inputs,
            errors=content["errors"].numpy(),
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except KeyError as error:
        raise InputError(f"{path}: it has no {error}") from None
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{path}: its weights are not those of its model ({_first_line(error)})"
        ) from None


def _check_inputs(model: str, inputs: Mapping) -> None:
    """That a model's per-atom inputs are those that this program computes for it.

    Raises:
        InputError: it was trained on others, or on another version of them.
    """
    # before the weights, whose shapes may fit all the same, or fail with another reason
    names, ours = tuple(inputs["names"] if inputs else ()), model_inputs(model)
    if names != ours:
        raise InputError(
            f"inputs: {model} was trained on {', '.join(names) or 'none'}, this program gives it "
            f"{', '.join(ours) or 'none'}; train it again"
        )
    for key in ("potential", "potential_sha256", "elements") if inputs else ():
        inputs[key]
    for name in names:
        known, version = inputs["versions"][name], input_version(name)
        if known != version:
            raise InputError(
                f"inputs {name!r}: the model knows version {known} of them, this program computes "
                f"version {version}; train it again"
            )


def load_tensors(path: Path | str) -> dict:
    """The dictionary of a file that torch wrote, with `weights_only=True`.

    Raises:
        InputError: no such file, or it holds anything but tensors and plain values.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises what its unpickler and zip reader meet
        raise InputError(
            f"{path}: not a checkpoint ({type(error).__name__}: {_first_line(error)})"
        ) from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a checkpoint (it holds a {type(content).__name__})")
    return content


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")
