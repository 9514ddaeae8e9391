"""Correlations against scipy."""

import numpy as np
import pytest
from scipy import stats

from symgnn.report.statistics import pearson, spearman


def test_correlations_agree_with_scipy_and_need_variation():
    random = np.random.default_rng(1)
    x = random.normal(size=50)
    y = x**3 + random.normal(size=50)
    assert pearson(x, y) == pytest.approx(stats.pearsonr(x, y).statistic, rel=1e-12)
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, rel=1e-12)
    assert np.isnan(pearson(x, np.ones(50)))
    assert np.isnan(spearman(x[:2], y[:2]))
