"""ARTn on a surface where every saddle is known.

E = a (1 - cos x) + b (1 - cos y) + c z²/2 has minima at whole multiples of 2π in x and y; around
the origin lie the saddles (±π, 0) of height 2a and (0, ±π) of height 2b, with curvatures -a and
-b, and maxima of the plane at (±π, ±π).
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from symgnn.barriers.artn import Artn, Goal, Phase, Protocol, Status

A, B, C = 1.0, 1.7, 4.0  # eV, eV, eV/Å²
PROTOCOL = Protocol(
    activation=-0.1,
    force_tolerance=1e-4,
    minimum_tolerance=1e-4,
    lanczos_vectors=3,
    lanczos_tolerance=1e-4,
    lanczos_step=1e-5,
    relaxation_step=0.2,
)


def surface(position: np.ndarray) -> tuple[float, np.ndarray]:
    """Energy and force."""
    x, y, z = position
    energy = A * (1 - np.cos(x)) + B * (1 - np.cos(y)) + 0.5 * C * z**2
    return energy, -np.array([A * np.sin(x), B * np.sin(y), C * z])


def search(start: np.ndarray, pushes: np.ndarray) -> Artn:
    """Run one search a push, together."""
    artn = Artn(PROTOCOL, size=len(pushes), capacity=1)
    for row, push in enumerate(pushes):
        artn.admit(row, torch.tensor(start).unsqueeze(0), torch.tensor(push).unsqueeze(0))
    follow(artn, surface(start)[0])
    return artn


def follow(artn: Artn, zero: float, surface=surface) -> None:
    """Give forces, and energies over `zero`, until all rows have ended."""
    while len(rows := artn.active()):
        found = [surface(trial) for trial in artn.trial[rows].numpy()]
        energy = torch.tensor([energy - zero for energy, _ in found], dtype=torch.float64)
        force = torch.tensor(np.array([force for _, force in found]))
        artn.receive(rows, energy, force, torch.ones(len(rows), dtype=torch.bool))


@pytest.fixture(scope="module")
def artn() -> Artn:
    """Forty searches from the origin."""
    return search(np.zeros(3), np.random.default_rng(0).normal(size=(40, 3)))


def test_every_search_ends_at_a_known_saddle(artn: Artn) -> None:
    converged = artn.status.numpy() == Status.CONVERGED
    assert converged.mean() > 0.95
    assert (artn.phase == Phase.IDLE).all()
    x, y, z = artn.saddle.numpy()[converged].T / np.pi
    along_x = np.abs(np.rint(x)) % 2 == 1
    assert (along_x != (np.abs(np.rint(y)) % 2 == 1)).all()  # index one, neither minima nor maxima
    # forces of 1e-4 eV/Å over curvatures of about 1 eV/Å²
    np.testing.assert_allclose([x, y, z], np.rint([x, y, z]), atol=1e-4)
    height = artn.barrier.numpy()[converged]
    np.testing.assert_allclose(height, np.where(along_x, 2 * A, 2 * B), atol=1e-7)
    curvature = artn.curvature.numpy()[converged]
    np.testing.assert_allclose(curvature, np.where(along_x, -A, -B), rtol=1e-3)


def test_both_kinds_of_saddles_are_found(artn: Artn) -> None:
    height = np.rint(artn.barrier.numpy() * 10) / 10
    assert {2 * A, 2 * B} <= set(height.tolist())


def test_a_saddle_is_connected_where_the_start_is_one_of_its_minima(artn: Artn) -> None:
    own = np.linalg.norm(artn.saddle.numpy(), axis=1) < 1.1 * np.pi
    converged = artn.status.numpy() == Status.CONVERGED
    np.testing.assert_array_equal(artn.connected.numpy()[converged], own[converged])
    final = artn.final.numpy()[converged & own]
    other = 2 * artn.saddle.numpy()[converged & own]
    np.testing.assert_allclose(final, other, atol=1e-3)
    np.testing.assert_allclose(artn.final_energy.numpy()[converged & own], 0.0, atol=1e-7)


def test_a_search_does_not_depend_on_its_batch(artn: Artn) -> None:
    pushes = np.random.default_rng(0).normal(size=(40, 3))
    alone = search(np.zeros(3), pushes[7:8])
    assert torch.equal(alone.saddle[0], artn.saddle[7])
    assert alone.evaluations[0] == artn.evaluations[7]


def test_a_saddle_is_found_again_across_a_valley() -> None:
    """From where the lowest eigenvalue, A cos x or B cos y, is positive."""
    starts = np.array([[1.2, 0.1, 0.05], [0.5, -0.2, 0.0], [-1.4, 0.3, -0.1], [0.1, 1.35, 0.05]])
    curvature = np.minimum(A * np.cos(starts[:, 0]), B * np.cos(starts[:, 1]))
    assert (curvature > 0.1).all()
    artn = Artn(PROTOCOL, size=len(starts), capacity=1)
    for row, start in enumerate(torch.tensor(starts).unsqueeze(1)):
        artn.admit_saddle(row, torch.zeros(1, 3).double(), start, start)
    follow(artn, 0.0)
    assert (artn.status == Status.CONVERGED).all()
    saddles = np.pi * np.array([[1, 0, 0], [1, 0, 0], [-1, 0, 0], [0, 1, 0]])
    np.testing.assert_allclose(artn.saddle.numpy(), saddles, atol=1e-4)
    np.testing.assert_allclose(artn.barrier.numpy(), 2 * np.array([A, A, A, B]), atol=1e-7)
    np.testing.assert_allclose(artn.curvature.numpy(), -np.array([A, A, A, B]), rtol=1e-3)


@pytest.mark.parametrize("again", [False, True])
def test_a_second_try_takes_shorter_steps_in_a_valley(again: bool) -> None:
    artn = Artn(PROTOCOL, size=1, capacity=1)
    start = torch.tensor([[0.5, -0.2, 0.0]]).double()  # both eigenvalues are positive
    artn.admit_saddle(0, torch.zeros(1, 3).double(), start, start, again=again)
    along = []
    while len(artn.active()) and not along:
        before = artn.position[0].clone()
        energy, force = surface(artn.trial[0].numpy())
        artn.receive(
            torch.tensor([0]),
            torch.tensor([energy]).double(),
            torch.tensor(force).unsqueeze(0),
            torch.tensor([True]),
        )
        if artn.curvature[0] > 0 and artn.phase[0] == Phase.CLIMBING:
            along.append(float((artn.position[0] - before).norm()))
    expected = PROTOCOL.second_valley_step if again else PROTOCOL.valley_step
    assert along == pytest.approx([expected], rel=1e-12)


def three_atoms(position: np.ndarray) -> tuple[float, np.ndarray]:
    """The surface as a function of the second atom's place from the first; the third is bound."""
    first, second, third = position.reshape(3, 3)
    energy, force = surface(second - first)
    stretch = third - first
    energy += 0.5 * C * stretch @ stretch
    return energy, np.concatenate([C * stretch - force, force, -C * stretch])


