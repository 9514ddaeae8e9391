"""events.h5: what the searches found, one row a search, and its mean at every atom."""

import json
from collections.abc import Iterable
from dataclasses import fields as dataclass_fields
from pathlib import Path

import h5py
import numpy as np

from symgnn import fields
from symgnn.barriers.event import Event, region_number
from symgnn.barriers.labels import LABELS, TARGET_MOVES, Columns, counted, label_means
from symgnn.barriers.protocol import Status
from symgnn.errors import InputError
from symgnn.files import FORMAT_ATTRIBUTES, create_hdf5, open_hdf5

STATUS_TYPE = h5py.enum_dtype({status.name.lower(): int(status) for status in Status}, "i1")
RAGGED = ("moved_atoms", "saddle_displacement", "final_displacement")
COLUMNS = {
    fields.ATOM: "i4",
    fields.SEARCH: "i4",
    fields.STATUS: STATUS_TYPE,
    fields.BARRIER: "f8",
    fields.CURVATURE: "f8",
    fields.FORCE_MAX: "f8",
    fields.FINAL_ENERGY: "f8",
    fields.CONNECTED: "i1",
    fields.DISPLACEMENT_MAX: "f8",
    fields.TARGET_DISPLACEMENT: "f8",
    fields.PUSHED_SHARE: "f8",
    fields.FORCE_EVALUATIONS: "i4",
    fields.SADDLE_EVALUATIONS: "i4",
    fields.LANCZOS_EVALUATIONS: "i4",
    fields.REGION_BARRIER: "f8",
    fields.GROWN_BARRIER: "f8",
    fields.FULL_EVALUATIONS: "i4",
    fields.CHECK_EVALUATIONS: "i4",
    fields.SECOND_CURVATURE: "f8",
    fields.DUPLICATE_OF: "i4",
}
SAME_ENERGY = 0.01  # eV, most between barriers and between final energies of one event
SAME_PLACE = 0.15  # Å, most between an atom's places; those that go less than 0.1 Å are not kept
# Of group `region`: the searches that ended in the region, where nobody confirmed their saddles.
REGION_COLUMNS = {
    fields.ATOM: "i4",
    fields.SEARCH: "i4",
    fields.STATUS: STATUS_TYPE,
    fields.BARRIER: "f8",
    fields.FORCE_EVALUATIONS: "i4",
}


def duplicates(events: list[Event]) -> np.ndarray:
    """Which earlier search of its atom has found an event already, (searches,), -1 where none.

    Only events that the label `connected` could count are compared. Two are one where barriers and
    final energies agree within `SAME_ENERGY` and all atoms' displacements, to the saddle and to the
    far minimum, within `SAME_PLACE`.
    """
    found = np.full(len(events), -1)
    firsts: dict[int, list[Event]] = {}
    for k in sorted(range(len(events)), key=lambda k: (events[k].atom, events[k].search)):
        event = events[k]
        involved = event.target_displacement > TARGET_MOVES  # never where there is no saddle
        if not (event.connected and event.barrier > 0.0 and involved):
            continue
        earlier = firsts.setdefault(event.atom, [])
        same = next((other for other in earlier if _same(event, other)), None)
        if same is None:
            earlier.append(event)
        else:
            found[k] = same.search
    return found


def _same(one: Event, other: Event) -> bool:
    for name in ("barrier", "final_energy"):
        if abs(getattr(one, name) - getattr(other, name)) > SAME_ENERGY:
            return False
    moved = np.union1d(one.moved_atoms, other.moved_atoms)
    for name in ("saddle_displacement", "final_displacement"):
        difference = np.zeros((len(moved), 3), dtype="f4")  # as journals and files keep them
        difference[np.searchsorted(moved, one.moved_atoms)] += getattr(one, name).astype("f4")
        difference[np.searchsorted(moved, other.moved_atoms)] -= getattr(other, name).astype("f4")
        if np.linalg.norm(difference, axis=1).max(initial=0.0) > SAME_PLACE:
            return False
    return True


