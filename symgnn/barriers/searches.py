"""Run ARTn searches of one structure and return what they found, one record a search."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

import numpy as np
import torch
from ase import Atoms
from ase.geometry import find_mic

from symgnn.barriers.artn import Artn, Goal
from symgnn.barriers.batches import Batch, Ended
from symgnn.barriers.confirmation import Confirmation, Unconfirmed
from symgnn.barriers.engines import Engine, OpenSearch
from symgnn.barriers.event import Event, Sides, motion, without_motion, without_saddle
from symgnn.barriers.protocol import Protocol, Status
from symgnn.structures import check_searchable, structure_hash


def push_generator(seed: int, structure: str, atom: int, search: int) -> np.random.Generator:
    """The random numbers of one search, which depend on these four and on nothing else."""
    key = hashlib.sha256(f"{seed}/{structure}/{atom}/{search}".encode()).digest()[:16]
    return np.random.Generator(np.random.Philox(key=np.frombuffer(key, dtype="<u8")))


class Searches:
    """Searches of one structure on one core.

    Args:
        atoms: periodic structure at a minimum of the energy.
        engine: where forces come from.
        protocol: the numbers that define a search.
        seed: of the pushes.
        check: confirm every saddle on the full periodic structure.
        motion: keep the displacements of searches that end in the region, too.

    Raises:
        InputError: see `check_searchable`.
    """

    def __init__(
        self,
        atoms: Atoms,
        engine: Engine,
        *,
        protocol: Protocol,
        seed: int,
        check: bool = True,
        motion: bool = False,
    ):
        check_searchable(atoms)
        self._atoms, self._engine, self._protocol, self._seed = atoms, engine, protocol, seed
        self._structure, self._motion = structure_hash(atoms), motion
        rows = Artn(protocol, engine.batch, engine.capacity, engine.device, descends=not check)
        self.searching = Batch(rows, engine)
        self._check = check
        self._tasks: dict[int, tuple[int, int]] = {}

    def run(
        self,
        tasks: Iterable[tuple[int, int]],
        *,
        most: int | None = None,
        between: Callable[[], None] = lambda: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Event]:
        """Run searches, each given as (atom, number of the search); yield them as they end.

        Those with negative numbers (`event.region_number`) end at the saddle of their region.
        At most `most` are under way, and no more than the batch has rows. `between` is called after
        every round, and within it, see `Batch.round`. Where `stop` is true after one, the searches
        under way are dropped; as their numbers are theirs alone, a later run repeats them to the
        same end.
        """
        waiting = iter(tasks)
        unconfirmed: list[Unconfirmed] = []
        self._admit(waiting, most)
        while self.searching and not stop():
            for row, ended in self.searching.round(between):
                found = self._found(*self._tasks.pop(row), ended)
                self.searching.leave(row)
                if found.event.search < 0:
                    yield found.event if self._motion else without_motion(found.event)
                elif self._check and found.event.status == Status.CONVERGED:
                    unconfirmed.append(found)
                else:
                    yield found.event
            between()
            self._admit(waiting, most)
            if unconfirmed and (len(unconfirmed) >= self._engine.unconfirmed or not self.searching):
                yield from self.confirm(unconfirmed, between, stop)
                unconfirmed.clear()

    @cached_property
    def confirm(self) -> Confirmation:
        """What confirms saddles; made when there is the first one, for its memory."""
        return Confirmation(self._atoms, self._engine, self._protocol)

    def _admit(self, waiting: Iterator[tuple[int, int]], most: int | None) -> None:
        batch = self.searching
        rows, minima, pushes = [], [], []
        while self._room(most) and (task := next(waiting, None)) is not None:
            search = self._engine.open(task[0])
            rows.append(batch.take(search))
            minima.append(search.position)
            pushes.append(self._push(search, *task))
            self._tasks[rows[-1]] = task
        if rows:
            chosen = torch.tensor(rows, device=batch.artn.trial.device)
            goal = Goal.SADDLE if self._check else Goal.SIDES
            atoms = torch.tensor([len(minimum) for minimum in minima], device=chosen.device)
            vectors = batch.stack(minima), batch.stack(pushes)
            batch.artn.admit(chosen, *vectors, goal=goal, atoms=atoms)

    def _room(self, most: int | None) -> bool:
        return not self.searching.full and (most is None or len(self.searching) < most)

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

    def _found(self, atom: int, search: int, ended: Ended) -> Unconfirmed:
        """What a search found in its region."""
        saddle = ended.saddle - ended.minimum
        sides = Sides.unknown(len(saddle))
        if not self._check:
            sides = ended.sides(self._protocol.same_minimum)
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
            final_energy=sides.energy,
            connected=sides.connected,
            force_evaluations=ended.evaluations,
            saddle_evaluations=ended.saddle_evaluations,
            lanczos_evaluations=ended.lanczos_evaluations,
            **motion(atom, ended.atoms, saddle, sides.displacement, pushed),
        )
        if event.status != Status.CONVERGED:
            event = without_saddle(event, Status(event.status))
        return Unconfirmed(event, ended.atoms, saddle, ended.mode, pushed)
