"""Lanczos finds the lowest eigenpair, whatever else is in the batch."""

import numpy as np
import pytest
import torch

from symgnn.barriers.inner_products import folded_sum
from symgnn.barriers.lanczos import LanczosBatch, lowest_eigenpairs
from symgnn.barriers.lanczos_kernel import tridiagonal_eigenvalue

SIZE, DIMENSION = 7, 30


def hessians() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(SIZE, DIMENSION, DIMENSION, generator=generator, dtype=torch.float64)
    return matrix + matrix.mT


def iterate(
    matrix: torch.Tensor,
    start: torch.Tensor,
    vectors: int,
    tolerance: float,
    compiled: bool = True,
    rank: int = 0,
    **stop: float,
):
    rows = torch.arange(len(matrix))
    batch = LanczosBatch(
        *(len(matrix), DIMENSION),
        vectors=vectors,
        tolerance=tolerance,
        device=torch.device("cpu"),
        pairs=rank + 1,
        **stop,
    )
    batch.compiled = compiled
    batch.start(rows, start)
    values = torch.zeros(len(matrix), dtype=torch.float64)
    eigenvectors = torch.zeros(len(matrix), DIMENSION, dtype=torch.float64)
    waiting = rows
    while len(waiting):
        product = (matrix[waiting] * batch.newest(waiting).unsqueeze(1)).sum(-1)
        done, value, vector = batch.extend(
            waiting,
            product,
            torch.full((len(waiting),), vectors),
            torch.zeros(len(waiting), dtype=torch.float64),
        )
        values[waiting[done]] = value[done, rank]
        eigenvectors[waiting[done]] = vector[done, rank]
        waiting = waiting[~done]
    return values, eigenvectors


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("compiled", [True, False])
def test_a_full_basis_gives_the_exact_eigenpair(compiled: bool, rank: int) -> None:
    matrix, start = hessians(), torch.ones(SIZE, DIMENSION, dtype=torch.float64)
    value, vector = iterate(matrix, start, DIMENSION, 0.0, compiled=compiled, rank=rank)
    expected = np.linalg.eigvalsh(matrix.numpy())[:, rank]
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    residual = (matrix @ vector.unsqueeze(-1)).squeeze(-1) - value.unsqueeze(-1) * vector
    # the eigenvalue is exact to the last digit once the vector is so to half of them
    assert residual.abs().max() < 1e-7


@pytest.mark.parametrize("compiled", [True, False])
def test_a_search_does_not_depend_on_its_batch(compiled: bool) -> None:
    matrix, start = hessians(), torch.ones(SIZE, DIMENSION, dtype=torch.float64)
    start += torch.arange(SIZE).unsqueeze(-1) * torch.linspace(0, 1, DIMENSION).double()
    together = iterate(matrix, start, vectors=12, tolerance=0.01, compiled=compiled)
    for k in range(SIZE):
        alone = iterate(matrix[k : k + 1], start[k : k + 1], 12, tolerance=0.01, compiled=compiled)
        assert alone[0][0] == together[0][k]
        assert torch.equal(alone[1][0], together[1][k])


