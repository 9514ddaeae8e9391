"""The views hold what they say and can be read again."""

import ase.io
import numpy as np
import pytest
import torch

from symgnn.explanations.methods import Importance
from symgnn.explanations.receptive_field import receptive_fields
from symgnn.explanations.running import model_graph, split_field
from symgnn.explanations.views import global_view, local_view, write_view


@pytest.fixture(scope="module")
def explanation(structure):
    fields = receptive_fields(model_graph(structure), [5], 2)
    edges = torch.arange(1.0, len(fields.edge) + 1)
    found = Importance(edges, torch.ones(len(fields.atom)))
    return split_field(fields, found, 0, structure, 5, 1.0)


def test_global_view_has_the_most_important_edges(structure, explanation):
    view = global_view(structure, explanation, top=6)
    importances = sorted(value for _, _, value in view.info["bonds"])
    assert importances == sorted(explanation.importance)[-6:]
    assert view.arrays["structure_index"][0] == 5
    np.testing.assert_allclose(view.positions[0], 0)
    for first, second, value in view.info["bonds"]:
        assert view.arrays["bond_importance"][[first, second]].min() >= value


def test_local_view_has_the_nearest_atoms(structure, explanation):
    view = local_view(structure, explanation, number=4)
    assert len(view) == 5
    farthest = np.linalg.norm(view.positions, axis=1).max()
    others = np.linalg.norm(explanation.relative_position, axis=1)
    assert (others <= farthest + 1e-6).sum() == 5
    for first, second, _ in view.info["bonds"]:
        assert view.get_distance(first, second, mic=True) <= 4.0


def test_files_hold_the_view(structure, explanation, tmp_path):
    view = global_view(structure, explanation, top=6)
    write_view(tmp_path / "atom-5", view)
    back = ase.io.read(tmp_path / "atom-5.xyz")
    np.testing.assert_allclose(back.arrays["importance"], view.arrays["importance"])
    lines = (tmp_path / "atom-5.bonds.dump").read_text().splitlines()
    entries = [line.split() for line in lines[lines.index("ITEM: NUMBER OF ENTRIES") + 7 :]]
    assert [(int(a) - 1, int(b) - 1) for a, b, _ in entries[-6:]] == [
        (a, b) for a, b, _ in view.info["bonds"]
    ]
