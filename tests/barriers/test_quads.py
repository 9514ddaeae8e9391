"""An atom's four numbers at once: what plain loops do."""

import numpy as np
import pytest
from numba import njit

from symgnn.barriers.quads import (
    inner_product,
    load,
    plus_multiple,
    square_distances,
    store,
    zero,
)
from symgnn.vectors import LANES, minus


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
        way = minus(load(atoms, 2), load(atoms, 0))
        store(out, 1, plus_multiple(load(out, 1), 0.5, way))
        store(out, 0, zero())

    combine(atoms, out)
    np.testing.assert_array_equal(out, [0, 0, 0, 0, 5, 5, 5, 5])


def test_an_inner_product_is_of_three_numbers() -> None:
    atoms = np.random.default_rng(2).normal(size=(3, 4))

    @njit
    def combine(atoms):
        return inner_product(load(atoms, 0), load(atoms, 2))

    assert combine(atoms.ravel()) == pytest.approx(atoms[0, :3] @ atoms[2, :3], rel=1e-14)
