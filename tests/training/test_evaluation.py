"""The table of models, against scipy and the runs' own metrics; cross-validation by hand."""

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy import stats

from symgnn.errors import InputError
from symgnn.graphs.dataset import SPLITS, read_graphs, write_graphs
from symgnn.training.evaluation import Run, as_text, table
from symgnn.training.metrics import METRICS
from tests.training.runs import SMALL, read_csv, run

GLASSES = {"a": 30, "b": 50, "c": 40}


def made_up(seed, tested, validated="b"):
    """A run that predicts the labels and noise, and nothing but noise where it tests."""
    random = np.random.default_rng([seed, *map(ord, tested)])
    computed: dict = {split: {} for split in SPLITS}
    predicted: dict = {split: {} for split in SPLITS}
    for place, (name, atoms) in enumerate(GLASSES.items()):
        split = {tested: "test", validated: "validation"}.get(name, "train")
        labels = place + np.random.default_rng(place).random(atoms)
        labels[:3] = np.nan
        computed[split][name] = labels
        level = 1.0 if split == "test" else np.nan_to_num(labels)
        predicted[split][name] = level + random.random(atoms)
    return Run("model", seed, 5, computed, predicted, {"epochs": 9}, f"tests {tested}")


def of_test(run):
    """Labels and predictions of its labelled test atoms."""
    ((name, labels),) = run.computed["test"].items()
    seen = np.isfinite(labels)
    return labels[seen], run.predicted["test"][name][seen]


def test_folds_are_judged_on_what_each_has_not_seen():
    """Pooled over the test glasses of a seed's folds; trained on: the mean of the folds."""
    seeds = [[made_up(seed, tested) for tested in "ac"] for seed in range(3)]
    mixed = [run for k, folds in enumerate(seeds) for run in (folds if k % 2 else folds[::-1])]
    (row,) = table(mixed)
    assert row["seeds"] == 3
    pooled, each = [], []
    for folds in seeds:
        pairs = [of_test(run) for run in folds]
        pooled.append(stats.pearsonr(*map(np.concatenate, zip(*pairs, strict=True)))[0])
        each.append(np.mean([stats.pearsonr(*pair)[0] for pair in pairs]))
    assert row["test_pearson_mean"] == pytest.approx(np.mean(pooled))
    assert row["test_pearson_std"] == pytest.approx(np.std(pooled, ddof=1))
    assert row["test_pearson_per_glass_mean"] == pytest.approx(np.mean(each))
    together = []
    for same in zip(*seeds, strict=True):
        labels = of_test(same[0])[0]
        together.append((labels, np.mean([of_test(run)[1] for run in same], axis=0)))
    found = row["test_pearson_ensemble"]
    both = map(np.concatenate, zip(*together, strict=True))
    assert found == pytest.approx(stats.pearsonr(*both)[0])
    alone = [table([run])[0] for folds in seeds for run in folds]
    for column in ("train_mae_mean", "validation_spearman_per_glass_mean"):
        assert row[column] == pytest.approx(np.mean([one[column] for one in alone]))


def test_an_ensemble_is_judged_by_the_mean_of_its_seeds():
    runs = [made_up(seed, "a") for seed in range(4)]
    (row,) = table(runs)
    labels = of_test(runs[0])[0]
    mean = np.mean([of_test(run)[1] for run in runs], axis=0)
    assert row["test_pearson_ensemble"] == pytest.approx(stats.pearsonr(labels, mean)[0])
    assert row["test_mae_per_glass_ensemble"] == pytest.approx(np.abs(labels - mean).mean())
    (one,) = table(runs[:1])
    assert one["test_pearson_ensemble"] == one["test_pearson_mean"]
    lines = as_text([row, one]).splitlines()
    assert f"{row['test_pearson_ensemble']:.3f} |" in lines[2]
    assert len({line.count("|") for line in lines}) == 1


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        (
            [made_up(0, "a"), made_up(0, "c"), made_up(1, "c")],
            "seed 1: no run of the split that tests a",
        ),
        ([made_up(0, "a"), made_up(0, "a")], "seed 0 was given twice"),
        ([made_up(0, "a"), made_up(0, "a", validated="c")], "a is a test glass of two splits"),
        (
            [made_up(0, "a"), replace(made_up(1, "a"), data="other")],
            "seeds 0 and 1 were trained on other graphs",
        ),
        (
            [made_up(0, "a"), replace(made_up(0, "c"), recipe={"epochs": 8})],
            "model: two splits: epochs is 9 and 8",
        ),
    ],
)
def test_folds_that_do_not_belong_together_are_refused(runs, message):
    with pytest.raises(InputError, match=message):
        table(runs)


