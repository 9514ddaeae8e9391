"""What can be had from events.h5 besides mean barriers, without new searches."""

from pathlib import Path

import numpy as np

from symgnn import fields
from symgnn.barriers.events import read_columns, read_events
from symgnn.barriers.labels import counted
from symgnn.barriers.protocol import Status
from symgnn.files import open_hdf5


def lowest_barriers(events: Path, label: str = "all") -> np.ndarray:
    """The lowest barrier that the searches of each atom have found, (atoms,), eV; NaN without one.

    Args:
        events: an events.h5.
        label: which searches count, see `symgnn.barriers.labels.counted`.

    Raises:
        InputError: not an events.h5.
    """
    columns = read_columns(events)
    with open_hdf5(events, "events") as file:
        atoms = len(file[fields.ATOMS][fields.SEARCHES])
    mask = counted(columns, label)
    lowest = np.full(atoms, np.inf)
    np.minimum.at(lowest, columns[fields.ATOM][mask], columns[fields.BARRIER][mask])
    return np.where(np.isfinite(lowest), lowest, np.nan)


def participation(displacement: np.ndarray) -> float:
    """How many atoms share a motion: (Σ u²)² / Σ u⁴, 1 for one atom, n for n that move alike.

    Args:
        displacement: (moved, 3), Å.
    """
    square = (displacement**2).sum(axis=1)
    total = (square**2).sum()
    return float(square.sum() ** 2 / total) if total > 0.0 else 0.0


def participations(events: Path) -> dict[tuple[int, int], float]:
    """`participation` at the saddle of every search that found one, by atom and search.

    Of the atoms that go further than 0.1 Å to it or to the final minimum; the file has no others'.

    Raises:
        InputError: not an events.h5.
    """
    return {
        (event.atom, event.search): participation(event.saddle_displacement)
        for event in read_events(events)
        if event.status == Status.CONVERGED
    }
