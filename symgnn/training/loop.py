"""The training loop that all models share."""

import copy
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import nn

from symgnn.graphs.graph import Graph
from symgnn.models.normalization import BatchNorm, RunningNorm, refresh
from symgnn.models.reach import reach
from symgnn.pieces import divide
from symgnn.training.batches import Batch, Scaling, as_batch, join
from symgnn.training.compiling import compiled
from symgnn.training.metrics import metrics_of_glasses
from symgnn.training.pieces import piece_of, predict_all
from symgnn.training.recipe import Recipe, average_weights, build_optimizer, learning_rate

REFRESHING_GLASSES = 4  # at most: a glass has some 250,000 edges, which give their means well
# by which an epoch's squared error must be below that of the solved part alone: on a few hundred
# labels the best of thirty epochs is often one by chance
STANDARD_ERRORS = 2.0


@dataclass
class State:
    """Everything that a training needs to go on as if it had not been stopped.

    Attributes:
        model: its weights as they are trained.
        average: its averaged weights, which are evaluated.
        best: weights of the best epoch on the validation glasses.
        optimizer: with its moments.
        epoch: epochs done.
        step: optimiser steps done.
        best_epoch: 0 before the first evaluation, and of a solved part that no epoch improved.
        best_score: Pearson's correlation of that epoch over the validation atoms, pooled; minus
            infinity where it is none, as of predictions that are all equal.
        history: one row an evaluation.
        solved_errors: of a model that `prepare` solved for in part: squared errors of that part
            alone, see `_squared_errors`; None of other models and without validation glasses.
    """

    model: nn.Module
    average: nn.Module
    best: dict[str, torch.Tensor]
    optimizer: torch.optim.Optimizer
    epoch: int = 0
    step: int = 0
    best_epoch: int = 0
    best_score: float = -math.inf
    history: list[dict[str, float]] = field(default_factory=list)
    solved_errors: torch.Tensor | None = None


def start(model: nn.Module, recipe: Recipe) -> State:
    """The state before the first epoch."""
    average = copy.deepcopy(model)
    best = copy.deepcopy(model.state_dict())
    return State(model, average, best, build_optimizer(model, recipe))


