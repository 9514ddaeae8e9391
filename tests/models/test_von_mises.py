"""Von Mises angles and their derivatives against scipy and finite differences."""

import numpy as np
import pytest
import torch
from scipy.special import i0e, i1e
from scipy.stats import vonmises

from symgnn.models.von_mises import von_mises_angles

EVEN = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000


def angles(uniform, concentration, location=0.0):
    k = torch.full((), float(concentration), dtype=torch.float64, requires_grad=True)
    m = torch.full((), float(location), dtype=torch.float64, requires_grad=True)
    return von_mises_angles(uniform, m, k), m, k


@pytest.mark.parametrize("concentration", [1e-3, 0.3, 1.0, 8.0, 60.0, 300.0])
def test_angles_are_quantiles(concentration):
    x, _, _ = angles(EVEN, concentration)
    # scipy itself turns to a normal approximation above 50
    np.testing.assert_allclose(vonmises.cdf(x.detach(), concentration), EVEN, atol=1e-5)


@pytest.mark.parametrize("concentration", [0.3, 1.0, 8.0, 40.0])
def test_pathwise_derivative_is_that_of_the_quantile(concentration):
    uniform = EVEN[::40]
    k = torch.full_like(uniform, concentration).requires_grad_()
    von_mises_angles(uniform, torch.zeros_like(uniform), k).sum().backward()
    h = 1e-4 * concentration
    above, below = (vonmises.ppf(uniform, concentration + s * h) for s in (1, -1))
    np.testing.assert_allclose(k.grad, (above - below) / (2 * h), atol=1e-6)  # h² truncation


@pytest.mark.parametrize("concentration", [0.2, 1.0, 5.0, 40.0])
def test_gradient_of_an_expectation_against_finite_differences(concentration):
    """d/dm and d/dk of E[sin(x) + cos(2 x)], the expectation by quadrature over the density."""

    def expectation(m, k):
        grid = np.linspace(-np.pi, np.pi, 20001)[:-1]
        density = np.exp(k * (np.cos(grid - m) - 1)) / (2 * np.pi * i0e(k))
        return 2 * np.pi * np.mean((np.sin(grid) + np.cos(2 * grid)) * density)

    # Even angles about the location: spectrally accurate on a circle. The uniform numbers are
    # their distribution function, the weights their mass; both stay fixed.
    grid = ((np.arange(400) + 0.5) / 400 * 2 - 1) * np.pi
    mass = vonmises.pdf(grid, concentration) * np.pi / 200
    kept = mass > 1e-12
    uniform = torch.from_numpy(vonmises.cdf(grid[kept], concentration))
    x, m, k = angles(uniform, concentration, location=0.7)
    (torch.from_numpy(mass[kept]) * (torch.sin(x) + torch.cos(2 * x))).sum().backward()
    h = 1e-4
    by_m = (expectation(0.7 + h, concentration) - expectation(0.7 - h, concentration)) / (2 * h)
    by_k = (expectation(0.7, concentration + h) - expectation(0.7, concentration - h)) / (2 * h)
    assert m.grad.item() == pytest.approx(by_m, abs=1e-6)
    assert k.grad.item() == pytest.approx(by_k, abs=1e-6)


def test_random_samples_have_the_mean_of_the_distribution():
    torch.manual_seed(0)
    x, _, _ = angles(torch.rand(2000, dtype=torch.float64), 2.0)
    error = (torch.cos(x).std() / 2000**0.5).item()
    assert torch.cos(x).mean().item() == pytest.approx(i1e(2.0) / i0e(2.0), abs=5 * error)
