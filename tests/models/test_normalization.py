"""Batch norm against torch's own, gradients and running numbers included; the running norm."""

from functools import partial

import torch
from torch import nn

from symgnn.models import blocks
from symgnn.models.normalization import BatchNorm, RunningNorm, refresh
from symgnn.models.registry import build_model


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


def test_refreshed_numbers_are_torchs():
    torch.manual_seed(0)
    batches = [torch.randn(50, 3) * scale + 2 for scale in (1, 2, 3)]
    mine = nn.Sequential(nn.Linear(3, 4), BatchNorm(4), nn.SiLU(), nn.Linear(4, 4), BatchNorm(4))
    other = nn.Sequential(
        nn.Linear(3, 4), nn.BatchNorm1d(4), nn.SiLU(), nn.Linear(4, 4), nn.BatchNorm1d(4)
    )
    other.load_state_dict(mine.state_dict())
    mine(batches[0] * 10)  # what was before is forgotten
    refresh(mine, [partial(mine, batch) for batch in batches])
    torch.optim.swa_utils.update_bn(batches, other)
    torch.testing.assert_close(mine.state_dict(), other.state_dict())
    assert not any(module.training for module in mine.modules())
    assert mine[1].momentum == 0.3


def test_refreshing_draws_no_numbers_and_sees_all_edges_at_once(monkeypatch):
    """A glass that predictions would cut into blocks gives the numbers of the whole."""
    torch.manual_seed(0)
    model = build_model("symgnn", elements=[29, 40], width=8, heads=(2, 1), dropout=0.5)
    edge_index = torch.stack([torch.randint(40, (400,)), torch.arange(400) // 10])
    send = partial(model, torch.tensor([29, 40] * 20), edge_index, torch.randn(400, 3))
    state = torch.get_rng_state()
    refresh(model, [send])
    whole = {name: value.clone() for name, value in model.state_dict().items()}
    monkeypatch.setattr(blocks, "EDGES_AT_ONCE", 100)
    refresh(model, [send])
    torch.testing.assert_close(model.state_dict(), whole, rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_first_batch_sets_running_numbers_and_others_move_them():
    norm = RunningNorm(3, momentum=0.1)
    first, second = torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(0)) * 3 + 7
    norm(first)
    torch.testing.assert_close(norm.mean, first.mean(0))
    torch.testing.assert_close(norm.variance, first.var(0))
    norm(second)
    torch.testing.assert_close(norm.mean, 0.9 * first.mean(0) + 0.1 * second.mean(0))
    torch.testing.assert_close(norm.variance, 0.9 * first.var(0) + 0.1 * second.var(0))
    kept = norm.mean.clone()
    norm.eval()(first)
    torch.testing.assert_close(norm.mean, kept, rtol=0, atol=0)
