"""Find the saddles of regions again where more atoms are free, up to all, and relax their sides."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms

from symgnn.barriers.batches import Batch, Ended, places
from symgnn.barriers.engines import Engine, OpenSearch
from symgnn.barriers.event import Event, Sides, furthest, motion, without_saddle
from symgnn.barriers.first_order import FirstOrderArtn
from symgnn.barriers.protocol import Protocol, Status

CHECK_EVALUATIONS = 1000  # most force calls of a larger system to find a saddle again, or a minimum


@dataclass(frozen=True)
class Unconfirmed:
    """A saddle of a region that the full system has not confirmed yet."""

    event: Event
    atoms: np.ndarray  # (free,)
    saddle: np.ndarray  # (free, 3), Å, from the start
    mode: np.ndarray  # (free, 3)
    pushed: np.ndarray  # (pushed,), indices in the structure
    again: bool = False  # whether a larger system has been tried already


@dataclass
class Descent:
    """The two sides of a confirmed saddle, ahead of it and behind."""

    one: Unconfirmed
    energies: np.ndarray  # (2,), eV, from the start; NaN where a side was not relaxed
    ways: np.ndarray  # (2, atoms, 3), Å, from the start
    evaluations: int
    settled: np.ndarray  # (2,), whether a side was relaxed with all atoms free

    @property
    def near(self) -> tuple[int, float]:
        """The side that is nearer to the start, and how far it is, Å."""
        distances = [furthest(way) for way in self.ways]
        return int(np.argmin(distances)), min(distances)

    def recognise_start(self, same_minimum: float) -> None:
        """Settle a side that frozen surroundings let come to the start: it is the start."""
        near, distance = self.near
        if np.isfinite(self.energies).all() and distance < same_minimum:
            self.energies[near], self.ways[near], self.settled[near] = 0.0, 0.0, True

    def unsettled(self, same_minimum: float, beside: float) -> int | None:
        """Which side is to be relaxed with all atoms free, if any.

        One that may be the start, as frozen surroundings keep it no further from it than `beside`,
        and then the other one, whose energy is the event's.
        """
        if not np.isfinite(self.energies).all():
            return None
        near, distance = self.near
        bound = same_minimum if self.settled[near] else beside
        wanted = (near, 1 - near) if distance < bound else (1 - near,)
        return next((side for side in wanted if not self.settled[side]), None)

    def given_up(self) -> Unconfirmed:
        """The saddle, with what was spent on its sides."""
        spent = self.one.event.check_evaluations + self.evaluations
        return replace(self.one, event=replace(self.one.event, check_evaluations=spent))

    def settle(self, side: int, ended: Ended) -> None:
        """Take in what a side became with all atoms free."""
        self.energies[side], self.settled[side] = ended.ahead_energy, True
        self.ways[side] = ended.ahead - ended.minimum
        self.evaluations += ended.evaluations


class Confirmation:
    """Confirms saddles of one structure on one core.

    Args:
        atoms: periodic structure at a minimum of the energy.
        engine: where forces come from.
        protocol: the numbers that define a search.
    """

    def __init__(self, atoms: Atoms, engine: Engine, protocol: Protocol):
        self._number, self._engine = len(atoms), engine
        self._same_minimum, self._beside = protocol.same_minimum, protocol.beside
        strict = replace(
            protocol,
            saddle_evaluations=CHECK_EVALUATIONS,
            minimum_evaluations=CHECK_EVALUATIONS,
            force_tolerance=min(protocol.force_tolerance, protocol.full_tolerance),
        )
        self.batches = []
        for step, free in enumerate(engine.confirming):
            size = strict, engine.confirming_rows(free), free, engine.device
            whole = step == len(engine.confirming) - 1
            descends = whole or step == engine.descending
            # All of them look for second eigenvalues: most places with two are left in the first
            # at little cost, and what is left in the last changes its barrier most.
            rows = FirstOrderArtn(*size, bound=not whole, descends=descends)
            self.batches.append(Batch(rows, engine))

    def __call__(
        self,
        found: Iterable[Unconfirmed],
        between: Callable[[], None] = lambda: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Event]:
        """Confirm saddles, and yield their events.

        Args:
            found: what regions have.
            between: called after every round of a batch, and within it, see `Batch.round`.
            stop: whether to drop what is left.
        """
        # Those of one atom follow one another, as an engine keeps a few regions for the next.
        found = sorted(found, key=lambda one: (one.event.atom, one.event.search))
        for step in range(len(self.batches)):
            confirmed = []
            for one in self._find_again(found, step, between, stop):
                if one.event.status == Status.CONVERGED:
                    confirmed.append(one)
                else:
                    yield one.event
            found = confirmed
        for descent in self._relax_sides(found, between, stop):
            yield self._event(descent)

    def find_again(self, one: Unconfirmed) -> Unconfirmed:
        """Find one saddle of all atoms again, with all of them free, from near it."""
        last = len(self.batches) - 1
        (found,) = self._find_again([one], last, lambda: None, lambda: False)
        return found

    def _find_again(
        self,
        found: list[Unconfirmed],
        step: int,
        between: Callable[[], None],
        stop: Callable[[], bool],
    ) -> Iterator[Unconfirmed]:
        """Look for saddles in one of the larger systems, each where it was in the one before."""
        batch, waiting = self.batches[step], deque(found)

        def begin(one: Unconfirmed) -> int:
            larger = self._engine.open_larger(one.event.atom, step)
            row = batch.take(larger)
            start, mode = self._spread(one, larger)
            vectors = batch.on_device(larger.position, larger.position + start, mode)
            batch.artn.admit_saddle(row, *vectors, again=one.again)
            return row

        for one, ended in batch.follow(waiting, begin, between, stop):
            refined = self._refined(one, ended)
            if refined.again:
                waiting.append(refined)
            else:
                yield refined

    def _spread(self, one: Unconfirmed, larger: OpenSearch) -> np.ndarray:
        """Displacements of saddle and mode, (2, free, 3), among the atoms of a larger system."""
        moves = np.zeros((2, *larger.position.shape))
        moves[:, places(one.atoms, larger.atoms)] = one.saddle, one.mode
        return self._at_rest(moves)

    def _at_rest(self, moves: np.ndarray) -> np.ndarray:
        """Displacements (..., free, 3) that leave the centre of mass where it was.

        Where all atoms are free nothing holds it, and equal minima would lie at some distance.
        """
        return moves - moves.mean(-2, keepdims=True) if moves.shape[-2] == self._number else moves

    def _refined(self, one: Unconfirmed, ended: Ended) -> Unconfirmed:
        """What a larger system says of a saddle; `again` where it is to be asked once more."""
        event = replace(
            one.event,
            full_evaluations=one.event.full_evaluations + ended.to_saddle,
            check_evaluations=one.event.check_evaluations + ended.evaluations - ended.to_saddle,
        )
        if ended.status != Status.CONVERGED:
            if one.again:
                event = without_saddle(event, Status.NOT_CONFIRMED)
            return replace(one, event=event, again=not one.again)
        event = replace(
            event,
            barrier=ended.barrier,
            curvature=ended.curvature,
            second_curvature=ended.second_curvature,
            force_max=ended.force_max,
        )
        if len(ended.atoms) < self._number:
            event = replace(event, grown_barrier=ended.barrier)
        saddle = ended.saddle - ended.minimum
        return Unconfirmed(event, ended.atoms, saddle, ended.mode, one.pushed)

    def _relax_sides(
        self, found: list[Unconfirmed], between: Callable[[], None], stop: Callable[[], bool]
    ) -> Iterator[Descent]:
        """Relax both sides of saddles of the full system.

        Most of the way down is made in a region around the target, whose surroundings stay as they
        are at the saddle. The side that leads away from the start goes on with all atoms free.
        Where a side leads further than the region's forces reach, or does not end in it, both
        begin again with all free.
        """
        step, last = self._engine.descending, len(self.batches) - 1
        descents = list(self._descend(found, step, between, stop))
        if step == last:
            yield from descents
            return
        known, lost = [], []
        for descent in descents:
            if np.isfinite(descent.energies).all():
                known.append(descent)
            else:
                lost.append(descent.given_up())
        yield from self._relax_minima(known, between, stop)
        yield from self._descend(lost, last, between, stop)

    def _descend(
        self,
        found: list[Unconfirmed],
        step: int,
        between: Callable[[], None],
        stop: Callable[[], bool],
    ) -> Iterator[Descent]:
        """Go down on both sides of saddles of the full system, in one of the larger systems."""
        batch, whole = self.batches[step], step == len(self.batches) - 1

        def begin(one: Unconfirmed) -> int:
            search = self._engine.open_displaced(one.event.atom, step, one.saddle)
            row = batch.take(search)
            way = one.saddle[search.atoms]
            start = search.position if whole else search.position - way
            vectors = batch.on_device(start, start + way, one.mode[search.atoms])
            batch.artn.admit_sides(row, *vectors)
            return row

        for one, ended in batch.follow(deque(found), begin, between, stop):
            ways = np.repeat(one.saddle[None], 2, axis=0)
            ways[:, ended.atoms] = np.stack([ended.ahead, ended.behind]) - ended.minimum
            energies = np.array([ended.ahead_energy, ended.behind_energy])
            if not whole:
                energies += one.event.barrier  # they are relative to the saddle's
            settled = np.full(2, whole)
            yield Descent(one, energies, self._at_rest(ways), ended.evaluations, settled)

    def _relax_minima(
        self, descents: list[Descent], between: Callable[[], None], stop: Callable[[], bool]
    ) -> Iterator[Descent]:
        """Find out which sides are the start, and relax the other ones with all atoms free."""
        batch, last = self.batches[-1], len(self.batches) - 1
        waiting: deque[tuple[Descent, int]] = deque()

        def begin(task: tuple[Descent, int]) -> int:
            descent, side = task
            search = self._engine.open_larger(descent.one.event.atom, last)
            row = batch.take(search)
            start = search.position
            batch.artn.admit_minimum(row, *batch.on_device(start, start + descent.ways[side]))
            return row

        for descent in descents:
            descent.recognise_start(self._same_minimum)
            side = descent.unsettled(self._same_minimum, self._beside)
            if side is None:
                yield descent
            else:
                waiting.append((descent, side))
        for (descent, side), ended in batch.follow(waiting, begin, between, stop):
            descent.settle(side, ended)
            side = descent.unsettled(self._same_minimum, self._beside)
            if side is None:
                yield descent
            else:
                waiting.append((descent, side))

    def _event(self, descent: Descent) -> Event:
        """The event of a saddle with what became of its sides."""
        one, event = descent.one, descent.one.event
        sides = Sides.of(event.barrier, descent.energies, descent.ways, self._same_minimum)
        return replace(
            event,
            final_energy=sides.energy,
            connected=sides.connected,
            check_evaluations=event.check_evaluations + descent.evaluations,
            **motion(event.atom, one.atoms, one.saddle, sides.displacement, one.pushed),
        )
