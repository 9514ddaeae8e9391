"""Pairs of atoms within a cutoff in a periodic cell of any shape and size (linked cells)."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from symgnn.compiled import njit

SLACK = 1e-6  # bins are this much wider than the cutoff needs: rounding must not lose a pair


@dataclass(frozen=True)
class Pairs:
    """Directed pairs, sorted by source, target and shift; each bond is there in both directions.

    Attributes:
        source: (pairs,) int64, index of the first atom.
        target: (pairs,) int64, index of the second atom.
        shift: (pairs, 3) int32, lattice vectors to add to the target.
        vector: (pairs, 3) float64, Å, source -> target:
            position[target] + shift @ cell - position[source].
    """

    source: np.ndarray
    target: np.ndarray
    shift: np.ndarray
    vector: np.ndarray


def pairs(positions: np.ndarray, cell: np.ndarray, cutoff: float) -> Pairs:
    """All directed pairs closer than a cutoff in a cell that repeats in three directions.

    Where the cell is smaller than the cutoff an atom pairs with several images of another one,
    and with its own images; it never pairs with itself. Two atoms at the same place are a pair
    of length zero. The time grows with the atoms, the memory with the pairs (about 60 bytes
    each).

    Args:
        positions: (atoms, 3), Å; they can lie outside the cell.
        cell: (3, 3), Å, rows are the lattice vectors.
        cutoff: Å; pairs at exactly this distance are left out.

    Raises:
        ValueError: a position is not finite, the cell has no volume, or cutoff <= 0.
    """
    if not cutoff > 0:
        raise ValueError(f"cutoff is {cutoff}, must be positive")
    places, wrap = _wrap_into_bins(positions, cell, cutoff)
    square = float(cutoff) ** 2
    first = np.concatenate([[0], np.cumsum(_count(places, square))])
    return Pairs(*_fill(places, square, wrap, first))


class LinkedCells(NamedTuple):
    """Atoms of a periodic structure sorted into bins, for compiled loops over near atoms.

    Attributes:
        wrapped: (atoms, 3) float64, Å, positions wrapped into the cell, in the structure's order.
        ordered: (atoms, 3) float64, Å, the same in the order of the bins.
        cell: (3, 3), Å.
        bin_of: (atoms, 3) int64, of each atom in the structure's order.
        bins: (3,) int64, number of bins along each lattice vector.
        reach: (3,) int64, how many bins away a neighbour can be.
        start: (bins + 1,) int64, atoms of bin b are members[start[b]:start[b + 1]].
        members: (atoms,) int64, indices of the atoms in the order of the bins.
    """

    wrapped: np.ndarray
    ordered: np.ndarray
    cell: np.ndarray
    bin_of: np.ndarray
    bins: np.ndarray
    reach: np.ndarray
    start: np.ndarray
    members: np.ndarray


def linked_cells(
    positions: np.ndarray, cell: np.ndarray, reach: float, *, finer: int = 1
) -> LinkedCells:
    """Sort atoms into bins so that near bins hold all atoms within `reach` of an atom.

    Args:
        positions: (atoms, 3), Å.
        cell: (3, 3), Å.
        reach: Å.
        finer: bins an edge of `reach`; with finer bins fewer atoms are looked at in vain.

    Raises:
        ValueError: a position is not finite, or the cell has no volume.
    """
    return _wrap_into_bins(positions, cell, reach, finer)[0]


def _wrap_into_bins(
    positions: np.ndarray, cell: np.ndarray, reach: float, finer: int = 1
) -> tuple[LinkedCells, np.ndarray]:
    """Linked cells, and the lattice vectors that were taken off the positions."""
    positions = np.ascontiguousarray(positions, dtype=np.float64).reshape(-1, 3)
    cell = np.ascontiguousarray(cell, dtype=np.float64)
    volume = abs(np.linalg.det(cell)) if np.isfinite(cell).all() else 0.0
    if not volume > 0:
        raise ValueError("the cell has no volume")
    if not np.isfinite(positions).all():
        raise ValueError("a position is not a finite number")
    fractional = positions @ np.linalg.inv(cell)
    wrap = np.floor(fractional).astype(np.int64)
    wrapped = positions - wrap @ cell
    bins, near = _bins(cell, volume, reach * (1 + SLACK), len(positions), finer)
    bin_of = np.minimum(((fractional - wrap) * bins).astype(np.int64), bins - 1)
    start, members = _sort_into_bins(bin_of, bins)
    places = LinkedCells(wrapped, wrapped[members], cell, bin_of, bins, near, start, members)
    return places, wrap


def _bins(
    cell: np.ndarray, volume: float, width: float, atoms: int, finer: int
) -> tuple[np.ndarray, np.ndarray]:
    """Number of bins along each lattice vector, and how many bins away a neighbour can be."""
    faces = np.cross(np.roll(cell, -1, axis=0), np.roll(cell, -2, axis=0))
    heights = volume / np.linalg.norm(faces, axis=1)
    wanted = np.maximum(heights / width * finer, 1.0)
    crowding = max(1.0, wanted.prod() / max(atoms, 1)) ** (1 / 3)  # no more bins than atoms
    bins = np.maximum((wanted / crowding).astype(np.int64), 1)
    return bins, np.ceil(width * bins / heights).astype(np.int64)


@njit()
def _sort_into_bins(bin_of: np.ndarray, bins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Atoms ordered by bin: those of bin b are members[start[b]:start[b + 1]]."""
    start = np.zeros(bins.prod() + 1, np.int64)
    flat = (bin_of[:, 0] * bins[1] + bin_of[:, 1]) * bins[2] + bin_of[:, 2]
    for b in flat:
        start[b + 1] += 1
    start = np.cumsum(start)
    place = start.copy()
    members = np.empty(len(flat), np.int64)
    for i, b in enumerate(flat):
        members[place[b]] = i
        place[b] += 1
    return start, members


