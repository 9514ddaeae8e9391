"""Vector instructions do what plain loops do."""

import numpy as np
import pytest
from numba import njit

from symgnn.barriers.vectors import (
    LANES,
    difference,
    load,
    plus_multiple,
    square_distances,
    store,
    transpose_rows,
    zero,
)


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


@pytest.mark.parametrize("kind", [np.int32, np.uint16])
def test_squares_of_distances(kind: type) -> None:
    generator = np.random.default_rng(1)
    atoms = np.zeros((50, 4))
    atoms[:, :3] = generator.normal(size=(50, 3))
    first, second = generator.integers(0, 50, (2, 3 * LANES)).astype(kind)
    squares = np.zeros(3 * LANES)

    @njit
    def measure(atoms, first, second, squares):
        for k in range(0, len(first), LANES):
            square_distances(atoms, first, second, k, squares, k)

    measure(atoms.ravel(), first, second, squares)
    expected = ((atoms[second] - atoms[first]) ** 2).sum(axis=1)
    np.testing.assert_allclose(squares, expected, rtol=1e-14)


def test_four_numbers_at_once() -> None:
    atoms, out = np.arange(12.0), np.ones(8)

    @njit
    def combine(atoms, out):
        way = difference(load(atoms, 2), load(atoms, 0))
        store(out, 1, plus_multiple(load(out, 1), 0.5, way))
        store(out, 0, zero())

    combine(atoms, out)
    np.testing.assert_array_equal(out, [0, 0, 0, 0, 5, 5, 5, 5])
