"""Run ARTn searches of one structure and return what they found, one record a search."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from ase import Atoms
from ase.geometry import find_mic

from symgnn.barriers.artn import Artn, Protocol, Status
from symgnn.barriers.engines import Engine, OpenSearch
from symgnn.structures import structure_hash

MOVED = 0.1  # Å; atoms that go further from start to saddle or final minimum are kept
CHECK_EVALUATIONS = 200  # most force calls of the full system to confirm a saddle
CHECK_BATCH = 8  # saddles confirmed together
CHECK_ATOMS = 40_000  # of all of them, which bounds the memory to some 200 MB


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
    force_evaluations: int
    saddle_evaluations: int
    lanczos_evaluations: int
    moved_atoms: np.ndarray  # (moved,)
    saddle_displacement: np.ndarray  # (moved, 3), Å
    final_displacement: np.ndarray  # (moved, 3), Å
    region_barrier: float = float("nan")
    full_evaluations: int = 0  # of the full system, to confirm the saddle; 0 where not asked for


def push_generator(seed: int, structure: str, atom: int, search: int) -> np.random.Generator:
    """The random numbers of one search, which depend on these four and on nothing else."""
    key = hashlib.sha256(f"{seed}/{structure}/{atom}/{search}".encode()).digest()[:16]
    return np.random.Generator(np.random.Philox(key=np.frombuffer(key, dtype="<u8")))


class Batch:
    """Rows of ARTn and where their forces come from.

    Args:
        protocol: the numbers that define a search.
        size: rows that advance together.
        capacity: most atoms of a row.
    """

    def __init__(self, protocol: Protocol, size: int, capacity: int):
        self.artn = Artn(protocol, size, capacity)
        self._free = list(range(size))
        self._forces: dict[int, OpenSearch] = {}

    def __len__(self) -> int:
        return len(self._forces)

    @property
    def full(self) -> bool:
        """Whether every row is taken."""
        return not self._free

    def take(self, forces: OpenSearch) -> int:
        """A free row, from now on with these forces."""
        row = self._free.pop()
        self._forces[row] = forces
        return row

    def round(self) -> list[int]:
        """One force call for each row that is under way; returns the rows that ended."""
        rows = self.artn.active()
        trial = self.artn.trial.numpy()
        energy, inside = np.empty(len(rows)), np.empty(len(rows), dtype=bool)
        force = np.zeros((len(rows), trial.shape[1]))
        for k, row in enumerate(rows.tolist()):
            forces = self._forces[row]
            length = 3 * len(forces.atoms)
            energy[k], found = forces(trial[row, :length].reshape(-1, 3))
            force[k, :length].reshape(-1, 3)[:] = found
            inside[k] = forces.inside
        self.artn.receive(rows, *map(torch.from_numpy, (energy, force, inside)))
        return sorted(set(self._forces) - set(self.artn.active().tolist()))

    def leave(self, row: int) -> None:
        """Make a row free again."""
        del self._forces[row]
        self._free.append(row)

    def vectors(self, row: int, of: torch.Tensor) -> np.ndarray:
        """A row of the state, (atoms, 3)."""
        return of[row, : 3 * len(self._forces[row].atoms)].view(-1, 3).numpy().copy()

    def atoms(self, row: int) -> np.ndarray:
        """Indices of a row's free atoms in the structure."""
        return self._forces[row].atoms

    def start(self, row: int) -> np.ndarray:
        """Positions of a row's atoms at the start, (atoms, 3)."""
        return np.array(self._forces[row].position)

    def places(self, row: int, atoms: np.ndarray) -> np.ndarray:
        """Where atoms of the structure stand among those of a row."""
        own = self._forces[row].atoms
        order = np.argsort(own)
        return order[np.searchsorted(own, atoms, sorter=order)]


