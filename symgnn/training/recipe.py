"""How a model is trained: optimiser, learning rate over time, averaging of the weights."""

import math
from dataclasses import asdict, dataclass

import torch
from torch import nn

from symgnn.errors import InputError

SCHEDULES = ("constant", "cosine")
PRECISIONS = ("float32", "bf16")
WARM_UP = 0.05  # share of the steps in which a cosine schedule first rises

EPOCHS, LEARNING_RATE = 200, 3e-3  # of models that have none of their own here
# Epochs and learning rate of models that do better with these.
OWN = {"response": (30, 2e-3), "searched": (30, 2e-3)}


def own_recipe(model: str) -> dict[str, float]:
    """Epochs and learning rate of a model where none are given, as keywords of `Recipe`."""
    epochs, learning_rate = OWN.get(model, (EPOCHS, LEARNING_RATE))
    return {"epochs": epochs, "learning_rate": learning_rate}


@dataclass(frozen=True)
class Recipe:
    """The numbers of a training.

    Attributes:
        epochs: passes over the training glasses.
        learning_rate: largest one, of Adam with AMSGrad.
        batch_size: glasses a step; 0 for all of them (full batch).
        schedule: `constant`, or `cosine`: a short rise, then down to a hundredth.
        weight_decay: decoupled, as a rate.
        gradient_clip: largest norm of the gradient; 0 for none.
        averaging: decay of the moving average of the weights that is evaluated, a step; 0 for
            none.
        patience: epochs without a better validation score after which training stops; 0 for never.
        evaluation_interval: epochs between evaluations on the validation glasses.
        label_noise: spread of one atom's searches, eV, or what the region's leave of it; labels of
            many searches then weigh more.
        piece_atoms: atoms of a glass that are trained on at once, with a halo as deep as the
            network; a step takes `batch_size` such pieces. 0: whole glasses.
        precision: of a training step's products, `float32` or `bf16` (mixed, as torch.autocast
            does); evaluations and predictions are in float32.
        compile: whether training steps run after torch.compile.
    """

    epochs: int
    learning_rate: float
    batch_size: int
    schedule: str
    weight_decay: float
    gradient_clip: float
    averaging: float
    patience: int
    evaluation_interval: int
    label_noise: float
    piece_atoms: int = 0
    precision: str = "float32"
    compile: bool = False

    def __post_init__(self):
        """Check the ranges; InputError names the key, the value and what is allowed."""
        checks = {
            "epochs": (self.epochs >= 1, "at least 1"),
            "learning_rate": (0 < self.learning_rate <= 1, "above 0 and at most 1"),
            "batch_size": (self.batch_size >= 0, "0 (all) or more"),
            "schedule": (self.schedule in SCHEDULES, f"one of {', '.join(SCHEDULES)}"),
            "weight_decay": (0 <= self.weight_decay < 1, "at least 0 and below 1"),
            "gradient_clip": (self.gradient_clip >= 0, "0 (none) or more"),
            "averaging": (0 <= self.averaging < 1, "at least 0 and below 1"),
            "patience": (self.patience >= 0, "0 (never) or more"),
            "evaluation_interval": (self.evaluation_interval >= 1, "at least 1"),
            "label_noise": (self.label_noise >= 0, "0 (all weigh the same) or more"),
            "piece_atoms": (self.piece_atoms >= 0, "0 (whole glasses) or more"),
            "precision": (self.precision in PRECISIONS, f"one of {', '.join(PRECISIONS)}"),
        }
        for name, (fine, allowed) in checks.items():
            if not fine:
                option = name.replace("_", "-")
                raise InputError(f"--{option}: {getattr(self, name)}: must be {allowed}")

    def as_dict(self) -> dict[str, object]:
        """By name, for a checkpoint."""
        return asdict(self)


def build_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """AMSGrad, as in the paper (section 5.2)."""
    return torch.optim.AdamW(
        model.parameters(),
        lr=recipe.learning_rate,
        amsgrad=True,
        weight_decay=recipe.weight_decay,
    )


def learning_rate(recipe: Recipe, progress: float) -> float:
    """Learning rate when a share `progress` (0 to 1) of all steps is done."""
    if recipe.schedule == "constant":
        return recipe.learning_rate
    if progress < WARM_UP:
        return recipe.learning_rate * (0.1 + 0.9 * progress / WARM_UP)
    fall = (progress - WARM_UP) / (1 - WARM_UP)
    return recipe.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * fall)))


@torch.no_grad()
def average_weights(average: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Move the averaged weights and running statistics towards the model's.

    Early on the decay is smaller, (1 + step) / (10 + step), so that the start is forgotten.
    """
    decay = min(decay, (1 + step) / (10 + step))
    for mine, new in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if mine.dtype.is_floating_point:
            mine.lerp_(new, 1 - decay)
        else:
            mine.copy_(new)
