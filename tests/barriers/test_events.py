"""A table of events: equal ones, and how many a label counts."""

import numpy as np

from symgnn import fields
from symgnn.barriers.event import Event
from symgnn.barriers.events import duplicates, region_columns_of, write_events
from symgnn.barriers.protocol import Status
from symgnn.graphs.labels import read_labels


def event_of(search: int, atom: int = 3, **changes: object) -> Event:
    """An event in which two atoms move."""
    way = np.array([[1.0, 0.0, 0.0], [0.0, 0.3, 0.0]])
    event = {
        "atom": atom,
        "search": search,
        "status": int(Status.CONVERGED),
        "barrier": 1.0,
        "curvature": -1.0,
        "force_max": 0.001,
        "final_energy": 0.4,
        "connected": True,
        "displacement_max": 1.0,
        "target_displacement": 1.0,
        "pushed_share": 1.0,
        "force_evaluations": 300,
        "saddle_evaluations": 300,
        "lanczos_evaluations": 100,
        "moved_atoms": np.array([3, 8]),
        "saddle_displacement": way,
        "final_displacement": 2 * way,
    }
    return Event(**(event | changes))


def test_equal_events_of_an_atom_count_once() -> None:
    """The same barrier is not enough, nor the same saddle; few millielectronvolts are allowed."""
    way = event_of(0).saddle_displacement
    events = [
        event_of(0, connected=False),  # does not count, so nothing is a duplicate of it
        event_of(1, barrier=1.008, final_energy=0.395),
        event_of(2, saddle_displacement=way + 0.05),
        event_of(3, saddle_displacement=way[::-1]),
        event_of(4, final_displacement=-way),
        event_of(5, final_energy=0.38),
        event_of(6, atom=4),
        event_of(7, target_displacement=0.1),
        # an atom that is kept here and was a little below the bound there
        event_of(
            8,
            moved_atoms=np.array([3, 5, 8]),
            saddle_displacement=np.insert(way, 1, [0.11, 0, 0], axis=0),
            final_displacement=np.insert(2 * way, 1, [0.11, 0, 0], axis=0),
        ),
    ]
    expected = [-1, -1, 1, -1, -1, -1, -1, -1, 1]
    np.testing.assert_array_equal(duplicates(events), expected)
    order = [8, 3, 0, 2, 7, 1, 6, 5, 4]
    shuffled = duplicates([events[k] for k in order])
    np.testing.assert_array_equal(shuffled, [expected[k] for k in order])


def test_a_label_s_number_of_searches_is_its_own(tmp_path) -> None:
    """Of three searches that converged two are connected and the same: one counts as connected."""
    same = {"final_energy": 0.4, "connected": True}
    events = [event_of(0, **same), event_of(1, **same), event_of(2, connected=False)]
    path = tmp_path / "events.h5"
    attributes = {"seed": 0, "structure_hash": ""}
    write_events(path, events, region_columns_of([]), atoms=5, label="all", attributes=attributes)
    for label, number in (("barrier_mean", 3), ("barrier_mean_connected", 1)):
        found = read_labels(path, label=label, min_converged=1)
        assert found.atom_fields[fields.COUNTED].tolist() == [0, 0, 0, number, 0]
        assert np.isfinite(found.barrier).sum() == 1
    found = read_labels(path, label="barrier_mean_connected", min_converged=2)
    assert np.isnan(found.barrier).all()
    assert found.atom_fields[fields.CONVERGED][3] == 3
