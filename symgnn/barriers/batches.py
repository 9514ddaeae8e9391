"""Rows of ARTn with their forces, and what is read from them when they end."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
import torch

from symgnn.barriers.artn import Artn
from symgnn.barriers.engines import Engine, OpenSearch
from symgnn.barriers.event import Sides
from symgnn.barriers.protocol import Status

Task = TypeVar("Task")


@dataclass(frozen=True)
class Ended:
    """What a row held when it ended; vectors are (free, 3)."""

    atoms: np.ndarray  # (free,), indices in the structure
    minimum: np.ndarray  # Å
    saddle: np.ndarray  # Å
    ahead: np.ndarray  # Å, relaxed from the saddle, away from the start
    behind: np.ndarray  # Å, the same on the other side
    mode: np.ndarray
    status: int
    barrier: float  # eV
    curvature: float  # eV/Å²
    force_max: float  # eV/Å
    ahead_energy: float  # eV, NaN where it was not reached, or not asked for
    behind_energy: float  # eV, likewise
    evaluations: int
    saddle_evaluations: int
    lanczos_evaluations: int
    second_evaluations: int
    second_curvature: float  # eV/Å²

    @property
    def to_saddle(self) -> int:
        """Force calls on the way to the saddle or until it was given up, no looks aside."""
        last = self.saddle_evaluations if self.status == Status.CONVERGED else self.evaluations
        return last - self.second_evaluations

    def sides(self, same_minimum: float) -> Sides:
        """The two relaxed sides."""
        energies = np.array([self.ahead_energy, self.behind_energy])
        ways = np.stack([self.ahead, self.behind]) - self.minimum
        return Sides.of(self.barrier, energies, ways, same_minimum)


VECTORS = ("minimum", "saddle", "ahead", "behind", "mode")
NUMBERS = tuple(field.name for field in fields(Ended) if field.name not in ("atoms", *VECTORS))


class Batch:
    """Rows of ARTn and where their forces come from.

    Args:
        artn: the rows.
        engine: where forces come from.
    """

    def __init__(self, artn: Artn, engine: Engine):
        self.artn = artn
        size, dimension = artn.trial.shape
        self._capacity = dimension // 3
        self._forces = engine.rows(size, self._capacity)
        self._free = list(range(size))
        self._atoms: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self._atoms)

    @property
    def full(self) -> bool:
        """Whether every row is taken."""
        return not self._free

    def take(self, search: OpenSearch) -> int:
        """A free row, from now on with this search's forces."""
        row = self._free.pop()
        self._atoms[row] = search.atoms
        self._forces.take(row, search)
        return row

    def stack(self, vectors: list[np.ndarray]) -> torch.Tensor:
        """Vectors (free, 3) of some rows as (rows, capacity, 3), with zeros behind."""
        stacked = np.zeros((len(vectors), self._capacity, 3))
        for padded, vector in zip(stacked, vectors, strict=True):
            padded[: len(vector)] = vector
        return torch.from_numpy(stacked).to(self.artn.trial.device)

    def on_device(self, *vectors: np.ndarray) -> list[torch.Tensor]:
        """Vectors (free, 3) of one row where its state lives."""
        return [torch.from_numpy(vector).to(self.artn.trial.device) for vector in vectors]

    def round(self, between: Callable[[], None]) -> list[tuple[int, Ended]]:
        """One force call for each row that is under way, and Lanczos iterations with Hessians.

        Args:
            between: called after the iterations of every row, which take up to a second.

        Returns:
            the rows that ended.
        """
        rows = self.artn.active()
        self.artn.receive(rows, *self._forces.of(rows, self.artn.trial))
        if self._forces.hessians is not None:
            self.artn.finish_lanczos(self._forces.hessians, between)
        ended = sorted(set(self._atoms) - set(self.artn.active().tolist()))
        return list(zip(ended, self._read(ended), strict=True)) if ended else []

    def _read(self, rows: list[int]) -> Iterator[Ended]:
        """The state of some rows, fetched from the device at once."""
        chosen = torch.tensor(rows, device=self.artn.trial.device)
        vectors = [getattr(self.artn, name)[chosen].cpu().numpy() for name in VECTORS]
        numbers = [getattr(self.artn, name)[chosen].tolist() for name in NUMBERS]
        for k, row in enumerate(rows):
            atoms = self._atoms[row]
            parts = (vector[k, : 3 * len(atoms)].reshape(-1, 3).copy() for vector in vectors)
            yield Ended(atoms, *parts, *(number[k] for number in numbers))

    def leave(self, row: int) -> None:
        """Make a row free again."""
        del self._atoms[row]
        self._forces.leave(row)
        self._free.append(row)

    def follow(
        self,
        waiting: deque[Task],
        begin: Callable[[Task], int],
        between: Callable[[], None],
        stop: Callable[[], bool],
    ) -> Iterator[tuple[Task, Ended]]:
        """Work through tasks until none is left or `stop` is true; yield them as they end.

        Args:
            waiting: tasks; more may be appended while this goes on.
            begin: takes a row for a task.
            between: called after every round, and within it, see `round`.
            stop: whether to drop what is left.
        """
        started: dict[int, Task] = {}
        while (waiting or len(self)) and not stop():
            while waiting and not self.full:
                task = waiting.popleft()
                started[begin(task)] = task
            for row, ended in self.round(between):
                self.leave(row)
                yield started.pop(row), ended
            between()


def places(atoms: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Where atoms of the structure stand among others."""
    order = np.argsort(among)
    return order[np.searchsorted(among, atoms, sorter=order)]
