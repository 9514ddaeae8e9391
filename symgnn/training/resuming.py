"""What a training keeps while it runs, so that a stopped one goes on as if it had not been."""

import csv
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from symgnn.errors import InputError
from symgnn.files import atomic_path
from symgnn.graphs.dataset import Dataset
from symgnn.progress import Progress, TimeBudget
from symgnn.provenance import stage_hash
from symgnn.training.checkpoint import data_summary, load_tensors
from symgnn.training.loop import State
from symgnn.training.recipe import Recipe

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

RESUME = "resume.pt"


def signature_of(
    model: str, options: dict[str, object], recipe: Recipe, seed: int, dataset: Dataset
) -> str:
    """What must be equal for a stopped training to be the same one."""
    what = {"model": model, "options": options, "recipe": recipe.as_dict(), "seed": seed}
    what |= {"data": data_summary(dataset)["hash"], "code": stage_hash("training")}
    return json.dumps(what, sort_keys=True)


def open_tensorboard(folder: Path, epoch: int) -> "SummaryWriter":
    """A log in which what a stopped call wrote after `epoch` counts no more."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise InputError(
            "--tensorboard: the package tensorboard is not installed; pip install 'symgnn[models]'"
        ) from None
    return SummaryWriter(str(folder), purge_step=epoch + 1)


class Saver:
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
        "solved_errors": state.solved_errors,
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }
    with atomic_path(output / RESUME) as temporary:
        torch.save(content, temporary)
    write_history(output, state.history)


def resume(output: Path, state: State, signature: str) -> None:
    """Put a stopped training's state back; one of another training is left alone."""
    path = output / RESUME
    if not path.is_file():
        return
    content = load_tensors(path)
    if content.get("signature") != signature:
        print(f"{path}: of another training; starting afresh")
        return
    state.model.load_state_dict(content["model"])
    state.average.load_state_dict(content["average"])
    state.optimizer.load_state_dict(content["optimizer"])
    kept = ("best", "epoch", "step", "best_epoch", "best_score", "history", "solved_errors")
    for name in kept:
        setattr(state, name, content[name])
    torch.set_rng_state(content["random"])
    device = next(state.model.parameters()).device
    if content["random_cuda"] is not None and device.type == "cuda":
        torch.cuda.set_rng_state(content["random_cuda"], device)


def write_history(output: Path, history: list[dict[str, float]]) -> None:
    """history.csv, a row an evaluation."""
    with (
        atomic_path(output / "history.csv") as temporary,
        open(temporary, "w", newline="") as stream,
    ):
        names = list(history[0]) if history else ["epoch"]
        writer = csv.DictWriter(stream, fieldnames=names)
        writer.writeheader()
        writer.writerows(history)
