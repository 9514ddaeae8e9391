"""ARTn on a surface where every saddle is known.

E = a (1 - cos x) + b (1 - cos y) + c z²/2 has minima at whole multiples of 2π in x and y; around
the origin lie the saddles (±π, 0) of height 2a and (0, ±π) of height 2b, with curvatures -a and
-b, and maxima of the plane at (±π, ±π).
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from symgnn.barriers.artn import Artn, Phase
from symgnn.barriers.event import Sides
from symgnn.barriers.first_order import FirstOrderArtn
from symgnn.barriers.protocol import Protocol, Status

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


def sides_of(artn: Artn, row: int) -> Sides:
    energies = np.array([artn.ahead_energy[row], artn.behind_energy[row]])
    ways = torch.stack([artn.ahead[row], artn.behind[row]]) - artn.minimum[row]
    barrier = float(artn.barrier[row])
    return Sides.of(barrier, energies, ways.unflatten(-1, (-1, 3)).numpy(), PROTOCOL.same_minimum)


def test_the_start_is_one_of_the_minima_beside_a_saddle_next_to_it(artn: Artn) -> None:
    converged = np.flatnonzero(artn.status.numpy() == Status.CONVERGED)
    assert len(converged) > 30
    for row in converged:
        sides = sides_of(artn, row)
        assert sides.connected
        assert sides.energy == pytest.approx(0.0, abs=1e-7)
        other = 2 * artn.saddle[row : row + 1].numpy()
        np.testing.assert_allclose(sides.displacement, other, atol=1e-3)


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


@pytest.mark.parametrize("stays", [False, True])
@pytest.mark.parametrize("softer", [False, True])
def test_a_place_with_two_negative_eigenvalues_is_left(stays: bool, softer: bool) -> None:
    """From a maximum of the plane along its softer mode, whichever mode it was found with.

    Where that leads to nothing it is kept, and says what it is.
    """

    def torn(position: np.ndarray) -> tuple[float, np.ndarray]:
        energy, force = three_atoms(position)
        far = abs(position[3] - position[0] - np.pi) > 0.5
        return energy, force * (np.nan if far and stays else 1.0)

    artn = FirstOrderArtn(replace(PROTOCOL, lanczos_vectors=9), size=1, capacity=3, bound=False)
    top, mode = torch.zeros(3, 3).double(), torch.zeros(3, 3).double()
    top[1, :2] = torch.tensor([np.pi + 1e-6, np.pi]).double()
    mode[1, 0 if softer else 1] = 1.0
    artn.admit_saddle(0, torch.zeros(3, 3).double(), top, mode)
    follow(artn, 0.0, torn)
    assert artn.status[0] == Status.CONVERGED
    place = artn.saddle[0].numpy()
    steps = 1e-6 * np.eye(9)
    hessian = [(three_atoms(place - h)[1] - three_atoms(place + h)[1]) / 2e-6 for h in steps]
    exact = np.linalg.eigvalsh(hessian)
    assert artn.curvature[0] == pytest.approx(exact[0], abs=1e-3)  # a step of 0.001 Å
    x, y, z = (place[3:6] - place[:3]) / np.pi
    np.testing.assert_allclose([y, z], [1.0, 0.0], atol=1e-4)
    if stays:
        assert x == pytest.approx(1.0, abs=1e-4)
        assert artn.barrier[0] == pytest.approx(2 * (A + B), abs=1e-6)
        assert exact[1] < -A
        assert artn.second_curvature[0] == pytest.approx(exact[1], abs=1e-3)
    else:
        assert round(x) in (0, 2)
        assert artn.barrier[0] == pytest.approx(2 * B, abs=1e-6)
        assert artn.second_curvature[0] > 0.5


def test_padding_is_no_part_of_a_search() -> None:
    """Rows of fewer atoms than there is room for find the same second eigenvalue, and stay at 0."""
    for capacity in (2, 5):
        artn = FirstOrderArtn(replace(PROTOCOL, lanczos_vectors=6), 1, capacity, bound=True)
        place, mode = torch.zeros(2, 3).double(), torch.zeros(2, 3).double()
        place[0, 0], mode[0, 0] = np.pi + 0.1, 1.0
        artn.admit_saddle(0, torch.zeros(2, 3).double(), place, mode)
        while len(rows := artn.active()):
            trial = artn.trial[0].numpy()
            assert not trial[6:].any()
            energy, force = surface(trial[:3])  # and a spring that holds the second atom
            energy += 0.5 * C * trial[3:6] @ trial[3:6]
            force = np.concatenate([force, -C * trial[3:6], np.zeros(3 * capacity - 6)])
            energy = torch.tensor([energy]).double()
            artn.receive(rows, energy, torch.tensor(force)[None], torch.tensor([True]))
        assert artn.status[0] == Status.CONVERGED
        assert artn.second_curvature[0] == pytest.approx(B, abs=1e-3)
        assert not artn.mode[0, 6:].any()
        assert not artn.saddle[0, 6:].any()


def test_a_search_leaves_so_many_places_and_returns_to_the_first() -> None:
    """Where each place that it comes to has two negative eigenvalues again."""
    protocol = replace(PROTOCOL, lanczos_vectors=9, second_negative=10.0, asides=2)
    artn = FirstOrderArtn(protocol, size=1, capacity=3, bound=False)
    place, mode = torch.zeros(3, 3).double(), torch.zeros(3, 3).double()
    place[1, 0], mode[1, 0] = np.pi, 1.0
    artn.admit_saddle(0, torch.zeros(3, 3).double(), place, mode)
    follow(artn, 0.0, three_atoms)
    assert artn.status[0] == Status.CONVERGED
    assert artn._asides[0] == 2
    assert artn.barrier[0] == pytest.approx(2 * A, abs=1e-7)
    np.testing.assert_allclose(artn.saddle[0].numpy(), place.flatten().numpy(), atol=1e-4)


def test_a_side_that_is_lost_leaves_the_other_one() -> None:
    """Its energy is no number, and its place is where it was lost."""

    def torn(position: np.ndarray) -> tuple[float, np.ndarray]:
        energy, force = surface(position)
        return energy, force * (np.nan if position[0] > np.pi + 0.5 else 1.0)

    artn = Artn(PROTOCOL, size=2, capacity=1)
    saddle, mode = torch.tensor([[np.pi, 0.0, 0.0]]), torch.tensor([[1.0, 0.0, 0.0]])
    artn.admit_sides(0, torch.zeros(1, 3).double(), saddle.double(), mode.double())
    artn.admit_minimum(1, torch.zeros(1, 3).double(), torch.tensor([[4.0, 0.0, 0.0]]).double())
    follow(artn, 0.0, torn)
    assert (artn.phase == Phase.IDLE).all()
    assert torch.isnan(artn.ahead_energy).all()
    assert artn.behind_energy[0] == pytest.approx(0.0, abs=1e-7)
    np.testing.assert_allclose(artn.behind[0], np.zeros(3), atol=1e-3)
    assert artn.ahead[0, 0] > np.pi
    assert artn.ahead[1, 0] == 4.0
    artn.barrier[0] = 2 * A
    assert not sides_of(artn, 0).connected


def test_a_soft_saddle_is_left_by_a_longer_step() -> None:
    """Where the force beside it is below what a minimum has."""
    soft = 1e-3

    def scaled(position: np.ndarray) -> tuple[float, np.ndarray]:
        energy, force = surface(position)
        return soft * energy, soft * force

    tolerance = soft * np.sin(0.5)  # above the force after the first step of 0.2 Å
    numbers = {"relaxation_step": 0.2 / soft, "descent_stiffness": soft}
    artn = Artn(replace(PROTOCOL, minimum_tolerance=tolerance, **numbers), size=1, capacity=1)
    saddle, mode = torch.tensor([[np.pi, 0.0, 0.0]]), torch.tensor([[1.0, 0.0, 0.0]])
    artn.admit_sides(0, torch.zeros(1, 3).double(), saddle.double(), mode.double())
    follow(artn, 0.0, scaled)
    np.testing.assert_allclose(artn.ahead[0, 0], 2 * np.pi, atol=0.6)
    np.testing.assert_allclose(artn.behind[0, 0], 0.0, atol=0.6)


def test_a_side_does_not_end_on_the_slope_of_a_soft_saddle() -> None:
    """Where the first steps take away the forces across, those along are a minimum's."""
    soft, stiff = 0.01, 2.0

    def valley(position: np.ndarray) -> tuple[float, np.ndarray]:
        x, y, z = position
        energy = soft * (1 - np.cos(x)) + 0.5 * stiff * (y**2 + z**2)
        return energy, -np.array([soft * np.sin(x), stiff * y, stiff * z])

    protocol = replace(PROTOCOL, minimum_tolerance=0.005)
    slope = abs(valley(np.array([np.pi - protocol.departure, 0.0, 0.0]))[1][0])
    assert protocol.beside_tolerance < slope < protocol.minimum_tolerance
    artn = Artn(protocol, size=1, capacity=1)
    saddle, mode = torch.tensor([[np.pi, 0.02, 0.0]]), torch.tensor([[1.0, 0.0, 0.0]])
    artn.admit_sides(0, torch.zeros(1, 3).double(), saddle.double(), mode.double())
    follow(artn, 0.0, valley)
    for side, place in ((artn.ahead, 2 * np.pi), (artn.behind, 0.0)):
        assert abs(side[0, 0] - np.pi) > protocol.beside
        assert valley(side[0].numpy())[0] < 2 * soft - 4e-4
        assert abs(side[0, 0] - place) < np.pi


