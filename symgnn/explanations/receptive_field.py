"""The part of a structure that one atom's prediction can depend on."""

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Graph:
    """A structure as a model sees it.

    Attributes:
        species: (atoms,) int64, atomic numbers.
        edge_index: (2, edges) int64, source and target atoms; messages run source -> target.
        edge_vector: (edges, 3) float32, Å, source -> target.
    """

    species: torch.Tensor
    edge_index: torch.Tensor
    edge_vector: torch.Tensor


@dataclass(frozen=True)
class Fields:
    """Receptive fields of some atoms, side by side as one graph without edges between them.

    Atoms are sorted by (hop, field, index in the structure) and edges by (hop of their target,
    field, index in the structure), so that the atoms and edges a later layer needs come first.

    Attributes:
        graph: the disjoint graph that holds every field.
        targets: (fields,) int64, the explained atom of each field, as a row of `graph`.
        atom: (atoms,) int64, index in the structure.
        atom_field: (atoms,) int64, the field that the atom belongs to.
        hop: (atoms,) int64, steps along edges to the field's target.
        edge: (edges,) int64, index of the edge in the structure's graph.
        edge_field: (edges,) int64, the field that the edge belongs to.
        layers: the number of steps that the fields reach.
    """

    graph: Graph
    targets: torch.Tensor
    atom: torch.Tensor
    atom_field: torch.Tensor
    hop: torch.Tensor
    edge: torch.Tensor
    edge_field: torch.Tensor
    layers: int

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def edge_hop(self) -> torch.Tensor:
        """(edges,) int64, hop of the atom that the edge brings its message to."""
        return self.hop[self.graph.edge_index[1]]

    def without(self, removed: torch.Tensor) -> "Fields":
        """The same fields with some edges taken out.

        Args:
            removed: (edges,) bool, True where the edge goes.
        """
        keep = ~removed
        graph = Graph(
            self.graph.species, self.graph.edge_index[:, keep], self.graph.edge_vector[keep]
        )
        return Fields(
            graph=graph,
            targets=self.targets,
            atom=self.atom,
            atom_field=self.atom_field,
            hop=self.hop,
            edge=self.edge[keep],
            edge_field=self.edge_field[keep],
            layers=self.layers,
        )


def hops(edge_index: np.ndarray, atoms: int, target: int, layers: int) -> np.ndarray:
    """Steps along edges from every atom to the target.

    Args:
        edge_index: (2, edges), source and target atoms.
        atoms: number of atoms.
        target: the atom where the paths end.
        layers: the longest path to follow.

    Returns:
        (atoms,) int64, -1 where no path of at most `layers` steps leads to the target.
    """
    hop = np.full(atoms, -1, dtype=np.int64)
    hop[target] = 0
    for step in range(1, layers + 1):
        sources = edge_index[0, hop[edge_index[1]] == step - 1]
        hop[sources[hop[sources] < 0]] = step
    return hop


def receptive_fields(graph: Graph, atoms: list[int], layers: int) -> Fields:
    """The receptive fields of some atoms under a model that passes messages `layers` times.

    A field holds every atom from which a path of at most `layers` edges leads to its target, and
    every edge of such a path. Edges among the outermost atoms alone cannot reach the target and
    are left out, so that for a local model the prediction of the target is that of the whole
    structure.

    Args:
        graph: the structure.
        atoms: the atoms to explain.
        layers: number of message passing layers of the model.

    Returns:
        one disjoint graph with a field for each of `atoms`, in their order.
    """
    edge_index = graph.edge_index.numpy()
    size = len(graph.species)
    parts = []
    for field, target in enumerate(atoms):
        hop = hops(edge_index, size, target, layers)
        atom = np.flatnonzero(hop >= 0)
        into = hop[edge_index[1]]
        edge = np.flatnonzero((into >= 0) & (into < layers))
        parts.append((field, atom, hop[atom], edge, into[edge]))
    atom, atom_field, hop, edge, edge_field = _sorted(parts)
    rows = np.empty((len(atoms), size), dtype=np.int64)
    rows[atom_field, atom] = np.arange(len(atom))
    local = rows[edge_field, edge_index[:, edge]]
    picked = torch.from_numpy(edge)
    return Fields(
        graph=Graph(
            species=graph.species[torch.from_numpy(atom)],
            edge_index=torch.from_numpy(local),
            edge_vector=graph.edge_vector[picked],
        ),
        targets=torch.from_numpy(rows[np.arange(len(atoms)), np.asarray(atoms, dtype=np.int64)]),
        atom=torch.from_numpy(atom),
        atom_field=torch.from_numpy(atom_field),
        hop=torch.from_numpy(hop),
        edge=picked,
        edge_field=torch.from_numpy(edge_field),
        layers=layers,
    )


def _sorted(parts: list[tuple]) -> tuple[np.ndarray, ...]:
    """Atoms and edges of all fields, nearest first."""
    atom = np.concatenate([part[1] for part in parts])
    atom_field = np.concatenate([np.full(len(part[1]), part[0]) for part in parts])
    hop = np.concatenate([part[2] for part in parts])
    edge = np.concatenate([part[3] for part in parts])
    edge_field = np.concatenate([np.full(len(part[3]), part[0]) for part in parts])
    edge_hop = np.concatenate([part[4] for part in parts])
    by_hop = np.lexsort((atom, atom_field, hop))
    edges_by_hop = np.lexsort((edge, edge_field, edge_hop))
    return (
        atom[by_hop],
        atom_field[by_hop].astype(np.int64),
        hop[by_hop],
        edge[edges_by_hop],
        edge_field[edges_by_hop].astype(np.int64),
    )