@njit()
def _row(place, places, square, key):
    """Neighbours of the atom at `place` of the bin order: fills `key` where it has room.

    A key is target * images + image, and the images of a target are ordered as their shifts.
    """
    found = 0
    ordered, cell, start = places.ordered, places.cell, places.start
    reach, members = places.reach, places.members
    n0, n1, n2 = places.bins
    i = members[place]
    span1, span2 = 2 * reach[1] + 3, 2 * reach[2] + 3
    images = (2 * reach[0] + 3) * span1 * span2
    x, y, z = ordered[place]
    b0, b1, b2 = places.bin_of[i]
    for u in range(b0 - reach[0], b0 + reach[0] + 1):
        q0 = u // n0
        for v in range(b1 - reach[1], b1 + reach[1] + 1):
            q1 = v // n1
            for w in range(b2 - reach[2], b2 + reach[2] + 1):
                q2 = w // n2
                image = ((q0 + reach[0] + 1) * span1 + q1 + reach[1] + 1) * span2
                image += q2 + reach[2] + 1
                own = q0 == 0 and q1 == 0 and q2 == 0
                tx = q0 * cell[0, 0] + q1 * cell[1, 0] + q2 * cell[2, 0]
                ty = q0 * cell[0, 1] + q1 * cell[1, 1] + q2 * cell[2, 1]
                tz = q0 * cell[0, 2] + q1 * cell[1, 2] + q2 * cell[2, 2]
                b = ((u - q0 * n0) * n1 + v - q1 * n1) * n2 + w - q2 * n2
                for k in range(start[b], start[b + 1]):
                    dx, dy, dz = ordered[k, 0] - x, ordered[k, 1] - y, ordered[k, 2] - z
                    dx, dy, dz = dx + tx, dy + ty, dz + tz
                    if dx * dx + dy * dy + dz * dz < square and not (own and k == place):
                        if found < len(key):
                            key[found] = members[k] * images + image
                        found += 1
    return found


