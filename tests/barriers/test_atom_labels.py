"""Labels of atoms: which searches count, means, their errors, and the control of the region."""

import numpy as np
import pytest

from symgnn import fields
from symgnn.barriers.labels import (
    LEAST_DIFFERENCES,
    Columns,
    Means,
    counted,
    label_means,
    means_of,
    slope_within,
    weights,
)
from symgnn.barriers.protocol import Status
from symgnn.report.statistics import pearson

ATOMS = 2000
TRUE = 7.0 - np.arange(ATOMS) / 1e4  # eV, mean barrier of each atom
OF_REGION = TRUE + np.random.default_rng(1).normal(0.5, 0.3, ATOMS)  # that of its region


def reliability_of(atom: np.ndarray, value: np.ndarray, weight: np.ndarray | None = None) -> float:
    return means_of(atom, value, int(atom.max()) + 1, weight).reliability


def region_of(atom: list | np.ndarray, barrier: list | np.ndarray, status: list) -> Columns:
    """Columns of searches that ended in the region."""
    return {
        fields.ATOM: np.array(atom, dtype=int),
        fields.BARRIER: np.array(barrier, dtype=float),
        fields.STATUS: np.array(status, dtype=int),
    }


def events_of(atom: np.ndarray, barrier: np.ndarray, before: np.ndarray) -> Columns:
    """Columns of converged searches, with what the region had."""
    return region_of(atom, barrier, np.zeros(len(atom))) | {fields.REGION_BARRIER: before}


def drawn(random: np.random.Generator, number: int, further: int) -> tuple[Columns, Columns]:
    """Searches of atoms whose barriers correlate at 0.8 with those of the region."""
    common = random.normal(0, 0.8, (ATOMS, number + further))
    barrier = TRUE[:, None] + 0.5 * (common[:, :number] + random.normal(0, 0.6, (ATOMS, number)))
    before = OF_REGION[:, None] + common
    atom = np.arange(ATOMS)[:, None] * np.ones(number + further, dtype=int)
    first, rest = np.s_[:, :number], np.s_[:, number:]
    events = events_of(atom[first].ravel(), barrier.ravel(), before[first].ravel())
    return events, region_of(atom[rest].ravel(), before[rest].ravel(), [0] * ATOMS * further)


def test_each_label_counts_its_searches() -> None:
    columns = {
        fields.ATOM: np.zeros(5, dtype=int),
        fields.STATUS: np.array([0, 0, 0, 1, 0]),
        fields.BARRIER: np.array([1.0, 2.0, 1.5, np.nan, -0.1]),
        fields.FINAL_ENERGY: np.array([0.1, 0.2, 0.3, np.nan, -0.2]),
        fields.DISPLACEMENT_MAX: np.array([1.0, 2.6, 1.1, np.nan, 1.0]),
        fields.TARGET_DISPLACEMENT: np.array([0.1, 0.9, 0.9, np.nan, 0.9]),
        fields.CONNECTED: np.array([1, 0, 1, 0, 1]),
        fields.DUPLICATE_OF: np.array([-1, -1, -1, -1, -1]),
        fields.PUSHED_SHARE: np.array([0.5, 0.25, 0.25, np.nan, 0.9]),
    }
    expected = {
        "controlled": [0, 1, 2],
        "all": [0, 1, 2],
        "single": [0, 2],
        "target": [1, 2],
        "connected": [2],
    }
    for label, rows in expected.items():
        assert np.flatnonzero(counted(columns, label)).tolist() == rows
        np.testing.assert_array_equal(weights(columns, label), counted(columns, label))
    assert weights(columns, "pushed").tolist() == [0.5, 0.25, 0.25, 0.0, 0.0]
    found = label_means(columns, region_of([], [], []), 2, "pushed")
    np.testing.assert_allclose(found.mean, [1.375, np.nan])
    np.testing.assert_allclose(
        found.deviation[0], np.sqrt(0.5 * 0.375**2 + 0.25 * (0.625**2 + 0.125**2))
    )


def error_of(means: Means) -> np.ndarray:
    """What the means of `drawn` are off by."""
    return means.mean - TRUE


def test_the_control_takes_away_the_noise_that_theory_says() -> None:
    """Variance of a mean: (1 - r²) σ² / n + r² σ² / N, n confirmed searches of N in all."""
    events, region = drawn(np.random.default_rng(2), 10, 40)
    plain = label_means(events, region, ATOMS, "all")
    controlled = label_means(events, region, ATOMS, "controlled")
    variance = 0.25  # eV², of a search; its correlation with the region's barrier is 0.8
    for means, expected in (
        (plain, variance / 10),
        (controlled, variance * (0.36 / 10 + 0.64 / 50)),
    ):
        off = error_of(means)
        assert off.var() == pytest.approx(expected, rel=0.1)  # its standard error is 3 %
        assert (means.error**2).mean() == pytest.approx(expected, rel=0.05)
        assert abs(off.mean()) < 4 * np.sqrt(expected / ATOMS)  # no bias
    np.testing.assert_array_equal(controlled.number, plain.number)
    np.testing.assert_array_equal(controlled.deviation, plain.deviation)


