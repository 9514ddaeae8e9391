"""Metrics against scipy and hand-made cases, and the table over runs."""

import numpy as np
import pytest
from scipy import stats

from symgnn.training.metrics import (
    coverage,
    metrics,
    metrics_of_glasses,
    root_mean_square_error,
    softest_auc,
)


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


def test_coverage_of_normal_errors_is_that_of_the_normal_distribution():
    random = np.random.default_rng(0)
    computed = {"a": random.normal(size=50_000), "b": np.array([np.nan, 1.0])}
    predicted = {"a": np.zeros(50_000), "b": np.array([5.0, 1.0])}
    error = root_mean_square_error(computed, predicted)
    assert error == pytest.approx(1.0, abs=0.02)
    found = coverage(computed, predicted, error)
    assert found["one"] == pytest.approx(0.683, abs=0.01)
    assert found["two"] == pytest.approx(0.954, abs=0.01)
    assert np.isnan(coverage({}, {}, 1.0)["one"])
