"""What a search's two sides say about it."""

import numpy as np
import pytest

from symgnn.barriers.event import Sides

START, ELSEWHERE, FURTHER = np.zeros((2, 3)), np.full((2, 3), 0.5), np.full((2, 3), 1.0)


@pytest.mark.parametrize(
    ("barrier", "energies", "ways", "connected", "energy"),
    [
        (1.0, (0.3, 0.0), (ELSEWHERE, START + 0.05), True, 0.3),
        (1.0, (0.0, 0.3), (START, ELSEWHERE), True, 0.3),  # the step off led the wrong way
        (1.0, (0.3, 0.2), (FURTHER, ELSEWHERE), False, 0.3),  # between two other minima
        (1.0, (0.0, 0.0), (START, START + 0.05), False, 0.0),  # the start on both sides
        (1.0, (1.1, 0.0), (ELSEWHERE, START), False, 1.1),  # above the saddle
        (-0.2, (-0.4, 0.0), (ELSEWHERE, START), False, -0.4),
        (1.0, (np.nan, 0.0), (ELSEWHERE, START), False, np.nan),  # not reached
        (1.0, (0.3, np.nan), (ELSEWHERE, START), False, 0.3),
    ],
)
def test_the_start_is_one_of_the_minima_or_not(barrier, energies, ways, connected, energy) -> None:
    sides = Sides.of(barrier, np.array(energies), np.stack(ways), 0.15)
    assert sides.connected is connected
    np.testing.assert_equal(sides.energy, energy)
    far = max(ways, key=lambda way: np.abs(way).max()) if np.isfinite(energy) else START
    np.testing.assert_array_equal(sides.displacement, far)
