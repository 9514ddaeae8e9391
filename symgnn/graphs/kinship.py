"""Glasses that are copies of each other: they must not be on both sides of a split."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from symgnn.graphs.graph import Graph

COPY = 1.0  # Å; atoms of glasses that were quenched by themselves are tens of Å apart
SAME_CELL = 1e-3  # relative difference of cells that still count as equal


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


def kinships(graphs: Sequence[Graph]) -> list[Kinship]:
    """All pairs of copies among some glasses; atoms are compared in the order of the files."""
    found = []
    for a, b in combinations(graphs, 2):
        if not np.array_equal(a.species, b.species):
            continue
        difference = b.position @ np.linalg.inv(b.cell) - a.position @ np.linalg.inv(a.cell)
        difference -= np.median(difference - difference.round(), axis=0)
        moved = (difference - difference.round()) @ a.cell
        displacement = float(np.median(np.linalg.norm(moved, axis=1)))
        if displacement < COPY:
            strained = not np.allclose(a.cell, b.cell, rtol=0, atol=SAME_CELL * a.cell.max())
            found.append(Kinship(a.name, b.name, strained, displacement))
    return found


def groups(graphs: Sequence[Graph], found: Sequence[Kinship]) -> dict[str, str]:
    """The group of each glass: the name of the first glass that it is a copy of, or its own."""
    group = {graph.name: graph.name for graph in graphs}
    for kinship in found:
        old, new = group[kinship.second], group[kinship.first]
        group = {name: new if current == old else current for name, current in group.items()}
    return group