@njit(inline="always")
def _read_key(key, places):
    """The neighbour and the lattice vectors from its wrapped place to where it is near."""
    reach = places.reach
    span1, span2 = 2 * reach[1] + 3, 2 * reach[2] + 3
    images = (2 * reach[0] + 3) * span1 * span2
    j, image = key // images, key % images
    q0 = image // (span1 * span2) - reach[0] - 1
    q1 = image // span2 % span1 - reach[1] - 1
    q2 = image % span2 - reach[2] - 1
    return j, q0, q1, q2


@njit()
def near_atoms(place, places, radius, who, where):
    """An atom, and the atoms and images within a radius of it; returns how many they are.

    Args:
        place: of the atom in the bin order.
        places: linked cells that reach as far as the radius.
        radius: Å.
        who: (room,) int64, out: indices, the atom itself first. `most_near` says how much room.
        where: (room, 3), out: Å, places relative to the atom.
    """
    i = places.members[place]
    count = 1 + _row(place, places, radius * radius, who[1:])
    who[0] = i
    where[0, :] = 0.0
    cell, wrapped = places.cell, places.wrapped
    for k in range(1, count):
        j, q0, q1, q2 = _read_key(who[k], places)
        who[k] = j
        for x in range(3):
            shift = q0 * cell[0, x] + q1 * cell[1, x] + q2 * cell[2, x]
            where[k, x] = wrapped[j, x] - wrapped[i, x] + shift
    return count


@njit()
def mark_near(chosen, places, radius, most, marked):
    """Mark the chosen atoms and all atoms within a radius of any of them.

    Args:
        chosen: (n,), places in the bin order.
        places: linked cells that reach as far as the radius.
        radius: Å.
        most: from `most_near`.
        marked: (atoms,) bool, out: set to true for these atoms and not touched for others.
    """
    who, where = np.empty(most, np.int64), np.empty((most, 3))
    for place in chosen:
        for k in range(near_atoms(place, places, radius, who, where)):
            marked[who[k]] = True


def most_near(places: LinkedCells, radius: float) -> int:
    """The largest number of atoms that `near_atoms` finds around an atom, itself included."""
    return 1 + int(_count(places, radius * radius).max(initial=0))


@njit()
def _count(places, square):
    """Number of neighbours of each atom, (atoms,) int64."""
    count = np.empty(len(places.ordered), np.int64)
    no_room = np.empty(0, np.int64)
    for place in range(len(places.ordered)):
        count[places.members[place]] = _row(place, places, square, no_room)
    return count


@njit()
def _fill(places, square, wrap, first):
    """The arrays of `Pairs`; the pairs of atom i are at first[i]:first[i + 1]."""
    source = np.empty(first[-1], np.int64)
    target = np.empty(first[-1], np.int64)
    shift = np.empty((first[-1], 3), np.int32)
    vector = np.empty((first[-1], 3), np.float64)
    cell, wrapped = places.cell, places.wrapped
    for place in range(len(places.ordered)):
        i = places.members[place]
        key = target[first[i] : first[i + 1]]
        _row(place, places, square, key)
        key.sort()
        for at in range(first[i], first[i + 1]):
            j, q0, q1, q2 = _read_key(target[at], places)
            source[at], target[at] = i, j
            shift[at, 0] = q0 - wrap[j, 0] + wrap[i, 0]
            shift[at, 1] = q1 - wrap[j, 1] + wrap[i, 1]
            shift[at, 2] = q2 - wrap[j, 2] + wrap[i, 2]
            for x in range(3):
                d = wrapped[j, x] - wrapped[i, x]
                vector[at, x] = d + (q0 * cell[0, x] + q1 * cell[1, x] + q2 * cell[2, x])
    return source, target, shift, vector
