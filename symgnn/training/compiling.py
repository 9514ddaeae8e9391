"""torch.compile for the steps of a training."""

import time

import torch
from torch import nn

from symgnn.errors import InputError
from symgnn.models.egat import EdgeAttention

# Random numbers are drawn as without compilation, so that dropout and samples are the same.
COMPILER: dict[str, object] = {"backend": "inductor", "options": {"fallback_random": True}}


def compiled(model: nn.Module, device: str) -> nn.Module:
    """A model's twin that runs as compiled code, with the model's own weights and buffers.

    The model itself stays as it is: its weights keep their names, and evaluations, which would
    compile it once more, are not slowed down. Glasses differ in their numbers of atoms and edges;
    the code is made for any number at once, since torch gives up after eight versions.

    Some models come back as they are, with a line that says why: attention on a processor, whose
    own kernel is three times as fast as compiled messages, and what torch cannot compile.

    Args:
        model: on the device.
        device: `cpu` or `cuda`.
    """
    reason = _reason_against(model, device)
    if reason:
        print(f"--compile: left out: {reason}")
        return model
    return torch.compile(model, dynamic=True, **COMPILER)


def _reason_against(model: nn.Module, device: str) -> str:
    """Why a model is better left as it is; empty for one that is not."""
    if not any(parameter.requires_grad for parameter in model.parameters()):
        return "nothing of this model is trained"
    if not getattr(model, "compilable", True):
        return "torch cannot compile this model"
    if device == "cpu" and any(isinstance(part, EdgeAttention) for part in model.modules()):
        return "attention on a processor has faster code of its own"
    return ""


def check_compiler(model: nn.Module, device: str) -> None:
    """Compile one line, where a model will be compiled: to fail before a training and not in it.

    Args:
        model: on the device.
        device: `cpu` or `cuda`.

    Raises:
        InputError: this machine cannot compile.
    """
    if _reason_against(model, device):
        return
    unlike_any = time.time_ns() % 1_000_003  # what torch has in its cache needs no compiler

    def line(x: torch.Tensor) -> torch.Tensor:
        return x + unlike_any

    try:
        torch.compile(line, dynamic=False, **COMPILER)(torch.zeros(2, device=device))
    except RuntimeError as error:
        cause = getattr(error, "inner_exception", error)  # torch wraps what a backend raises
        reason = next(iter(str(cause).splitlines()), "")
        raise InputError(
            f"--compile: torch cannot compile here ({type(cause).__name__}: {reason}); it needs "
            "a C++ compiler, and Triton on a GPU; train without --compile"
        ) from None
