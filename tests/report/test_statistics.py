"""Correlations and the reliability of labels against simulation and scipy."""

import numpy as np
import pytest
from scipy import stats

from symgnn.report.statistics import label_reliability, pearson, spearman


def test_reliability_is_what_a_second_set_of_labels_correlates_at():
    random = np.random.default_rng(5)
    atoms, searches = 4000, 8
    true = random.normal(1.7, 0.3, atoms)
    first, second = (true[:, None] + random.normal(0, 0.6, (atoms, searches)) for _ in range(2))
    found = label_reliability(np.repeat(np.arange(atoms), searches), first.ravel())
    # 0.09 / (0.09 + 0.36 / 8) = 2 / 3; its standard error over 4,000 atoms is about 0.01
    assert found == pytest.approx(2 / 3, abs=0.03)
    assert found == pytest.approx(pearson(first.mean(axis=1), second.mean(axis=1)), abs=0.04)


def test_reliability_of_weighted_means():
    random = np.random.default_rng(6)
    atoms, searches = 4000, 8
    true = random.normal(1.7, 0.3, (atoms, 1))
    weight = random.uniform(0.0, 1.0, (atoms, searches)) ** 2
    sets = [true + random.normal(0, 0.6, (atoms, searches)) for _ in range(2)]
    means = [np.average(values, axis=1, weights=weight) for values in sets]
    group = np.repeat(np.arange(atoms), searches)
    found = label_reliability(group, sets[0].ravel(), weight.ravel())
    assert found == pytest.approx(pearson(*means), abs=0.03)  # standard errors of about 0.01
    assert found < label_reliability(group, sets[0].ravel()) - 0.05
    zero = np.where(np.arange(searches) < 3, 0.0, 1.0) * np.ones((atoms, 1))
    half = label_reliability(group, sets[0].ravel(), zero.ravel())
    kept = zero.ravel() > 0
    assert half == label_reliability(group[kept], sets[0].ravel()[kept])


def test_labels_without_noise_are_reliable_and_pure_noise_is_not():
    atom = np.repeat(np.arange(500), 4)
    assert label_reliability(atom, atom.astype(float)) == 1.0
    assert label_reliability(atom, np.random.default_rng(0).normal(size=2000)) < 0.15
    assert np.isnan(label_reliability(np.arange(10), np.arange(10.0)))


def test_correlations_agree_with_scipy_and_need_variation():
    random = np.random.default_rng(1)
    x = random.normal(size=50)
    y = x**3 + random.normal(size=50)
    assert pearson(x, y) == pytest.approx(stats.pearsonr(x, y).statistic, rel=1e-12)
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, rel=1e-12)
    assert np.isnan(pearson(x, np.ones(50)))
    assert np.isnan(spearman(x[:2], y[:2]))