def train(
    state: State,
    *,
    training: Sequence[Graph],
    validation: Sequence[Graph],
    scaling: Scaling,
    recipe: Recipe,
    device: str,
    after_epoch: Callable[[State], None],
    inputs: Sequence[str] = (),
) -> None:
    """Train until the recipe's end; `state` is changed in place.

    A model with a method `prepare` gets the training and the validation glasses before the first
    epoch; one without trainable parameters is evaluated once, as the last epoch. The loss is the
    weighted squared error of the standardised labels; unlabelled atoms take part in the messages
    and not in the loss. The best epoch has the largest Pearson correlation over the validation
    glasses; without validation glasses it is the last one. Where `prepare` has solved for a part of
    the model, that part alone is epoch 0, and others count only if they have less squared error
    (but for the mean error) by more than `STANDARD_ERRORS` of the difference. Before an evaluation
    on validation glasses, and at the end, batch norms get the statistics of the weights that are
    evaluated, over `REFRESHING_GLASSES` training glasses: that many forward passes.

    Args:
        state: from `start` or a resumed one.
        training: graphs to learn from.
        validation: graphs that choose the epoch, and that `prepare` gets.
        scaling: of the labels.
        recipe: numbers of the training.
        device: `cpu` or `cuda`.
        after_epoch: called after each epoch: writes checkpoints, shows progress, and may raise to
            stop.
        inputs: names of the model's per-atom inputs.
    """
    training = [graph for graph in training if np.isfinite(graph.barrier).any()]

    def batch_of(graph: Graph) -> Batch:
        return as_batch(graph, scaling, label_noise=recipe.label_noise, inputs=inputs).to(device)

    batches = [batch_of(graph) for graph in training]
    prepared = state.epoch == 0 and hasattr(state.model, "prepare")
    if prepared:
        state.model.prepare(batches, [batch_of(graph) for graph in validation])
        state.average.load_state_dict(state.model.state_dict())
    if not any(parameter.requires_grad for parameter in state.model.parameters()):
        if state.epoch < recipe.epochs:
            state.epoch = recipe.epochs
            row = {"epoch": state.epoch, "loss": _loss_of(state.average, batches)}
            _evaluate(state, row | {"learning_rate": 0.0}, validation, scaling, device, inputs)
            after_epoch(state)
        return
    if prepared:
        state.best = copy.deepcopy(state.average.state_dict())
        if validation:
            solved = predict_graphs(state.average, validation, scaling, device, inputs)
            state.solved_errors = _squared_errors(validation, solved)
            state.best_score = _score(_pooled_metrics(validation, solved)["pearson"])
    parts = _parts(state.model, batches, training, recipe)
    size = recipe.batch_size or len(parts)
    steps = recipe.epochs * math.ceil(len(parts) / size)
    network = compiled(state.model, device) if recipe.compile else state.model
    while state.epoch < recipe.epochs and not _out_of_patience(state, recipe):
        order = torch.randperm(len(parts)).tolist()
        losses = []
        state.model.train()
        for first in range(0, len(order), size):
            batch = join([parts[k]() for k in order[first : first + size]])
            losses.append(_step(state, network, batch, recipe, state.step / steps))
        state.epoch += 1
        if state.epoch % recipe.evaluation_interval == 0 or state.epoch == recipe.epochs:
            row = {"epoch": state.epoch, "loss": float(np.mean(losses))}
            row["learning_rate"] = learning_rate(recipe, (state.step - 1) / steps)
            if validation or state.epoch == recipe.epochs:  # else these weights are never used
                _refresh(state.average, batches)
            _evaluate(state, row, validation, scaling, device, inputs)
        after_epoch(state)


def _parts(
    model: nn.Module, batches: Sequence[Batch], graphs: Sequence[Graph], recipe: Recipe
) -> list[Callable[[], Batch]]:
    """What a step takes one or several of: whole glasses, or pieces of them with a label."""
    if not recipe.piece_atoms:
        return [partial(_itself, batch) for batch in batches]
    depth = max(reach(model), 1)  # an atom's own edges at least
    cut = any(len(graph.species) > recipe.piece_atoms for graph in graphs)
    if cut and any(isinstance(part, (BatchNorm, RunningNorm)) for part in model.modules()):
        warnings.warn(
            "piece_atoms: this model normalises by all atoms of a piece, with its halo, whose "
            "outermost atoms lack edges; schnet and equivariant do not",
            stacklevel=2,
        )
    pieces = [
        piece_of(batch, own, depth)
        for batch, graph in zip(batches, graphs, strict=True)
        for own in divide(graph.position, graph.cell, recipe.piece_atoms)
    ]
    return [piece.batch for piece in pieces if len(piece.labelled)]


def _itself(batch: Batch) -> Batch:
    return batch


@torch.no_grad()
def _loss_of(model: nn.Module, batches: Sequence[Batch]) -> float:
    """Mean of the loss over some batches."""
    return float(np.mean([_loss(batch.through(model), batch).item() for batch in batches]))


