"""Metrics against scipy and hand-made cases, and the table over runs."""

import numpy as np
import pytest
from scipy import stats

from symgnn.training.metrics import metrics, metrics_of_glasses, softest_auc


def test_correlations_and_error_agree_with_scipy():
    random = np.random.default_rng(0)
    x = random.random(200).round(2)  # with ties
    y = x + random.random(200)
    x[::7] = np.nan
    seen = np.isfinite(x)
    found = metrics(x, y)
    assert found["pearson"] == pytest.approx(stats.pearsonr(x[seen], y[seen])[0])
    assert found["spearman"] == pytest.approx(stats.spearmanr(x[seen], y[seen])[0])
    assert found["mae"] == pytest.approx(np.abs(x - y)[seen].mean())


def test_auc_is_the_mann_whitney_probability():
    random = np.random.default_rng(1)
    computed, predicted = random.random(100), random.random(100).round(1)
    soft = computed <= np.sort(computed)[4]
    expected = stats.mannwhitneyu(-predicted[soft], -predicted[~soft]).statistic / (5 * 95)
    assert softest_auc(computed, predicted) == pytest.approx(expected)
    assert softest_auc(computed, computed) == 1.0
    assert softest_auc(computed, -computed) == 0.0
    assert softest_auc(computed, np.zeros(100)) == 0.5


def test_constant_prediction_has_no_correlation():
    assert np.isnan(metrics(np.arange(5.0), np.ones(5))["pearson"])


def test_one_label_gives_no_metrics():
    assert np.isnan(list(metrics(np.array([1.0, np.nan]), np.ones(2)).values())).all()


def test_pooled_sees_differences_between_glasses_and_per_glass_does_not():
    noise = np.random.default_rng(2).random((2, 50))
    computed = {"a": noise[0], "b": noise[1] + 10}
    predicted = {"a": np.zeros(50) + 1e-3 * noise[1], "b": np.full(50, 10.0) + 1e-3 * noise[0]}
    found = metrics_of_glasses(computed, predicted)
    assert found["pooled"]["pearson"] > 0.99
    assert abs(found["per_glass"]["pearson"]) < 0.4
