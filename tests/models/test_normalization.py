"""Batch norm against torch's own, gradients and running numbers included."""

import torch
from torch import nn

from symgnn.models.normalization import BatchNorm


def test_batch_norm_is_torchs():
    torch.manual_seed(0)
    x = (torch.randn(500, 4, dtype=torch.float64) * 3 + 20).requires_grad_()
    mine, other = BatchNorm(4).double(), nn.BatchNorm1d(4, momentum=0.3).double()
    with torch.no_grad():
        mine.weight.uniform_(0.5, 2)
        mine.bias.normal_()
    other.load_state_dict(mine.state_dict())
    weight = torch.randn(500, 4, dtype=torch.float64)
    found = []
    for norm in (mine, other):
        out = norm(x)
        gradients = torch.autograd.grad((out * weight).sum(), [x, norm.weight, norm.bias])
        found.append([out, *gradients, norm.running_mean, norm.running_var, norm.eval()(x)])
    torch.testing.assert_close(*found, atol=1e-11, rtol=1e-9)
