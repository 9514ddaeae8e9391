"""Run ARTn searches of one structure and return what they found, one record a search."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from ase import Atoms
from ase.geometry import find_mic

from symgnn.barriers.artn import Artn, Goal, Protocol, Status
from symgnn.barriers.engines import Engine, OpenSearch
from symgnn.structures import structure_hash

MOVED = 0.1  # Å; atoms that go further from start to saddle or final minimum are kept
CHECK_EVALUATIONS = 1000  # most force calls of a larger system to find a saddle again


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


def push_generator(seed: int, structure: str, atom: int, search: int) -> np.random.Generator:
    """The random numbers of one search, which depend on these four and on nothing else."""
    key = hashlib.sha256(f"{seed}/{structure}/{atom}/{search}".encode()).digest()[:16]
    return np.random.Generator(np.random.Philox(key=np.frombuffer(key, dtype="<u8")))


@dataclass(frozen=True)
class Ended:
    """What a row held when its search ended; vectors are (free, 3)."""

    atoms: np.ndarray  # (free,), indices in the structure
    minimum: np.ndarray  # Å
    saddle: np.ndarray  # Å
    final: np.ndarray  # Å
    mode: np.ndarray
    status: int
    barrier: float  # eV
    curvature: float  # eV/Å²
    force_max: float  # eV/Å
    final_energy: float  # eV
    connected: bool
    evaluations: int
    saddle_evaluations: int
    lanczos_evaluations: int
    second_evaluations: int
    second_curvature: float  # eV/Å²

    @property
    def to_saddle(self) -> int:
        """Force calls on the way to the saddle, or of all where there is none."""
        last = self.saddle_evaluations if self.status == Status.CONVERGED else self.evaluations
        return last - self.second_evaluations


VECTORS = ("minimum", "saddle", "final", "mode")
NUMBERS = tuple(field.name for field in fields(Ended) if field.name not in ("atoms", *VECTORS))


class Batch:
    """Rows of ARTn and where their forces come from.

    Args:
        protocol: the numbers that define a search.
        size: rows that advance together.
        capacity: most atoms of a row.
        engine: where forces come from.
        second: whether to look for a second negative eigenvalue.
    """

    def __init__(
        self,
        protocol: Protocol,
        size: int,
        capacity: int,
        engine: Engine,
        *,
        second: bool = False,
    ):
        self.artn = Artn(protocol, size, capacity, engine.device, second=second)
        self._capacity = capacity
        self._forces = engine.rows(size, capacity)
        self._free = list(range(size))
        self._searches: dict[int, OpenSearch] = {}

    def __len__(self) -> int:
        return len(self._searches)

    @property
    def full(self) -> bool:
        """Whether every row is taken."""
        return not self._free

    def take(self, search: OpenSearch) -> int:
        """A free row, from now on with this search's forces."""
        row = self._free.pop()
        self._searches[row] = search
        self._forces.take(row, search)
        return row

    def stack(self, vectors: list[np.ndarray]) -> torch.Tensor:
        """Vectors (free, 3) of some rows as (rows, capacity, 3), with zeros behind."""
        stacked = np.zeros((len(vectors), self._capacity, 3))
        for padded, vector in zip(stacked, vectors, strict=True):
            padded[: len(vector)] = vector
        return torch.from_numpy(stacked).to(self.artn.trial.device)

    def round(self) -> list[tuple[int, Ended]]:
        """One force call for each row that is under way; returns the rows that ended."""
        rows = self.artn.active()
        self.artn.receive(rows, *self._forces.of(rows, self.artn.trial))
        ended = sorted(set(self._searches) - set(self.artn.active().tolist()))
        return list(zip(ended, self._read(ended), strict=True)) if ended else []

    def _read(self, rows: list[int]) -> Iterator[Ended]:
        """The state of some rows, fetched from the device at once."""
        chosen = torch.tensor(rows, device=self.artn.trial.device)
        vectors = [getattr(self.artn, name)[chosen].cpu().numpy() for name in VECTORS]
        numbers = [getattr(self.artn, name)[chosen].tolist() for name in NUMBERS]
        for k, row in enumerate(rows):
            atoms = self._searches[row].atoms
            parts = (vector[k, : 3 * len(atoms)].reshape(-1, 3).copy() for vector in vectors)
            yield Ended(atoms, *parts, *(number[k] for number in numbers))

    def leave(self, row: int) -> None:
        """Make a row free again."""
        del self._searches[row]
        self._forces.leave(row)
        self._free.append(row)


