"""What the commands offer and say of themselves."""

import csv
import inspect

import pytest

from symgnn.errors import InputError
from symgnn.models.registry import MODELS, OFFERED, build_model, takes
from symgnn.training import command
from symgnn.training.recipe import EPOCHS, LEARNING_RATE, OWN
from tests.training.runs import SMALL, run

TRAIN = inspect.signature(command.train).parameters


def test_models_name_options_that_the_command_has():
    """And the command has no option of a model that they leave out."""
    offered = {name for name in TRAIN if any(takes(model, name) for model in MODELS)}
    assert offered == set(OFFERED)


@pytest.mark.parametrize("model", MODELS)
def test_an_option_that_a_model_does_not_have_is_refused_with_those_of_the_command(model):
    with pytest.raises(InputError) as caught:
        build_model(model, elements=[29, 40], colour=3)
    refused, has = str(caught.value).split(": ")
    assert refused == "--colour"
    named = [word.strip(",") for word in has.split() if word.startswith("--")]
    assert set(named) <= {f"--{name.replace('_', '-')}" for name in TRAIN}
    assert len(named) == sum(takes(model, name) for name in OFFERED)
    assert has == (f"{model} has only {', '.join(named)}" if named else f"{model} has no options")


def test_help_says_what_patience_counts():
    patience = TRAIN["patience"].default.help
    assert "0: never" in patience
    assert "epochs, not evaluations" in patience


def test_epochs_and_learning_rate_are_the_models_own_where_none_are_given(monkeypatch, tmp_path):
    """As the help says of each model that has its own; what is given counts for each by itself."""
    found = []
    monkeypatch.setattr("symgnn.training.run.train_model", lambda *_, **how: found.append(how))
    given = ([], ["--epochs", 7], ["--learning-rate", 0.5], ["--epochs", 7, "--learning-rate", 0.5])
    for model in ("mlp", *OWN):
        for words in given:
            run("train", tmp_path / "graphs.h5", "--model", model, *words, "-o", tmp_path)
            epochs, rate = OWN.get(model, (EPOCHS, LEARNING_RATE))
            recipe = found.pop()["recipe"]
            assert recipe.epochs == (7 if "--epochs" in words else epochs)
            assert recipe.learning_rate == (0.5 if "--learning-rate" in words else rate)
    for number, name in enumerate(("epochs", "learning_rate")):
        values = [(EPOCHS, LEARNING_RATE)[number]]
        values += [f"{model} {own[number]}" for model, own in OWN.items()]
        assert f"[{'; '.join(map(str, values))}]" in TRAIN[name].default.help


def test_a_row_of_the_history_is_an_evaluation(graphs, tmp_path):
    """As the help says: an epoch, or --evaluation-interval of them."""
    words = ("--model", "mlp", *SMALL, "--evaluation-interval", "2")
    run("train", graphs, *words, "-o", tmp_path)
    with open(tmp_path / "history.csv") as stream:
        assert [row["epoch"] for row in csv.DictReader(stream)] == ["2", "4"]
    assert "history.csv (a row an evaluation" in inspect.getdoc(command.train)
