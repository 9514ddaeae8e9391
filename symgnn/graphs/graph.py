"""The graph of a glass: atoms are nodes, pairs within the cutoff are directed edges."""

from dataclasses import dataclass, field

import numpy as np
from ase import Atoms

from symgnn import neighbors


@dataclass
class Graph:
    """One glass as a graph, with the labels of its atoms.

    Attributes:
        name: unique in its file.
        position: (atoms, 3) float64, Å.
        cell: (3, 3) float64, Å, rows are the lattice vectors.
        species: (atoms,) int64, atomic numbers.
        edge_index: (2, edges) int64, source and target; sorted by target, both directions,
            no self-loops.
        edge_vector: (edges, 3) float32, Å, source -> target.
        barrier: (atoms,) float64, eV, NaN where unlabelled.
        split: train, validation or test; empty before a split is chosen.
        atom_fields: further per-atom arrays by the names in symgnn.fields.
        inputs: (atoms, n) float32 each, per-atom inputs of models by the names in
            symgnn.descriptors.registry.
        attributes: origin of the glass: structure_hash, composition, cooling_rate, ...
    """

    name: str
    position: np.ndarray
    cell: np.ndarray
    species: np.ndarray
    edge_index: np.ndarray
    edge_vector: np.ndarray
    barrier: np.ndarray
    split: str = ""
    atom_fields: dict[str, np.ndarray] = field(default_factory=dict)
    inputs: dict[str, np.ndarray] = field(default_factory=dict)
    attributes: dict[str, object] = field(default_factory=dict)

    @property
    def atoms(self) -> Atoms:
        """The structure alone, periodic."""
        return Atoms(self.species, self.position, cell=self.cell, pbc=True)


def edges(positions: np.ndarray, cell: np.ndarray, cutoff: float) -> tuple[np.ndarray, np.ndarray]:
    """Edge index (2, edges) int64, sorted by target, and edge vector (edges, 3) float32, Å.

    Cells smaller than twice the cutoff are right: an edge for each image within the cutoff.

    Args:
        positions: (atoms, 3), Å.
        cell: (3, 3), Å.
        cutoff: Å.
    """
    found = neighbors.pairs(positions, cell, cutoff)
    # Pairs come sorted by source and in both directions: read backwards they are sorted by
    # target, which is the order that sums over the edges of a target want.
    edge_index = np.stack([found.target, found.source])
    return edge_index, (-found.vector).astype(np.float32)


def glass_graph(
    name: str, atoms: Atoms, *, cutoff: float, barrier: np.ndarray | None = None
) -> Graph:
    """The graph of a structure.

    Args:
        name: name of the glass.
        atoms: periodic structure.
        cutoff: longest edge, Å.
        barrier: (atoms,), eV, NaN where unlabelled; None for no labels.
    """
    edge_index, edge_vector = edges(atoms.positions, atoms.cell.array, cutoff)
    unlabelled = np.full(len(atoms), np.nan)
    return Graph(
        name=name,
        position=atoms.positions.copy(),
        cell=atoms.cell.array.copy(),
        species=atoms.numbers.astype(np.int64),
        edge_index=edge_index,
        edge_vector=edge_vector,
        barrier=unlabelled if barrier is None else np.asarray(barrier, dtype=np.float64),
    )
