"""Important edges: chosen rightly and drawn where they are."""

import numpy as np
import pytest

from symgnn.explanations.bootstrap import Estimate
from symgnn.explanations.statistics import distance_profile, property_differences
from symgnn.explanations.storage import ExplanationFile, read_explanations
from symgnn.report.explanation_controls import blocks, interval, range_sentence
from symgnn.report.explanations import Explained
from symgnn.report.scenes import edges_of_nearest, top_edges
from tests.report.conftest import make_explanation


@pytest.fixture(scope="module")
def explained(study):
    file = read_explanations(study.inputs.explanations[0])
    return [Explained("glass", file.structure, one) for one in file.explanations]


def test_the_most_important_edges_are_those_that_were_made_so(explained):
    for one in explained:
        into = one.structure.edge_index[1, one.explanation.edge] == one.explanation.atom
        top = top_edges(one.explanation, int(into.sum()))
        assert set(top) == set(np.flatnonzero(into))
        assert (np.diff(np.abs(one.explanation.importance[top])) >= 0).all()


def test_edges_without_importance_are_never_among_the_top(explained):
    one = explained[0].explanation
    importance = np.where(np.arange(len(one.edge)) % 2, np.nan, one.importance)
    cut = type(one)(**{**vars(one), "importance": importance})
    assert np.isfinite(importance[top_edges(cut, 10**6)]).all()


def test_the_ten_nearest_atoms_and_only_edges_among_them(explained):
    for one in explained:
        atoms, rows = edges_of_nearest(one.explanation, one.geometry, 10)
        assert len(atoms) == 11
        assert one.explanation.field_atom[atoms[0]] == one.explanation.atom
        start = one.geometry.start[rows]
        end = start + one.geometry.vector[rows]
        reach = np.linalg.norm(one.explanation.relative_position[atoms], axis=1).max() + 2e-3
        assert (np.linalg.norm(start, axis=1) <= reach).all()
        assert (np.linalg.norm(end, axis=1) <= reach).all()


def test_the_page_draws_the_top_edges_and_says_where_they_are(page, explained):
    one = explained[0]
    lines = page.traces("surroundings", 0)[0]
    points = np.stack([lines["x"], lines["y"], lines["z"]], axis=1).reshape(-1, 3, 3)
    top = top_edges(one.explanation, 50)
    start = one.geometry.start[top]
    end = start + one.geometry.vector[top]
    assert points[:, 0] == pytest.approx(start, abs=1e-5)
    assert points[:, 1] == pytest.approx(end, abs=1e-5)
    assert np.isnan(points[:, 2]).all()
    row = page.rows("explained")[0]
    assert row["atom"] == "Cu 3" if one.symbol == "Cu" else "Zr 3"
    distance = np.median(np.linalg.norm((start + end) / 2, axis=1))
    assert float(row["distance, Å"]) == pytest.approx(distance, abs=0.006)
    contrast = one.explanation.importance[top].mean() / one.explanation.importance.mean()
    assert float(row["top 50 / all"]) == pytest.approx(contrast, abs=0.006)


def test_shares_of_species_pairs_add_up(page):
    rows = page.rows("pairs")
    assert [row["pair"] for row in rows] == ["Cu-Cu", "Cu-Zr", "Zr-Zr"]
    for column in ("most important, %", "all, %"):
        assert sum(float(row[column]) for row in rows) == pytest.approx(100, abs=0.2)


def test_the_important_edges_of_the_made_up_explanation_are_near(page, explained):
    sentence = next(text for text in page.findings if "most important edges" in text)
    near, far = (
        float(word)
        for word in sentence.split()
        if word.replace(".", "", 1).isdigit() and "." in word
    )
    every = np.concatenate([one.geometry.distance for one in explained])
    assert far == pytest.approx(np.median(every), abs=0.006)
    assert near < far


def test_what_few_atoms_have_in_common_is_not_shown(study):
    file = read_explanations(study.inputs.explanations[0])
    (reason,), findings = blocks("glass", file)
    assert "2 atoms explained, fewer than 10" in reason
    assert findings == []


def test_controls_show_the_numbers_of_the_statistics(study):
    file = read_explanations(study.inputs.explanations[0])
    atoms = [make_explanation(file.structure, atom) for atom in range(0, 54, 4)]
    many = ExplanationFile(file.structure, atoms, {})
    (figure, properties, correlations), (ranges, shape) = blocks("glass", many)
    profile = distance_profile(file.structure, atoms)
    shown = figure.choices[""][0].data[0]
    assert list(shown.y) == pytest.approx([estimate.value for _, estimate in profile])
    assert list(shown.x) == pytest.approx([outer - 0.5 for outer, _ in profile])
    differences = property_differences(file.structure, atoms)
    for row, (name, both) in zip(properties.rows, differences.items(), strict=False):
        assert row[0] == name
        assert row[2] == interval(both["matched"], 3)
    assert len(correlations.rows) == 3
    # the important edges of these atoms end at them: none is farther away than half an edge
    assert ranges.startswith("Near edges are more important than those at middle range")
    assert shape.startswith("Compared with edges at equal distance")


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.1, 0.5, "Edges at middle range are more important"),
        (-0.5, -0.1, "Near edges are more important"),
        (-0.1, 0.1, "Whether near edges"),
    ],
)
def test_the_sentence_follows_the_interval(low, high, verdict):
    ranges = {key: Estimate(1.0, 0.9, 1.1, 20) for key in ("near", "middle")}
    ranges["far"] = Estimate(float("nan"), float("nan"), float("nan"), 0)
    ranges["middle less near"] = Estimate((low + high) / 2, low, high, 20)
    sentence = range_sentence(ranges)
    assert sentence.startswith(verdict)
    assert "farther" not in sentence
