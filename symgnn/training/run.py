"""One training run in a folder: start or resume, train, evaluate, write."""

import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from ase.data import chemical_symbols

from symgnn import fields
from symgnn.descriptors.registry import input_version
from symgnn.errors import InputError
from symgnn.files import atomic_path, create_hdf5
from symgnn.graphs.dataset import SPLITS, Dataset, read_graphs
from symgnn.graphs.graph import Graph
from symgnn.models.registry import build_model, changed_options, model_inputs, takes
from symgnn.progress import Progress, TimeBudget
from symgnn.provenance import provenance, versions
from symgnn.training.batches import label_scaling
from symgnn.training.checkpoint import Trained, data_summary, save_checkpoint
from symgnn.training.compiling import check_compiler
from symgnn.training.loop import predict_graphs, start, train
from symgnn.training.metrics import coverage, errors_of, metrics_of_glasses
from symgnn.training.recipe import Recipe
from symgnn.training.resuming import (
    RESUME,
    Saver,
    open_tensorboard,
    resume,
    signature_of,
    write_history,
)

RESULTS = ("checkpoint.pt", "predictions.h5", "metrics.json")  # in the order of their removal


def train_model(
    path: Path,
    *,
    model: str,
    options: dict[str, object],
    recipe: Recipe,
    seed: int,
    output: Path,
    checkpoint_interval: float,
    time_budget: float | None,
    tensorboard: bool,
    device: str,
) -> None:
    """Train a model on a file of graphs, or go on where an earlier call was stopped.

    Args:
        path: graphs.h5.
        model: a key of `symgnn.models.registry.MODELS`.
        options: of the model.
        recipe: numbers of the training.
        seed: decides the model's start, the order of the glasses and all samples.
        output: folder for checkpoint.pt, history.csv, metrics.json and predictions.h5; while the
            training runs it holds history.csv and resume.pt. What an earlier training left there
            is removed, once the arguments are known to be good.
        checkpoint_interval: time between writes of resume.pt, s.
        time_budget: stop after this time with resume.pt written, s; None for no limit.
        tensorboard: whether to log to the folder `tensorboard` in `output` as well.
        device: `cpu` or `cuda`.

    Raises:
        InputError: bad options, graphs without labels to train on, or elements that no training
            glass has.
        TimeBudgetReached: call again with the same arguments to go on.
    """
    budget = TimeBudget(time_budget)
    dataset = read_graphs(path)
    training, validation = dataset.of_split("train"), dataset.of_split("validation")
    _check_labels(path, training, validation)
    scaling = label_scaling(training)
    elements = _elements(path, training, dataset.graphs)
    inputs = model_inputs(model)
    _check_inputs(path, model, inputs, dataset)
    described = _inputs_of(path, inputs, dataset)
    torch.manual_seed(seed)
    if takes(model, "reach"):  # as far as there are edges
        options = {"reach": dataset.cutoff, **options}
    options = changed_options(model, options)
    network = build_model(model, elements=elements, **options).to(device)
    state = start(network, recipe)
    signature = signature_of(model, options, recipe, seed, dataset)
    if recipe.compile:
        check_compiler(network, device)
    resume(output, state, signature)
    progress = Progress("training", recipe.epochs, done=state.epoch)
    log = open_tensorboard(output / "tensorboard", state.epoch) if tensorboard else None
    _remove_results(output)
    write_history(output, state.history)
    saver = Saver(output, signature, progress, checkpoint_interval, budget, log)
    with progress, log or nullcontext():
        train(
            state,
            training=training,
            validation=validation,
            scaling=scaling,
            recipe=recipe,
            device=device,
            after_epoch=saver,
            inputs=inputs,
        )
    network.load_state_dict(state.best)
    trained = Trained(
        model=network.cpu().eval(),
        name=model,
        options=options,
        elements=tuple(elements),
        cutoff=dataset.cutoff,
        scaling=scaling,
        seed=seed,
        config=recipe.as_dict(),
        data=data_summary(dataset),
        versions=versions(),
        epoch=state.best_epoch,
        inputs=described,
    )
    _write_results(output, trained, dataset, state.history, device)
    # killed before the next line, the run is finished: a resume.pt beside a checkpoint is left over
    (output / RESUME).unlink(missing_ok=True)


def _remove_results(output: Path) -> None:
    """Remove an earlier training's files, the checkpoint first: it must not vouch for new ones."""
    if (output / RESULTS[0]).exists():
        print(
            f"symgnn: {output}: it held a finished training, which is made again", file=sys.stderr
        )
    for name in RESULTS:
        (output / name).unlink(missing_ok=True)


