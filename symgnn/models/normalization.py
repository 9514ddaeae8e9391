"""Normalisation of features over atoms or edges."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from symgnn.models import normalization_loops as loops
from symgnn.models.products import empty

SAMPLED_ROWS = 1 << 12  # whose mean is near that of all, so that little cancels


class RunningNorm(nn.Module):
    """Subtract a running mean, divide by a running deviation, then scale and shift.

    What tells atoms of a glass apart are small changes on top of large means, so features have
    to be standardised each by itself over atoms or edges. Batch norm does that with the numbers
    of the batch: with one glass a step it would remove what differs between glasses, and it
    behaves otherwise in evaluation. Here the running numbers are used in both; in training they
    follow the data without a gradient, and the first batch sets them.

    Args:
        width: number of features.
        momentum: share of a new batch in the running numbers.
    """

    def __init__(self, width: int, momentum: float = 0.1):
        super().__init__()
        self.momentum = momentum
        self.scale = nn.Parameter(torch.ones(width))
        self.shift = nn.Parameter(torch.zeros(width))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        """(rows, width), normalised over the rows seen so far."""
        if self.training and len(x) > 1:
            self._follow(x)
        factor = self.scale * torch.rsqrt(self.variance + 1e-5)
        return torch.addcmul(self.shift - self.mean * factor, x, factor)

    @torch.no_grad()
    def _follow(self, x: Tensor) -> None:
        variance, mean = torch.var_mean(x.detach(), dim=0)
        # as a tensor: asking for its value would wait for an accelerator and end compiled code
        share = torch.where(self.batches == 0, self.mean.new_ones(()), self.momentum)
        # out of place: the numbers used before are part of the gradient's graph
        self.mean = torch.lerp(self.mean, mean.to(self.mean.dtype), share)
        self.variance = torch.lerp(self.variance, variance.to(self.mean.dtype), share)
        self.batches = self.batches + 1


class BatchNorm(nn.BatchNorm1d):
    """Batch norm, as the paper's released code has: by the batch in training.

    Unlike `RunningNorm` it cannot fall behind the features: where they move by more than their
    spread in a step, running numbers put them many deviations off.
    """

    def __init__(self, width: int):
        super().__init__(width, momentum=0.3)  # a step has all edges of a glass: little noise

    def forward(self, x: Tensor) -> Tensor:
        """(rows, width), normalised; torch's own is slow for long columns on a processor.

        Compiled, torch's own is not slow.
        """
        plain = x.device.type == "cpu" and self.training and len(x) > 0
        if not plain or torch.compiler.is_compiling():
            return super().forward(x)
        x = x.to(self.weight.dtype)  # under autocast too, sums over many rows are exact enough
        mean, inverse, _ = self.statistics(x)
        return _Normalise.apply(x, self.weight, self.bias, mean, inverse)

    @property
    def scale(self) -> Tensor:
        """(width,)."""
        return self.weight

    @property
    def shift(self) -> Tensor:
        """(width,)."""
        return self.bias

    @torch.no_grad()
    def statistics(self, x: Tensor) -> tuple[Tensor, Tensor, bool]:
        """Mean and inverse deviation, (width,) each, and whether they are those of x.

        In training the running numbers follow x, (rows, width).
        """
        if not self.training or not len(x):
            return self.running_mean, torch.rsqrt(self.running_var + self.eps), False
        about = x[:SAMPLED_ROWS].mean(0)
        first, second = (torch.zeros_like(about, dtype=torch.float64) for _ in range(2))
        loops.add_moments(*(t.numpy() for t in (x.detach(), about, first, second)))
        mean = (about + first / len(x)).to(x.dtype)
        squares = (second - first * first / len(x)).to(x.dtype)
        self.num_batches_tracked += 1
        share = self.momentum or 1 / self.num_batches_tracked.item()  # None: the plain mean
        self.running_mean = torch.lerp(self.running_mean, mean, share)
        unbiased = squares / max(len(x) - 1, 1)
        self.running_var = torch.lerp(self.running_var, unbiased, share)
        return mean, torch.rsqrt(squares / len(x) + self.eps), True


@torch.no_grad()
def refresh(model: nn.Module, passes: Iterable[Callable[[], object]]) -> None:
    """Set the running numbers of a network's batch norms to their means over some batches.

    Running numbers lag behind a network in training and are none of one whose weights are
    averages, see `torch.optim.swa_utils.update_bn`. Unlike there, all but the batch norms is in
    evaluation mode: the numbers are those of features without dropout, and of the transformations
    that predictions use, and no random number is drawn.

    Args:
        model: left in evaluation mode; without batch norm nothing else is done.
        passes: each sends one batch through the model.
    """
    model.eval()
    norms = [module for module in model.modules() if isinstance(module, BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean
        norm.train()
    for send in passes:
        send()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()


class _Normalise(torch.autograd.Function):
    """scale (x - mean) inverse + shift, where mean and inverse are those of x."""

    @staticmethod
    def forward(ctx, x, scale, shift, mean, inverse):
        ctx.save_for_backward(x, scale, mean, inverse)
        factor = scale * inverse
        return torch.addcmul(shift - mean * factor, x, factor, out=empty(x.shape, x.dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        x, scale, mean, inverse = ctx.saved_tensors
        sums = torch.zeros(2, len(scale), dtype=torch.float64)
        arrays = x.numpy(), mean.numpy(), gradient.contiguous().numpy()
        loops.add_gradient_sums(*arrays, *sums.numpy())
        by_shift, by_scale = sums.to(scale.dtype)
        by_scale = by_scale * inverse
        factor = scale * inverse
        slope = -factor * inverse * by_scale / len(x)
        rest = -mean * slope - factor * by_shift / len(x)
        by_x = empty(x.shape, x.dtype)
        after = (t.numpy() for t in (factor, slope, rest, by_x))
        loops.pull_back(arrays[0], arrays[2], *after)
        return by_x, by_scale, by_shift, None, None