@dataclass(frozen=True)
class _Unchecked:
    """A saddle of a region that the full system has not confirmed yet."""

    event: Event
    atoms: np.ndarray  # (free,)
    saddle: np.ndarray  # (free, 3), Å, from the start
    final: np.ndarray  # (free, 3), Å, from the start
    mode: np.ndarray  # (free, 3)

    def spread(self, batch: Batch, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Minimum, saddle and mode among the atoms of a row of a larger system."""
        minimum = batch.start(row)
        saddle, mode = minimum.copy(), np.zeros_like(minimum)
        places = batch.places(row, self.atoms)
        saddle[places] += self.saddle
        mode[places] = self.mode
        return minimum, saddle, mode


def _motion(
    target: int, atoms: np.ndarray, saddle: np.ndarray, final: np.ndarray
) -> dict[str, object]:
    """What an event tells about displacements (atoms, 3) to its saddle and final minimum."""
    way = np.linalg.norm(saddle, axis=1)
    moved = np.flatnonzero((way > MOVED) | (np.linalg.norm(final, axis=1) > MOVED))
    moved = moved[np.argsort(atoms[moved])]
    return {
        "displacement_max": float(way.max()),
        "target_displacement": float(way[atoms == target][0]),
        "moved_atoms": atoms[moved],
        "saddle_displacement": saddle[moved],
        "final_displacement": final[moved],
    }


class Searches:
    """Searches of one structure on one core.

    Args:
        atoms: periodic structure at a minimum of the energy.
        engine: where forces come from.
        protocol: the numbers that define a search.
        seed: of the pushes.
        check: confirm every saddle on the full periodic structure.
    """

    def __init__(
        self, atoms: Atoms, engine: Engine, *, protocol: Protocol, seed: int, check: bool = True
    ):
        self._atoms, self._engine, self._protocol, self._seed = atoms, engine, protocol, seed
        self._structure = structure_hash(atoms)
        self._check = check
        self.searching = Batch(protocol, engine.batch, engine.capacity)
        strict = replace(protocol, saddle_evaluations=CHECK_EVALUATIONS)
        most = min(CHECK_BATCH, engine.batch)
        self.checking = [
            Batch(strict, max(1, min(most, CHECK_ATOMS // atoms)), atoms)
            for atoms in engine.confirming
            if check
        ]
        self._tasks: dict[int, tuple[int, int]] = {}

    def run(
        self,
        tasks: Iterable[tuple[int, int]],
        *,
        between: Callable[[], None] = lambda: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Event]:
        """Run searches, each given as (atom, number of the search); yield them as they end.

        `between` is called after every round of force calls. Where `stop` is true after one, the
        searches under way are dropped; as their numbers are theirs alone, a later run repeats
        them to the same end.
        """
        waiting = iter(tasks)
        unchecked: list[_Unchecked] = []
        self._admit(waiting)
        while self.searching and not stop():
            for row in self.searching.round():
                found = self._found(row)
                self.searching.leave(row)
                if self._check and found.event.status == Status.CONVERGED:
                    unchecked.append(found)
                else:
                    yield found.event
            between()
            self._admit(waiting)
            if len(unchecked) >= CHECK_BATCH or not self.searching:
                yield from self._confirm(unchecked, between, stop)
                unchecked.clear()

    def _admit(self, waiting: Iterator[tuple[int, int]]) -> None:
        while not self.searching.full:
            task = next(waiting, None)
            if task is None:
                return
            forces = self._engine.open(task[0])
            push = torch.from_numpy(self._push(forces, *task))
            row = self.searching.take(forces)
            self.searching.artn.admit(row, torch.from_numpy(np.array(forces.position)), push)
            self._tasks[row] = task

    def _push(self, forces: OpenSearch, atom: int, search: int) -> np.ndarray:
        """Gaussian displacements of the target and its neighbours, nearest first."""
        center = forces.position[np.flatnonzero(forces.atoms == atom)[0]]
        _, distance = find_mic(forces.position - center, self._atoms.cell, pbc=True)
        near = np.flatnonzero(distance < self._protocol.push_radius)
        near = near[np.lexsort((forces.atoms[near], np.round(distance[near], 6)))]
        push = np.zeros_like(forces.position)
        generator = push_generator(self._seed, self._structure, atom, search)
        push[near] = generator.normal(size=(len(near), 3))
        if len(push) == len(self._atoms):
            push -= push.mean(axis=0)  # with no atom frozen, the structure would drift as a whole
        return push

    def _confirm(
        self, found: list[_Unchecked], between: Callable[[], None], stop: Callable[[], bool]
    ) -> Iterator[Event]:
        """Look for saddles on larger systems, up to the full one, each time where they were."""
        for step, batch in enumerate(self.checking):
            last, confirmed = step == len(self.checking) - 1, []
            for one in self._refine(found, batch, step, between, stop):
                if last or one.event.status != Status.CONVERGED:
                    yield one.event
                else:
                    confirmed.append(one)
            found = confirmed

    def _refine(
        self,
        found: list[_Unchecked],
        batch: Batch,
        step: int,
        between: Callable[[], None],
        stop: Callable[[], bool],
    ) -> Iterator[_Unchecked]:
        waiting, started = deque(found), {}
        while (waiting or batch) and not stop():
            while waiting and not batch.full:
                one = waiting.popleft()
                row = batch.take(self._engine.open_larger(one.event.atom, step))
                batch.artn.admit_saddle(row, *map(torch.from_numpy, one.spread(batch, row)))
                started[row] = one
            for row in batch.round():
                yield self._refined(started.pop(row), batch, row)
                batch.leave(row)
            between()

    def _refined(self, one: _Unchecked, batch: Batch, row: int) -> _Unchecked:
        """What a larger system says of a saddle."""
        artn, calls = batch.artn, int(batch.artn.evaluations[row])
        event = replace(one.event, full_evaluations=one.event.full_evaluations + calls)
        if int(artn.status[row]) != Status.CONVERGED:
            return replace(one, event=self._without_saddle(event, Status.NOT_CONFIRMED))
        atoms, minimum = batch.atoms(row), batch.vectors(row, artn.minimum)
        final = np.zeros_like(minimum)
        final[batch.places(row, one.atoms)] = one.final
        saddle = batch.vectors(row, artn.saddle) - minimum
        event = replace(
            event,
            barrier=float(artn.barrier[row]),
            curvature=float(artn.curvature[row]),
            force_max=float(artn.force_max[row]),
            **_motion(event.atom, atoms, saddle, final),
        )
        return _Unchecked(event, atoms, saddle, final, batch.vectors(row, artn.mode))

    @staticmethod
    def _without_saddle(event: Event, status: Status) -> Event:
        nan, none = float("nan"), np.zeros((0, 3))
        return replace(
            event,
            status=int(status),
            barrier=nan,
            curvature=nan,
            force_max=nan,
            final_energy=nan,
            connected=False,
            displacement_max=nan,
            target_displacement=nan,
            moved_atoms=none[:, 0].astype(int),
            saddle_displacement=none,
            final_displacement=none,
        )

    def _found(self, row: int) -> _Unchecked:
        """What the search of a row found in its region."""
        artn, batch = self.searching.artn, self.searching
        atom, search = self._tasks.pop(row)
        atoms, minimum = batch.atoms(row), batch.vectors(row, artn.minimum)
        saddle = batch.vectors(row, artn.saddle) - minimum
        connected = bool(artn.connected[row])
        final = batch.vectors(row, artn.final) - minimum if connected else np.zeros_like(saddle)
        event = Event(
            atom=atom,
            search=search,
            status=int(artn.status[row]),
            barrier=float(artn.barrier[row]),
            region_barrier=float(artn.barrier[row]),
            curvature=float(artn.curvature[row]),
            force_max=float(artn.force_max[row]),
            final_energy=float(artn.final_energy[row]),
            connected=connected,
            force_evaluations=int(artn.evaluations[row]),
            saddle_evaluations=int(artn.saddle_evaluations[row]),
            lanczos_evaluations=int(artn.lanczos_evaluations[row]),
            **_motion(atom, atoms, saddle, final),
        )
        if event.status != Status.CONVERGED:
            event = self._without_saddle(event, Status(event.status))
        return _Unchecked(event, atoms, saddle, final, batch.vectors(row, artn.mode))