def _check_labels(path: Path, training: Sequence[Graph], validation: Sequence[Graph]) -> None:
    if sum(np.isfinite(graph.barrier).sum() for graph in training) < 2:
        raise InputError(f"{path}: the training glasses have fewer than two labelled atoms")
    if validation and sum(np.isfinite(graph.barrier).sum() for graph in validation) < 2:
        raise InputError(f"{path}: the validation glasses have fewer than two labelled atoms")


def _elements(path: Path, training: Sequence[Graph], graphs: Sequence[Graph]) -> list[int]:
    """Atomic numbers in the training glasses; no other glass may have more."""
    known = sorted({int(z) for graph in training for z in np.unique(graph.species)})
    for graph in graphs:
        for number in sorted({int(z) for z in np.unique(graph.species)} - set(known)):
            raise InputError(
                f"{path}: {graph.name}: {chemical_symbols[number]}: no training glass has it"
            )
    return known


def _check_inputs(path: Path, model: str, inputs: Sequence[str], dataset: Dataset) -> None:
    for name in inputs:
        for graph in dataset.graphs:
            if name not in graph.inputs:
                raise InputError(
                    f"{path}: {graph.name}: no inputs {name!r}, which model {model} needs; make "
                    f"the graphs with --inputs {name}"
                )


def _inputs_of(path: Path, inputs: Sequence[str], dataset: Dataset) -> dict[str, object]:
    """What prediction needs to compute the same inputs for another structure."""
    if not inputs:
        return {}
    known = dataset.attributes
    wanted = (
        fields.POTENTIAL,
        fields.POTENTIAL_SHA256,
        fields.INPUT_ELEMENTS,
        fields.INPUT_VERSIONS,
    )
    for name in wanted:
        if name not in known:
            raise InputError(f"{path}: its attribute {name!r} is missing; make the graphs again")
    made = json.loads(str(known[fields.INPUT_VERSIONS]))
    for name in inputs:
        if made.get(name) != input_version(name):
            raise InputError(
                f"{path}: inputs {name!r}: version {made.get(name)}, this program computes version "
                f"{input_version(name)}; make the graphs again"
            )
    return {
        "names": list(inputs),
        "potential": str(known[fields.POTENTIAL]),
        "potential_sha256": str(known[fields.POTENTIAL_SHA256]),
        "elements": [int(z) for z in known[fields.INPUT_ELEMENTS]],
        "versions": made,
    }


def _write_results(
    output: Path, trained: Trained, dataset: Dataset, history: list[dict], device: str
) -> None:
    """All files of a finished run; the checkpoint comes last, so that it vouches for the rest."""
    predicted = predict_graphs(
        trained.model.to(device),
        dataset.graphs,
        trained.scaling,
        device,
        model_inputs(trained.name),
    )
    trained.model.cpu()
    validation = {graph.name: graph.barrier for graph in dataset.of_split("validation")}
    trained = replace(trained, errors=errors_of(validation, predicted).astype(np.float32))
    write_history(output, history)
    _write_predictions(output / "predictions.h5", trained, dataset, predicted)
    write_json(output / "metrics.json", _metrics(trained, dataset, predicted))
    save_checkpoint(output / "checkpoint.pt", trained)


def _metrics(trained: Trained, dataset: Dataset, predicted: dict[str, np.ndarray]) -> dict:
    found: dict = {"model": trained.name, "seed": trained.seed, "best_epoch": trained.epoch}
    for split in SPLITS:
        computed = {graph.name: graph.barrier for graph in dataset.of_split(split)}
        found[split] = metrics_of_glasses(computed, predicted)
        found[split]["coverage"] = coverage(computed, predicted, trained.residual)
    found["residual"] = trained.residual
    return found


def _write_predictions(
    path: Path, trained: Trained, dataset: Dataset, predicted: dict[str, np.ndarray]
) -> None:
    """predictions.h5: a group a glass with computed and predicted barriers and its split."""
    with create_hdf5(path, "predictions") as file:
        file.attrs.update(provenance(**trained.config))
        file.attrs["model"] = trained.name
        file.attrs["options"] = json.dumps(trained.options, sort_keys=True)
        file.attrs["seed"] = trained.seed
        file.attrs["epoch"] = trained.epoch
        file.attrs[fields.DATA_HASH] = trained.data["hash"]
        for graph in dataset.graphs:
            group = file.create_group(graph.name)
            group.attrs[fields.SPLIT] = graph.split
            group[fields.BARRIER] = graph.barrier
            group[fields.PREDICTED] = predicted[graph.name]


def write_json(path: Path, content: dict) -> None:
    """Write JSON, whole or not at all; what is not a number becomes null."""

    def plain(value: object) -> object:
        if isinstance(value, dict):
            return {key: plain(inner) for key, inner in value.items()}
        return None if isinstance(value, float) and not np.isfinite(value) else value

    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(plain(content), indent=1, sort_keys=True) + "\n")
