"""Products of matrices by either library against numpy's in double precision."""

import numpy as np
import pytest
import torch

from symgnn.models import products


def has_onednn(monkeypatch) -> bool:
    """Whether oneDNN could multiply, whoever made the processor."""
    with monkeypatch.context() as context:
        context.setattr(products, "_of_intel", lambda: False)
        return products._by_onednn.__wrapped__()


@pytest.mark.parametrize("onednn", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sizes", [(0, 3, 5), (1, 1, 1), (700, 32, 256), (9, 65, 7)])
def test_products_are_numpys(sizes, dtype, onednn, monkeypatch):
    if onednn and not has_onednn(monkeypatch):
        pytest.skip("this torch has no oneDNN")
    monkeypatch.setattr(products, "_by_onednn", lambda: onednn)
    random, (rows, inner, columns) = np.random.default_rng(0), sizes
    shapes = (rows, inner), (columns, inner), (columns,), (rows, columns), (inner, columns)
    given = [random.standard_normal(shape) for shape in shapes]
    left, right, bias, other, total = given
    tensors = [torch.from_numpy(array.copy()).to(dtype) for array in given]
    room = torch.full((5, rows, columns), 7.0, dtype=dtype)
    added = [(None, 0), (tensors[2], bias), (tensors[3], other)]
    found, expected = [], []
    for k, (term, exact) in enumerate(added):
        found += [products.product(*tensors[:2], term, out=room[k + 1]), room[k + 1]]
        expected += [left @ right.T + exact] * 2
        if term is None or term.dim() == 1:
            found.append(products.product(*tensors[:2], term))
            expected.append(left @ right.T + exact)
    products.add_transposed_product(tensors[4], tensors[0], tensors[3])
    found.append(tensors[4])
    expected.append(total + left.T @ other)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-13
    for one, exact in zip(found, expected, strict=True):
        assert one.dtype == dtype
        bound = tolerance * np.sqrt(inner + rows)
        np.testing.assert_allclose(one.numpy(), exact, rtol=0, atol=bound * 4)
    assert (room[[0, 4]] == 7).all()  # what is beside is left alone


@pytest.mark.parametrize(
    ("text", "expected"),
    [("vendor_id : GenuineIntel", True), ("AuthenticAMD", False), (None, False)],
)
def test_processors_of_intel_are_known(text, expected, tmp_path, monkeypatch):
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(products, "PROCESSORS", tmp_path / "cpuinfo")
    assert products._of_intel() == expected


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
