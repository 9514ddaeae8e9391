"""The exponential of compiled loops against numpy's."""

import numpy as np
import pytest
from numba import njit

from symgnn.models.vector_loops import VECTORS, exponential


@njit(**VECTORS)  # not ours, which would not see changes of what it calls from another package
def exponentials(x, found):
    for k in range(len(x)):
        found[k] = exponential(x[k])


@pytest.mark.parametrize(
    ("reach", "dtype", "tolerance"),
    # half a unit in x's last digit changes exp(x) by 6e-8 |x| of it
    [(1.0, np.float32, 4e-7), (80.0, np.float32, 8e-6), (700.0, np.float64, 1e-15)],
)
def test_it_is_numpys(reach, dtype, tolerance):
    x = np.linspace(-reach, reach, 100_001).astype(dtype)
    found = np.empty_like(x)
    exponentials(x, found)
    np.testing.assert_allclose(found, np.exp(x.astype(np.float64)), rtol=tolerance)


def test_it_stays_finite_and_positive_beyond_its_range():
    x = np.array([-np.inf, -1e4, 1e4, np.inf], np.float32)
    found = np.empty_like(x)
    exponentials(x, found)
    assert np.isfinite(found).all()
    assert (found[:2] < 1e-37).all()
    assert (found[:2] > 0).all()
    assert (found[2:] > 1e37).all()
