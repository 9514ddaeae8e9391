"""Quasi-Newton steps against the textbook's matrix, and on surfaces whose minimum is known."""

import numpy as np
import pytest
import torch

from symgnn.barriers.lbfgs import LbfgsBatch

PAIRS, DIMENSION, STIFFNESS, FIRST = 3, 7, 0.4, 0.05


def batch(size: int, compiled: bool, **changes: float) -> LbfgsBatch:
    numbers = {"pairs": PAIRS, "stiffness": STIFFNESS, "first_step": FIRST} | changes
    steps = LbfgsBatch(size, DIMENSION, **numbers, device=torch.device("cpu"))
    steps.compiled = compiled
    return steps


def dense_step(history: list[tuple[np.ndarray, np.ndarray]], force: np.ndarray) -> np.ndarray:
    """The BFGS update of the inverse Hessian, pair by pair (Nocedal and Wright, eq. 6.17)."""
    s, y = history[-1]
    inverse = (s @ y) / (y @ y) * np.eye(len(force))
    for s, y in history:
        left = np.eye(len(force)) - np.outer(s, y) / (s @ y)
        inverse = left @ inverse @ left.T + np.outer(s, s) / (s @ y)
    return inverse @ force


@pytest.mark.parametrize("compiled", [True, False])
def test_steps_are_those_of_the_dense_update(compiled: bool) -> None:
    """Of the last three pairs, with the stiffness in the changes of the force."""
    generator = np.random.default_rng(0)
    root = generator.normal(size=(DIMENSION, DIMENSION))
    hessian, steps = root @ root.T, batch(1, compiled)
    position = generator.normal(size=DIMENSION)
    history, last = [], None
    for number in range(8):
        force = -hessian @ position - 0.1 * position**3
        if last is not None:
            s = position - last[0]
            history.append((s, last[1] - force + STIFFNESS * s))
        arrays = (torch.tensor(array).unsqueeze(0) for array in (position, force))
        step = steps.step(torch.tensor([0]), *arrays)[0].numpy()
        expected = dense_step(history[-PAIRS:], force) if number else FIRST * force
        np.testing.assert_allclose(step, expected, rtol=1e-9, atol=1e-12)
        last, position = (position, force), position + step


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("curvature", [0.02, 5.0])
def test_a_step_along_a_mode_is_the_force_over_its_curvature_and_the_stiffness(
    compiled: bool, curvature: float
) -> None:
    steps, mode = batch(1, compiled, stiffness=1.0), torch.eye(DIMENSION).double()[:1]
    position = 0.3 * mode
    steps.step(torch.tensor([0]), position, -curvature * position)
    position = 0.2 * mode
    step = steps.step(torch.tensor([0]), position, -curvature * position)
    torch.testing.assert_close(step, -curvature * position / (curvature + 1.0))


@pytest.mark.parametrize("compiled", [True, False])
def test_where_the_surface_curves_down_the_first_step_comes_again(compiled: bool) -> None:
    steps, mode = batch(1, compiled), torch.eye(DIMENSION).double()[:1]
    for place in (0.1, 0.2, 0.4):
        force = 2.0 * place * mode
        step = steps.step(torch.tensor([0]), place * mode, force)
        torch.testing.assert_close(step, FIRST * force)


def test_rows_do_not_depend_on_one_another() -> None:
    """In batches of any rows, compiled or not; a restart forgets."""
    generator = torch.Generator().manual_seed(1)
    stiffness = 0.5 + torch.rand(4, DIMENSION, generator=generator).double()
    start = torch.randn(4, DIMENSION, generator=generator).double()

    def relax(rows: list[int], compiled: bool, restart: int | None = None) -> torch.Tensor:
        steps, position, chosen = batch(4, compiled), start.clone(), torch.tensor(rows)
        for number in range(6):
            if number == restart:
                steps.restart(chosen)
            force = -stiffness[chosen] * position[chosen]
            position[chosen] += steps.step(chosen, position[chosen], force)
        return position[chosen]

    together = relax([0, 1, 2, 3], True)
    assert torch.equal(together[2:3], relax([2], True))
    assert torch.equal(relax([0, 1, 2, 3], False)[2:3], relax([2], False))
    torch.testing.assert_close(together, relax([0, 1, 2, 3], False), rtol=1e-9, atol=1e-12)
    assert not torch.allclose(together, relax([0, 1, 2, 3], True, restart=3))
    assert together.abs().max() < 0.02 * start.abs().max()
