"""Vector instructions do what plain loops do."""

import numpy as np
import pytest
from numba import njit
from numba.core.errors import TypingError

from symgnn.descriptors.lanes import load, store
from symgnn.vectors import LANES, minus, plus, plus_product, read, times, transpose_rows, write


def test_rows_are_transposed() -> None:
    generator = np.random.default_rng(0)
    table = generator.random(100)
    places = generator.integers(0, 92, 2 * LANES).astype(np.int32)
    columns = np.zeros(8 * 2 * LANES)

    @njit
    def transpose(table, places, columns):
        for k in range(0, len(places), LANES):
            transpose_rows(table, places, k, columns, len(places))

    transpose(table, places, columns)
    expected = np.array([[table[place + c] for place in places] for c in range(8)])
    np.testing.assert_array_equal(columns.reshape(8, -1), expected)


def test_eight_numbers_at_once() -> None:
    numbers = np.random.default_rng(1).integers(-9, 9, 3 * LANES).astype(float)
    out = np.zeros(2 * LANES)

    @njit
    def combine(numbers, out):
        a, b, c = load(numbers, 0), load(numbers, LANES), load(numbers, 2 * LANES)
        store(out, LANES, plus_product(minus(a, b), plus(b, c), times(c, c)))

    combine(numbers, out)
    a, b, c = numbers.reshape(3, LANES)
    np.testing.assert_array_equal(out[:LANES], 0.0)
    np.testing.assert_array_equal(out[LANES:], a - b + (b + c) * c**2)  # exact: small integers


def test_numbers_one_by_one() -> None:
    numbers, out = np.arange(5.0), np.zeros(5)

    @njit
    def turn(numbers, out):
        for k in range(5):
            write(out, 4 - k, read(numbers, k))

    turn(numbers, out)
    np.testing.assert_array_equal(out, numbers[::-1])


def test_rows_are_contiguous() -> None:
    """An array with strides would be read at the wrong places."""

    @njit
    def first(numbers):
        return read(numbers, 0)

    with pytest.raises(TypingError, match="must be a contiguous one-dimensional array"):
        first(np.arange(6.0)[::2])
