"""What a table of events says of an atom: equal events, and which of them its labels count."""

import numpy as np

from symgnn import fields
from symgnn.barriers.event import Event
from symgnn.barriers.events import (
    atom_means,
    counted,
    duplicates,
    weights,
    write_events,
)
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


def test_each_label_counts_its_searches() -> None:
    columns = {
        fields.ATOM: np.zeros(5, dtype=int),
        fields.STATUS: np.array([0, 0, 0, 1, 0]),
        fields.BARRIER: np.array([1.0, 2.0, 1.5, np.nan, -0.1]),
        fields.FINAL_ENERGY: np.array([0.1, 0.2, 0.3, np.nan, -0.2]),
        fields.DISPLACEMENT_MAX: np.array([1.0, 2.6, 1.1, np.nan, 1.0]),
        fields.TARGET_DISPLACEMENT: np.array([0.1, 0.9, 0.9, np.nan, 0.9]),
        fields.CONNECTED: np.array([1, 0, 1, 0, 1]),
        fields.DUPLICATE_OF: np.array([-1, -1, -1, -1, -1]),
        fields.PUSHED_SHARE: np.array([0.5, 0.25, 0.25, np.nan, 0.9]),
    }
    expected = {"all": [0, 1, 2], "single": [0, 2], "target": [1, 2], "connected": [2]}
    for label, rows in expected.items():
        assert np.flatnonzero(counted(columns, label)).tolist() == rows
        np.testing.assert_array_equal(weights(columns, label), counted(columns, label))
    assert weights(columns, "pushed").tolist() == [0.5, 0.25, 0.25, 0.0, 0.0]
    mean, deviation = atom_means(columns, 2, "pushed")
    np.testing.assert_allclose(mean, [1.375, np.nan])
    np.testing.assert_allclose(deviation[0], np.sqrt(0.5 * 0.375**2 + 0.25 * (0.625**2 + 0.125**2)))


def test_a_label_s_number_of_searches_is_its_own(tmp_path) -> None:
    """Of three searches that converged two are connected and the same: one counts as connected."""
    same = {"final_energy": 0.4, "connected": True}
    events = [event_of(0, **same), event_of(1, **same), event_of(2, connected=False)]
    path = tmp_path / "events.h5"
    attributes = {"seed": 0, "structure_hash": ""}
    write_events(path, events, atoms=5, label="all", attributes=attributes)
    for label, number in (("barrier_mean", 3), ("barrier_mean_connected", 1)):
        found = read_labels(path, label=label, min_converged=1)
        assert found.atom_fields[fields.COUNTED].tolist() == [0, 0, 0, number, 0]
        assert np.isfinite(found.barrier).sum() == 1
    found = read_labels(path, label="barrier_mean_connected", min_converged=2)
    assert np.isnan(found.barrier).all()
    assert found.atom_fields[fields.CONVERGED][3] == 3