@pytest.mark.parametrize("lost", [Status.NOT_CONFIRMED, Status.CONVERGED])
def test_saddles_that_confirmation_loses_leave_no_bias(lost: Status) -> None:
    """Low ones of the region, which are not confirmed, or found again below the start.

    The plain mean is that of the others, and the controlled one has to be the same on average.
    """
    events, region = drawn(np.random.default_rng(9), 20, 80)
    low = events[fields.REGION_BARRIER] - OF_REGION[events[fields.ATOM]] < -1.025  # a tenth
    gone = np.nan if lost == Status.NOT_CONFIRMED else -0.1
    events[fields.STATUS] = np.where(low, int(lost), events[fields.STATUS])
    events[fields.BARRIER] = np.where(low, gone, events[fields.BARRIER])
    plain, controlled = (label_means(events, region, ATOMS, x) for x in ("all", "controlled"))
    assert low.mean() == pytest.approx(0.1, abs=0.01)
    difference = controlled.mean - plain.mean
    spread = difference.std() / np.sqrt(ATOMS)
    assert abs(difference.mean()) < 4 * spread
    assert spread < 0.003  # eV; with the others' mean in the region as its own it was 0.06 off
    for means in (plain, controlled):
        assert (means.error**2).mean() == pytest.approx(error_of(means).var(), rel=0.1)
    assert (controlled.error**2).mean() < 0.8 * (plain.error**2).mean()


def test_the_error_of_each_atom_is_its_own() -> None:
    """Of equal atoms with more and fewer further searches, some of them with none."""
    random, atoms = np.random.default_rng(10), 60
    further = np.repeat([0, 10, 100], atoms // 3)
    off, told = [], []
    for _ in range(300):
        common = random.normal(0, 0.8, (atoms, 10))
        own = random.normal(0, 0.6, (atoms, 10))
        atom = np.repeat(np.arange(atoms), 10)
        events = events_of(atom, 7 + (common + own).ravel(), 7 + common.ravel())
        rest = np.repeat(np.arange(atoms), further)
        region = region_of(rest, 7 + random.normal(0, 0.8, len(rest)), [0] * len(rest))
        found = label_means(events, region, atoms, "controlled")
        off.append((found.mean - 7).reshape(3, -1))
        told.append((found.error**2).reshape(3, -1))
    truth, said = (np.mean(x, axis=(0, 2)) for x in (np.square(off), told))
    for number, true, stated in zip((0, 10, 100), truth, said, strict=True):
        expected = 0.36 / 10 + 0.64 / (10 + number)
        assert true == pytest.approx(expected, rel=0.08)  # its standard error is 2 %
        assert stated == pytest.approx(expected, rel=0.03)


def test_the_control_knows_no_differences_between_atoms() -> None:
    """An atom's region may have any mean, and its searches any order."""
    events, region = drawn(np.random.default_rng(3), 5, 20)
    expected = label_means(events, region, ATOMS, "controlled").mean
    shift = np.random.default_rng(4).uniform(0, 9, ATOMS)  # barriers stay above zero
    shifted = [
        columns | {name: columns[name] + shift[columns[fields.ATOM]]}
        for columns, name in ((events, fields.REGION_BARRIER), (region, fields.BARRIER))
    ]
    found = label_means(*shifted, ATOMS, "controlled").mean
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
    order = np.random.default_rng(5).permutation(len(events[fields.ATOM]))
    mixed = {name: column[order] for name, column in events.items()}
    np.testing.assert_allclose(label_means(mixed, region, ATOMS, "controlled").mean, expected)


def test_without_further_searches_nothing_is_controlled() -> None:
    events, region = drawn(np.random.default_rng(6), 3, 2)
    plain = label_means(events, region, ATOMS, "all")
    lost = region | {fields.STATUS: np.full(2 * ATOMS, int(Status.LEFT_REGION))}
    for none in (region_of([], [], []), lost):
        found = label_means(events, none, ATOMS, "controlled")
        np.testing.assert_array_equal(found.mean, plain.mean)
        np.testing.assert_array_equal(found.error, plain.error)


def test_an_atom_without_confirmed_searches_has_no_label() -> None:
    events, region = drawn(np.random.default_rng(7), 3, 2)
    kept = events[fields.ATOM] != 5
    found = label_means({n: c[kept] for n, c in events.items()}, region, ATOMS, "controlled")
    assert np.flatnonzero(np.isnan(found.mean)).tolist() == [5]
    assert found.number[5] == 0


def test_a_slope_of_few_differences_is_not_used() -> None:
    random = np.random.default_rng(8)
    before = random.normal(size=3 * (LEAST_DIFFERENCES // 2))
    atom = np.repeat(np.arange(LEAST_DIFFERENCES // 2), 3)
    assert slope_within(atom, before, 0.7 * before + atom, 100) == pytest.approx(0.7, abs=1e-12)
    assert slope_within(atom[:-1], before[:-1], 0.7 * before[:-1], 100) == 0.0
    assert slope_within(atom, np.ones(len(atom)), before, 100) == 0.0


def test_reliability_is_what_a_second_set_of_labels_correlates_at():
    random = np.random.default_rng(5)
    atoms, searches = 4000, 8
    true = random.normal(1.7, 0.3, atoms)
    first, second = (true[:, None] + random.normal(0, 0.6, (atoms, searches)) for _ in range(2))
    found = reliability_of(np.repeat(np.arange(atoms), searches), first.ravel())
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
    found = reliability_of(group, sets[0].ravel(), weight.ravel())
    assert found == pytest.approx(pearson(*means), abs=0.03)  # standard errors of about 0.01
    assert found < reliability_of(group, sets[0].ravel()) - 0.05
    zero = np.where(np.arange(searches) < 3, 0.0, 1.0) * np.ones((atoms, 1))
    half = reliability_of(group, sets[0].ravel(), zero.ravel())
    kept = zero.ravel() > 0
    assert half == reliability_of(group[kept], sets[0].ravel()[kept])


def test_labels_without_noise_are_reliable_and_pure_noise_is_not():
    atom = np.repeat(np.arange(500), 4)
    assert reliability_of(atom, atom.astype(float)) == 1.0
    assert reliability_of(atom, np.random.default_rng(0).normal(size=2000)) < 0.15
    assert np.isnan(reliability_of(np.arange(10), np.arange(10.0)))
