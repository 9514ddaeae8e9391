"""Which sides of a saddle are relaxed with all atoms free."""

import numpy as np
import pytest

from symgnn.barriers.confirmation import Descent

SAME = 0.15  # Å


def descent(distances: tuple[float, float], energies=(0.4, 0.1)) -> Descent:
    ways = np.zeros((2, 5, 3))
    ways[:, 2, 0] = distances
    found = Descent(None, np.array(energies), ways, 0, np.zeros(2, dtype=bool))
    found.recognise_start(SAME)
    return found


@pytest.mark.parametrize(("near", "far"), [(0, 1), (1, 0)])
def test_a_side_at_the_start_becomes_it_and_the_other_is_relaxed(near: int, far: int) -> None:
    distances = np.empty(2)
    distances[near], distances[far] = 0.1, 1.3
    one = descent(tuple(distances))
    assert one.unsettled(SAME) == far
    assert one.energies[near] == 0.0
    assert not one.ways[near].any()
    one.settled[far] = True
    assert one.unsettled(SAME) is None


@pytest.mark.parametrize(("relaxed_to", "then"), [(0.02, 0), (0.2, None)])
def test_a_side_that_may_be_the_start_is_relaxed_first(relaxed_to: float, then) -> None:
    one = descent((1.3, 0.2))
    assert one.unsettled(SAME) == 1
    one.ways[1, 2, 0], one.settled[1] = relaxed_to, True
    assert one.unsettled(SAME) == then
    assert one.energies.tolist() == [0.4, 0.1]  # what was relaxed is not made the start


@pytest.mark.parametrize(
    ("distances", "energies"),
    [
        ((1.3, 0.4), (0.4, 0.1)),  # between two other minima
        ((1.3, 0.1), (np.nan, 0.1)),
        ((1.3, 0.1), (0.4, np.nan)),
    ],
)
def test_sides_that_do_not_begin_at_the_start_are_left_alone(distances, energies) -> None:
    one = descent(distances, energies)
    assert one.unsettled(SAME) is None
    np.testing.assert_equal(one.energies, np.array(energies))


def test_the_start_on_both_sides_needs_one_relaxation() -> None:
    one = descent((0.12, 0.05))
    assert one.unsettled(SAME) == 0
    assert one.energies.tolist() == [0.4, 0.0]
