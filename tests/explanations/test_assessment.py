"""Curves, cycles, moving atoms and the task with a known answer."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from symgnn.explanations import faithfulness, synthetic
from symgnn.explanations.assessment import assess, known_answer
from symgnn.explanations.geometry import edge_geometry
from symgnn.explanations.gradients import integrated_gradients
from symgnn.explanations.methods import Importance
from symgnn.explanations.motion import mean_displacements, motion_overlap, ranking_quality
from symgnn.explanations.receptive_field import receptive_fields
from symgnn.explanations.running import model_graph, split_field
from symgnn.explanations.storage import ExplanationFile
from symgnn.explanations.topology import cycle_comparison, cycles, cycles_through_bonds
from symgnn.files import create_hdf5

ATOMS = [2, 5, 9, 30]


@pytest.fixture(scope="module")
def explanations(structure, adding):
    fields = receptive_fields(model_graph(structure), ATOMS, 2)
    edges = integrated_gradients(adding, fields, steps=4)
    atoms = torch.zeros(len(fields.atom)).index_add(0, fields.graph.edge_index[0], edges.abs())
    found = Importance(edges, atoms)
    return [split_field(fields, found, k, structure, a, 1.0) for k, a in enumerate(ATOMS)]


def test_curves_begin_and_end_where_they_must(graph, adding):
    fields = receptive_fields(graph, [5], 2)
    counts = faithfulness.edge_counts(len(fields.edge), (0, 3))
    order = np.arange(len(fields.edge))
    deletion = faithfulness.deletion_curve(adding, fields, order, counts)
    insertion = faithfulness.insertion_curve(adding, fields, order, counts)
    assert deletion[0] == insertion[-1] == 0
    assert deletion[-1] == pytest.approx(insertion[0], abs=1e-6)
    removed = torch.arange(len(fields.edge)) < 3
    from_mask = adding(
        fields.graph.species,
        fields.graph.edge_index[:, ~removed],
        fields.graph.edge_vector[~removed],
    )[fields.targets]
    whole = adding(fields.graph.species, fields.graph.edge_index, fields.graph.edge_vector)
    expected = abs(float(from_mask[0] - whole[fields.targets][0]))
    assert deletion[1] == pytest.approx(expected, abs=1e-6)


def test_area_of_a_constant_curve_is_its_height():
    assert faithfulness.area([0, 5, 100], np.full(3, 2.5)) == pytest.approx(2.5)


def test_rankings_are_orders_of_all_edges(structure, explanations):
    geometry = edge_geometry(structure, explanations[0])
    found = faithfulness.rankings({"x": explanations[0].importance}, geometry, 0)
    for name, order in found.items():
        assert sorted(order) == list(range(len(geometry.length))), name
    assert (np.diff(geometry.length[found["shortest first"]]) >= 0).all()
    assert (np.diff(geometry.distance[found["nearest first"]]) >= 0).all()


def test_null_model_keeps_values_and_changes_places(adding):
    null = faithfulness.randomised(adding, 0)
    for one, other in zip(adding.parameters(), null.parameters(), strict=True):
        assert torch.equal(one.flatten().sort().values, other.flatten().sort().values)
    assert not torch.equal(null.layers[0].state.weight, adding.layers[0].state.weight)


@pytest.fixture(scope="module", params=[1, 3])
def task(request):
    """Tasks with a known answer: of the first eight, those that GNNExplainer found hardest."""
    return synthetic.solved_task(request.param)


@pytest.mark.parametrize("method", ["gnnexplainer", "integrated-gradients", "removal"])
def test_edges_that_made_the_labels_are_found(task, method):
    found = known_answer(task, method)
    assert found["correlation"] > 0.9
    assert found["random"] < 0.1
    assert found["precision"] >= 0.9


def test_precision_of_a_perfect_and_of_a_wrong_ranking(graph):
    fields = receptive_fields(graph, [5, 9], 2)
    truth = fields.edge_hop == 0
    assert (synthetic.precision_at_k(truth.float(), truth, fields) == 1).all()
    assert (synthetic.precision_at_k(1 - truth.float(), truth, fields) == 0).all()


def test_a_square_has_one_cycle_and_each_side_lies_on_it():
    square = np.array([[0.0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0.01]])
    found = cycles(square)
    assert len(found.points) == 1
    assert found.birth[0] == pytest.approx(1.0, abs=1e-2)  # radius: half the side
    assert found.death[0] == pytest.approx(np.sqrt(2), abs=1e-2)  # radius: half the diagonal
    sides = {(0, 1), (1, 2), (2, 3), (0, 3)}
    assert cycles_through_bonds(found, 4) == dict.fromkeys(sides, 1)


def test_representative_is_the_shortest_loop():
    around = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    ring = np.stack([np.cos(around), np.sin(around), 0 * around], axis=1) * 5
    (loop,) = cycles(ring).points
    assert sorted(loop) == list(range(12))
    steps = np.linalg.norm(ring[loop] - ring[np.roll(loop, -1)], axis=1)
    np.testing.assert_allclose(steps, steps[0])


def test_random_importance_lies_on_no_more_cycles_than_its_control(structure, explanations):
    rng = np.random.default_rng(0)
    random = [
        dataclasses.replace(one, importance=rng.random(len(one.importance))) for one in explanations
    ]
    found = cycle_comparison(structure, random, top=15, radius=6.0)
    assert found["less random"].low <= 0.1
    assert found["important"].value > 0


def write_events(path, atoms, moved):
    """events.h5 with one converged search of each atom and the atoms that move in it."""
    with create_hdf5(path, "events") as file:
        events = file.create_group("events")
        columns = {"atom": atoms, "status": 0, "target_displacement": 1.0, "barrier": 1.0}
        for name, value in columns.items():
            events[name] = np.broadcast_to(value, len(atoms))
        start = np.cumsum([0] + [len(one) for one in moved])
        file["moved/moved_start"] = start
        file["moved/moved_atoms"] = np.concatenate(moved)
        file["moved/saddle_displacement"] = np.tile([0.3, 0.0, 0.4], (start[-1], 1))


def test_moving_atoms_are_read_and_found(tmp_path, explanations):
    path = tmp_path / "events.h5"
    moved = []
    for one in explanations:
        order = np.argsort(-np.abs(one.atom_importance))
        moved.append([a for a in one.field_atom[order] if a != one.atom][:4])
    write_events(path, ATOMS, moved)
    found = mean_displacements(path)
    assert found[2] == dict.fromkeys(map(int, moved[0]), pytest.approx(0.5))
    overlap = motion_overlap(explanations, found, reach=20.0)
    assert overlap["importance"].value == pytest.approx(1.0)
    assert overlap["moving"].value == 4


@pytest.fixture(scope="module")
def many(structure, adding):
    """Thirty atoms with all atoms within three steps, and no importance yet."""
    atoms = list(range(0, 60, 2))
    fields = receptive_fields(model_graph(structure), atoms, 3)
    nothing = Importance(0.0 * fields.edge.float(), 0.0 * fields.atom.float())
    return [split_field(fields, nothing, k, structure, a, 1.0) for k, a in enumerate(atoms)]


def overlap_of(explanations, importance, chance):
    """Atoms move with a chance that distance decides, and importance is made of both."""
    rng = np.random.default_rng(0)
    explained, displacements = [], {}
    for one in explanations:
        distance = np.linalg.norm(one.relative_position, axis=1)
        moves = rng.random(len(distance)) < chance(distance)
        displacements[one.atom] = dict.fromkeys(map(int, one.field_atom[moves]), 0.5)
        made = importance(distance, moves, rng)
        explained.append(dataclasses.replace(one, atom_importance=made))
    return motion_overlap(explained, displacements)


def nearer_atoms_move(distance):
    return np.exp(-distance / 4)


def knowing(distance, moves, rng):
    return 10 + moves + rng.normal(size=len(distance))


def test_importance_that_knows_the_moving_atoms_beats_distance_within_shells(many):
    found = overlap_of(many, knowing, nearer_atoms_move)
    # an atom that moves lies one standard deviation above one that stays: it beats it with a
    # chance of 0.76, and what is above 0.5 is the difference of the mean percentiles
    assert found["within shells"].value == pytest.approx(0.26, abs=0.1)
    assert found["within shells"].low > 0.1
    assert found["importance"].low > 0.5


def test_importance_that_knows_only_the_distance_beats_nothing_within_shells(many):
    # constant in each shell, so that nothing but the distance is in it
    found = overlap_of(many, lambda d, moves, rng: 1 / (1 + d // 0.5), nearer_atoms_move)
    assert found["importance"].low > 0.5
    assert found["importance"].value == pytest.approx(found["nearness"].value, abs=0.02)
    assert found["within shells"].value == pytest.approx(0, abs=1e-12)


def test_importance_that_points_away_is_told(many):
    found = overlap_of(many, lambda d, moves, rng: ~moves + rng.random(len(d)), nearer_atoms_move)
    assert found["within shells"].high < -0.1


def test_ranking_quality_by_hand():
    score, positive = np.array([3.0, 2.0, 1.0, 2.0]), np.array([True, False, False, True])
    assert ranking_quality(score, positive) == pytest.approx((2 + 1.5) / 4)
    assert np.isnan(ranking_quality(score, np.zeros(4, dtype=bool)))


def test_an_assessment_is_plain_data(structure, explanations, adding, tmp_path):
    path = tmp_path / "events.h5"
    write_events(path, ATOMS, [one.field_atom[1:4] for one in explanations])
    file = ExplanationFile(structure, explanations, {"method": "integrated-gradients"})
    found = assess(adding, file, scale=0.3, judged=3, events=path, steps=4)
    assert set(found["curves"]["deletion"]) >= {"random", "integrated-gradients"}
    gain = found["curves"]["deletion gain"]["random"]
    assert gain["value"] > 0
    assert found["stability"]["seeds"]["value"] == pytest.approx(1.0)
    assert found["stability"]["null"]["value"] < 0.9
    assert len(json.dumps(found)) > 1000
