"""Statistics find what was put in, nothing where nothing is, and respect the control."""

import dataclasses

import numpy as np
import pytest

from symgnn.explanations.bootstrap import (
    Estimate,
    bootstrap_mean,
    bootstrap_ratio,
    matched_controls,
    stratified_difference,
)
from symgnn.explanations.geometry import (
    angles_at_shared_atoms,
    edge_geometry,
    ranked_edges,
    relative_lengths,
)
from symgnn.explanations.methods import Importance
from symgnn.explanations.receptive_field import receptive_fields
from symgnn.explanations.running import model_graph, split_field
from symgnn.explanations.statistics import (
    angle_differences,
    barrier_correlations,
    chosen_edges,
    distance_profile,
    edge_properties,
    property_differences,
    range_comparison,
)

ATOMS = list(range(0, 60, 2))
TOP = 20


@pytest.fixture(scope="module")
def unexplained(structure):
    """Receptive fields of 30 atoms, all importances zero."""
    fields = receptive_fields(model_graph(structure), ATOMS, 3)
    nothing = Importance(0.0 * fields.edge.float(), 0.0 * fields.atom.float())
    return [split_field(fields, nothing, k, structure, a, 1.0) for k, a in enumerate(ATOMS)]


def explained(structure, unexplained, rule):
    """Explanations whose importance is rule(geometry, rng)."""
    rng = np.random.default_rng(0)
    return [
        dataclasses.replace(one, importance=rule(edge_geometry(structure, one), rng))
        for one in unexplained
    ]


def at_random(geometry, rng):
    return rng.random(len(geometry.length))


def by_distance(geometry, rng):
    return -geometry.distance - rng.random(len(geometry.length))


def by_length(geometry, rng):
    return geometry.length


def test_geometry_of_edges(structure, unexplained):
    one = unexplained[3]
    geometry = edge_geometry(structure, one)
    source, target = structure.edge_index[:, one.edge]
    into = np.flatnonzero(target == one.atom)
    np.testing.assert_allclose(geometry.distance[into], geometry.length[into] / 2, rtol=1e-5)
    np.testing.assert_allclose(geometry.length, np.linalg.norm(geometry.vector, axis=1))
    out = np.flatnonzero(source == one.atom)
    np.testing.assert_allclose(geometry.start[out], 0, atol=1e-6)
    assert (geometry.pair[:, 0] <= geometry.pair[:, 1]).all()


def test_relative_lengths_are_standardised_at_every_atom(structure):
    found, target = relative_lengths(structure), structure.edge_index[1]
    for atom in (0, 17):
        own = found[target == atom]
        assert own.mean() == pytest.approx(0, abs=1e-6)
        assert own.std() == pytest.approx(1, abs=1e-6)


def test_angles_of_a_right_triangle():
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    ends = np.array([[0, 1], [1, 2], [2, 0]])
    vector = corners[ends[:, 1]] - corners[ends[:, 0]]
    assert sorted(angles_at_shared_atoms(ends, vector)) == pytest.approx([45, 45, 90])


def test_two_directions_of_a_bond_make_no_angle():
    ends, vector = np.array([[0, 1], [1, 0]]), np.array([[1.0, 0, 0], [-1, 0, 0]])
    assert len(angles_at_shared_atoms(ends, vector)) == 0


def test_ranking_is_by_magnitude_and_leaves_out_unknown():
    assert ranked_edges(np.array([0.1, -3.0, np.nan, 2.0])).tolist() == [1, 3, 0]


def test_stratified_difference_by_hand():
    value = np.array([1.0, 2.0, 3.0, 10.0, 20.0, 7.0])
    chosen = np.array([True, False, False, True, False, True])
    stratum = np.array([0, 0, 0, 1, 1, 2])
    # stratum 0: 1 - 2.5; stratum 1: 10 - 20; stratum 2 has no control
    assert stratified_difference(value, chosen, stratum) == pytest.approx((-1.5 - 10) / 2)


