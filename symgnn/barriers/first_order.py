"""ARTn that makes sure of its saddles: one negative eigenvalue of the Hessian, and no second one.

Where forces vanish, Lanczos iterations look for a second negative eigenvalue. If there is one, the
search goes down along that mode to where the slope ends, and climbs on from there.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from symgnn.barriers.artn import Artn, Goal, Phase, for_some
from symgnn.barriers.inner_products import dot, normalized, total
from symgnn.barriers.lanczos import Hessians, LanczosBatch
from symgnn.barriers.protocol import Protocol, Status


class FirstOrderArtn(Artn):
    """A batch of searches that look for a second negative eigenvalue.

    Args:
        bound: whether frozen atoms hold the free ones, so that these cannot drift as a whole; the
            others are those of `Artn`.
    """

    def __init__(
        self,
        protocol: Protocol,
        size: int,
        capacity: int,
        device: torch.device | str = "cpu",
        *,
        bound: bool,
        descends: bool = True,
    ):
        super().__init__(protocol, size, capacity, device, descends=descends)
        self._bound, device = bound, torch.device(device)
        self._second = LanczosBatch(
            size,
            3 * capacity,
            vectors=2 * protocol.second_vectors,
            tolerance=protocol.second_tolerance,
            least=protocol.second_vectors,
            negative_below=protocol.second_negative,
            device=device,
            pairs=2,
        )
        self._asides = torch.zeros_like(self.status)
        self._slope = torch.zeros_like(self.energy)
        start = np.random.Generator(np.random.Philox(0)).normal(size=(capacity, 3))
        self._any_direction = torch.from_numpy(start).to(device)
        # What a row was at the first place with two negative eigenvalues.
        state = (self.position, self.force, self.mode)
        state = (*state, self.energy, self.curvature, self.second_curvature)
        self._first = [(now, torch.zeros_like(now)) for now in state]

    def _clear(self, row: int | Tensor, minimum: Tensor, goal: Goal) -> None:
        super()._clear(row, minimum, goal)
        self._asides[row] = 0

    def _moves(self, phase: Tensor) -> Iterator[tuple[Tensor, Callable[..., None]]]:
        yield from super()._moves(phase)
        yield phase == Phase.SECOND, self._look_second
        yield phase == Phase.ASIDE, self._step_aside

    @for_some
    def _found(self, rows: Tensor) -> None:
        """Begin with the eigenvector and a random motion, most of it where atoms have moved."""
        moved = self.position[rows] - self.minimum[rows]
        length = moved.unflatten(-1, (-1, 3)).norm(dim=-1, keepdim=True)
        random = ((length + 1e-3) * self._any_direction).flatten(-2)
        padding = torch.arange(random.shape[-1], device=rows.device) >= 3 * self._atoms[rows, None]
        random = self._at_rest(random.masked_fill(padding, 0.0))
        self._second.start(rows, self._at_rest(self.mode[rows]) + normalized(random))
        self._try_second(rows)
        self.phase[rows] = int(Phase.SECOND)

    @for_some
    def _try_second(self, rows: Tensor) -> None:
        step = self.protocol.second_step * self._second.newest(rows)
        self.trial[rows] = self.position[rows] + step

    def _at_rest(self, vector: Tensor) -> Tensor:
        """Vectors without the motion of everything together, whose eigenvalue is zero."""
        if self._bound:
            return vector
        vector = vector.unflatten(-1, (-1, 3))
        drift = total(vector.transpose(-1, -2)).unsqueeze(-2) / vector.shape[-2]
        return (vector - drift).flatten(-2)

    def _look_second(self, rows: Tensor, energy: Tensor, force: Tensor) -> None:
        """One more of these Lanczos vectors."""
        self.second_evaluations[rows] += 1
        product = self._at_rest((self.force[rows] - force) / self.protocol.second_step)
        done, value, vector = self._second.extend(rows, product, *self._second_bounds(rows))
        self._try_second(rows[~done])
        self._looked(rows[done], value[done], vector[done])

    def _second_bounds(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Most vectors, and the change of the eigenvalue that is small enough, eV/Å²."""
        most = torch.full_like(rows, 2 * self.protocol.second_vectors)
        return most, torch.full_like(self.curvature[rows], self.protocol.second_resolution)

    def finish_lanczos(self, hessians: Hessians, between: Callable[[], None]) -> None:
        """See `Artn.finish_lanczos`; then the second eigenvalues of what that has found."""
        super().finish_lanczos(hessians, between)
        rows = (self.phase == Phase.SECOND).nonzero()[:, 0]
        if len(rows):
            bounds = self._second_bounds(rows)
            used, *found = self._second.finish(rows, self.position, hessians, *bounds, between)
            self.evaluations[rows] += used
            self.second_evaluations[rows] += used
            self._looked(rows, *found)

    def _looked(self, rows: Tensor, value: Tensor, vector: Tensor) -> None:
        """A saddle is found, or a way down."""
        p = self.protocol
        self.curvature[rows], self.second_curvature[rows] = value.unbind(1)
        self.mode[rows] = vector[:, 0]
        negative, asides = value[:, 1] < p.second_negative, self._asides[rows]
        leaves = negative & (asides < p.asides)
        fails = negative & ~leaves & (asides > 0)
        super()._found(rows[~leaves & ~fails])
        self._leave(rows[leaves], vector[leaves, 1])
        self._fail(rows[fails], Status.NOT_CONVERGED)

    @for_some
    def _leave(self, rows: Tensor, vector: Tensor) -> None:
        """The first step along the second mode, to the side to which the force points."""
        first = rows[self._asides[rows] == 0]
        for now, kept in self._first:
            kept[first] = now[first]
        slope = dot(self.force[rows], vector)
        side = torch.where(slope < 0.0, -1.0, 1.0)
        self.direction[rows] = side.unsqueeze(-1) * vector
        self._slope[rows], self._aside[rows] = slope.abs(), 0.0
        self._asides[rows] += 1
        used = self.evaluations[rows] - self.second_evaluations[rows]
        enough = used + self.protocol.aside_evaluations
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
        share = torch.where(before > slope, before / (before - slope), 0.0).clamp(0.0, 1.0)
        way = torch.where(slope > 0.0, ahead, behind + share * (ahead - behind))[~down]
        move = way.unsqueeze(-1) * self.direction[ends]
        self.direction[ends] = self.mode[ends]
        self._step(ends, move, Phase.CLIMBING)

    @for_some
    def _fail(self, rows: Tensor, status: Status) -> None:
        """End without a saddle, or go back to the first place with two negative eigenvalues."""
        left = self._asides[rows] > 0
        super()._fail(rows[~left], status)
        back = rows[left]
        for now, kept in self._first:
            now[back] = kept[back]
        super()._found(back)