def columns_of(events: list[Event]) -> Columns:
    """The columns of events.h5, each (searches,)."""
    names = [field.name for field in dataclass_fields(Event) if field.name not in RAGGED]
    columns = {name: np.array([getattr(event, name) for event in events]) for name in names}
    columns[fields.DUPLICATE_OF] = duplicates(events)
    return {name: columns[name].astype(kind) for name, kind in COLUMNS.items()}


def region_columns_of(events: Iterable[Event]) -> Columns:
    """The columns of group `region`, each (searches,), in the order of atom and search.

    Args:
        events: of searches that ended in the region.
    """
    rows = sorted(events, key=lambda event: (event.atom, -event.search))
    columns = {name: np.array([getattr(row, name) for row in rows]) for name in REGION_COLUMNS}
    columns[fields.SEARCH] = region_number(columns[fields.SEARCH])
    return {name: columns[name].astype(kind) for name, kind in REGION_COLUMNS.items()}


def write_events(
    path: Path,
    events: Iterable[Event],
    region: Columns,
    *,
    atoms: int,
    label: str,
    attributes: dict[str, object],
) -> None:
    """Write events.h5, the rows in the order of atom and search.

    Args:
        path: of the file.
        events: what was found, in any order.
        region: see `region_columns_of`.
        atoms: number of atoms of the structure.
        label: which mean `barrier_mean` is, one of `LABELS`.
        attributes: protocol, seed, structure hash, potential checksum, versions.
    """
    rows = sorted(events, key=lambda event: (event.atom, event.search))
    columns = columns_of(rows)
    with create_hdf5(path, "events") as file:
        file.attrs.update(dict(sorted(attributes.items())))
        file.attrs["label"] = label
        _write_columns(file, columns, region, atoms, label)
        _write_moved(file, rows)


def _write_columns(
    file: h5py.File, columns: Columns, region: Columns, atoms: int, label: str
) -> None:
    group = file.create_group(fields.EVENTS)
    for name, kind in COLUMNS.items():
        group.create_dataset(name, data=columns[name], dtype=kind)
    group = file.create_group(fields.REGION)
    for name, kind in REGION_COLUMNS.items():
        group.create_dataset(name, data=region[name], dtype=kind)
    group = file.create_group(fields.ATOMS)
    for kind in LABELS:
        found = label_means(columns, region, atoms, kind)
        number = found.number.astype("i4")
        group.create_dataset(f"{fields.BARRIER_MEAN}_{kind}", data=found.mean)
        group.create_dataset(f"{fields.COUNTED}_{kind}", data=number)
        if kind == label:
            group.create_dataset(fields.BARRIER_MEAN, data=found.mean)
            group.create_dataset(fields.BARRIER_STD, data=found.deviation)
            group.create_dataset(fields.MEAN_ERROR, data=found.error)
            group.create_dataset(fields.COUNTED, data=number)
    converged = counted(columns, "all")
    atom = columns[fields.ATOM]
    number = np.bincount(atom, minlength=atoms)
    group.create_dataset(fields.SEARCHES, data=number.astype("i4"))
    number = np.bincount(atom[converged], minlength=atoms)
    group.create_dataset(fields.CONVERGED, data=number.astype("i4"))


def _write_moved(file: h5py.File, rows: list[Event]) -> None:
    group = file.create_group(fields.MOVED)
    start = np.cumsum([0] + [len(row.moved_atoms) for row in rows])
    group.create_dataset(fields.MOVED_START, data=start)
    empty = {"moved_atoms": np.zeros(0, "i4")}
    for name in RAGGED:
        parts = [getattr(row, name) for row in rows] or [empty.get(name, np.zeros((0, 3)))]
        kind = "i4" if name == "moved_atoms" else "f4"
        group.create_dataset(name, data=np.concatenate(parts).astype(kind))


def read_columns(path: Path | str) -> Columns:
    """The columns of group `events` of an events.h5.

    Raises:
        InputError: the file is not a whole events.h5 of this version.
    """
    with open_hdf5(path, "events") as file:
        return {name: file[fields.EVENTS][name][:] for name in COLUMNS}


