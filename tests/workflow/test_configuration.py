"""The configuration: what is right passes as numbers, what is wrong is one line with the reason."""

import copy

import pytest
import yaml

from symgnn.errors import InputError
from symgnn.workflow.configuration import check_configuration


@pytest.fixture(scope="module")
def schema(repository):
    return repository / "workflow" / "schemas" / "config.schema.yaml"


@pytest.fixture
def config(repository):
    return yaml.safe_load((repository / "config.yaml").read_text())


def test_the_paper_s_protocol_passes(config, schema):
    checked = check_configuration(config, schema)
    assert checked["glasses"]["ensembles"][0]["cooling_rates"] == [1e14, 1e13, 1e12, 1e11, 1e10]
    assert checked["models"]["training"]["learning_rate"] == 1e-4


def test_spelling_of_a_number_does_not_matter(config, schema):
    other = copy.deepcopy(config)
    other["glasses"]["protocol"].update(melt_temperature="2e3", melt_time=1000.0)
    other["barriers"]["protocol"]["searches"] = 20.0
    assert repr(check_configuration(other, schema)) == repr(check_configuration(config, schema))


def test_a_model_may_have_its_own_recipe(config, schema):
    own = {"epochs": "30", "learning_rate": "2e-3", "patience": 5.0, "compile": True, "width": 8}
    config["models"]["options"]["gcn"] = own
    checked = check_configuration(config, schema)["models"]
    assert checked["options"]["gcn"] == own | {"epochs": 30, "learning_rate": 2e-3}
    assert checked["training"]["epochs"] == 20000


def test_it_does_not_change_its_argument(config, schema):
    before = copy.deepcopy(config)
    check_configuration(config, schema)
    assert config == before


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("graphs.cutoff", 100, "graphs.cutoff: 100 is not allowed; it must be a number from 1"),
        ("graphs.cutoff", float("nan"), "graphs.cutoff: nan is not allowed"),
        ("graphs.cutoff", "long", "graphs.cutoff: 'long' is not allowed; it must be a number"),
        ("glasses.protocol.timestep", 0, "it must be a number above 0 up to 10 fs"),
        ("glasses.protocol.melt_temperature", -5, "melt_temperature: -5 is not allowed"),
        ("glasses.protocol.color", "red", "glasses.protocol.color: unknown key; known here: melt"),
        ("glasses.ensembles.0.cooling_rates", [-1e12], "cooling_rates[0]: -1000000000000.0 is"),
        ("glasses.ensembles.0.atoms", 0, "glasses.ensembles[0].atoms: 0 is not allowed"),
        ("glasses.ensembles.0.atoms", 10.5, "glasses.ensembles[0].atoms: 10.5 is not allowed"),
        ("glasses.ensembles.0.composition", "cu64", "composition: 'cu64' is not allowed"),
        ("barriers.atoms", "some", "it must be all, a number from 1 on, or a range first:last"),
        ("barriers.protocol.searches", True, "searches: True is not allowed"),
        ("models.seeds", [0, 0], "it must be a list of 1 or more, each once"),
        ("models.names", ["symgn"], "names[0]: 'symgn' is not allowed; it must be one of symgnn, "),
        ("models.options.symgn", {}, "models.options.symgn: the key must be one of symgnn, "),
        ("models.options.gcn", {"gaussians": 5}, "options.gcn.gaussians: unknown key; known here"),
        (
            "models.options.gcn",
            {"epochs": 0},
            "gcn.epochs: 0 is not allowed; it must be an int",
        ),
        ("models.options.ridge", {"averaging": 1}, "options.ridge.averaging: 1 is not allowed; it"),
        ("models.options.mlp", {"schedule": "linear"}, "mlp.schedule: 'linear' is not allowed; it"),
        ("models.options.mlp", {"checkpoint_interval": 60}, "mlp.checkpoint_interval: unknown key"),
        ("models.options.symgnn.learning_rate", "fast", "learning_rate: 'fast' is not allowed; it"),
        ("models.training.weight_decay", 1, "weight_decay: 1 is not allowed; it must be a number"),
    ],
)
def test_one_line_names_file_key_value_and_range(config, schema, tmp_path, path, value, words):
    *parents, last = path.split(".")
    node = config
    for part in parents:
        node = node[int(part) if part.isdigit() else part]
    node[last] = value
    file = tmp_path / "wrong.yaml"
    file.write_text(yaml.safe_dump(config))
    with pytest.raises(InputError) as caught:
        check_configuration(config, schema, [file])
    message = str(caught.value)
    assert words in message
    assert "\n" not in message
    if value == value:  # a NaN is not equal to itself, so no file is found to hold it
        assert message.startswith(f"{file}: ")


def test_a_missing_key_is_named(config, schema):
    del config["graphs"]["cutoff"]
    with pytest.raises(InputError, match=r"graphs\.cutoff: missing; a number from 1 up to 20 Å"):
        check_configuration(config, schema)


def test_the_overlay_that_holds_the_value_is_named(config, schema, repository, tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("graphs: {cutoff: 0.2}")
    config["graphs"]["cutoff"] = 0.2
    with pytest.raises(InputError, match=str(overlay)):
        check_configuration(config, schema, [repository / "config.yaml", overlay])
    with pytest.raises(InputError, match="the command line"):
        check_configuration(config, schema, [repository / "config.yaml"])
