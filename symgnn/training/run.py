"""One training run in a folder: start or resume, train, evaluate, write."""

import csv
import json
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

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
from symgnn.provenance import provenance, stage_hash, versions
from symgnn.training.batches import label_scaling
from symgnn.training.checkpoint import Trained, data_summary, load_tensors, save_checkpoint
from symgnn.training.loop import State, predict_graphs, start, train
from symgnn.training.metrics import coverage, errors_of, metrics_of_glasses
from symgnn.training.recipe import Recipe

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

RESUME = "resume.pt"


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
            training runs it also holds resume.pt.
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
    signature = _signature(model, options, recipe, seed, dataset)
    _resume(output / RESUME, state, signature)
    progress = Progress("training", recipe.epochs, done=state.epoch)
    log = _tensorboard(output / "tensorboard", state.epoch) if tensorboard else None
    saver = _Saver(output, signature, progress, checkpoint_interval, budget, log)
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
    (output / RESUME).unlink(missing_ok=True)


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


def _signature(
    model: str, options: dict[str, object], recipe: Recipe, seed: int, dataset: Dataset
) -> str:
    """What must be equal for a stopped training to be the same one."""
    what = {"model": model, "options": options, "recipe": recipe.as_dict(), "seed": seed}
    what |= {"data": data_summary(dataset)["hash"], "code": stage_hash("training")}
    return json.dumps(what, sort_keys=True)


def _tensorboard(folder: Path, epoch: int) -> "SummaryWriter":
    """A log in which what a stopped call wrote after `epoch` counts no more."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise InputError(
            "--tensorboard: the package tensorboard is not installed; pip install 'symgnn[models]'"
        ) from None
    return SummaryWriter(str(folder), purge_step=epoch + 1)


class _Saver:
    """Called after each epoch: shows progress, writes resume.pt, stops at the time budget."""

    def __init__(
        self,
        output: Path,
        signature: str,
        progress: Progress,
        interval: float,
        budget: TimeBudget,
        log: "SummaryWriter | None",
    ):
        self._output, self._signature, self._progress = output, signature, progress
        self._interval, self._budget, self._last = interval, budget, time.monotonic()
        self._log = log

    def __call__(self, state: State) -> None:
        row = state.history[-1] if state.history else {}
        if self._log is not None and row.get("epoch") == state.epoch:
            for name, value in row.items():
                self._log.add_scalar(name, value, state.epoch)
            self._log.flush()
        figures = {key: f"{row[key]:.4g}" for key in ("loss", "validation_pearson") if key in row}
        self._progress.advance(**figures, best_epoch=state.best_epoch)
        exhausted = self._budget.exhausted()
        if exhausted or time.monotonic() - self._last >= self._interval:
            _save(self._output, state, self._signature)
            self._last = time.monotonic()
        if exhausted:
            self._budget.check(f"{self._output}: epoch {state.epoch}")


def _save(output: Path, state: State, signature: str) -> None:
    """Write resume.pt and the history so far."""
    device = next(state.model.parameters()).device
    content = {
        "signature": signature,
        "model": state.model.state_dict(),
        "average": state.average.state_dict(),
        "best": state.best,
        "optimizer": state.optimizer.state_dict(),
        "epoch": state.epoch,
        "step": state.step,
        "best_epoch": state.best_epoch,
        "best_score": state.best_score,
        "history": state.history,
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }
    with atomic_path(output / RESUME) as temporary:
        torch.save(content, temporary)
    _write_history(output, state.history)


def _resume(path: Path, state: State, signature: str) -> None:
    """Put a stopped training's state back; one of another training is left alone."""
    if not path.is_file():
        return
    content = load_tensors(path)
    if content.get("signature") != signature:
        print(f"{path}: of another training; starting afresh")
        return
    state.model.load_state_dict(content["model"])
    state.average.load_state_dict(content["average"])
    state.optimizer.load_state_dict(content["optimizer"])
    for name in ("best", "epoch", "step", "best_epoch", "best_score", "history"):
        setattr(state, name, content[name])
    torch.set_rng_state(content["random"])
    device = next(state.model.parameters()).device
    if content["random_cuda"] is not None and device.type == "cuda":
        torch.cuda.set_rng_state(content["random_cuda"], device)


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
    _write_history(output, history)
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


def _write_history(output: Path, history: list[dict[str, float]]) -> None:
    with (
        atomic_path(output / "history.csv") as temporary,
        open(temporary, "w", newline="") as stream,
    ):
        names = list(history[0]) if history else ["epoch"]
        writer = csv.DictWriter(stream, fieldnames=names)
        writer.writeheader()
        writer.writerows(history)


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
