"""Normalisation that is the same in training and evaluation."""

import torch
from torch import Tensor, nn

ROWS = 1 << 14  # whose squares are made at once: `torch.var_mean` by column is far slower


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
        mean, inverse = self.statistics(x)
        factor = self.scale * inverse
        return torch.addcmul(self.shift - mean * factor, x, factor)

    @torch.no_grad()
    def statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and inverse deviation, (width,) each, to normalise x by; training follows x."""
        if self.training and len(x) > 1:
            self._follow(x.detach())
        return self.mean, torch.rsqrt(self.variance + 1e-5)

    def _follow(self, x: Tensor) -> None:
        mean = x.mean(0)
        variance = sum((rows - mean).square().sum(0) for rows in x.split(ROWS)) / (len(x) - 1)
        share = 1.0 if self.batches == 0 else self.momentum
        # out of place: the numbers used before are part of the gradient's graph
        self.mean = torch.lerp(self.mean, mean.to(self.mean.dtype), share)
        self.variance = torch.lerp(self.variance, variance.to(self.mean.dtype), share)
        self.batches = self.batches + 1
