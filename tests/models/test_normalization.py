"""Batch norm against torch's own, gradients and running numbers included; the running norm."""

from functools import partial

import pytest
import torch
from torch import nn

from symgnn.models import blocks, normalization
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


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-13)])
def test_statistics_of_many_rows_are_those_of_double_precision(dtype, tolerance):
    """The first rows, about which moments are taken, lie aside."""
    torch.manual_seed(0)
    x = (torch.randn(100_000, 3, dtype=dtype) + 1) * torch.tensor([0.1, 1.0, 10.0])
    x[: normalization.SAMPLED_ROWS] += 3 * x.std(0)
    mean, inverse, of_batch = BatchNorm(3).to(dtype).statistics(x)
    exact = x.double()
    deviation = (exact.var(0, unbiased=False) + 1e-5).sqrt()
    assert of_batch
    assert ((mean - exact.mean(0)) / deviation).abs().max() < tolerance
    assert (inverse * deviation - 1).abs().max() < tolerance


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_gradients_of_many_rows_are_torchs_in_double_precision(dtype, tolerance):
    torch.manual_seed(0)
    x, weight = (torch.randn(20_000, 3, dtype=dtype) for _ in range(2))
    mine, other = BatchNorm(3).to(dtype), nn.BatchNorm1d(3).double()
    found = []
    for norm, kind in ((mine, dtype), (other, torch.float64)):
        leaf = x.to(kind).requires_grad_()
        out = norm(leaf)
        wanted = [leaf, norm.weight, norm.bias]
        found.append(torch.autograd.grad((out * weight.to(kind)).sum(), wanted))
    for one, exact in zip(*found, strict=True):
        assert (one - exact).abs().max() <= tolerance * exact.abs().max()


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
