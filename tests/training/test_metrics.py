"""Metrics against scipy and hand-made cases, and the table over runs."""

import numpy as np
import pytest
from scipy import stats

from symgnn.training.metrics import (
    LEAST,
    coverage,
    ensemble_error,
    errors_of,
    metrics,
    metrics_of_glasses,
    root_mean_square,
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


def test_a_glass_without_labels_is_not_in_the_mean_of_the_glasses():
    noise = np.random.default_rng(2).random((2, 50))
    computed = {"a": noise[0], "b": np.array([1.0, np.nan])}
    predicted = {"a": noise[1], "b": np.ones(2)}
    found = metrics_of_glasses(computed, predicted)
    assert found["per_glass"] == found["glasses"]["a"]
    assert np.isnan(metrics_of_glasses({"b": computed["b"]}, predicted)["per_glass"]["mae"])


def test_an_ensemble_s_error_is_the_one_that_its_mean_makes():
    """Members with errors of their own on top of one that they share."""
    random = np.random.default_rng(0)
    shared, own = 0.2 * random.normal(size=40_000), 0.1 * random.normal(size=(4, 40_000))
    errors = shared + own
    made = root_mean_square(errors.mean(0))
    stated = ensemble_error(list(errors), 1.0 + own)  # members that differ as on validation atoms
    assert root_mean_square(stated) == pytest.approx(made, rel=0.01)
    wider = ensemble_error(list(errors), 1.0 + 2.0 * own)
    assert root_mean_square(wider) ** 2 == pytest.approx(made**2 + 3 * 0.1**2, rel=0.02)
    equal = ensemble_error(list(errors), np.ones((4, 5)))
    np.testing.assert_allclose(equal, np.sqrt(made**2 - 0.1**2), rtol=0.01)
    never = ensemble_error(list(shared + 10 * own), np.ones((4, 5)))
    least = LEAST * root_mean_square(shared + 10 * own.mean(0))
    np.testing.assert_allclose(never, least)
    alone = ensemble_error([errors[0]], np.ones((1, 5)))
    np.testing.assert_allclose(alone, root_mean_square(errors[0]))


def test_coverage_of_normal_errors_is_that_of_the_normal_distribution():
    random = np.random.default_rng(0)
    computed = {"a": random.normal(size=50_000), "b": np.array([np.nan, 1.0])}
    predicted = {"a": np.zeros(50_000), "b": np.array([5.0, 1.0])}
    error = root_mean_square(errors_of(computed, predicted))
    assert error == pytest.approx(1.0, abs=0.02)
    found = coverage(computed, predicted, error)
    assert found["one"] == pytest.approx(0.683, abs=0.01)
    assert found["two"] == pytest.approx(0.954, abs=0.01)
    assert np.isnan(coverage({}, {}, 1.0)["one"])