@pytest.mark.parametrize("compiled", [True, False])
def test_no_second_value_is_below_the_second_eigenvalue(compiled: bool) -> None:
    """Whatever the number of vectors: a negative one proves that there are two."""
    matrix, start = hessians(), torch.ones(SIZE, DIMENSION, dtype=torch.float64)
    exact = torch.linalg.eigvalsh(matrix)[:, 1]
    last = torch.full_like(exact, float("inf"))
    for vectors in (3, 6, 12, 24):
        value, _ = iterate(matrix, start, vectors, 0.0, compiled=compiled, rank=1)
        assert (value > exact - 1e-12).all()
        assert (value < last).all()
        last = value


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 11])
def test_padding_does_not_change_the_eigenpair(size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    matrix = torch.randn(3, size, size, generator=generator, dtype=torch.float64)
    matrix = matrix + matrix.mT
    pairs = min(2, size)
    value, vector = lowest_eigenpairs(matrix, pairs)
    np.testing.assert_allclose(value, np.linalg.eigvalsh(matrix.numpy())[:, :pairs], atol=1e-12)
    np.testing.assert_allclose(vector.norm(dim=-1), 1.0, atol=1e-12)


@pytest.mark.parametrize(
    "stop",
    [
        {"vectors": 9, "tolerance": 0.02},
        # most eigenvalues stand before these vectors, but for a bound below which that is enough
        {"vectors": 28, "tolerance": 0.02, "least": 20},
        {"vectors": 28, "tolerance": 1e-9, "least": 20, "negative_below": -10.0},
        {"vectors": 28, "tolerance": 0.02, "least": 20, "negative_below": -10.0, "rank": 1},
    ],
)
def test_compiled_and_tensor_code_end_alike(stop: dict) -> None:
    matrix, start = hessians(), torch.ones(SIZE, DIMENSION, dtype=torch.float64)
    compiled = iterate(matrix, start, **stop)
    tensors = iterate(matrix, start, **stop, compiled=False)
    np.testing.assert_allclose(compiled[0], tensors[0], rtol=1e-11)
    same = (compiled[1] * tensors[1]).sum(-1).abs()
    np.testing.assert_allclose(same, 1.0, atol=1e-11)  # but for the sign


def test_tensor_code_extends_bases_of_different_lengths() -> None:
    """Searches that began at different rounds, as they do in a batch."""
    matrix, start = hessians(), torch.ones(SIZE, DIMENSION, dtype=torch.float64)
    found = []
    for late in (0, 3):
        batch = LanczosBatch(SIZE, DIMENSION, vectors=9, tolerance=0.0, device=torch.device("cpu"))
        batch.compiled = False
        values = torch.zeros(SIZE, dtype=torch.float64)
        begin = torch.arange(SIZE) % 2 * late
        for number in range(9 + late):
            rows = ((number >= begin) & (number < begin + 9)).nonzero()[:, 0]
            first = rows[begin[rows] == number]
            batch.start(first, start[first])
            product = (matrix[rows] * batch.newest(rows).unsqueeze(1)).sum(-1)
            limit, none = torch.full((len(rows),), 9), torch.zeros(len(rows)).double()
            done, value, _ = batch.extend(rows, product, limit, none)
            assert torch.equal(done, number - begin[rows] == 8)
            values[rows[done]] = value[done, 0]
        found.append(values)
    assert torch.equal(*found)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 33, 846])
def test_folded_sums_are_sums_and_do_not_depend_on_other_rows(count: int) -> None:
    terms = torch.from_numpy(np.random.default_rng(count).normal(size=(3, 5, count)))
    found = folded_sum(terms.clone())
    np.testing.assert_allclose(found, terms.sum(-1), rtol=0, atol=1e-13 * count)
    assert torch.equal(folded_sum(terms[1:2, 3].clone())[0], found[1, 3])


def used(matrix: torch.Tensor, **options: float) -> int:
    """Vectors of the one search with a Hessian."""
    batch = LanczosBatch(1, DIMENSION, device=torch.device("cpu"), vectors=DIMENSION, **options)
    row, done = torch.zeros(1, dtype=torch.long), torch.zeros(1, dtype=torch.bool)
    batch.start(row, torch.ones(1, DIMENSION, dtype=torch.float64))
    count = 0
    while not done:
        product = (matrix @ batch.newest(row)[0])[None]
        limit, resolution = torch.tensor([DIMENSION]), torch.zeros(1, dtype=torch.float64)
        done, _, _ = batch.extend(row, product, limit, resolution)
        count += 1
    return count


def test_iterations_end_where_the_eigenvalue_stands_or_is_proved_to_be_negative() -> None:
    matrix = hessians()[0]
    lowest = float(torch.linalg.eigvalsh(matrix)[0])
    early = used(matrix, tolerance=0.05)
    assert 2 < early < 15
    assert used(matrix, tolerance=0.05, least=15) == 16
    # ten per cent is enough below the bound, whatever `least` says, and nothing above it
    assert used(matrix, tolerance=0.0, least=25, negative_below=0.5 * lowest) <= early
    assert used(matrix, tolerance=0.05, least=25, negative_below=2.0 * lowest) == 26


@pytest.mark.parametrize("size", [1, 2, 3, 6, 64, 128])
def test_tridiagonal_eigenvalues_are_those_of_lapack(size: int) -> None:
    generator = np.random.default_rng(size)
    for scale in (1e-3, 1.0, 50.0):
        diagonal, beside = scale * generator.normal(size=size), generator.normal(size=size)
        beside[generator.integers(size)] = 0.0  # falls apart into two
        matrix = np.diag(diagonal) + np.diag(beside[:-1], 1) + np.diag(beside[:-1], -1)
        expected = np.linalg.eigvalsh(matrix)
        found = [tridiagonal_eigenvalue(diagonal, beside, rank) for rank in range(size)]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * np.abs(expected).max())
