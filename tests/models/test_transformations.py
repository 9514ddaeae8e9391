"""Orthogonal matrices, the Haar measure, and the symmetrization that draws them."""

import math

import pytest
import torch
from scipy.stats import kstest

from symgnn.models.symmetrization import Symmetrization
from symgnn.models.transformations import haar_angles, rotations, spread_points


def test_matrices_are_rotations_and_follow_the_papers_signs():
    torch.manual_seed(1)
    matrix = rotations(torch.rand(50, 3, dtype=torch.float64) * 6)
    identity = torch.eye(3, dtype=torch.float64).expand(50, 3, 3)
    torch.testing.assert_close(matrix @ matrix.transpose(1, 2), identity)
    torch.testing.assert_close(torch.linalg.det(matrix), torch.ones(50, dtype=torch.float64))
    quarter = math.pi / 2
    x1, x2, x3 = rotations(torch.eye(3) * quarter)
    torch.testing.assert_close(x1, torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]))
    torch.testing.assert_close(x2, torch.tensor([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]]))
    torch.testing.assert_close(x3, torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]))


def test_haar_angles_turn_any_axis_to_a_uniform_direction():
    torch.manual_seed(2)
    matrix = rotations(haar_angles(torch.rand(4000, 3, dtype=torch.float64)))
    for column in range(3):  # by Archimedes each coordinate of a uniform direction is uniform
        for row in range(3):
            assert kstest((matrix[:, row, column] + 1) / 2, "uniform").pvalue > 1e-4


def test_even_points_integrate_better_than_random_ones():
    points = spread_points(500)
    assert ((points > 0) & (points < 1)).all()
    error = (points.cos().prod(-1).mean() - math.sin(1) ** 3).abs().item()
    assert error < 0.002  # 500 random points: 0.1 standard deviation / sqrt(500) = 0.005


@pytest.mark.parametrize("distribution", ["learned", "haar"])
def test_half_are_rotations_and_evaluation_repeats(distribution):
    torch.manual_seed(3)
    module = Symmetrization(distribution, samples=5, evaluation_samples=7)
    drawn = module()
    assert drawn.shape == (10, 3, 3)
    signs = torch.cat([torch.ones(5), -torch.ones(5)])
    torch.testing.assert_close(torch.linalg.det(drawn), signs)
    assert not torch.equal(drawn, module())
    module.eval()
    assert module().shape == (14, 3, 3)
    assert torch.equal(module(), module())


def test_all_parameters_of_the_learned_distributions_get_gradients():
    torch.manual_seed(4)
    module = Symmetrization(samples=3)
    (module() * torch.randn(6, 3, 3)).sum().backward()
    assert (module.location.grad != 0).all()
    assert (module.log_concentration.grad != 0).all()


def test_unknown_distribution_is_refused():
    with pytest.raises(ValueError, match="learned"):
        Symmetrization("gaussian")
