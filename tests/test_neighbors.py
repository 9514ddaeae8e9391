"""Neighbour pairs against a brute-force oracle, and the laws they obey."""

import itertools

import numpy as np
import pytest
from matscipy.neighbours import neighbour_list

from symgnn.neighbors import linked_cells, mark_near, most_near, pairs

CELLS = {
    "cubic": np.diag([14.0, 14.0, 14.0]),
    "slab": np.diag([25.0, 11.0, 6.0]),
    "triclinic": np.array([[12.0, 0, 0], [5.0, 11.0, 0], [-4.0, 3.0, 10.0]]),
    "left-handed": np.array([[0, 12.0, 0], [11.0, 0, 0], [1.0, 2.0, 13.0]]),
    "tiny": np.array([[2.9, 0, 0], [0.7, 3.1, 0], [-0.5, 0.9, 2.7]]),
    "needle": np.array([[30.0, 0, 0], [14.0, 2.5, 0], [3.0, 0.4, 2.2]]),
}


def brute_force(positions, cell, cutoff):
    """All pairs by trying every image that can be within the cutoff, O(atoms² images)."""
    inverse = np.linalg.inv(cell)
    spread = np.ptp(positions @ inverse, axis=0) if len(positions) else np.zeros(3)
    reach = np.ceil(cutoff * np.linalg.norm(inverse, axis=0) + spread).astype(int)
    found = []
    for shift in itertools.product(*(range(-r, r + 1) for r in reach)):
        vector = positions[None] - positions[:, None] + np.array(shift) @ cell
        near = np.linalg.norm(vector, axis=2) < cutoff
        if shift == (0, 0, 0):
            np.fill_diagonal(near, False)
        found += [(i, j, *shift) for i, j in zip(*np.nonzero(near), strict=True)]
    return sorted(found)


def rows(found):
    return [
        (i, j, *s)
        for i, j, s in zip(
            found.source.tolist(), found.target.tolist(), found.shift.tolist(), strict=True
        )
    ]


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("inside", [True, False])
def test_brute_force_agrees(name, inside):
    random = np.random.default_rng(7)
    cell = CELLS[name]
    atoms = 4 if name == "tiny" else 40
    fractional = random.random((atoms, 3)) * (1 if inside else 5) - (0 if inside else 2)
    positions = fractional @ cell
    found = pairs(positions, cell, 5.0)
    assert rows(found) == brute_force(positions, cell, 5.0)  # same pairs, already sorted
    expected = positions[found.target] + found.shift @ cell - positions[found.source]
    np.testing.assert_allclose(found.vector, expected, atol=1e-12)


def test_matscipy_agrees_on_a_larger_cell():
    random = np.random.default_rng(3)
    cell = np.array([[30.0, 0, 0], [8.0, 28.0, 0], [-6.0, 9.0, 31.0]])
    positions = random.random((1500, 3)) @ cell
    i, j = neighbour_list("ij", positions=positions, cell=cell, pbc=[1, 1, 1], cutoff=5.0)
    found = pairs(positions, cell, 5.0)
    order = np.lexsort((j, i))
    np.testing.assert_array_equal(found.source, i[order])
    np.testing.assert_array_equal(found.target, j[order])


@pytest.mark.parametrize("name", CELLS)
def test_atoms_near_chosen_ones_are_marked(name):
    random, cell = np.random.default_rng(2), CELLS[name]
    positions = random.random((60, 3)) @ cell
    chosen, found = np.array([3, 40]), pairs(positions, cell, 2.5)
    expected = np.isin(np.arange(60), [*chosen, *found.target[np.isin(found.source, chosen)]])
    places, marked = linked_cells(positions, cell, 2.5), np.zeros(60, dtype=bool)
    mark_near(np.argsort(places.members)[chosen], places, 2.5, most_near(places, 2.5), marked)
    np.testing.assert_array_equal(marked, expected)


def test_one_atom_pairs_with_its_own_images():
    found = pairs(np.zeros((1, 3)), np.eye(3) * 3.0, 4.0)
    assert len(found.source) == 6
    np.testing.assert_allclose(np.linalg.norm(found.vector, axis=1), 3.0)


def test_both_directions_are_exact_opposites():
    random = np.random.default_rng(1)
    cell = CELLS["triclinic"]
    found = pairs(random.random((60, 3)) @ cell, cell, 4.0)
    forward = {row: tuple(v) for row, v in zip(rows(found), found.vector.tolist(), strict=True)}
    for (i, j, a, b, c), (x, y, z) in forward.items():
        assert forward[(j, i, -a, -b, -c)] == (-x, -y, -z)


def test_sparse_gas_in_a_huge_cell():
    positions = np.array([[0.0, 0, 0], [9999.0, 0, 0], [5000.0, 5000, 5000]])
    found = pairs(positions, np.eye(3) * 1e4, 2.0)
    assert rows(found) == [(0, 1, -1, 0, 0), (1, 0, 1, 0, 0)]


def test_cutoff_is_exclusive_and_coincident_atoms_are_seen():
    cell = np.eye(3) * 20.0
    positions = np.array([[0.0, 0, 0], [5.0, 0, 0], [5.0, 0, 0]])
    assert rows(pairs(positions, cell, 5.0)) == [(1, 2, 0, 0, 0), (2, 1, 0, 0, 0)]


def test_no_atoms_no_pairs():
    assert len(pairs(np.empty((0, 3)), np.eye(3), 1.0).source) == 0


@pytest.mark.parametrize(
    ("positions", "cell", "cutoff"),
    [
        ([[np.nan, 0, 0]], np.eye(3), 1.0),
        ([[0.0, 0, 0]], np.zeros((3, 3)), 1.0),
        ([[0.0, 0, 0]], np.eye(3), 0.0),
    ],
)
def test_bad_input_is_refused(positions, cell, cutoff):
    with pytest.raises(ValueError, match=r"finite|volume|positive"):
        pairs(np.array(positions), cell, cutoff)