def read_region(path: Path | str) -> Columns:
    """The columns of group `region` of an events.h5, empty where an earlier version wrote it.

    Raises:
        InputError: the file is not a whole events.h5 of this version.
    """
    with open_hdf5(path, "events") as file:
        return region_columns(file)


def region_columns(file: h5py.File) -> Columns:
    """See `read_region`."""
    if fields.REGION not in file:
        return region_columns_of([])
    return {name: file[fields.REGION][name][:] for name in REGION_COLUMNS}


def _read(path: Path | str, rows: slice) -> list[Event]:
    with open_hdf5(path, "events") as file:
        columns = {name: file[fields.EVENTS][name][rows].tolist() for name in COLUMNS}
        start = file[fields.MOVED][fields.MOVED_START][rows.start : rows.stop + 1]
        moved = slice(start[0], start[-1])
        ragged = {name: file[fields.MOVED][name][moved] for name in RAGGED}
    columns[fields.CONNECTED] = [bool(value) for value in columns[fields.CONNECTED]]
    del columns[fields.DUPLICATE_OF]  # of all events together, not of one
    start = start - start[0]
    return [
        Event(
            **{name: column[k] for name, column in columns.items()},
            **{name: values[start[k] : start[k + 1]] for name, values in ragged.items()},
        )
        for k in range(len(start) - 1)
    ]


def read_events(path: Path | str) -> list[Event]:
    """All events of an events.h5, with the displacements of the atoms that moved."""
    return _read(path, slice(0, len(read_columns(path)[fields.ATOM])))


def read_event(path: Path | str, atom: int, search: int) -> Event:
    """One event of an events.h5.

    Raises:
        InputError: the file has no such search.
    """
    columns = read_columns(path)
    row = np.flatnonzero((columns[fields.ATOM] == atom) & (columns[fields.SEARCH] == search))
    if not len(row):
        raise InputError(f"{path}: atom {atom}, search {search}: there is no such search")
    return _read(path, slice(int(row[0]), int(row[0]) + 1))[0]


def merge_events(paths: list[Path], output: Path) -> None:
    """Put the shards of one structure together.

    Raises:
        InputError: the shards are not of the same work, or one search stands in two of them.
    """
    first: dict[str, object] = {}
    regions: list[Columns] = []
    merged: dict[tuple[int, int], Event] = {}
    used: list[str] = []
    for path in paths:
        with open_hdf5(path, "events") as file:
            attributes = dict(file.attrs)
            atoms = len(file[fields.ATOMS][fields.SEARCHES])
        first = first or attributes
        for key, value in attributes.items():
            if key == "versions":  # of packages, which may have been updated between two shards
                used.append(value)
            elif first.get(key) != value:
                raise InputError(f"{path}: {key} differs from that of {paths[0]}")
        for event in read_events(path):
            if (event.atom, event.search) in merged:
                raise InputError(
                    f"{path}: search {event.search} of atom {event.atom} is in another shard too"
                )
            merged[event.atom, event.search] = event
        regions.append(read_region(path))
    label = str(first.pop("label"))
    kept = {k: v for k, v in first.items() if k not in FORMAT_ATTRIBUTES}
    if used:
        kept["versions"] = _all_versions(used)
    region = {name: np.concatenate([part[name] for part in regions]) for name in REGION_COLUMNS}
    order = np.lexsort((region[fields.SEARCH], region[fields.ATOM]))
    region = {name: column[order] for name, column in region.items()}
    write_events(output, merged.values(), region, atoms=atoms, label=label, attributes=kept)


def _all_versions(used: list[str]) -> str:
    """Every version of each package that made a part, in the form of one part's."""
    parts = [json.loads(one) for one in used]
    names = sorted({name for part in parts for name in part})
    found = {n: ", ".join(sorted({part[n] for part in parts if n in part})) for n in names}
    return json.dumps(found, sort_keys=True)


def protocol_of(path: Path | str) -> dict:
    """The protocol of an events.h5, as it was written."""
    with open_hdf5(path, "events") as file:
        return json.loads(file.attrs["protocol"])