def test_a_minimum_that_is_not_reached_has_no_energy() -> None:
    artn = Artn(replace(PROTOCOL, minimum_evaluations=3), size=1, capacity=1)
    artn.admit(0, torch.zeros(1, 3).double(), torch.tensor([[1.0, 0.2, 0.1]]).double())
    follow(artn, 0.0)
    assert artn.status[0] == Status.CONVERGED
    assert torch.isnan(artn.ahead_energy[0])
    assert torch.isnan(artn.behind_energy[0])
    assert not sides_of(artn, 0).connected


def test_sides_of_a_given_saddle_are_relaxed() -> None:
    """Energies are the forces' own; `ahead` is the side away from the start."""
    artn = Artn(PROTOCOL, size=2, capacity=1)
    saddle, mode = torch.tensor([[np.pi, 0.0, 0.0]]), torch.tensor([[1.0, 0.0, 0.0]]).double()
    for row, sign in enumerate((1.0, -1.0)):
        artn.admit_sides(row, torch.zeros(1, 3).double(), saddle.double(), sign * mode)
    follow(artn, 2 * A)
    assert (artn.status == Status.CONVERGED).all()
    np.testing.assert_allclose(artn.ahead, [[2 * np.pi, 0, 0]] * 2, atol=1e-3)
    np.testing.assert_allclose(artn.behind, np.zeros((2, 3)), atol=1e-3)
    energies = torch.stack([artn.ahead_energy, artn.behind_energy])
    np.testing.assert_allclose(energies, -2 * A, atol=1e-7)