@pytest.mark.parametrize("again", [False, True])
def test_a_place_with_two_negative_eigenvalues_is_left(again: bool) -> None:
    """From a maximum of the plane along the softer mode; a second try stays, and says so."""
    artn = Artn(replace(PROTOCOL, lanczos_vectors=9), size=1, capacity=3, second=True)
    top, mode = torch.zeros(3, 3).double(), torch.zeros(3, 3).double()
    top[1, :2] = torch.tensor([np.pi + 1e-6, np.pi]).double()
    mode[1, 1] = 1.0
    artn.admit_saddle(0, torch.zeros(3, 3).double(), top, mode, again=again)
    follow(artn, 0.0, three_atoms)
    assert artn.status[0] == Status.CONVERGED
    first, second, _ = artn.saddle[0].reshape(3, 3).numpy()
    x, y, z = (second - first) / np.pi
    np.testing.assert_allclose([y, z], [1.0, 0.0], atol=1e-4)
    if again:
        assert x == pytest.approx(1.0, abs=1e-4)
        assert artn.barrier[0] == pytest.approx(2 * (A + B), abs=1e-6)
        place = artn.saddle[0].numpy()
        steps = 1e-6 * np.eye(9)
        hessian = [(three_atoms(place - h)[1] - three_atoms(place + h)[1]) / 2e-6 for h in steps]
        exact = np.linalg.eigvalsh(hessian)[1]
        assert exact < -A
        assert artn.second_curvature[0] == pytest.approx(exact, abs=1e-3)  # a step of 0.001 Å
    else:
        assert round(x) in (0, 2)
        assert artn.barrier[0] == pytest.approx(2 * B, abs=1e-6)
        assert artn.second_curvature[0] > 0.5


