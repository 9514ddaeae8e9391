"""What one search found."""

from dataclasses import dataclass, replace

import numpy as np

from symgnn.barriers.protocol import Status

MOVED = 0.1  # Å; atoms that go further from start to saddle or final minimum are kept


@dataclass(frozen=True)
class Event:
    """What one search found; the fields are those of events.h5 (see `symgnn.fields`)."""

    atom: int
    search: int
    status: int
    barrier: float
    curvature: float
    force_max: float
    final_energy: float
    connected: bool
    displacement_max: float
    target_displacement: float
    pushed_share: float
    force_evaluations: int
    saddle_evaluations: int
    lanczos_evaluations: int
    moved_atoms: np.ndarray  # (moved,)
    saddle_displacement: np.ndarray  # (moved, 3), Å
    final_displacement: np.ndarray  # (moved, 3), Å
    region_barrier: float = float("nan")
    grown_barrier: float = float("nan")
    full_evaluations: int = 0  # of larger systems, to confirm the saddle; 0 where not asked for
    check_evaluations: int = 0  # of them as well, for the second eigenvalue and the two sides
    second_curvature: float = float("nan")


def region_number(search: int | np.ndarray) -> int | np.ndarray:
    """The number of a search that ends in the region, which is negative elsewhere, and back.

    So it shares neither its pushes nor its line in a journal with a search that is confirmed.
    """
    return -1 - search


@dataclass(frozen=True)
class Sides:
    """The minima on the two sides of a saddle.

    Attributes:
        connected: whether the start is one of them and the other another minimum, both below the
            saddle.
        energy: eV, of the one that is further from the start; NaN where it was not reached.
        displacement: (free, 3), Å, of that one from the start; zero where it was not reached.
    """

    connected: bool
    energy: float
    displacement: np.ndarray

    @classmethod
    def of(
        cls, barrier: float, energies: np.ndarray, displacements: np.ndarray, same_minimum: float
    ) -> "Sides":
        """Judge two relaxed sides.

        Args:
            barrier: eV, of the saddle.
            energies: (2,), eV, NaN where a relaxation did not end.
            displacements: (2, free, 3), Å, from the start.
            same_minimum: Å, least distance of an atom between different minima.
        """
        way = furthest(displacements[0]), furthest(displacements[1])
        far = int(way[1] > way[0])  # ahead, unless the step off the saddle led the wrong way
        energy = float(energies[far])
        apart = way[1 - far] < same_minimum <= way[far]
        connected = bool(
            apart and barrier > 0.0 and energy < barrier and energies[1 - far] < barrier
        )
        if not np.isfinite(energy):
            return cls(False, energy, np.zeros_like(displacements[far]))
        return cls(connected, energy, displacements[far])

    @classmethod
    def unknown(cls, free: int) -> "Sides":
        """Those of a saddle that were not relaxed."""
        return cls(False, float("nan"), np.zeros((free, 3)))


def furthest(displacement: np.ndarray) -> float:
    """The longest way of an atom, Å, of displacements (atoms, 3)."""
    return float(np.linalg.norm(displacement, axis=1).max())


def motion(
    target: int, atoms: np.ndarray, saddle: np.ndarray, final: np.ndarray, pushed: np.ndarray
) -> dict[str, object]:
    """The fields of an event that tell about displacements.

    Args:
        target: index of the target.
        atoms: (free,), indices of the free atoms.
        saddle: (free, 3), Å, from the start to the saddle.
        final: (free, 3), Å, from the start to the far minimum.
        pushed: (pushed,), indices of the atoms that the search pushed.
    """
    way = np.linalg.norm(saddle, axis=1)
    moved = np.flatnonzero((way > MOVED) | (np.linalg.norm(final, axis=1) > MOVED))
    moved = moved[np.argsort(atoms[moved])]
    square = way[moved] ** 2
    of_pushed = square[np.isin(atoms[moved], pushed)].sum()
    return {
        "displacement_max": float(way.max()),
        "target_displacement": float(way[atoms == target][0]),
        "pushed_share": float(of_pushed / square.sum()) if len(moved) else 0.0,
        "moved_atoms": atoms[moved],
        "saddle_displacement": saddle[moved],
        "final_displacement": final[moved],
    }


def without_saddle(event: Event, status: Status) -> Event:
    """What remains of an event that has no saddle, or that has it no more."""
    nan = float("nan")
    return replace(
        without_motion(event),
        status=int(status),
        barrier=nan,
        curvature=nan,
        second_curvature=nan,
        force_max=nan,
        final_energy=nan,
        connected=False,
        displacement_max=nan,
        target_displacement=nan,
        pushed_share=nan,
    )


def without_motion(event: Event) -> Event:
    """An event without the displacements of its atoms."""
    none = np.zeros((0, 3))
    return replace(
        event,
        moved_atoms=none[:, 0].astype(int),
        saddle_displacement=none,
        final_displacement=none,
    )
