"""What an engine is: where the forces of a search come from.

An engine opens a search at a target atom; what it returns holds the free atoms, their starting
positions, and gives energy and forces for new ones. `eam_engine` has those of a local region by
compiled code, `batched` many regions on one device, `lammps_engine` those of LAMMPS on everything.
"""

from typing import Protocol as Interface

import numpy as np
import torch
from torch import Tensor

from symgnn.barriers.lanczos import Hessians

CHECK_BATCH = 32  # most saddles that are confirmed together
CHECK_ATOMS = 40_000  # of all of them, which bounds the memory to some 200 MB
LEAST_UNCONFIRMED = 16  # saddles that wait for one another where the structure is large


class OpenSearch(Interface):
    """One search's atoms."""

    atoms: np.ndarray  # (free,), indices in the structure
    position: np.ndarray  # (free, 3), Å, at the start


class Forces(OpenSearch, Interface):
    """One search's atoms and forces."""

    inside: bool  # false where an atom went further than the forces hold

    def __call__(self, position: np.ndarray) -> tuple[float, np.ndarray]:
        """Energy, eV, relative to the start, and forces (free, 3), eV/Å."""


class RowForces(Interface):
    """Where the forces of the rows of a batch come from."""

    hessians: Hessians | None  # of the same rows, where they are known

    def take(self, row: int, search: OpenSearch) -> None:
        """Give a row to a search that the engine opened."""

    def leave(self, row: int) -> None:
        """Make a row free again."""

    def of(self, rows: Tensor, trial: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Energies and forces of some rows.

        Args:
            rows: (rows,).
            trial: (size, 3 capacity), Å, positions of all rows.

        Returns:
            energy (rows,), eV, relative to the start; force (rows, 3 capacity), eV/Å, zero on
            padding; inside (rows,), false where an atom went further than the forces hold.
        """


class Engine(Interface):
    """Opens searches in one structure, and has forces for batches of them."""

    name: str  # what else than the protocol results depend on
    device: str  # where the state of a batch lives
    capacity: int  # free atoms of the largest region
    batch: int  # searches that may advance together

    confirming: list[int]  # free atoms of the larger systems on which a saddle is found again
    descending: int  # which of them is large enough for most of the way down from it
    unconfirmed: int  # saddles that are gathered before they are confirmed together

    def open(self, target: int) -> OpenSearch:
        """Open a search at an atom."""

    def open_larger(self, target: int, step: int) -> OpenSearch:
        """Open one of the larger systems around an atom; the last one has all atoms free."""

    def open_displaced(self, target: int, step: int, displacement: np.ndarray) -> OpenSearch:
        """The same where all atoms have moved; of the last one the start need not have.

        Args:
            target: index of the atom.
            step: which of the larger systems.
            displacement: (atoms, 3), Å, of all atoms of the structure.
        """

    def rows(self, size: int, capacity: int) -> RowForces:
        """Forces for a batch of rows of at most so many free atoms."""

    def confirming_rows(self, atoms: int) -> int:
        """How many of the larger systems of so many free atoms may advance together."""


class RowByRow:
    """The forces of a batch's rows one after the other, on a processor."""

    hessians: Hessians | None = None

    def __init__(self) -> None:
        self._forces: dict[int, Forces] = {}

    def take(self, row: int, search: Forces) -> None:
        """Give a row to a search."""
        self._forces[row] = search

    def leave(self, row: int) -> None:
        """Make a row free again."""
        del self._forces[row]

    def of(self, rows: Tensor, trial: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Energies, forces, and whether they hold; see `RowForces`."""
        position = trial.numpy()
        energy, inside = np.empty(len(rows)), np.empty(len(rows), dtype=bool)
        force = np.zeros((len(rows), trial.shape[1]))
        for k, row in enumerate(rows.tolist()):
            forces = self._forces[row]
            length = 3 * len(forces.atoms)
            energy[k], found = forces(position[row, :length].reshape(-1, 3))
            force[k, :length].reshape(-1, 3)[:] = found
            inside[k] = forces.inside
        return torch.from_numpy(energy), torch.from_numpy(force), torch.from_numpy(inside)


class ProcessorEngine:
    """What the engines share that compute one force call after the other."""

    device = "cpu"
    batch: int
    confirming: list[int]

    @property
    def name(self) -> str:
        """What else than the protocol results depend on."""
        return type(self).__name__

    @property
    def unconfirmed(self) -> int:
        """Saddles that are gathered before they are confirmed together.

        Many, as few rows cost more each, but fewer where a confirmation takes seconds: what is
        gathered is lost when the process is killed.
        """
        return min(self.batch, max(LEAST_UNCONFIRMED, self.confirming_rows(self.confirming[-1])))

    def rows(self, size: int, capacity: int) -> RowForces:
        """Forces for a batch of rows."""
        return RowByRow()

    def confirming_rows(self, atoms: int) -> int:
        """How many of the larger systems of so many free atoms may advance together."""
        return max(1, min(CHECK_BATCH, self.batch, CHECK_ATOMS // atoms))
