"""A table of events: equal ones, and how many a label counts."""

import h5py
import numpy as np

from symgnn import fields
from symgnn.barriers.event import Event, region_number, without_motion
from symgnn.barriers.events import (
    duplicates,
    merge_events,
    read_columns,
    read_region,
    region_columns_of,
    write_events,
)
from symgnn.barriers.labels import label_means
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


def searched(atoms: int) -> tuple[list[Event], list[Event]]:
    """Four searches at each atom, and six that ended in the region, where barriers are higher."""
    random = np.random.default_rng(2)
    events, region = [], []
    for atom in range(atoms):
        for k, common in enumerate(random.normal(0, 0.4, 10)):
            before = 2.0 + 0.1 * atom + common
            barrier = before - 0.3 + random.normal(0, 0.1)
            if k < 4:
                events.append(event_of(k, atom, barrier=barrier, region_barrier=before))
            else:
                one = event_of(region_number(k - 4), atom, barrier=before, connected=False)
                region.append(without_motion(one))
    return events, region


def test_merged_shards_have_the_labels_of_the_whole(tmp_path) -> None:
    """The control of the region is of all atoms together, and so is its slope."""
    atoms = 16
    events, region = searched(atoms)
    attributes = {"seed": 0, "structure_hash": ""}

    def write(name: str, chosen: range) -> None:
        own, further = ([one for one in x if one.atom in chosen] for x in (events, region))
        columns = region_columns_of(further[::-1])
        path = tmp_path / name
        write_events(path, own, columns, atoms=atoms, label="controlled", attributes=attributes)

    write("whole.h5", range(atoms))
    write("a.h5", range(9))
    write("b.h5", range(9, atoms))
    merge_events([tmp_path / "b.h5", tmp_path / "a.h5"], tmp_path / "merged.h5")
    assert (tmp_path / "merged.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()
    columns, further = read_columns(tmp_path / "whole.h5"), read_region(tmp_path / "whole.h5")
    assert further[fields.SEARCH].tolist() == [*range(6)] * atoms
    expected = label_means(columns, further, atoms, "controlled")
    with h5py.File(tmp_path / "whole.h5") as file:
        found = {name: file["atoms"][name][:] for name in file["atoms"]}
    for name in ("barrier_mean", "barrier_mean_controlled"):
        np.testing.assert_array_equal(found[name], expected.mean)
    np.testing.assert_array_equal(found["barrier_mean_error"], expected.error)
    plain = label_means(columns, further, atoms, "all")
    np.testing.assert_array_equal(found["barrier_mean_all"], plain.mean)
    assert (found["barrier_mean"] != found["barrier_mean_all"]).all()
    assert (expected.error**2).mean() < 0.8 * (plain.error**2).mean()
    # an atom's own searches do not tell its neighbours' shard their slope
    with h5py.File(tmp_path / "b.h5") as file:
        assert (file["atoms"]["barrier_mean"][9:] != found["barrier_mean"][9:]).all()


def test_files_of_before_have_no_searches_of_the_region(tmp_path) -> None:
    events, region = searched(16)
    path = tmp_path / "events.h5"
    columns = region_columns_of(region)
    attributes = {"seed": 0, "structure_hash": ""}
    write_events(path, events, columns, atoms=16, label="all", attributes=attributes)
    with h5py.File(path, "r+") as file:
        del file["region"]
    assert all(len(column) == 0 for column in read_region(path).values())
    merge_events([path], tmp_path / "merged.h5")
    with h5py.File(tmp_path / "merged.h5") as file:
        atoms = file["atoms"]
        np.testing.assert_array_equal(atoms["barrier_mean"], atoms["barrier_mean_controlled"])
