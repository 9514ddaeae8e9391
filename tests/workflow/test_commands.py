"""The configuration's keys are options of the commands that they are passed to."""

from dataclasses import fields

import pytest
import typer
import yaml

from symgnn.cli import app
from symgnn.models.registry import MODELS, takes
from symgnn.training.recipe import Recipe

SECTIONS = {
    "quench": "glasses.protocol",
    "barriers": "barriers.protocol",
    "graphs": "graphs",
    "train": "models.training",
    "explain": "explanations.protocol",
    "assess": "explanations.assessment",
}


def options_of(command: str) -> set[str]:
    """Names of a command's options, with _ for -."""
    found = typer.main.get_command(app).commands[command]
    names = [name for option in found.params for name in option.opts if name.startswith("--")]
    return {name.removeprefix("--").replace("-", "_") for name in names}


def section(repository, path: str) -> dict:
    """The part of the schema at a dotted path."""
    node = yaml.safe_load((repository / "workflow" / "schemas" / "config.schema.yaml").read_text())
    for part in path.split("."):
        node = node["properties"][part]
    return node


@pytest.mark.parametrize("command", SECTIONS)
def test_every_key_is_an_option(repository, command):
    keys = set(section(repository, SECTIONS[command])["properties"])
    assert keys
    assert keys <= options_of(command)


def test_every_option_is_a_key_or_the_workflow_s(repository):
    """No option of a stage is out of a configuration's reach without a reason."""
    of_the_workflow = {
        "quench": {"composition", "atoms", "cooling_rate", "seed", "potential"},
        "barriers": {"atoms", "shard", "potential", "events", "export"},
        "graphs": {"events", "train", "validation", "test", "seed", "potential", "threads"},
    }
    every = {"help", "output", "time_budget"}
    for command, known in of_the_workflow.items():
        keys = set(section(repository, SECTIONS[command])["properties"])
        assert {name for name in options_of(command) - keys if name[:3] != "no_"} <= known | every


def test_the_models_are_those_of_the_program(repository):
    schema = yaml.safe_load(
        (repository / "workflow" / "schemas" / "config.schema.yaml").read_text()
    )
    assert schema["$defs"]["model"]["enum"] == list(MODELS)


def test_the_options_of_a_model_are_those_that_it_has(repository):
    options = section(repository, "models.options")["properties"]
    keys = {name: set(part["properties"]) for name, part in options.items()}
    assert set(keys) == set(MODELS)
    of_training = {field.name for field in fields(Recipe)}
    of_models = set.union(*keys.values()) - of_training
    assert of_models | of_training <= options_of("train")
    for name, known in keys.items():
        assert known == of_training | {key for key in of_models if takes(name, key)}


def test_a_model_s_own_recipe_has_the_ranges_of_the_common_one(repository):
    common = section(repository, "models.training")["properties"]
    assert set(common) == {field.name for field in fields(Recipe)} | {"checkpoint_interval"}
    for part in section(repository, "models.options")["properties"].values():
        own = part["properties"]
        assert {key: own[key] for key in common.keys() & own} == {
            field.name: common[field.name] for field in fields(Recipe)
        }


def test_the_chains_commands_exist(repository):
    text = "".join(path.read_text() for path in (repository / "workflow" / "rules").glob("*.smk"))
    for command in ("quench", "barriers", "merge-events", "graphs", "train", "evaluate"):
        assert f"symgnn {command} " in text
        assert options_of(command)
