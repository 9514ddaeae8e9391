"""Batches, restarts and selections change nothing of what is found."""

import numpy as np
import pytest

from symgnn.errors import InputError, TimeBudgetReached
from symgnn.explanations.running import choose_atoms, explain_atoms, read_parts
from symgnn.explanations.storage import read_explanations, write_explanations
from symgnn.progress import TimeBudget

ATOMS = [2, 5, 9, 30, 31]


def run(model, structure, parts, *, atoms=ATOMS, batch=2, seconds=None, **options):
    keywords = {"method": "gnnexplainer", "seed": 4, "epochs": 10} | options
    keywords |= {"mean": 1.5, "scale": 0.3, "batch": batch, "parts": parts}
    explain_atoms(model, structure, atoms, budget=TimeBudget(seconds), **keywords)
    return list(read_parts(parts, atoms))


def test_batches_and_order_do_not_change_an_explanation(adding, structure, tmp_path):
    many = run(adding, structure, tmp_path / "many", batch=5)
    (alone,) = run(adding, structure, tmp_path / "one", atoms=[9], batch=1)
    same = many[2]
    assert same.atom == alone.atom == 9
    np.testing.assert_array_equal(same.edge, alone.edge)
    np.testing.assert_allclose(same.importance, alone.importance, atol=1e-5)
    np.testing.assert_allclose(same.atom_importance, alone.atom_importance, atol=1e-4)
    assert same.prediction == pytest.approx(alone.prediction, abs=1e-6)


def test_a_stopped_run_goes_on_where_it_was(adding, structure, tmp_path):
    whole = run(adding, structure, tmp_path / "whole")
    with pytest.raises(TimeBudgetReached, match="2 of 5"):
        run(adding, structure, tmp_path / "stopped", seconds=0)
    stamp = (tmp_path / "stopped" / "2.h5").stat().st_mtime_ns
    resumed = run(adding, structure, tmp_path / "stopped")
    assert (tmp_path / "stopped" / "2.h5").stat().st_mtime_ns == stamp
    for one, other in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(one.importance, other.importance)


def test_signed_importances_are_in_electronvolt(adding, structure, tmp_path):
    (found,) = run(adding, structure, tmp_path, atoms=[9], method="integrated-gradients", steps=16)
    silent = 1.5 + 0.3 * float(adding.out(adding.species.weight[structure.species[9]]))
    assert found.importance.sum() == pytest.approx(found.prediction - silent, abs=1e-5)


def test_files_keep_what_was_found(adding, structure, tmp_path):
    found = run(adding, structure, tmp_path / "parts")
    write_explanations(tmp_path / "e.h5", structure, iter(found), method="gnnexplainer")
    back = read_explanations(tmp_path / "e.h5")
    assert back.attributes["method"] == "gnnexplainer"
    assert [one.atom for one in back.explanations] == ATOMS
    np.testing.assert_array_equal(back.structure.edge_index, structure.edge_index)
    for one, other in zip(found, back.explanations, strict=True):
        np.testing.assert_array_equal(one.importance, other.importance)
        np.testing.assert_array_equal(one.relative_position, other.relative_position)


def test_truncated_file_is_refused(adding, structure, tmp_path):
    path = tmp_path / "e.h5"
    write_explanations(path, structure, iter(run(adding, structure, tmp_path / "p")))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError, match="not a whole HDF5 file"):
        read_explanations(path)


@pytest.mark.parametrize(
    ("selection", "chosen"),
    [("all", [0, 1, 2, 3, 4]), ("1:3", [1, 2]), ("4,2,2", [2, 4]), ("3,", [3])],
)
def test_selections(selection, chosen):
    assert choose_atoms(selection, 5, 0) == chosen


def test_random_selection_depends_on_the_seed_and_nests():
    assert choose_atoms("20", 1000, 1) == choose_atoms("20", 1000, 1)
    assert choose_atoms("20", 1000, 1) != choose_atoms("20", 1000, 2)
    assert set(choose_atoms("20", 1000, 1)) < set(choose_atoms("40", 1000, 1))


@pytest.mark.parametrize("selection", ["", "0", "6", "x", "3:3", "2:9", "5,", "-1,2", "1:2:3"])
def test_bad_selections_are_named(selection):
    with pytest.raises(InputError, match=r"--atoms .*must be"):
        choose_atoms(selection, 5, 0)


def test_unknown_method_is_named(adding, structure, tmp_path):
    with pytest.raises(InputError, match=r"--method guess: must be one of gnnexplainer"):
        run(adding, structure, tmp_path, method="guess")
