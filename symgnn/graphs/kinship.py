"""Glasses that are copies of each other: they must not be on both sides of a split."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from ase import Atoms

from symgnn import fields
from symgnn.graphs.reordering import Places, grid_for, partners, places_of
from symgnn.structures import structure_hash

# Å; atoms of glasses that were quenched by themselves are half a box apart, and at least 5 Å where
# the melts began alike and were short. Sheared glasses (500 atoms) reach 0.7 Å at a strain of 0.2.
COPY = 1.0
SAME_CELL = 1e-3  # relative difference of cells that still count as equal
SAMPLE = 200  # atoms that show first whether a pair is worth a look at all of them


@dataclass(frozen=True)
class Kinship:
    """Two glasses that are one structure up to a strain and small displacements.

    Attributes:
        first: name of one glass.
        second: name of the other.
        strained: whether their cells differ by more than 0.1 %.
        displacement: median over the atoms, with the strain taken out, Å.
    """

    first: str
    second: str
    strained: bool
    displacement: float

    def __str__(self) -> str:
        kind = "a strained copy" if self.strained else "a near-duplicate"
        return (
            f"{self.second} is {kind} of {self.first} "
            f"(median displacement {self.displacement:.3f} Å)"
        )


def kinships(structures: Mapping[str, Atoms]) -> list[Kinship]:
    """All pairs of copies among some glasses, in whatever order their files list the atoms.

    Glasses with other numbers of atoms of an element are never compared. Not found are copies that
    are turned against their cells, and, in another order, crystals and those of whose atoms a
    quarter has gone elsewhere.
    """
    alike = defaultdict(list)
    for name, atoms in structures.items():
        alike[np.sort(atoms.numbers).tobytes()].append(name)
    found = []
    for names in alike.values():
        lying = _Lying({name: structures[name] for name in names})
        for first, second in combinations(names, 2):
            a, b = structures[first], structures[second]
            moved, cell = _in_one_order(a, b) or lying.displacement(first, second) or (COPY, None)
            if moved < COPY:
                shapes = [array @ array.T for array in (a.cell.array, cell)]  # however they lie
                size = shapes[0].max()
                strained = not np.allclose(*shapes, rtol=0, atol=2.0 * SAME_CELL * size)
                found.append(Kinship(first, second, strained, moved))
    return found


def _in_one_order(a: Atoms, b: Atoms) -> tuple[float, np.ndarray] | None:
    """`displacement` by the numbers of the atoms; None where a sample is far from a copy."""
    if (a.numbers != b.numbers).any():
        return None
    if displacement(a, b, every=max(1, len(a) // SAMPLE))[0] > 2 * COPY:
        return None
    return displacement(a, b)


class _Lying:
    """Structures that are compared by where their atoms lie.

    Args:
        structures: with as many atoms of each element.
    """

    def __init__(self, structures: Mapping[str, Atoms]):
        self._structures = structures
        self._bins = grid_for(next(iter(structures.values())))
        self._places: dict[str, Places] = {}  # in the structures' own cells

    def displacement(self, first: str, second: str) -> tuple[float, np.ndarray] | None:
        """`displacement` of atoms and what lies nearest to them, in the better of the cells."""
        a, b = self._structures[first], self._structures[second]
        others = [places_of(b, cell, self._bins) for cell in _cells(a, b)[1:]]
        found = [
            displacement(a[same[0]], b[same[1]])
            for places in (self._of(second), *others)
            if (same := partners(self._of(first), places, a.cell.array)) is not None
        ]
        return min(found, key=lambda one: one[0], default=None)

    def _of(self, name: str) -> Places:
        if name not in self._places:
            atoms = self._structures[name]
            self._places[name] = places_of(atoms, atoms.cell.array, self._bins)
        return self._places[name]


def _cells(a: Atoms, b: Atoms) -> list[np.ndarray]:
    """The cell of b and, if that is another one, its lattice vectors nearest to the cell of a."""
    cells = [b.cell.array]
    change = (b.cell.array @ np.linalg.inv(a.cell.array)).round()
    if round(abs(np.linalg.det(change))) == 1 and (change != np.eye(3)).any():
        cells.append(np.linalg.inv(change).round() @ b.cell.array)
    return cells


def displacement(a: Atoms, b: Atoms, every: int = 1) -> tuple[float, np.ndarray]:
    """Median displacement from one structure to the other, drift and strain taken out.

    A lattice has many cells, and LAMMPS changes to another one where a box tilts far: besides the
    cell of b, its lattice vectors that are nearest to the cell of a are tried.

    Args:
        a, b: of the same atoms in the same order.
        every: 1 for all atoms, n for one in n.

    Returns:
        The smaller median, Å, and the cell of b that it belongs to, (3, 3), Å.
    """
    cells = _cells(a, b)
    start = a.positions[::every] @ np.linalg.inv(a.cell.array)
    medians = []
    for cell in cells:
        moved = b.positions[::every] @ np.linalg.inv(cell) - start
        # the drift is a mean on the circle: half a cell to the left is half a cell to the right
        moved -= np.angle(np.exp(2j * np.pi * moved).mean(axis=0)) / (2 * np.pi)
        moved -= moved.round()
        moved -= np.median(moved, axis=0)
        moved -= moved.round()
        medians.append(float(np.median(np.linalg.norm(moved @ a.cell.array, axis=1))))
    best = int(np.argmin(medians))
    return medians[best], cells[best]


def stated_groups(structures: Mapping[str, Atoms]) -> dict[str, str]:
    """The group of each glass by its `atoms.info["group"]`, its own name without one.

    A group that is the name of another glass or its hash, as that of sheared snapshots is, is that
    glass's.
    """
    stated = {name: str(atoms.info.get(fields.GROUP, name)) for name, atoms in structures.items()}
    leads_to = {structure_hash(atoms): stated[name] for name, atoms in structures.items()} | stated

    def end(group: str) -> str:
        passed = [group]
        while (following := leads_to.get(passed[-1], passed[-1])) not in passed:
            passed.append(following)
        return min(passed[passed.index(following) :])  # one of those that name each other

    return {name: end(group) for name, group in stated.items()}


def groups(stated: Mapping[str, str], found: Sequence[Kinship]) -> dict[str, str]:
    """The group of each glass: the stated one, joined with those of its copies.

    Args:
        stated: group of each glass by its name.
        found: kinships; the group of the first glass takes up that of the second.
    """
    group = dict(stated)
    for kinship in found:
        old, new = group[kinship.second], group[kinship.first]
        if old != new:
            group = {name: new if current == old else current for name, current in group.items()}
    return group


def crossings(
    split: Mapping[str, str], group: Mapping[str, str], found: Sequence[Kinship]
) -> list[str]:
    """A line for each two glasses of a group that are in different parts of a split.

    Args:
        split: train, validation or test of each glass by its name.
        group: from `groups`.
        found: from `kinships`.
    """
    line = {frozenset((kinship.first, kinship.second)): str(kinship) for kinship in found}
    members = defaultdict(list)
    for name in split:
        members[group[name]].append(name)
    return [
        f"{line.get(frozenset((a, b)), f'{b} is of the group of {a}')}: "
        f"{a} is in {split[a]}, {b} in {split[b]}"
        for names in members.values()
        for a, b in combinations(names, 2)
        if split[a] != split[b]
    ]
