"""Linear fits that choose their penalty, and the parts of a glass over which they do."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from symgnn.models.ridge import PENALTIES, LinearFit, _compact_parts
from symgnn.training.batches import Batch


def linear_batch(inputs, target, weight=None):
    """A batch of atoms that have inputs and labels and no edges."""
    count = torch.arange(len(target))
    alone = torch.full_like(count, 29), torch.zeros(2, 0, dtype=torch.long), torch.zeros(0, 3)
    weight = np.ones(len(target)) if weight is None else weight
    inputs, target, weight = (torch.from_numpy(x).float() for x in (inputs, target, weight))
    return Batch(*alone, target, count, weight, inputs)


def test_rows_at_once_change_no_line(monkeypatch):
    random, linear = torch.Generator().manual_seed(0), LinearFit(5)
    for tensor in (linear.mean, linear.deviation, linear.weight.data):
        tensor.copy_(torch.rand(5, generator=random) + 0.5)
    inputs = torch.rand(40, 5, generator=random)
    expected = (inputs.double() - linear.mean) / linear.deviation @ linear.weight
    for rows in (7, 8, 100):
        monkeypatch.setattr("symgnn.models.ridge.ROWS_AT_ONCE", rows)
        torch.testing.assert_close(linear(inputs), expected.float())


@pytest.mark.parametrize(("glasses", "labels", "inputs"), [(2, 40, 20), (9, 7, 90), (1, 60, 30)])
def test_the_penalty_predicts_left_out_glasses_best(glasses, labels, inputs):
    """Against fits to all but each fold's glasses, written out, for unequal weights.

    More glasses than folds share them in turn; of one glass each sixth of the atoms is a fold.
    """
    random = np.random.default_rng(1)
    x, weight = random.normal(size=(glasses * labels, inputs)), random.uniform(0.2, 1.0, 1000)
    y = x[:, 0] + random.normal(size=len(x))
    weight = weight[: len(x)]
    x, y, weight = (array.astype(np.float32).astype(float) for array in (x, y, weight))
    glass = np.repeat(np.arange(glasses), labels)
    linear = LinearFit(inputs, level=1e9)  # each glass by itself: centring is all it does
    linear.solve(
        [linear_batch(x[glass == k], y[glass == k], weight[glass == k]) for k in range(glasses)]
    )
    if glasses == 1:
        glass = np.arange(60) // 10
    x = (x - x.mean(0)) / x.std(0, ddof=1)
    root = np.sqrt(weight)[:, None]
    for k in np.unique(glass):
        mine = glass == k
        for values in (x, y):
            values[mine] -= np.average(values[mine], axis=0, weights=weight[mine])
    x, y = root * x, root[:, 0] * y
    scores = []
    for penalty in PENALTIES.numpy():
        error = 0.0
        for fold in range(6):
            out = glass % 6 == fold
            moments = x[~out].T @ x[~out] + penalty * np.eye(inputs)
            error += ((y[out] - x[out] @ np.linalg.solve(moments, x[~out].T @ y[~out])) ** 2).sum()
        scores.append(error)
    assert float(linear.penalty) == PENALTIES[np.argmin(scores)]
    assert 0 < np.argmin(scores) < len(scores) - 1


@pytest.mark.parametrize("weighed", [False, True])
def test_validation_glasses_choose_as_much_as_training_glasses(weighed):
    """Against fits written out: the mean errors on either, by the labels' weights.

    Validation labels that together weigh less than a hundred whole ones count less.
    """
    random = np.random.default_rng(6)
    inputs, labels, training, validation = 40, 50, range(2), range(2, 6)
    x = [random.normal(size=(labels, inputs)) for _ in range(6)]
    y = [part[:, 0] + 2.0 * random.normal(size=labels) for part in x]
    weight = [np.ones(labels) for _ in x]
    if weighed:
        weight = [random.uniform(0.2, 1.0, labels) * (1.0 if k < 2 else 0.7) for k in range(6)]
    y = [part + 3.0 * k for k, part in enumerate(y)]  # levels, which choose nothing
    batches = [linear_batch(*parts) for parts in zip(x, y, weight, strict=True)]
    linear = LinearFit(inputs, level=1e9)  # each glass by itself: centring is all it does
    linear.solve(batches[:2], batches[2:])
    everything = np.concatenate(x[:2])
    x = [(part - everything.mean(0)) / everything.std(0, ddof=1) for part in x]
    for values in (x, y):
        for k, part in enumerate(values):
            root = np.sqrt(weight[k]).reshape(-1, *[1] * (part.ndim - 1))
            values[k] = root * (part - np.average(part, axis=0, weights=weight[k]))

    def error(known, unseen, penalty):
        left, right = (np.concatenate([parts[k] for k in known]) for parts in (x, y))
        solved = np.linalg.solve(left.T @ left + penalty * np.eye(inputs), left.T @ right)
        return sum(((y[k] - x[k] @ solved) ** 2).sum() for k in unseen)

    def total(glasses):
        return sum(weight[k].sum() for k in glasses)

    assert (total(validation) < 100) == weighed  # they count less then
    by_training, by_validation, by_both = [], [], []
    for penalty in PENALTIES.numpy():
        turns = [error([1 - k], [k], penalty) for k in training]
        by_training.append(sum(turns) / total(training))
        by_validation.append(error(training, validation, penalty) / max(total(validation), 100))
        by_both.append(by_training[-1] + by_validation[-1])
    best = [int(np.argmin(scores)) for scores in (by_training, by_validation, by_both)]
    assert float(linear.penalty) == PENALTIES[best[2]]
    assert len(set(best)) == 3  # so that neither alone would do
    assert 0 < best[2] < len(PENALTIES) - 1


@pytest.mark.parametrize("level", [0.0, 0.005])
def test_the_level_of_a_validation_glass_chooses_nothing(level):
    """Whatever the fit does of the levels of training glasses."""
    random = np.random.default_rng(7)
    x = [random.normal(size=(200, 40)) for _ in range(2)]
    y = [part[:, 0] + 2.0 * random.normal(size=200) for part in x]
    x[1] += 1.0  # so that weights move its level
    fits = []
    for offset in (0.0, 20.0):
        fits.append(LinearFit(40, level=level))
        batches = [linear_batch(*pair) for pair in ((x[0], y[0]), (x[1], y[1] + offset))]
        fits[-1].solve(batches[:1], batches[1:])
    assert fits[0].penalty == fits[1].penalty


def test_few_validation_labels_count_less():
    """Three that want another penalty do not move it; fifty times the same three do."""
    random = np.random.default_rng(8)
    x, few = random.normal(size=(400, 40)), random.normal(size=(3, 40))
    training = [
        linear_batch(part, part[:, 0] + random.normal(size=200)) for part in (x[:200], x[200:])
    ]
    labels = -3.0 * few[:, 0]
    penalties = []
    for times in (0, 1, 50):
        unseen = [linear_batch(np.tile(few, (times, 1)), np.tile(labels, times))]
        linear = LinearFit(40)
        linear.solve(training, unseen)
        penalties.append(float(linear.penalty))
    assert penalties[0] == penalties[1] < penalties[2]


def test_validation_glasses_without_labels_choose_nothing():
    random = np.random.default_rng(4)
    x = random.normal(size=(60, 5))
    batch = linear_batch(x, x[:, 0] + random.normal(size=60))
    bare = replace(batch, labelled=batch.labelled[:0])
    alone, beside = LinearFit(5), LinearFit(5)
    alone.solve([batch])
    beside.solve([batch], [bare])
    assert torch.equal(alone.weight, beside.weight)
    assert alone.penalty == beside.penalty


@pytest.mark.parametrize("labelled_to", [600, 60])  # everywhere, or on a tenth of the ring
def test_parts_of_one_glass_are_compact_in_space(labelled_to):
    """Atoms of a ring in any order: each part is one arc, and they are of about one length."""
    atoms, near = 600, 4
    place = np.random.default_rng(3).permutation(atoms)  # of each atom on the ring
    number = np.argsort(place)
    steps = [step for step in range(-near, near + 1) if step]
    target = np.repeat(np.arange(atoms), len(steps))
    source = number[(place[target] + np.tile(steps, atoms)) % atoms]
    vector = np.zeros((len(target), 3))
    vector[:, 0] = np.tile(steps, atoms)
    batch = Batch(
        species=torch.full((atoms,), 29),
        edge_index=torch.from_numpy(np.stack([source, target])),
        edge_vector=torch.from_numpy(vector).float(),
        target=torch.zeros(atoms),
        labelled=torch.from_numpy(np.flatnonzero((place < labelled_to) & (place % 2 == 0))),
        weight=torch.ones(atoms),
    )
    parts = _compact_parts(batch)
    assert torch.equal(torch.cat(parts).sort().values, batch.labelled)
    every = np.full(atoms, -1)
    for k, part in enumerate(parts):
        every[place[part.numpy()]] = k
    on_ring = every[every >= 0]
    assert (on_ring != np.roll(on_ring, 1)).sum() == len(parts) == 6  # also across the end
    sizes = [len(part) for part in parts]
    assert max(sizes) <= 3 * min(sizes)  # four arcs between six places, two of them halved again


def test_few_noisy_labels_get_a_large_penalty_and_many_clean_ones_a_small_one():
    random = np.random.default_rng(2)
    truth = random.normal(size=300) / 300**0.5
    penalties = {}
    for labels, noise in ((100, 3.0), (5000, 0.01)):
        x = random.normal(size=(labels, 300))
        linear = LinearFit(300)
        linear.solve([linear_batch(x, x @ truth + noise * random.normal(size=labels))])
        penalties[labels] = float(linear.penalty)
        fresh = random.normal(size=(2000, 300))
        # labels of such noise say next to nothing: a fit that believed them would be off by 1.7
        error = linear(torch.from_numpy(fresh)).numpy() - fresh @ truth
        assert np.sqrt((error**2).mean()) < (1.1 if noise > 1 else 0.01)
    assert penalties[100] >= 1e3
    assert penalties[5000] <= 1.0


def test_levels_of_glasses_do_not_tilt_a_fit_that_knows_of_them():
    """Labels that are linear within each glass, and shifted against the slope between them."""
    random = np.random.default_rng(0)
    batches = []
    for glass in range(3):
        inputs = random.normal(loc=glass, size=(500, 2))
        batches.append(linear_batch(inputs, inputs[:, 0] - 3.0 * glass))
    slopes = {}
    for level in (0.0, 10.0):
        linear = LinearFit(2, level=level)
        linear.solve(batches)
        slopes[level] = (linear.weight / linear.deviation).numpy()
    np.testing.assert_allclose(slopes[10.0], [1.0, 0.0], atol=2e-3)
    assert slopes[0.0][0] < 0.7
