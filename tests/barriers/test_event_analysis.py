"""What is made of events.h5 without new searches."""

from dataclasses import replace

import numpy as np
import pytest

from symgnn.barriers.analysis import lowest_barriers, participation, participations
from symgnn.barriers.event import without_saddle
from symgnn.barriers.events import region_columns_of, write_events
from symgnn.barriers.protocol import Status
from tests.barriers.test_events import event_of


def test_equal_motions_count_their_atoms_in_any_frame() -> None:
    random = np.random.default_rng(0)
    for atoms in (1, 2, 30):
        direction = random.normal(size=(atoms, 3))
        way = 0.7 * direction / np.linalg.norm(direction, axis=1, keepdims=True)
        assert participation(way) == pytest.approx(atoms, rel=1e-12)
    way = random.normal(size=(20, 3))
    turned = way @ np.linalg.qr(random.normal(size=(3, 3)))[0]
    assert 1.0 < participation(way) < 20.0
    assert participation(3.0 * turned) == pytest.approx(participation(way), rel=1e-12)
    assert participation(np.zeros((0, 3))) == 0.0


def test_the_lowest_barrier_is_that_of_a_search_that_counts(tmp_path) -> None:
    path = tmp_path / "events.h5"
    found = [
        event_of(0, atom=1, barrier=0.9),
        event_of(1, atom=1, barrier=0.4),
        without_saddle(event_of(2, atom=1, barrier=0.1), Status.NOT_CONFIRMED),
        event_of(3, atom=1, barrier=-0.2),  # went downhill
        without_saddle(event_of(0, atom=2), Status.NOT_CONVERGED),
        event_of(0, atom=3, barrier=0.7),
    ]
    one_atom = np.zeros_like(found[-1].saddle_displacement)
    one_atom[0, 0] = 1.0
    found[-1] = replace(found[-1], saddle_displacement=one_atom)
    write_events(path, found, region_columns_of([]), atoms=5, label="all", attributes={})
    np.testing.assert_array_equal(lowest_barriers(path), [np.nan, 0.4, np.nan, 0.7, np.nan])
    shared = participations(path)
    assert sorted(shared) == [(1, 0), (1, 1), (1, 3), (3, 0)]
    assert shared[3, 0] == pytest.approx(1.0)
