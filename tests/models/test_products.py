"""Products of matrices by either library against numpy's in double precision."""

import numpy as np
import pytest
import torch

from symgnn.models import products


@pytest.mark.parametrize("onednn", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sizes", [(0, 3, 5), (1, 1, 1), (700, 32, 256), (9, 65, 7)])
def test_products_are_numpys(sizes, dtype, onednn, monkeypatch):
    if onednn and not products._has_onednn():
        pytest.skip("this torch has no oneDNN")
    monkeypatch.setattr(products, "_has_onednn", lambda: onednn)
    random, (rows, inner, columns) = np.random.default_rng(0), sizes
    shapes = (rows, inner), (columns, inner), (columns,), (rows, columns)
    left, right, bias, other = (random.standard_normal(shape) for shape in shapes)
    found = [
        products.product(*(torch.from_numpy(a).to(dtype) for a in (left, right, bias))),
        products.product(*(torch.from_numpy(a).to(dtype) for a in (left, right))),
        products.transposed_product(*(torch.from_numpy(a).to(dtype) for a in (left, other))),
    ]
    tolerance = 1e-5 if dtype == torch.float32 else 1e-13
    expected = left @ right.T + bias, left @ right.T, left.T @ other
    for one, exact in zip(found, expected, strict=True):
        assert one.dtype == dtype
        bound = tolerance * np.sqrt(inner + rows)
        np.testing.assert_allclose(one.numpy(), exact, rtol=0, atol=bound * 4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(0, 4), (1, 1), (1000, 32)])
def test_memory_is_writable_aligned_and_its_own(shape, dtype):
    one, other = products.empty(shape, dtype), products.empty(shape, dtype)
    assert (one.shape, one.dtype) == (shape, dtype)
    assert one.is_contiguous()
    if one.numel():
        assert one.data_ptr() % products.ALIGNMENT == 0
    one.fill_(1)
    other.fill_(2)
    assert (one == 1).all()
