"""The activation-relaxation technique nouveau (ARTn), for many searches at once.

A search leaves its minimum by pushes along a random direction of the target and its neighbours,
each followed by a few relaxation steps perpendicular to that direction. Once the lowest
eigenvalue of the Hessian, found by Lanczos iterations, lies below a threshold, the search climbs
along that eigenvector and relaxes perpendicular to it until all forces vanish: a saddle point.
Where the relaxation leads back into a valley, with a positive eigenvalue, the search follows the
valley's softest direction upwards until it is a ridge again. Both sides of the saddle can then be
relaxed to minima (G. T. Barkema, N. Mousseau, doi:10.1103/PhysRevLett.77.4358; E. Cances et al.,
doi:10.1063/1.3088532).

The state of every search is one row of the tensors here. A round asks for one force call of
every unfinished search, and where Hessians are known for whole Lanczos iterations, and moves each
on by itself, so that results do not depend on what else is in the batch. Where the forces come
from is not this module's business.
"""

from collections.abc import Callable, Iterator
from enum import IntEnum
from functools import wraps

import torch
from torch import Tensor

from symgnn.barriers.inner_products import dot, normalized
from symgnn.barriers.lanczos import Hessians, LanczosBatch
from symgnn.barriers.lbfgs import LbfgsBatch
from symgnn.barriers.protocol import Protocol, Status


class Phase(IntEnum):
    """What a search wants its next force for."""

    PUSHED = 0  # relaxes perpendicular to the push
    CLIMBING = 1  # relaxes perpendicular to the eigenvector
    LANCZOS = 2
    SECOND = 3  # Lanczos iterations for the second eigenvalue, see `first_order`
    ASIDE = 4  # follows the second negative mode down to its lowest point
    FORWARD = 5  # relaxes from the saddle, away from the start, or from a given place
    BACKWARD = 6  # relaxes from the saddle, towards the start
    IDLE = 7


class Goal(IntEnum):
    """What a search is to find."""

    SADDLE = 0
    SIDES = 1  # the saddle, where it is not given, and the minima on its two sides
    MINIMUM = 2  # the minimum near a given place


def for_some(step: Callable[..., None]) -> Callable[..., None]:
    """A step of the searches `rows` that costs nothing where there are none."""

    @wraps(step)
    def guarded(self: "Artn", rows: Tensor, *arguments: object) -> None:
        if len(rows):
            step(self, rows, *arguments)

    return guarded