def _loss(predicted: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Mean of the labels' weighted squared errors."""
    weight = batch.weight[batch.labelled]
    error = predicted[batch.labelled] - batch.target[batch.labelled]
    return (weight * error * error).sum() / weight.sum()


def _step(state: State, network: nn.Module, batch: Batch, recipe: Recipe, progress: float) -> float:
    """One step of the optimiser; the loss before it. `network` has the weights of the model."""
    for group in state.optimizer.param_groups:
        group["lr"] = learning_rate(recipe, progress)
    mixed = torch.autocast(
        batch.species.device.type, torch.bfloat16, enabled=recipe.precision == "bf16"
    )
    with mixed:
        predicted = batch.through(network)
    loss = _loss(predicted.float(), batch)
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if recipe.gradient_clip:
        nn.utils.clip_grad_norm_(state.model.parameters(), recipe.gradient_clip)
    state.optimizer.step()
    average_weights(state.average, state.model, recipe.averaging, state.step)
    state.step += 1
    return loss.item()


def _refresh(model: nn.Module, batches: Sequence[Batch]) -> None:
    """Statistics of the batch norms anew, from glasses spread over the training ones."""
    some = batches[:: math.ceil(len(batches) / REFRESHING_GLASSES)]
    refresh(model, [partial(batch.through, model) for batch in some])


def _evaluate(
    state: State,
    row: dict[str, float],
    validation: Sequence[Graph],
    scaling: Scaling,
    device: str,
    inputs: Sequence[str],
) -> None:
    """Add a row to the history; keep the weights when they are the best so far."""
    predicted = predict_graphs(state.average, validation, scaling, device, inputs)
    for name, value in _pooled_metrics(validation, predicted).items():
        row[f"validation_{name}"] = value
    state.history.append(row)
    score = _score(row["validation_pearson"])
    if state.solved_errors is None:
        better = score > state.best_score or state.best_epoch == 0 or not validation
    else:
        better = score > state.best_score and _improves(state, validation, predicted)
    if better:
        state.best_score, state.best_epoch = score, state.epoch
        state.best = copy.deepcopy(state.average.state_dict())


def _pooled_metrics(
    graphs: Sequence[Graph], predicted: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Over the labelled atoms of all glasses."""
    return metrics_of_glasses({graph.name: graph.barrier for graph in graphs}, predicted)["pooled"]


def _score(correlation: float) -> float:
    """To compare epochs by: predictions that are all equal, or no numbers, are the worst."""
    return -math.inf if math.isnan(correlation) else correlation


def _squared_errors(graphs: Sequence[Graph], predicted: Mapping[str, np.ndarray]) -> torch.Tensor:
    """Of all labelled atoms but for the mean error, (atoms,), eV².

    The level of all is left out as it is by the correlation, which chooses among epochs.
    """
    labelled = [np.isfinite(graph.barrier) for graph in graphs]
    pairs = zip(graphs, labelled, strict=True)
    errors = [(graph.barrier - predicted[graph.name])[mine] for graph, mine in pairs]
    found = torch.from_numpy(np.concatenate(errors))
    return (found - found.mean()) ** 2


def _improves(
    state: State, validation: Sequence[Graph], predicted: Mapping[str, np.ndarray]
) -> bool:
    """Whether an epoch's squared error is clearly less than the solved part's; see `train`."""
    gain = state.solved_errors - _squared_errors(validation, predicted)
    if len(gain) < 3:
        return False
    error = gain.std() / math.sqrt(len(gain))  # as if atoms were independent
    return bool(gain.mean() > STANDARD_ERRORS * error)


def _out_of_patience(state: State, recipe: Recipe) -> bool:
    """Whether the last evaluation, not the last epoch, is that far from the best score."""
    if not recipe.patience or not state.history:
        return False
    best = max(state.history, key=lambda row: _score(row["validation_pearson"]))
    return state.history[-1]["epoch"] - best["epoch"] >= recipe.patience


@torch.no_grad()
def predict_graphs(
    model: nn.Module,
    graphs: Sequence[Graph],
    scaling: Scaling,
    device: str,
    inputs: Sequence[str] = (),
) -> dict[str, np.ndarray]:
    """Predicted barriers of each graph by name, (atoms,) float64, eV; one graph at a time."""
    model.eval()
    predicted = {}
    for graph in graphs:
        batch = as_batch(graph, scaling, inputs=inputs).to(device)
        standardised = predict_all(model, batch, graph.position, graph.cell)
        predicted[graph.name] = scaling.barrier(standardised.double().cpu().numpy())
    return predicted