def test_a_saddle_between_two_other_minima_is_not_connected() -> None:
    artn = Artn(PROTOCOL, size=1, capacity=1)
    saddle, mode = torch.tensor([[3 * np.pi, 0.0, 0.0]]), torch.tensor([[1.0, 0.0, 0.0]])
    artn.admit_sides(0, torch.zeros(1, 3).double(), saddle.double(), mode.double())
    follow(artn, 0.0)
    artn.barrier[0] = 2 * A
    sides = sides_of(artn, 0)
    assert not sides.connected
    assert sides.energy == pytest.approx(0.0, abs=1e-7)
    np.testing.assert_allclose(sides.displacement, [[4 * np.pi, 0, 0]], atol=1e-3)


def test_a_minimum_is_relaxed_from_where_it_is_about() -> None:
    artn = Artn(PROTOCOL, size=1, capacity=1)
    guess = torch.tensor([[5.5, 0.3, 0.1]]).double()
    artn.admit_minimum(0, torch.zeros(1, 3).double(), guess)
    follow(artn, 0.0)
    assert artn.status[0] == Status.CONVERGED
    np.testing.assert_allclose(artn.ahead[0], [2 * np.pi, 0, 0], atol=1e-3)
    assert artn.ahead_energy[0] == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize("given", ["saddle", "guess"])
def test_a_soft_way_to_the_start_is_gone_to_its_end(given: str) -> None:
    """A side may stop before the start, where forces are small, only if it is known to be it."""
    soft, tolerance = 0.02, 0.005

    def well(position: np.ndarray) -> tuple[float, np.ndarray]:
        x, y, z = position
        energy = soft * (1 - np.cos(x)) + 0.5 * (y**2 + z**2)
        return energy, -np.array([soft * np.sin(x), y, z])

    assert soft * np.sin(0.2) < tolerance  # would pass for a minimum, 0.2 Å from the start
    protocol = replace(PROTOCOL, minimum_tolerance=tolerance)
    artn, start = Artn(protocol, size=1, capacity=1), torch.zeros(1, 3).double()
    if given == "saddle":
        saddle, mode = torch.tensor([[np.pi, 0.0, 0.0]]), torch.tensor([[1.0, 0.0, 0.0]])
        artn.admit_sides(0, start, saddle.double(), mode.double())
    else:
        artn.admit_minimum(0, start, torch.tensor([[0.2, 0.1, 0.0]]).double())
    follow(artn, 0.0, well)
    reached = artn.behind if given == "saddle" else artn.ahead
    assert reached[0].norm() < protocol.same_minimum


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
