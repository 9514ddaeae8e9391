"""Quasi-Newton steps of many relaxations at once: limited-memory BFGS (doi:10.1007/BF01589116).

The inverse Hessian is that of the last few steps and of the changes of the force along them
(two loops, J. Nocedal, doi:10.1090/S0025-5718-1980-0572855-7). A stiffness is added to the Hessian:
without it one step along a soft mode leads over the ridge of a shallow minimum and out of it.
"""

import numpy as np
import torch
from torch import Tensor

from symgnn.barriers.inner_products import add_multiple, dot, inner
from symgnn.compiled import njit


class LbfgsBatch:
    """What the relaxations of a batch remember of their last steps.

    Args:
        size: relaxations in the batch.
        dimension: coordinates of one.
        pairs: steps that are remembered.
        stiffness: added to the Hessian, eV/Å²; a step along a soft mode is no longer than the force
            over it.
        first_step: Å²/eV, a first step over the force.
        device: where the state lives; on a processor compiled code works on it.
    """

    def __init__(
        self,
        size: int,
        dimension: int,
        *,
        pairs: int,
        stiffness: float,
        first_step: float,
        device: torch.device,
    ):
        real = {"dtype": torch.float64, "device": device}
        self._stiffness, self._first_step = stiffness, first_step
        self.compiled = device.type == "cpu"
        self._steps, self._changes = torch.zeros(2, size, pairs, dimension, **real)
        self._position, self._force = torch.zeros(2, size, dimension, **real)
        self._count = torch.full((size,), -1, device=device)  # pairs so far; -1 before a first step

    def restart(self, rows: Tensor | int) -> None:
        """Forget what some relaxations have seen."""
        self._count[rows] = -1

    def step(self, rows: Tensor, position: Tensor, force: Tensor) -> Tensor:
        """The next steps of some relaxations.

        Args:
            rows: (rows,).
            position: (rows, dimension), Å.
            force: (rows, dimension), eV/Å, at these positions.

        Returns:
            (rows, dimension), Å.
        """
        if not self.compiled:
            return self._step_together(rows, position, force)
        move = torch.empty_like(force)
        state = (self._steps, self._changes, self._position, self._force, self._count)
        arrays = (*state, rows, position.contiguous(), force.contiguous(), move)
        _step_rows(*(array.numpy() for array in arrays), self._stiffness, self._first_step)
        return move

    def _step_together(self, rows: Tensor, position: Tensor, force: Tensor) -> Tensor:
        """`step` for rows with any number of pairs at once, which never waits for the device."""
        count, pairs = self._count[rows], self._steps.shape[1]
        moved = position - self._position[rows]
        change = self._force[rows] - force + self._stiffness * moved
        self._position[rows], self._force[rows] = position, force
        usable = (count >= 0) & (dot(moved, change) > 0.0)
        slot = count.clamp(min=0) % pairs
        for memory, new in ((self._steps, moved), (self._changes, change)):
            memory[rows, slot] = torch.where(usable.unsqueeze(-1), new, memory[rows, slot])
        count = torch.where(usable, count + 1, 0)
        self._count[rows] = count
        step, remembered = force, []
        for back in range(1, pairs + 1):
            at = (count - back) % pairs
            s, y = self._steps[rows, at], self._changes[rows, at]
            known = count >= back
            weight = torch.where(known, 1.0 / dot(s, y), 0.0)
            share = torch.where(known, weight * dot(s, step), 0.0)
            step = torch.where(known.unsqueeze(-1), step - share.unsqueeze(-1) * y, step)
            remembered.append((s, y, weight, share, known))
        s, y, weight, _, known = remembered[0]
        scale = torch.where(known, 1.0 / (weight * dot(y, y)), self._first_step)
        step = scale.unsqueeze(-1) * step
        for s, y, weight, share, known in reversed(remembered):
            rest = (share - weight * dot(y, step)).unsqueeze(-1)
            step = torch.where(known.unsqueeze(-1), step + rest * s, step)
        return step


@njit(error_model="numpy")
def _step_rows(
    steps,
    changes,
    last_position,
    last_force,
    counts,
    rows,
    position,
    force,
    move,
    stiffness,
    first_step,
):
    """`LbfgsBatch.step` on a processor, row by row."""
    pairs = steps.shape[1]
    weight, share = np.empty(pairs), np.empty(pairs)
    for k in range(len(rows)):
        row, step = rows[k], move[k]
        step[:] = force[k]
        count = counts[row]
        if count >= 0:
            slot = count % pairs
            s, y = position[k] - last_position[row], last_force[row] - force[k]
            add_multiple(y, stiffness, s)
            usable = inner(s, y) > 0.0
            if usable:
                steps[row, slot], changes[row, slot] = s, y
            count = count + 1 if usable else 0
        else:
            count = 0
        counts[row] = count
        last_position[row], last_force[row] = position[k], force[k]
        known, scale = min(count, pairs), first_step
        for back in range(1, known + 1):
            at = (count - back) % pairs
            s, y = steps[row, at], changes[row, at]
            weight[at] = 1.0 / inner(s, y)
            share[at] = weight[at] * inner(s, step)
            add_multiple(step, -share[at], y)
            if back == 1:
                scale = 1.0 / (weight[at] * inner(y, y))
        step *= scale
        for back in range(known, 0, -1):
            at = (count - back) % pairs
            rest = share[at] - weight[at] * inner(changes[row, at], step)
            add_multiple(step, rest, steps[row, at])