def test_controls_are_matched_and_not_chosen():
    rng = np.random.default_rng(0)
    stratum, chosen = rng.integers(5, size=200), rng.random(200) < 0.2
    controls = matched_controls(chosen, stratum, rng)
    assert len(set(controls)) == len(controls) == chosen.sum()
    assert not chosen[controls].any()
    assert (np.bincount(stratum[controls]) == np.bincount(stratum[chosen])).all()


def test_bootstrap_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(1)
    samples = rng.normal(0.3, 1.0, (150, 40))
    found = [bootstrap_mean(sample, seed=k) for k, sample in enumerate(samples)]
    covered = np.mean([one.low < 0.3 < one.high for one in found])
    # 95 % less the bias of a bootstrap of 40 values; 150 tries give it to 0.02
    assert 0.88 < covered < 0.99


def test_bootstrap_leaves_out_nan_and_needs_three_atoms():
    assert bootstrap_mean(np.array([1.0, np.nan, 1.0, 1.0])) == Estimate(1.0, 1.0, 1.0, 3)
    assert np.isnan(bootstrap_mean(np.array([1.0, np.nan, 1.0])).value)
    assert np.isnan(bootstrap_mean(np.array([])).value)
    assert bootstrap_ratio(np.ones(4), np.full(4, 2.0)).value == 0.5


def test_interval_against_a_reference():
    estimate = Estimate(1.0, 0.5, 1.5, 9)
    assert [estimate.compared_with(x) for x in (0.4, 1.2, 2.0)] == ["above", "undecided", "below"]


def test_random_importance_shows_no_difference(structure, unexplained):
    found = explained(structure, unexplained, at_random)
    for name, one in property_differences(structure, found, TOP).items():
        assert one["matched"].low < 0 < one["matched"].high, name
    for one in angle_differences(structure, found, TOP).values():
        assert one.compared_with(0) == "undecided"
    assert (
        range_comparison(structure, found, TOP)["middle less near"].compared_with(0) == "undecided"
    )


def test_distance_alone_is_seen_and_then_controlled(structure, unexplained):
    found = explained(structure, unexplained, by_distance)
    profile = [estimate.value for _, estimate in distance_profile(structure, found, TOP)]
    assert profile[-1] > 2 * max(profile[0], 0.1)
    ranges = range_comparison(structure, found, TOP)
    assert ranges["middle less near"].compared_with(0) == "above"
    assert ranges["in nearest"].high < ranges["in nearest, at random"].value
    for name, one in property_differences(structure, found, TOP).items():
        assert one["matched"].compared_with(0) == "undecided", name


def test_longer_edges_are_found_at_equal_distance(structure, unexplained):
    found = explained(structure, unexplained, by_length)
    differences = property_differences(structure, found, TOP)
    assert differences["length, Å"]["matched"].compared_with(0) == "above"
    name = "length against the atom's other edges, standard deviations"
    assert differences[name]["matched"].compared_with(0) == "above"


def test_species_pair_is_found(structure, unexplained):
    def rule(geometry, rng):
        return (geometry.pair == 40).all(axis=1) + 0.5 * rng.random(len(geometry.length))

    differences = property_differences(structure, explained(structure, unexplained, rule), TOP)
    assert differences["share of Zr-Zr"]["matched"].value > 0.3
    assert differences["share of Cu-Cu"]["matched"].compared_with(0) == "below"
    geometry = edge_geometry(structure, unexplained[0])
    shares = [v for name, v in edge_properties(geometry).items() if name.startswith("share")]
    assert (sum(shares) == 1).all()


def test_barrier_correlation_is_found(structure, unexplained):
    found = explained(structure, unexplained, at_random)
    ordered = [
        dataclasses.replace(
            one,
            prediction=np.median(edge_geometry(structure, one).distance[chosen_edges(one, TOP)]),
        )
        for one in found
    ]
    correlation = barrier_correlations(structure, ordered, TOP)["distance"]
    assert correlation.value == pytest.approx(1.0)