@pytest.mark.parametrize(
    ("guess", "connected"), [((5.5, 0.3, 0.1), True), ((0.6, 0.2, 0.1), False)]
)
def test_the_minimum_of_a_smaller_system_is_relaxed_and_judged(guess, connected: bool) -> None:
    artn = Artn(PROTOCOL, size=1, capacity=1)
    start = torch.tensor([[2.9, 0.1, 0.0]]).double()
    final = torch.tensor([guess]).double()
    origin = torch.zeros(1, 3).double()
    artn.admit_saddle(0, origin, start, start, final, goal=Goal.FINAL)
    follow(artn, 0.0)
    assert artn.status[0] == Status.CONVERGED
    assert artn.barrier[0] == pytest.approx(2 * A, abs=1e-7)
    expected = [2 * np.pi if connected else 0.0, 0.0, 0.0]
    np.testing.assert_allclose(artn.final[0].numpy(), expected, atol=1e-3)
    assert artn.final_energy[0] == pytest.approx(0.0, abs=1e-7)
    assert artn.connected[0] == connected
    assert artn.evaluations[0] > artn.saddle_evaluations[0]


@pytest.mark.parametrize("balance", [0.6, 0.05])
def test_a_climb_relaxes_until_the_force_across_is_balanced(balance: float) -> None:
    """Where it ends for no other reason, the force across is below that share of that along."""
    artn = Artn(replace(PROTOCOL, climb_balance=balance, least_relaxations=0), 40, 1)
    for row, push in enumerate(np.random.default_rng(0).normal(size=(40, 1, 3))):
        artn.admit(row, torch.zeros(1, 3).double(), torch.tensor(push))
    shares = {Phase.LANCZOS: [], Phase.CLIMBING: []}
    while len(rows := artn.active()):
        climbs = rows[(artn.phase[rows] == Phase.CLIMBING) & (artn.curvature[rows] < 0)]
        steps = artn._steps[climbs].clone()
        found = [surface(trial) for trial in artn.trial[rows].numpy()]
        energy = torch.tensor([energy for energy, _ in found], dtype=torch.float64)
        force = torch.tensor(np.array([force for _, force in found]))
        artn.receive(rows, energy, force, torch.ones(len(rows), dtype=torch.bool))
        for row, step in zip(climbs.tolist(), steps.tolist(), strict=True):
            force, direction = artn.force[row], artn.direction[row]
            along = force @ direction
            across = (force - along * direction).norm()
            ended = int(artn.phase[row])
            if step < 20 and across > PROTOCOL.force_tolerance and ended in shares:
                shares[ended].append(float(across / abs(along)))
    assert len(shares[Phase.LANCZOS]) > 10
    assert len(shares[Phase.CLIMBING]) > 10
    assert max(shares[Phase.LANCZOS]) < balance <= min(shares[Phase.CLIMBING])


def test_forces_that_are_no_numbers_end_a_search() -> None:
    artn = Artn(PROTOCOL, size=1, capacity=1)
    artn.admit(0, torch.zeros(1, 3).double(), torch.ones(1, 3).double())
    nan = torch.full((1, 3), float("nan"), dtype=torch.float64)
    artn.receive(artn.active(), torch.zeros(1).double(), nan, torch.tensor([True]))
    assert artn.status[0] == Status.FAILED
    assert len(artn.active()) == 0