def test_runs_of_other_labels_are_refused():
    other = made_up(1, "a")
    other.computed["train"]["c"][9] += 0.1
    with pytest.raises(InputError, match="model and model differ in glasses or labels"):
        table([made_up(0, "a"), other])


def test_table_has_a_row_a_model_and_the_spread_over_seeds(finished, tmp_path):
    folders = sorted(finished.iterdir())
    text = run("evaluate", *folders, "-o", tmp_path / "table.csv").output
    rows = read_csv(tmp_path / "table.csv")
    assert [(row["model"], row["seeds"]) for row in rows] == [
        ("edge_length width=8", "1"),
        ("symgnn width=8", "2"),
    ]
    values = [
        json.loads((finished / f"symgnn-{seed}" / "metrics.json").read_text()) for seed in (0, 1)
    ]
    for split, kind, metric in product(SPLITS, ("pooled", "per_glass"), METRICS):
        found = [value[split][kind][metric] for value in values]
        column = f"{split}_{metric}" + ("_per_glass" if kind == "per_glass" else "")
        assert float(rows[1][f"{column}_mean"]) == pytest.approx(np.mean(found), rel=1e-5)
        spread = pytest.approx(np.std(found, ddof=1), rel=1e-5, abs=1e-6)
        assert float(rows[1][f"{column}_std"]) == spread
    assert rows[0]["test_pearson_std"] == ""
    assert "symgnn width=8" in text
    with pytest.raises(InputError, match="seed 0 was given twice"):
        run("evaluate", folders[1], folders[1], "-o", tmp_path / "table.csv")


def test_a_table_of_other_labels_or_recipes_is_refused(finished, graphs, tmp_path):
    again = tmp_path / "again"
    longer = [*SMALL[:1], "5", *SMALL[2:]]
    run("train", graphs, "--model", "edge_length", "--seed", 1, "-o", again, *longer)
    with pytest.raises(InputError, match="seeds 0 and 1: epochs is 4 and 5"):
        run("evaluate", finished / "edge_length-0", again, "-o", tmp_path / "table.csv")
    dataset = read_graphs(graphs)
    for graph in dataset.of_split("train"):
        graph.edge_vector *= 1.01
    write_graphs(tmp_path / "moved.h5", dataset.graphs, cutoff=4.0)
    words = ("train", tmp_path / "moved.h5", "--model", "edge_length", "--seed", 1, *SMALL)
    run(*words, "-o", tmp_path / "moved")
    with pytest.raises(InputError, match="seeds 0 and 1 were trained on other graphs"):
        run("evaluate", finished / "edge_length-0", tmp_path / "moved", "-o", tmp_path / "t.csv")
    dataset.graphs[0].split = "test"
    write_graphs(tmp_path / "other.h5", dataset.graphs, cutoff=4.0)
    run("train", tmp_path / "other.h5", "--model", "gcn", "-o", tmp_path / "other", *SMALL)
    with pytest.raises(InputError, match="g4 is a test glass of two splits"):
        run("evaluate", finished / "edge_length-0", tmp_path / "other", "-o", tmp_path / "t.csv")
    assert not list(tmp_path.glob("*.csv"))
