"""A folder that a training was in before: no checkpoint vouches for what another run wrote."""

import shutil

import pytest
import torch

from symgnn.errors import InputError, TimeBudgetReached
from symgnn.training import run as training_run
from symgnn.training.checkpoint import load
from symgnn.training.resuming import Saver
from tests.training.runs import SMALL, run

FINISHED = ["checkpoint.pt", "history.csv", "metrics.json", "predictions.h5"]


@pytest.fixture
def folder(finished, tmp_path):
    """Of a finished run with seed 0."""
    return shutil.copytree(finished / "edge_length-0", tmp_path / "run")


def train(graphs, folder, *more, seed=7):
    options = ("--model", "edge_length", "--seed", seed, *SMALL, *more)
    return run("train", graphs, "-o", folder, *options)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def refused_by_evaluate(folder):
    with pytest.raises(InputError, match=r"no checkpoint\.pt: not a finished training run"):
        run("evaluate", folder, "-o", folder.parent / "table.csv")
    return True


def test_a_stopped_training_leaves_no_results_of_an_earlier_one(graphs, folder):
    with pytest.raises(TimeBudgetReached):
        train(graphs, folder, "--time-budget", 0)
    assert names(folder) == ["history.csv", "resume.pt"]
    assert refused_by_evaluate(folder)
    train(graphs, folder)
    assert names(folder) == FINISHED
    assert load(folder / "checkpoint.pt").seed == 7


def test_a_finished_training_says_that_it_is_made_again(graphs, folder):
    new, words = folder.parent / "new", "held a finished training, which is made again"
    assert train(graphs, folder).output.count(words) == 1
    with pytest.raises(TimeBudgetReached):
        train(graphs, new, "--time-budget", 0)
    assert words not in train(graphs, new).output


class Killed(BaseException):
    pass


def killed(*_, **__):
    raise Killed


@pytest.mark.parametrize(
    "place", ["train", "write_history", "_write_predictions", "write_json", "save_checkpoint"]
)
def test_one_killed_at_any_step_leaves_no_checkpoint(graphs, folder, monkeypatch, place):
    monkeypatch.setattr(training_run, place, killed)
    with pytest.raises(Killed):
        train(graphs, folder)
    assert refused_by_evaluate(folder)


def test_one_killed_goes_on_from_its_last_resume_point(finished, graphs, tmp_path, monkeypatch):
    """And ends with the weights of an unbroken run."""
    after, seen = Saver.__call__, []

    def kill_after_three(self, state):
        after(self, state)
        seen.append(state.epoch)
        if len(seen) == 3:
            raise Killed

    monkeypatch.setattr(Saver, "__call__", kill_after_three)
    with pytest.raises(Killed):
        train(graphs, tmp_path, "--checkpoint-interval", 0, seed=0)
    train(graphs, tmp_path, seed=0)
    assert seen == [1, 2, 3, 4]
    expected, found = (
        load(folder / "checkpoint.pt").model.state_dict()
        for folder in (finished / "edge_length-0", tmp_path)
    )
    assert all(torch.equal(expected[key], found[key]) for key in expected)


def test_no_resume_point_before_its_time(graphs, tmp_path, monkeypatch):
    monkeypatch.setattr(training_run, "_write_predictions", killed)
    with pytest.raises(Killed):
        train(graphs, tmp_path)  # all epochs are done, within the 300 s between resume points
    assert not (tmp_path / "resume.pt").exists()


@pytest.mark.parametrize("name", training_run.RESULTS)
def test_one_killed_while_it_removes_results_leaves_no_checkpoint(
    graphs, folder, monkeypatch, name
):
    """Whatever is left, the checkpoint is not."""
    unlink = type(folder).unlink

    def until(path, **options):
        unlink(path, **options)
        if path.name == name:
            raise Killed

    monkeypatch.setattr(type(folder), "unlink", until)
    with pytest.raises(Killed):
        train(graphs, folder)
    monkeypatch.undo()
    assert refused_by_evaluate(folder)


def test_one_killed_before_its_resume_point_is_removed_is_finished(finished, graphs, tmp_path):
    """The checkpoint beside it is its own; to train again ends with the same weights."""
    folder = tmp_path / "run"
    with pytest.raises(TimeBudgetReached):
        train(graphs, folder, "--time-budget", 0, seed=0)
    shutil.copy(folder / "resume.pt", tmp_path)
    train(graphs, folder, seed=0)
    shutil.copy(tmp_path / "resume.pt", folder)
    run("evaluate", folder, "-o", tmp_path / "table.csv")
    expected = load(finished / "edge_length-0" / "checkpoint.pt").model.state_dict()
    train(graphs, folder, seed=0)
    found = load(folder / "checkpoint.pt").model.state_dict()
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    assert names(folder) == FINISHED


@pytest.mark.parametrize("option", ["samples", "gaussians", "patience"])
def test_bad_arguments_leave_an_earlier_run_alone(graphs, folder, option):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(InputError, match=option):
        train(graphs, folder, f"--{option}", {"samples": 3, "gaussians": 1, "patience": -1}[option])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
