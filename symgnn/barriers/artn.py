"""The activation-relaxation technique nouveau (ARTn), for many searches at once.

A search leaves its minimum by pushes along a random direction of the target and its neighbours,
each followed by a few relaxation steps perpendicular to that direction. Once the lowest
eigenvalue of the Hessian, found by Lanczos iterations, lies below a threshold, the search climbs
along that eigenvector and relaxes perpendicular to it until all forces vanish: a saddle point.
Where the relaxation leads back into a valley, with a positive eigenvalue, the search follows the
valley's softest direction upwards until it is a ridge again. Both sides of the saddle are then
relaxed, which tells whether the start is one of its two minima (G. T. Barkema, N. Mousseau,
doi:10.1103/PhysRevLett.77.4358; E. Cances et al., doi:10.1063/1.3088532).

The state of every search is one row of the tensors here. A round asks for one force call of
every unfinished search and moves each on by itself, so that results do not depend on what else is
in the batch. Where the forces come from is not this module's business.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import wraps

import numpy as np
import torch
from torch import Tensor

from symgnn.barriers.lanczos import LanczosBatch, dot, normalized


class Phase(IntEnum):
    """What a search wants its next force for."""

    PUSHED = 0  # relaxes perpendicular to the push
    CLIMBING = 1  # relaxes perpendicular to the eigenvector
    LANCZOS = 2
    SECOND = 3  # Lanczos iterations for the second eigenvalue
    ASIDE = 4  # follows the second negative mode down to its lowest point
    FORWARD = 5  # relaxes from the saddle, away from the start
    BACKWARD = 6  # relaxes from the saddle, towards the start
    FINAL = 7  # relaxes a minimum of a smaller system
    IDLE = 8


class Goal(IntEnum):
    """What a search is to find."""

    SADDLE = 0
    SIDES = 1  # the saddle, then the minima on its two sides
    FINAL = 2  # the saddle, then the minimum near a given place


class Status(IntEnum):
    """How a search ended."""

    CONVERGED = 0
    NOT_CONVERGED = 1  # no saddle within the allowed force calls
    LEFT_REGION = 2  # an atom went too far for the local region
    FAILED = 3  # forces were not finite
    NOT_CONFIRMED = 4  # a saddle of the region that the full periodic system does not have


@dataclass(frozen=True)
class Protocol:
    """The numbers that define a search. Lengths of steps are norms over all coordinates."""

    push_radius: float = 3.6  # Å, atoms pushed: those nearer to the target
    push_step: float = 0.3  # Å
    push_relaxations: int = 4  # perpendicular steps after a push, and most of them in a valley
    activation: float = -0.5  # eV/Å², eigenvalue below which a search climbs
    climb_step: float = 0.3  # Å, longest step along the eigenvector
    valley_step: float = 0.5  # Å, step along it in a valley, where its eigenvalue is positive
    second_valley_step: float = 0.1  # Å, the same in a second try to find a region's saddle again
    climb_relaxations: int = 20  # most perpendicular steps after a step along the eigenvector
    climb_balance: float = 1.0  # they end once the force across is below this share of that along
    least_relaxations: int = 4  # but not before these steps
    soft_curvature: float = 0.5  # eV/Å², bounds the step from below where the mode is flat
    force_tolerance: float = 0.05  # eV/Å, largest atomic force at the saddle of a region
    # eV/Å, the same when larger regions and then all atoms are free: many small forces of an
    # elastic field together hold a tenth of an electronvolt.
    full_tolerance: float = 0.01
    lanczos_vectors: int = 16
    lanczos_mixing: float = 0.3  # share of the push in the first vector before the climb
    push_vectors: int = 6  # most vectors before the climb and in a valley
    lanczos_tolerance: float = 0.01  # relative change of the eigenvalue at which it stands
    lanczos_resolution: float = 0.02  # eV/Å², change that is small enough while climbing
    lanczos_step: float = 0.005  # Å
    second_vectors: int = 64  # most Lanczos vectors in search of a second negative eigenvalue
    second_resolution: float = 3e-4  # eV/Å², change of that eigenvalue at which it stands
    second_negative: float = -0.002  # eV/Å², a second eigenvalue below which this is no saddle
    second_step: float = 1e-3  # Å, of these Lanczos iterations
    aside_step: float = 0.2  # Å, first step along the second mode, doubled until it leads uphill
    largest_aside: float = 1.6  # Å, where the doubling ends in any case
    asides: int = 3  # times that a search leaves a place with two negative eigenvalues
    aside_evaluations: int = 300  # most force calls from there to a saddle
    saddle_evaluations: int = 1500  # most force calls on the way to a saddle
    minimum_tolerance: float = 0.005  # eV/Å, force at the two minima
    minimum_evaluations: int = 400  # most force calls to each minimum
    departure: float = 0.2  # Å, step off the saddle
    same_minimum: float = 0.15  # Å, largest atomic distance between equal minima
    relaxation_step: float = 0.03  # Å²/eV, first step of a relaxation over the force
    largest_move: float = 0.15  # Å, of any atom in a relaxation step


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
        second: whether searches look for a second negative eigenvalue; all atoms must be free.
    """

    def __init__(
        self,
        protocol: Protocol,
        size: int,
        capacity: int,
        device: torch.device | str = "cpu",
        *,
        second: bool = False,
    ):
        self.protocol = protocol
        device = torch.device(device)
        dimension = 3 * capacity
        vectors = torch.zeros(11, size, dimension, dtype=torch.float64, device=device)
        self.minimum, self.position, self.trial = vectors[:3]
        self.force, self.push, self.direction, self.mode, self.saddle = vectors[3:8]
        self._last_position, self._last_force, self.final = vectors[8:]
        numbers = torch.zeros(9, size, dtype=torch.float64, device=device)
        self.energy, self.curvature, self.barrier, self.final_energy, self.force_max = numbers[:5]
        self.second_curvature, self._valley_step, self._aside, self._slope = numbers[5:]
        counts = torch.zeros(10, size, dtype=torch.long, device=device)
        self.evaluations, self.saddle_evaluations, self.lanczos_evaluations = counts[:3]
        self.second_evaluations, self.status, self._steps = counts[3:6]
        self._descent_start, self._asides, self._goal, self._limit = counts[6:]
        self.phase = torch.full((size,), int(Phase.IDLE), device=device)
        self._climbs = torch.zeros(size, dtype=torch.bool, device=device)
        self.connected = torch.zeros(size, dtype=torch.bool, device=device)
        self._lanczos = LanczosBatch(
            size,
            dimension,
            vectors=protocol.lanczos_vectors,
            tolerance=protocol.lanczos_tolerance,
            device=device,
        )
        self._second: LanczosBatch | None = None
        if second:
            self._second = LanczosBatch(
                *(size, dimension),
                vectors=protocol.second_vectors,
                tolerance=0.0,
                device=device,
                rank=1,
            )
            start = np.random.Generator(np.random.Philox(0)).normal(size=(capacity, 3))
            self._any_direction = torch.from_numpy(start).to(device)

    def admit(
        self, row: int | Tensor, minimum: Tensor, push: Tensor, *, goal: Goal = Goal.SIDES
    ) -> None:
        """Start a search in a free row, or one in each of many.

        Args:
            row: the row, or rows (rows,).
            minimum: (..., atoms, 3), Å, starting positions; atoms may be fewer than the capacity.
            push: (..., atoms, 3), random direction; its length does not matter.
            goal: what to find.
        """
        length = 3 * minimum.shape[-2]
        for state in (self.minimum, self.push, self.saddle, self.final):
            state[row] = 0.0
        self.minimum[row, :length] = minimum.flatten(-2)
        self.push[row, :length] = normalized(push.flatten(-2))
        self.direction[row] = self.mode[row] = self.push[row]
        self.position[row] = self.minimum[row] + self.protocol.push_step * self.push[row]
        self.trial[row] = self.position[row]
        for number in (self.curvature, self.barrier, self.final_energy, self.force_max):
            number[row] = float("nan")
        self.second_curvature[row] = float("nan")
        for count in (self.evaluations, self.saddle_evaluations, self.lanczos_evaluations):
            count[row] = 0
        self.second_evaluations[row] = self._steps[row] = self._asides[row] = 0
        self._valley_step[row] = self.protocol.valley_step
        self._climbs[row] = self.connected[row] = False
        self._goal[row], self._limit[row] = int(goal), self.protocol.saddle_evaluations
        self.phase[row] = int(Phase.PUSHED)

    def admit_saddle(
        self,
        row: int,
        minimum: Tensor,
        saddle: Tensor,
        mode: Tensor,
        final: Tensor | None = None,
        *,
        goal: Goal = Goal.SADDLE,
        again: bool = False,
    ) -> None:
        """Start a check in a free row: is this a saddle, or is one within a few steps of it?

        Args:
            row: the row.
            minimum: (atoms, 3), Å, positions relative to which displacements count.
            saddle: (atoms, 3), Å, where to begin.
            mode: (atoms, 3), guess of the lowest eigenvector.
            final: (atoms, 3), Å, about where the far minimum is, for the goal of that name.
            goal: what to find.
            again: whether this is the second try, with shorter steps where there is a valley, and
                content with a place that has a second negative eigenvalue.
        """
        self.admit(row, minimum, mode, goal=goal)
        if again:
            self._valley_step[row] = self.protocol.second_valley_step
            self._asides[row] = self.protocol.asides + 1  # none, and that is no failure
        length = saddle.numel()
        self.position[row, :length] = saddle.reshape(-1)
        if final is not None:
            self.final[row, :length] = final.reshape(-1)
        self.trial[row] = self.position[row]
        self.phase[row], self._climbs[row] = int(Phase.CLIMBING), True

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
        finite = torch.isfinite(energy) & torch.isfinite(force).all(-1)
        good = finite & inside
        if not good.all():
            self._finish(rows[~finite], Status.FAILED)
            self._finish(rows[finite & ~inside], Status.LEFT_REGION)
            rows, energy, force = rows[good], energy[good], force[good]
        phase = self.phase[rows]
        for chosen, step in (
            (phase <= Phase.CLIMBING, self._relax),
            (phase >= Phase.FORWARD, self._descend),
            (phase == Phase.LANCZOS, self._diagonalize),
            (phase == Phase.SECOND, self._look_second),
            (phase == Phase.ASIDE, self._step_aside),
        ):
            if chosen.any():
                step(rows[chosen], energy[chosen], force[chosen])

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
        self._move(rows[~done], across[~done])
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
        limit = torch.where(
            self._ridge(rows), self.protocol.lanczos_vectors, self.protocol.push_vectors
        )
        # A search that has not begun to climb must not miss the first sign that it could.
        resolution = torch.where(self._climbs[rows], self.protocol.lanczos_resolution, 0.0)
        done, value, vector = self._lanczos.extend(rows, product, limit, resolution.to(product))
        self._try_lanczos(rows[~done])
        rows, value, vector = rows[done], value[done], vector[done]
        self.curvature[rows], self.mode[rows] = value, vector
        self._advance(rows, vector)

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
        spent = ~found & (self.evaluations[rows] >= self._limit[rows])
        if self._second is None:
            self._found(rows[found])
        else:
            self._start_second(rows[found])
        self._finish(rows[spent], Status.NOT_CONVERGED)
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
    def _move(self, rows: Tensor, force: Tensor) -> None:
        """A relaxation step along `force`, with the step length of Barzilai and Borwein.

        The length is s·s / s·y over the last step s and the change y of the force along it
        (doi:10.1093/imanum/8.1.141); no atom moves further than `largest_move`.
        """
        p = self.protocol
        position = self.position[rows]
        moved = position - self._last_position[rows]
        change = self._last_force[rows] - force
        curvature = dot(moved, change) / dot(moved, moved)
        usable = (self._steps[rows] > 0) & (curvature > 0)
        length = torch.where(usable, 1.0 / curvature, p.relaxation_step)
        move = length.clamp(0.2 * p.relaxation_step, 20 * p.relaxation_step).unsqueeze(-1) * force
        move = move * (p.largest_move / self._largest(move)).clamp(max=1.0).unsqueeze(-1)
        self._last_position[rows], self._last_force[rows] = position, force
        self.position[rows] = position + move
        self.trial[rows] = self.position[rows]
        self._steps[rows] += 1

    @for_some
    def _start_second(self, rows: Tensor) -> None:
        """Begin with the eigenvector and a random motion, most of it where atoms have moved."""
        moved = self.position[rows] - self.minimum[rows]
        length = moved.unflatten(-1, (-1, 3)).norm(dim=-1, keepdim=True)
        random = self._at_rest(((length + 1e-3) * self._any_direction).flatten(-2))
        self._second.start(rows, self._at_rest(self.mode[rows]) + normalized(random))
        self._try_second(rows)
        self.phase[rows] = int(Phase.SECOND)

    @for_some
    def _try_second(self, rows: Tensor) -> None:
        step = self.protocol.second_step * self._second.newest(rows)
        self.trial[rows] = self.position[rows] + step

    @staticmethod
    def _at_rest(vector: Tensor) -> Tensor:
        """Vectors without the motion of everything together, whose eigenvalue is zero."""
        vector = vector.unflatten(-1, (-1, 3))
        return (vector - vector.mean(-2, keepdim=True)).flatten(-2)

    def _look_second(self, rows: Tensor, energy: Tensor, force: Tensor) -> None:
        """One more of these Lanczos vectors; at the end a saddle is found, or a way down."""
        p = self.protocol
        self.second_evaluations[rows] += 1
        product = self._at_rest((self.force[rows] - force) / p.second_step)
        limit = torch.full_like(rows, p.second_vectors)
        resolution = torch.full_like(energy, p.second_resolution)
        done, value, vector = self._second.extend(rows, product, limit, resolution)
        self._try_second(rows[~done])
        rows, value, vector = rows[done], value[done], vector[done]
        self.second_curvature[rows] = value
        negative, asides = value < p.second_negative, self._asides[rows]
        leaves, fails = negative & (asides < p.asides), negative & (asides == p.asides)
        self._found(rows[~leaves & ~fails])
        self._leave(rows[leaves], vector[leaves])
        self._finish(rows[fails], Status.NOT_CONVERGED)

    @for_some
    def _leave(self, rows: Tensor, vector: Tensor) -> None:
        """The first step along the second mode, to the side to which the force points.

        What was known of the sides of this place need not hold for where the search will end.
        """
        self._goal[rows] = int(Goal.SIDES)
        slope = dot(self.force[rows], vector)
        side = torch.where(slope < 0.0, -1.0, 1.0)
        self.direction[rows] = side.unsqueeze(-1) * vector
        self._slope[rows], self._aside[rows] = slope.abs(), 0.0
        self._asides[rows] += 1
        enough = self.evaluations[rows] + self.protocol.aside_evaluations
        self._limit[rows] = torch.minimum(self._limit[rows], enough)
        self.trial[rows] = self.position[rows] + self.protocol.aside_step * self.direction[rows]
        self.phase[rows] = int(Phase.ASIDE)

    def _step_aside(self, rows: Tensor, energy: Tensor, force: Tensor) -> None:
        """Twice as far, until the slope leads back; then the climb goes on from its lowest point.

        `trial` is ahead of the last point that led down, which lies `_aside` from `position`.
        """
        p = self.protocol
        before, slope = self._slope[rows], dot(force, self.direction[rows])
        behind = self._aside[rows]
        ahead = torch.where(behind > 0.0, 2.0 * behind, p.aside_step)
        down = (slope > 0.0) & (ahead < p.largest_aside)
        on, ends = rows[down], rows[~down]
        self._slope[on], self._aside[on] = slope[down], ahead[down]
        further = 2.0 * ahead[down].unsqueeze(-1) * self.direction[on]
        self.trial[on] = self.position[on] + further
        share = (before / (before - slope)).clamp(0.0, 1.0)
        way = torch.where(slope > 0.0, ahead, behind + share * (ahead - behind))[~down]
        move = way.unsqueeze(-1) * self.direction[ends]
        self.direction[ends] = self.mode[ends]
        self._step(ends, move, Phase.CLIMBING)

    @for_some
    def _found(self, rows: Tensor) -> None:
        """Keep the saddle and start down its far side, where that is asked for."""
        self.saddle[rows] = self.position[rows]
        self.barrier[rows] = self.energy[rows]
        self.force_max[rows] = self._largest(self.force[rows])
        self.saddle_evaluations[rows] = self.evaluations[rows]
        goal = self._goal[rows]
        self._finish(rows[goal == Goal.SADDLE], Status.CONVERGED)
        self._find_sides(rows[goal == Goal.SIDES])
        self._find_final(rows[goal == Goal.FINAL])

    @for_some
    def _find_sides(self, rows: Tensor) -> None:
        eigenvector = self.mode[rows]
        outward = dot(self.saddle[rows] - self.minimum[rows], eigenvector)
        away = torch.where(outward < 0, -1.0, 1.0).unsqueeze(-1) * eigenvector
        self.direction[rows] = away
        self._step_off(rows, 1.0, Phase.FORWARD)

    @for_some
    def _find_final(self, rows: Tensor) -> None:
        self.position[rows] = self.final[rows]
        self._descent_start[rows] = self.evaluations[rows]
        self._step(rows, torch.zeros_like(self.final[rows]), Phase.FINAL)

    @for_some
    def _step_off(self, rows: Tensor, side: float, phase: Phase) -> None:
        self.position[rows] = self.saddle[rows]
        self._descent_start[rows] = self.evaluations[rows]
        self._step(rows, side * self.protocol.departure * self.direction[rows], phase)

    def _descend(self, rows: Tensor, energy: Tensor, force: Tensor) -> None:
        """A relaxation step towards a minimum; at the end of one side the other side."""
        p = self.protocol
        used = self.evaluations[rows] - self._descent_start[rows]
        largest = self._largest(force)
        done = (largest < p.minimum_tolerance) | (used >= p.minimum_evaluations)
        self._move(rows[~done], force[~done])
        behind = self.phase[rows] == Phase.BACKWARD
        at, went = rows[done & ~behind], rows[done & behind]
        self.final[at] = self.position[at]
        self.final_energy[at] = energy[done & ~behind]
        forward = self.phase[at] == Phase.FORWARD
        self._step_off(at[forward], -1.0, Phase.BACKWARD)
        self._compare_minima(went, energy[done & behind])
        self._judge_final(at[~forward])

    @for_some
    def _judge_final(self, rows: Tensor) -> None:
        """Whether what became of a smaller system's far minimum is one, and below the saddle."""
        moved = self._largest(self.final[rows] - self.minimum[rows])
        below = self.final_energy[rows] < self.barrier[rows]
        self.connected[rows] = (moved >= self.protocol.same_minimum) & below
        self._finish(rows, Status.CONVERGED)

    @for_some
    def _compare_minima(self, rows: Tensor, backward_energy: Tensor) -> None:
        p = self.protocol
        back = self._largest(self.position[rows] - self.minimum[rows])
        forth = self._largest(self.final[rows] - self.minimum[rows])
        # The step off the saddle can point the wrong way round: then the far minimum is behind.
        swapped = forth < back
        self.final_energy[rows] = torch.where(swapped, backward_energy, self.final_energy[rows])
        self.final[rows] = torch.where(swapped.unsqueeze(-1), self.position[rows], self.final[rows])
        one, other = torch.minimum(back, forth), torch.maximum(back, forth)
        self.connected[rows] = (one < p.same_minimum) & (other >= p.same_minimum)
        self._finish(rows, Status.CONVERGED)

    @for_some
    def _finish(self, rows: Tensor, status: Status) -> None:
        # A saddle once found stays found, also where one of its sides cannot be relaxed.
        found = torch.isfinite(self.barrier[rows])
        self.status[rows] = torch.where(found, int(Status.CONVERGED), int(status))
        self.phase[rows] = int(Phase.IDLE)

    @staticmethod
    def _largest(vector: Tensor) -> Tensor:
        """Largest norm of an atom's part of vectors (rows, 3 capacity)."""
        return vector.unflatten(-1, (vector.shape[-1] // 3, 3)).norm(dim=-1).amax(-1)
