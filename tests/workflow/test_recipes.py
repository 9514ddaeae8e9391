"""One model's own recipe: in its command and planned cost, and in no other model's."""

import re

import pytest
import yaml

from symgnn.errors import EXIT_BAD_INPUT
from symgnn.training.recipe import OWN, own_recipe
from symgnn.workflow import plan
from tests.workflow.conftest import Workflow

MODELS = {"names": ["gcn", "response"], "seeds": [0]}
INPUTS = {"inputs": ["response", "invariants"]}


@pytest.fixture(scope="module")
def dry_run(repository, tmp_path_factory):
    workflow = Workflow(repository, tmp_path_factory.mktemp("recipes"))

    def run(models: dict, **keywords):
        overlay = {"graphs": INPUTS, "models": MODELS | models}
        return workflow.run("--dry-run", "--printshellcmds", overlay=overlay, **keywords)

    return run


def test_config_has_each_model_s_own_recipe(repository):
    """As `symgnn train` has it, whatever the recipe of the paper is."""
    models = yaml.safe_load((repository / "config.yaml").read_text())["models"]
    for model in OWN:
        options = plan.training_options(models, model)
        for name, value in own_recipe(model).items():
            assert float(options[name]) == value, (model, name)
        assert (options["batch_size"], options["schedule"]) == (1, "cosine")


def commands(output: str) -> dict[str, list[str]]:
    """Options of `symgnn train` by model."""
    found = re.findall(r" symgnn train \S+ --model (\w+) (.*?) --threads", output)
    return {model: options.split() for model, options in found}


def test_the_commands_and_the_planned_costs(dry_run):
    """The tiny configuration's two epochs and 1e-3, and config.yaml's recipe of `response`."""
    before, other = (
        dry_run({"options": {"response": own}}).stdout
        for own in ({}, {"epochs": 20000, "learning_rate": 3e-3})
    )
    options = commands(before)
    assert set(options) == {"gcn", "response"}
    for model, values in {"gcn": ("2", "0.001"), "response": ("30", "0.002")}.items():
        words = options[model]
        assert (words[words.index("--epochs") + 1], words[words.index("--learning-rate") + 1]) == (
            values
        )
        assert all(words.count(word) == 1 for word in words if word.startswith("--"))
    assert commands(other)["gcn"] == options["gcn"]
    assert commands(other)["response"] != options["response"]
    hours = [
        float(next(line for line in text.splitlines() if line.startswith("models ")).split()[3])
        for text in (before, other)
    ]
    # 240 atoms to train and validate on, 1.1e-5 s an atom and epoch
    assert hours == [0.0, pytest.approx(240 * 1.1e-5 * 20002 / 3600, abs=5e-3)]


def test_a_wrong_one_ends_before_the_first_job(dry_run):
    done = dry_run({"options": {"response": {"learning_rate": 20}}}, check=False)
    assert done.returncode == EXIT_BAD_INPUT
    line = next(line for line in done.stdout.splitlines() if line.startswith("symgnn: error: "))
    assert "models.options.response.learning_rate: 20 is not allowed" in line
    assert "rule train" not in done.stdout


@pytest.mark.parametrize(("cores", "threads"), [(1, "1"), (2, "2")])
def test_graphs_with_searches_keep_to_one_node(repository, tmp_path, cores, threads):
    """However long the searches take and however many ranks a quench may have."""
    costs = yaml.safe_load((repository / "config.yaml").read_text())["execution"]["costs"]
    overlay = {
        "graphs": {"inputs": ["searches"]},
        "execution": {"node_cores": cores, "ranks_max": 64, "costs": costs | {"searches": 1e3}},
    }
    workflow = Workflow(repository, tmp_path)
    words = ("--dry-run", "--printshellcmds", "--cores", "8")
    output = workflow.run(*words, overlay=overlay).stdout
    assert re.findall(r" symgnn graphs .* --threads (\d+)", output) == [threads]