class Artn:
    """A batch of searches.

    Args:
        protocol: the numbers that define a search.
        size: rows of the batch.
        capacity: free atoms of the largest region; rows with fewer atoms are padded with zeros.
        device: where the state lives.
        descends: whether rows will relax sides or minima, which needs memory.
    """

    def __init__(
        self,
        protocol: Protocol,
        size: int,
        capacity: int,
        device: torch.device | str = "cpu",
        *,
        descends: bool = True,
    ):
        self.protocol = protocol
        device = torch.device(device)
        dimension = 3 * capacity
        vectors = torch.zeros(12, size, dimension, dtype=torch.float64, device=device)
        self.minimum, self.position, self.trial = vectors[:3]
        self.force, self.push, self.direction, self.mode, self.saddle = vectors[3:8]
        self._last_position, self._last_force = vectors[8:10]
        self.ahead, self.behind = vectors[10:]  # relaxed from the saddle, away from the start first
        numbers = torch.zeros(9, size, dtype=torch.float64, device=device)
        self.energy, self.curvature, self.barrier, self.ahead_energy = numbers[:4]
        self.behind_energy, self.force_max, self.second_curvature = numbers[4:7]
        self._valley_step, self._aside = numbers[7:]
        counts = torch.zeros(10, size, dtype=torch.long, device=device)
        self.evaluations, self.saddle_evaluations, self.lanczos_evaluations = counts[:3]
        self.second_evaluations, self.status, self._steps = counts[3:6]
        self._descent_start, self._goal, self._limit, self._atoms = counts[6:]
        self.phase = torch.full((size,), int(Phase.IDLE), device=device)
        self._climbs = torch.zeros(size, dtype=torch.bool, device=device)
        self._lanczos = LanczosBatch(
            size,
            dimension,
            vectors=protocol.lanczos_vectors,
            tolerance=protocol.lanczos_tolerance,
            device=device,
        )
        self._relaxation = LbfgsBatch(
            *((size, dimension) if descends else (0, 0)),
            pairs=protocol.descent_pairs,
            stiffness=protocol.descent_stiffness,
            first_step=protocol.relaxation_step,
            device=device,
        )

    def admit(
        self,
        row: int | Tensor,
        minimum: Tensor,
        push: Tensor,
        *,
        goal: Goal = Goal.SIDES,
        atoms: Tensor | None = None,
    ) -> None:
        """Start a search in a free row, or one in each of many.

        Args:
            row: the row, or rows (rows,).
            minimum: (..., atoms, 3), Å, starting positions; atoms may be fewer than the capacity.
            push: (..., atoms, 3), random direction; its length does not matter.
            goal: what to find.
            atoms: (rows,), how many of the atoms each row has, where the rest is padding.
        """
        self._clear(row, minimum, goal)
        if atoms is not None:
            self._atoms[row] = atoms
        length = 3 * minimum.shape[-2]
        self.push[row, :length] = normalized(push.flatten(-2))
        self.direction[row] = self.mode[row] = self.push[row]
        self.position[row] += self.protocol.push_step * self.push[row]
        self.trial[row] = self.position[row]
        self.phase[row] = int(Phase.PUSHED)

    def admit_saddle(
        self,
        row: int,
        minimum: Tensor,
        saddle: Tensor,
        mode: Tensor,
        *,
        again: bool = False,
    ) -> None:
        """Start a check in a free row: is this a saddle, or is one within a few steps of it?

        Args:
            row: the row.
            minimum: (atoms, 3), Å, positions relative to which displacements count.
            saddle: (atoms, 3), Å, where to begin.
            mode: (atoms, 3), guess of the lowest eigenvector.
            again: whether this is the second try, with shorter steps where there is a valley.
        """
        self._clear(row, minimum, Goal.SADDLE)
        if again:
            self._valley_step[row] = self.protocol.second_valley_step
        length = saddle.numel()
        self.push[row, :length] = normalized(mode.reshape(-1))
        self.direction[row] = self.mode[row] = self.push[row]
        self.position[row, :length] = saddle.reshape(-1)
        self.trial[row] = self.position[row]
        self.phase[row], self._climbs[row] = int(Phase.CLIMBING), True

    def admit_sides(self, row: int, minimum: Tensor, saddle: Tensor, mode: Tensor) -> None:
        """Start the relaxation of both sides of a saddle in a free row.

        Args:
            row: the row.
            minimum: (atoms, 3), Å, the start, which tells which side is ahead.
            saddle: (atoms, 3), Å.
            mode: (atoms, 3), lowest eigenvector.
        """
        self._clear(row, minimum, Goal.SIDES)
        length = saddle.numel()
        self.saddle[row, :length] = saddle.reshape(-1)
        self.mode[row, :length] = mode.reshape(-1)
        self._find_sides(torch.tensor([row], device=self.phase.device))

    def admit_minimum(self, row: int, minimum: Tensor, guess: Tensor) -> None:
        """Start a relaxation in a free row; it ends as `ahead`.

        Args:
            row: the row.
            minimum: (atoms, 3), Å, the start, which the other minimum may be.
            guess: (atoms, 3), Å, where to begin.
        """
        self._clear(row, minimum, Goal.MINIMUM)
        self.position[row, : guess.numel()] = guess.reshape(-1)
        self.trial[row] = self.position[row]
        self.phase[row] = int(Phase.FORWARD)

    def _clear(self, row: int | Tensor, minimum: Tensor, goal: Goal) -> None:
        """Make rows ready that begin at a minimum (..., atoms, 3)."""
        length = 3 * minimum.shape[-2]
        for state in (self.minimum, self.push, self.mode, self.saddle, self.ahead, self.behind):
            state[row] = 0.0
        self.minimum[row, :length] = minimum.flatten(-2)
        self.position[row] = self.minimum[row]
        for number in (self.curvature, self.barrier, self.force_max, self.second_curvature):
            number[row] = float("nan")
        self.ahead_energy[row] = self.behind_energy[row] = float("nan")
        for count in (self.evaluations, self.saddle_evaluations, self.lanczos_evaluations):
            count[row] = 0
        self.second_evaluations[row] = self._descent_start[row] = self._steps[row] = 0
        self._valley_step[row] = self.protocol.valley_step
        self._climbs[row] = False
        self._goal[row], self._limit[row] = int(goal), self.protocol.saddle_evaluations
        self._atoms[row] = minimum.shape[-2]

    def active(self) -> Tensor:
        """Rows whose searches want a force at `trial`."""
        return (self.phase != Phase.IDLE).nonzero()[:, 0]

    def receive(self, rows: Tensor, energy: Tensor, force: Tensor, inside: Tensor) -> None:
        """Move searches on by one force call.

        Args:
            rows: the active rows, (rows,).
            energy: (rows,), eV, relative to the start.
            force: (rows, 3 capacity), eV/Å, zero on padding.
            inside: (rows,), false where an atom left its region.
        """
        self.evaluations[rows] += 1
        finite = torch.isfinite(energy + force.sum(-1))
        good = finite & inside
        if not good.all():
            descends = self._descends(rows)
            lost = rows[~good & descends]
            self._end_side(lost, energy.new_full((len(lost),), torch.nan))
            self._fail(rows[~finite & ~descends], Status.FAILED)
            self._fail(rows[finite & ~inside & ~descends], Status.LEFT_REGION)
            rows, energy, force = rows[good], energy[good], force[good]
        for chosen, step in self._moves(self.phase[rows]):
            if chosen.any():
                step(rows[chosen], energy[chosen], force[chosen])

    def _moves(self, phase: Tensor) -> Iterator[tuple[Tensor, Callable[..., None]]]:
        """Which searches (mask) make which move."""
        yield phase <= Phase.CLIMBING, self._relax
        yield phase == Phase.LANCZOS, self._diagonalize
        yield (phase == Phase.FORWARD) | (phase == Phase.BACKWARD), self._descend

    def _descends(self, rows: Tensor) -> Tensor:
        return (self.phase[rows] == Phase.FORWARD) | (self.phase[rows] == Phase.BACKWARD)

    def _relax(self, rows: Tensor, energy: Tensor, force: Tensor) -> None:
        """A step perpendicular to push or eigenvector; then Lanczos, when there were enough."""
        p = self.protocol
        self.energy[rows], self.force[rows] = energy, force
        direction = self.direction[rows]
        parallel = dot(force, direction)
        across = force - parallel.unsqueeze(-1) * direction
        climbs = self.phase[rows] == Phase.CLIMBING
        limit = torch.where(self._ridge(rows), p.climb_relaxations, p.push_relaxations)
        still = climbs & (dot(across, across) < p.force_tolerance**2)
        done = (self._steps[rows] >= limit) | still
        balanced = dot(across, across) < (p.climb_balance * parallel) ** 2
        done |= climbs & balanced & (self._steps[rows] >= p.least_relaxations)
        done |= climbs & (self._largest(force) < p.force_tolerance)
        self._relax_across(rows[~done], across[~done])
        self._start_lanczos(rows[done])

    @for_some
    def _start_lanczos(self, rows: Tensor) -> None:
        # A search that does not climb yet looks along its push too: started at an eigenvector
        # alone, Lanczos iterations never see the others.
        aside = torch.where(self._climbs[rows], 0.0, self.protocol.lanczos_mixing).unsqueeze(-1)
        self._lanczos.start(rows, self.mode[rows] + aside * self.push[rows])
        self.phase[rows] = int(Phase.LANCZOS)
        self._try_lanczos(rows)

    @for_some
    def _try_lanczos(self, rows: Tensor) -> None:
        step = self.protocol.lanczos_step * self._lanczos.newest(rows)
        self.trial[rows] = self.position[rows] + step

    def _diagonalize(self, rows: Tensor, energy: Tensor, force: Tensor) -> None:
        """One more Lanczos vector; when the eigenvalue stands, the search takes its next step."""
        self.lanczos_evaluations[rows] += 1
        product = (self.force[rows] - force) / self.protocol.lanczos_step
        done, value, vector = self._lanczos.extend(rows, product, *self._bounds(rows))
        self._try_lanczos(rows[~done])
        self._diagonalized(rows[done], value[done], vector[done])

    def _bounds(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Most vectors, and the change of the eigenvalue that is small enough, eV/Å²."""
        p = self.protocol
        limit = torch.where(self._ridge(rows), p.lanczos_vectors, p.push_vectors)
        # A search that has not begun to climb must not miss the first sign that it could.
        resolution = torch.where(self._climbs[rows], p.lanczos_resolution, 0.0)
        return limit, resolution.to(self.curvature)

    def _diagonalized(self, rows: Tensor, value: Tensor, vector: Tensor) -> None:
        value, vector = value[:, 0], vector[:, 0]
        self.curvature[rows], self.mode[rows] = value, vector
        self._advance(rows, vector)

    def finish_lanczos(self, hessians: Hessians, between: Callable[[], None]) -> None:
        """Finish all Lanczos iterations without force calls, where Hessians are known.

        A product with a Hessian counts as a force call all the same.

        Args:
            hessians: of the rows.
            between: called after every row's iterations.
        """
        rows = (self.phase == Phase.LANCZOS).nonzero()[:, 0]
        if len(rows):
            bounds = self._bounds(rows)
            used, *found = self._lanczos.finish(rows, self.position, hessians, *bounds, between)
            self.evaluations[rows] += used
            self.lanczos_evaluations[rows] += used
            self._diagonalized(rows, *found)

    def _ridge(self, rows: Tensor) -> Tensor:
        """Which searches climb where the lowest eigenvalue was negative when last looked at."""
        return self._climbs[rows] & ~(self.curvature[rows] >= 0.0)

    def _advance(self, rows: Tensor, eigenvector: Tensor) -> None:
        """Choose what follows: the saddle is found, the climb goes on, or another push."""
        p = self.protocol
        curvature, largest = self.curvature[rows], self._largest(self.force[rows])
        climbs = self._climbs[rows] | (curvature < p.activation)
        self._climbs[rows] = climbs
        found = climbs & (curvature < 0.0) & (largest < p.force_tolerance)
        used = self.evaluations[rows] - self.second_evaluations[rows]
        spent = ~found & (used >= self._limit[rows])
        self._found(rows[found])
        self._fail(rows[spent], Status.NOT_CONVERGED)
        going = ~found & ~spent
        self._climb(rows[going & climbs], eigenvector[going & climbs])
        self._push(rows[going & ~climbs])

    @for_some
    def _climb(self, rows: Tensor, eigenvector: Tensor) -> None:
        """A step along the eigenvector, against the force."""
        p = self.protocol
        parallel = dot(self.force[rows], eigenvector)
        stiffness = self.curvature[rows].abs().clamp(min=p.soft_curvature)
        length = (parallel.abs() / stiffness).clamp(max=p.climb_step)
        length = torch.where(self.curvature[rows] < 0.0, length, self._valley_step[rows])
        uphill = eigenvector * (-torch.sign(parallel)).unsqueeze(-1)
        self.direction[rows] = uphill
        self._step(rows, length.unsqueeze(-1) * uphill, Phase.CLIMBING)

    @for_some
    def _push(self, rows: Tensor) -> None:
        """A step along the random direction of this search."""
        self.direction[rows] = self.push[rows]
        self._step(rows, self.protocol.push_step * self.push[rows], Phase.PUSHED)

    def _step(self, rows: Tensor, move: Tensor, phase: Phase) -> None:
        self.position[rows] += move
        self.trial[rows] = self.position[rows]
        self._steps[rows] = 0
        self.phase[rows] = int(phase)

    @for_some
    def _relax_across(self, rows: Tensor, across: Tensor) -> None:
        """A relaxation step along the force across, with the length of Barzilai and Borwein.

        The length is s·s / s·y over the last step s and the change y of the force along it
        (doi:10.1093/imanum/8.1.141). A quasi-Newton step goes further where the surface curves
        down, and more searches lose themselves.
        """
        p = self.protocol
        position = self.position[rows]
        moved = position - self._last_position[rows]
        change = self._last_force[rows] - across
        curvature = dot(moved, change) / dot(moved, moved)
        usable = (self._steps[rows] > 0) & (curvature > 0)
        length = torch.where(usable, 1.0 / curvature, p.relaxation_step)
        length = length.clamp(0.2 * p.relaxation_step, 20 * p.relaxation_step)
        self._last_position[rows], self._last_force[rows] = position, across
        self._move(rows, length.unsqueeze(-1) * across)

    @for_some
    def _relax_all(self, rows: Tensor, force: Tensor) -> None:
        """A quasi-Newton step towards a minimum."""
        self._relaxation.restart(rows[self._steps[rows] == 0])
        self._move(rows, self._relaxation.step(rows, self.position[rows], force))

    def _move(self, rows: Tensor, move: Tensor) -> None:
        """Move on, no atom further than `largest_move`."""
        share = (self.protocol.largest_move / self._largest(move)).clamp(max=1.0)
        self.position[rows] += share.unsqueeze(-1) * move
        self.trial[rows] = self.position[rows]
        self._steps[rows] += 1

    @for_some
    def _found(self, rows: Tensor) -> None:
        """Keep the saddle and start down its far side, where that is asked for."""
        self.saddle[rows] = self.position[rows]
        self.barrier[rows] = self.energy[rows]
        self.force_max[rows] = self._largest(self.force[rows])
        self.saddle_evaluations[rows] = self.evaluations[rows]
        sides = self._goal[rows] == Goal.SIDES
        self._finish(rows[~sides], Status.CONVERGED)
        self._find_sides(rows[sides])

    @for_some
    def _find_sides(self, rows: Tensor) -> None:
        eigenvector = self.mode[rows]
        outward = dot(self.saddle[rows] - self.minimum[rows], eigenvector)
        away = torch.where(outward < 0, -1.0, 1.0).unsqueeze(-1) * eigenvector
        self.direction[rows] = away
        self._step_off(rows, Phase.FORWARD)

    @for_some
    def _step_off(self, rows: Tensor, phase: Phase) -> None:
        self._descent_start[rows] = self.evaluations[rows]
        self._aside[rows] = self.protocol.departure
        self._leave_saddle(rows, phase)

    @for_some
    def _leave_saddle(self, rows: Tensor, phase: Phase) -> None:
        side = self._aside[rows] if phase == Phase.FORWARD else -self._aside[rows]
        self.position[rows] = self.saddle[rows]
        self._step(rows, side.unsqueeze(-1) * self.direction[rows], phase)

    def _descend(self, rows: Tensor, energy: Tensor, force: Tensor) -> None:
        """A relaxation step towards a minimum; at the end of one side the other side.

        A minimum that is not reached within the allowed force calls has no energy.
        """
        p = self.protocol
        largest, sides = self._largest(force), self._goal[rows] == Goal.SIDES
        relaxed = largest < p.minimum_tolerance
        # Beside a soft saddle forces are small as well: the first step was too short,
        short = sides & relaxed & (self._steps[rows] == 0) & (self._aside[rows] < p.largest_aside)
        self._aside[rows[short]] *= 2.0
        for phase in (Phase.FORWARD, Phase.BACKWARD):
            self._leave_saddle(rows[short & (self.phase[rows] == phase)], phase)
        # or the next ones have taken away the forces across and left those along the slope.
        relaxed &= ~self._beside(rows) | (largest < p.beside_tolerance)
        used = self.evaluations[rows] - self._descent_start[rows]
        done = (relaxed | (used >= p.minimum_evaluations)) & ~short
        self._relax_all(rows[~done & ~short], force[~done & ~short])
        self._end_side(rows[done], torch.where(relaxed, energy, torch.nan)[done])

    def _beside(self, rows: Tensor) -> Tensor:
        """Which rows are near their saddle, or near their start and not known to be at it."""
        p = self.protocol
        to_saddle, to_start = (
            self._largest(self.position[rows] - place[rows])
            for place in (self.saddle, self.minimum)
        )
        at_saddle = (self._goal[rows] == Goal.SIDES) & (to_saddle < p.beside)
        return at_saddle | ((to_start >= p.same_minimum) & (to_start < p.beside))

    @for_some
    def _end_side(self, rows: Tensor, energy: Tensor) -> None:
        """Keep where a relaxation has led, and go on to the other side if there is one."""
        ahead = self.phase[rows] == Phase.FORWARD
        first, second = rows[ahead], rows[~ahead]
        self.ahead[first], self.ahead_energy[first] = self.position[first], energy[ahead]
        self.behind[second], self.behind_energy[second] = self.position[second], energy[~ahead]
        goes_on = ahead & (self._goal[rows] == Goal.SIDES)
        self._step_off(rows[goes_on], Phase.BACKWARD)
        self._finish(rows[~goes_on], Status.CONVERGED)

    @for_some
    def _fail(self, rows: Tensor, status: Status) -> None:
        """End without a saddle."""
        self._finish(rows, status)

    @for_some
    def _finish(self, rows: Tensor, status: Status) -> None:
        self.status[rows], self.phase[rows] = int(status), int(Phase.IDLE)

    @staticmethod
    def _largest(vector: Tensor) -> Tensor:
        """Largest norm of an atom's part of vectors (rows, 3 capacity)."""
        return vector.unflatten(-1, (vector.shape[-1] // 3, 3)).norm(dim=-1).amax(-1)
