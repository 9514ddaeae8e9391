"""Registers of eight numbers do what numpy does."""

import numpy as np
import pytest
from numba import njit

from symgnn.descriptors.lanes import (
    any_above,
    inverse_root,
    load,
    plus_multiple,
    spread,
    store,
    where_below,
)
from symgnn.descriptors.table_rows import rows_of_4, rows_of_8, rows_of_12
from symgnn.vectors import LANES, minus, plus, plus_product, times


def test_arithmetic():
    a, b, c = np.random.default_rng(0).random((3, LANES))

    @njit
    def combine(a, b, c, out):
        x, y, z = load(a, 0), load(b, 0), load(c, 0)
        store(out, 0, plus(x, y))
        store(out, LANES, minus(x, y))
        store(out, 2 * LANES, times(x, y))
        store(out, 3 * LANES, plus_product(x, y, z))
        store(out, 4 * LANES, plus_multiple(x, 0.3, y))
        store(out, 5 * LANES, inverse_root(x))
        store(out, 6 * LANES, where_below(x, 0.5, y))
        store(out, 7 * LANES, spread(0.7))

    out = np.empty(8 * LANES)
    combine(a, b, c, out)
    expected = [a + b, a - b, a * b, a + b * c, a + 0.3 * b, a**-0.5, np.where(a < 0.5, b, 0)]
    assert 0 < (a < 0.5).sum() < LANES
    np.testing.assert_allclose(out.reshape(8, -1), [*expected, np.full(LANES, 0.7)], rtol=1e-15)


def test_one_number_above_a_limit_is_seen():
    @njit
    def above(a):
        return any_above(load(a, 0), 1.0)

    numbers = np.ones(LANES)
    assert not above(numbers)
    for lane in range(LANES):
        assert above(numbers + 1e-9 * (np.arange(LANES) == lane))


@pytest.mark.parametrize(("width", "rows"), [(4, rows_of_4), (8, rows_of_8), (12, rows_of_12)])
def test_rows_are_those_of_the_knots_below(width, rows):
    table = np.random.default_rng(1).random(5 + 13 * 20 + width)
    x = np.array([0.0, 0.5, 1.0, 7.25, 18.999, 19.5, 31.0, -0.25])  # the last row is 19

    @njit
    def look_up(table, x, out):
        found = rows(table, 5, 13, load(x, 0), 19.0)
        for k in range(len(found)):
            store(out, k * LANES, found[k])

    out = np.empty((width + 1) * LANES)
    look_up(table, x, out)
    knots = np.clip(np.trunc(x), 0, 19).astype(int)
    expected = [x - knots, *(table[5 + 13 * knots + c] for c in range(width))]
    np.testing.assert_array_equal(out.reshape(width + 1, LANES), expected)