def places(atoms: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Where atoms of the structure stand among others."""
    order = np.argsort(among)
    return order[np.searchsorted(among, atoms, sorter=order)]


@dataclass(frozen=True)
class _Unchecked:
    """A saddle of a region that the full system has not confirmed yet."""

    event: Event
    atoms: np.ndarray  # (free,)
    saddle: np.ndarray  # (free, 3), Å, from the start
    final: np.ndarray  # (free, 3), Å, from the start
    mode: np.ndarray  # (free, 3)
    pushed: np.ndarray  # (pushed,), indices in the structure
    again: bool = False  # whether a larger system has been tried already

    def spread(self, larger: OpenSearch) -> tuple[np.ndarray, ...]:
        """Minimum, saddle, mode and final minimum among the atoms of a larger system."""
        minimum = np.array(larger.position)
        saddle, mode, final = minimum.copy(), np.zeros_like(minimum), minimum.copy()
        place = places(self.atoms, larger.atoms)
        saddle[place] += self.saddle
        mode[place] = self.mode
        final[place] += self.final
        return minimum, saddle, mode, final


def _motion(
    target: int, atoms: np.ndarray, saddle: np.ndarray, final: np.ndarray, pushed: np.ndarray
) -> dict[str, object]:
    """What an event tells about displacements (atoms, 3) to its saddle and final minimum."""
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
        self.searching = Batch(protocol, engine.batch, engine.capacity, engine)
        strict = replace(
            protocol,
            saddle_evaluations=CHECK_EVALUATIONS,
            minimum_evaluations=CHECK_EVALUATIONS,
            force_tolerance=min(protocol.force_tolerance, protocol.full_tolerance),
        )
        systems = engine.confirming if check else []
        self.checking = [
            Batch(
                strict,
                engine.confirming_rows(free),
                free,
                engine,
                second=step == len(systems) - 1,  # where all atoms are free
            )
            for step, free in enumerate(systems)
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
            for row, ended in self.searching.round():
                found = self._found(*self._tasks.pop(row), ended)
                self.searching.leave(row)
                if self._check and found.event.status == Status.CONVERGED:
                    unchecked.append(found)
                else:
                    yield found.event
            between()
            self._admit(waiting)
            if len(unchecked) >= self._engine.unconfirmed or not self.searching:
                yield from self._confirm(unchecked, between, stop)
                unchecked.clear()

    def _admit(self, waiting: Iterator[tuple[int, int]]) -> None:
        batch = self.searching
        rows, minima, pushes = [], [], []
        while not batch.full and (task := next(waiting, None)) is not None:
            search = self._engine.open(task[0])
            rows.append(batch.take(search))
            minima.append(search.position)
            pushes.append(self._push(search, *task))
            self._tasks[rows[-1]] = task
        if rows:
            chosen = torch.tensor(rows, device=batch.artn.trial.device)
            goal = Goal.SADDLE if self._check else Goal.SIDES
            batch.artn.admit(chosen, batch.stack(minima), batch.stack(pushes), goal=goal)

    def _push(self, forces: OpenSearch, atom: int, search: int) -> np.ndarray:
        """Gaussian displacements of the target and its neighbours, nearest first."""
        near, distance = self._pushed(atom, forces.atoms, forces.position)
        near = near[np.lexsort((forces.atoms[near], np.round(distance[near], 6)))]
        push = np.zeros_like(forces.position)
        generator = push_generator(self._seed, self._structure, atom, search)
        push[near] = generator.normal(size=(len(near), 3))
        if len(push) == len(self._atoms):
            push -= push.mean(axis=0)  # with no atom frozen, the structure would drift as a whole
        return push

    def _pushed(
        self, target: int, atoms: np.ndarray, position: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Which of some atoms are pushed, and how far all of them are from the target, Å."""
        center = position[np.flatnonzero(atoms == target)[0]]
        _, distance = find_mic(position - center, self._atoms.cell, pbc=True)
        return np.flatnonzero(distance < self._protocol.push_radius), distance

    def _confirm(
        self, found: list[_Unchecked], between: Callable[[], None], stop: Callable[[], bool]
    ) -> Iterator[Event]:
        """Look for saddles on larger systems, up to the full one, each time where they were."""
        # Those of one atom follow one another, as an engine keeps a few regions for the next.
        found = sorted(found, key=lambda one: (one.event.atom, one.event.search))
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
                larger = self._engine.open_larger(one.event.atom, step)
                row = batch.take(larger)
                state = (batch.stack([vector])[0] for vector in one.spread(larger))
                goal = self._goal(one, step)
                batch.artn.admit_saddle(row, *state, goal=goal, again=one.again)
                started[row] = one
            for row, ended in batch.round():
                refined = self._refined(started.pop(row), ended)
                batch.leave(row)
                if refined.again:
                    waiting.append(refined)
                else:
                    yield refined
            between()

    def _goal(self, one: _Unchecked, step: int) -> Goal:
        """What a larger system is to find.

        The way down from a saddle is long, so it is made in a large region where there is one; when
        all atoms are free its end is but relaxed once more.
        """
        if step == self._engine.descending:
            return Goal.SIDES
        return Goal.FINAL if one.event.connected else Goal.SADDLE

    def _refined(self, one: _Unchecked, ended: Ended) -> _Unchecked:
        """What a larger system says of a saddle; `again` where it is to be asked once more."""
        event = replace(
            one.event,
            full_evaluations=one.event.full_evaluations + ended.to_saddle,
            check_evaluations=one.event.check_evaluations + ended.evaluations - ended.to_saddle,
        )
        if ended.status != Status.CONVERGED:
            if not one.again:
                return replace(one, event=event, again=True)
            event = self._without_saddle(event, Status.NOT_CONFIRMED)
            return replace(one, event=event, again=False)
        saddle = ended.saddle - ended.minimum
        final = ended.final - ended.minimum if ended.connected else np.zeros_like(saddle)
        whole = len(ended.atoms) == len(self._atoms)
        event = replace(
            event,
            barrier=ended.barrier,
            grown_barrier=event.grown_barrier if whole else ended.barrier,
            curvature=ended.curvature,
            second_curvature=ended.second_curvature,
            force_max=ended.force_max,
            final_energy=ended.final_energy if ended.connected else float("nan"),
            connected=ended.connected,
            **_motion(event.atom, ended.atoms, saddle, final, one.pushed),
        )
        return replace(
            one,
            event=event,
            atoms=ended.atoms,
            saddle=saddle,
            final=final,
            mode=ended.mode,
            again=False,
        )

    @staticmethod
    def _without_saddle(event: Event, status: Status) -> Event:
        nan, none = float("nan"), np.zeros((0, 3))
        return replace(
            event,
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
            moved_atoms=none[:, 0].astype(int),
            saddle_displacement=none,
            final_displacement=none,
        )

    def _found(self, atom: int, search: int, ended: Ended) -> _Unchecked:
        """What a search found in its region."""
        saddle = ended.saddle - ended.minimum
        final = ended.final - ended.minimum if ended.connected else np.zeros_like(saddle)
        pushed = ended.atoms[self._pushed(atom, ended.atoms, ended.minimum)[0]]
        event = Event(
            atom=atom,
            search=search,
            status=ended.status,
            barrier=ended.barrier,
            region_barrier=ended.barrier,
            grown_barrier=ended.barrier,
            curvature=ended.curvature,
            force_max=ended.force_max,
            final_energy=ended.final_energy if ended.connected else float("nan"),
            connected=ended.connected,
            force_evaluations=ended.evaluations,
            saddle_evaluations=ended.saddle_evaluations,
            lanczos_evaluations=ended.lanczos_evaluations,
            **_motion(atom, ended.atoms, saddle, final, pushed),
        )
        if event.status != Status.CONVERGED:
            event = self._without_saddle(event, Status(event.status))
        return _Unchecked(event, ended.atoms, saddle, final, ended.mode, pushed)
