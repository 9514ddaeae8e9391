"""The plan of a configuration: names, seeds, splits, shards, costs."""

import shlex
from dataclasses import replace
from types import SimpleNamespace

import pytest
import yaml

from symgnn.errors import InputError
from symgnn.potentials import find_potential
from symgnn.workflow import costs, plan

ENSEMBLE = {"composition": "Cu64Zr36", "atoms": 500, "cooling_rates": [1e14, 3e13], "samples": 3}


def test_names_and_own_seeds():
    glasses = plan.list_glasses([ENSEMBLE], seed=7)
    assert next(iter(glasses)) == "Cu64Zr36_500_1e14_s1"
    assert list(glasses)[-1] == "Cu64Zr36_500_3e13_s3"
    assert len({glass.seed for glass in glasses.values()}) == len(glasses) == 6
    assert all(0 < glass.seed < 900_000_000 for glass in glasses.values())


def test_a_further_rate_sample_or_ensemble_leaves_the_others():
    before = plan.list_glasses([ENSEMBLE], seed=7)
    more = ENSEMBLE | {"cooling_rates": [1e12, 1e14, 3e13], "samples": 4}
    after = plan.list_glasses([ENSEMBLE | {"composition": "Cu50Zr50"}, more], seed=7)
    assert before.items() <= after.items()


def test_the_same_glass_twice_is_an_error():
    with pytest.raises(InputError, match="Cu64Zr36_500_1e14_s1 is in two ensembles"):
        plan.list_glasses([ENSEMBLE, ENSEMBLE], seed=7)


@pytest.mark.parametrize(
    ("rate", "text"), [(1e14, "1e14"), (3e13, "3e13"), (2.5e12, "2.5e12"), (1.5e6, "1.5e6")]
)
def test_rate_in_names(rate, text):
    assert plan.rate_text(rate) == text
    assert float(text) == rate


def test_splits_by_pattern():
    names = plan.list_glasses([ENSEMBLE], seed=7)
    dataset = {"train": ["*_s1", "*_s2"], "validation": ["*1e14_s3"], "test": ["*3e13_s3"]}
    splits = plan.list_splits(dataset, names)
    assert sorted(splits) == sorted(names)
    assert splits["Cu64Zr36_500_3e13_s2"] == "train"


def test_a_glass_is_in_one_split_and_a_pattern_fits_something():
    names = plan.list_glasses([ENSEMBLE], seed=7)
    with pytest.raises(InputError, match="is in train and in test"):
        plan.list_splits({"train": ["*s1"], "validation": ["*s2"], "test": ["*1e14_s1"]}, names)
    with pytest.raises(InputError, match=r"dataset.test: '\*s9' fits none of Cu64Zr36_500_1e14"):
        plan.list_splits({"train": ["*s1"], "validation": ["*s2"], "test": ["*s9"]}, names)


@pytest.mark.parametrize(
    ("selection", "count"), [("all", 500), (60, 60), ("10:25", 15), ("0:500", 500), (500, 500)]
)
def test_chosen_atoms(selection, count):
    assert plan.chosen_count(selection, 500) == count


@pytest.mark.parametrize("selection", [501, "25:10", "10:501", "7:7"])
def test_choosing_more_than_there_are(selection):
    with pytest.raises(InputError, match="must lie within 0 to 500 atoms"):
        plan.chosen_count(selection, 500)


def test_shards_cover_the_atoms():
    glasses = plan.list_glasses([ENSEMBLE], seed=7).values()
    for size, count in [(500, 1), (499, 2), (100, 5), (99, 6), (1, 500)]:
        shards = plan.list_shards({"atoms": "all", "shard_size": size}, glasses)
        assert set(shards.values()) == {count}


def test_command_options():
    options = {"melt_time": 10.0, "relax_box": True, "trace": False, "seed": 3}
    assert plan.command_options(options) == "--melt-time 10.0 --relax-box --no-trace --seed 3"


@pytest.mark.parametrize(
    ("composition", "message"),
    [
        ("Al50Zr50", "Al50Zr50: Cu-Zr_2.eam.fs: element Al: unknown to this potential"),
        ("Cu64Zr30", "Cu64Zr30: composition: 'Cu64Zr30': the shares sum to 94"),
    ],
)
def test_compositions_that_cannot_be_made_end_the_planning(composition, message):
    glasses = plan.list_glasses([ENSEMBLE, ENSEMBLE | {"composition": composition}], seed=7)
    with pytest.raises(InputError, match=f"config: glasses.ensembles: {message}"):
        plan.check_compositions(glasses.values(), find_potential("Cu-Zr-2009"))
    others = [glass for glass in glasses.values() if glass.composition != composition]
    plan.check_compositions(others, find_potential("Cu-Zr-2009"))


@pytest.mark.parametrize("stage", ["glasses", "shear"])
def test_threads_need_a_suffix_that_uses_them(stage):
    config = {
        "execution": {"lammps_threads": 4},
        "glasses": {"protocol": {"suffix": "omp"}},
        "shear": {"glasses": ["*"], "protocol": {"suffix": "kk"}},
    }
    plan.check_threads(config)
    config[stage]["protocol"]["suffix"] = "opt"
    with pytest.raises(InputError, match=rf"lammps_threads: 4: needs {stage}\.protocol\.suffix"):
        plan.check_threads(config)
    plan.check_threads(config | {"execution": {"lammps_threads": 1}})


def test_command_options_reach_the_command_through_a_shell():
    """A list repeats its option; words with spaces and empty ones stay one word each."""
    options = {"suffix": "", "package": ["omp 2", "gpu 1 neigh no"], "kokkos": "on g 1"}
    assert shlex.split(plan.command_options(options)) == [
        *("--suffix", "", "--package", "omp 2", "--package", "gpu 1 neigh no"),
        *("--kokkos", "on g 1"),
    ]


def test_a_model_s_own_options_replace_those_of_all():
    """One flag once, wherever it stands; the other models' stay as they are."""
    training = {"epochs": 20000, "learning_rate": 1e-4, "averaging": 0, "compile": True}
    own = {"width": 8, "learning_rate": 2e-3, "epochs": 30, "compile": False}
    models = {"training": training, "options": {"response": own}}
    expected = "--averaging 0 --no-compile --epochs 30 --learning-rate 0.002 --width 8"
    assert plan.command_options(plan.training_options(models, "response")) == expected
    moved = {"training": {"width": 8}, "options": {"response": training | own}}
    del moved["options"]["response"]["width"]
    assert plan.command_options(plan.training_options(moved, "response")) == expected
    assert plan.training_options(models, "gcn") == training
    assert training["epochs"] == 20000


def test_the_planned_costs_are_of_each_model_s_epochs():
    config = {
        "execution": {"costs": {"training": 1e-5}},
        "models": {"training": {"epochs": 20000}, "options": {"response": {"epochs": 30}}},
    }
    assert costs.training_seconds("gcn", 1000, config) == pytest.approx(200)
    assert costs.training_seconds("response", 1000, config) == pytest.approx(0.3)


def test_searches_as_inputs_are_planned():
    """One at each atom of every glass with a split; all else of the graphs takes no time."""
    config = {"execution": {"costs": {"searches": 0.06}}, "graphs": {"inputs": ["searches"]}}
    glasses = [SimpleNamespace(atoms=atoms) for atoms in (1000, 3000)]
    assert costs.input_seconds(glasses, config) == pytest.approx(240)
    assert costs.input_seconds(glasses, config | {"graphs": {"inputs": ["response"]}}) == 0
    assert costs.input_seconds(glasses, config | {"graphs": {}}) == 0


def test_ranks_double_until_the_hours_suffice():
    assert costs.ranks_for(3600, hours=1, most=64) == 1
    assert costs.ranks_for(3601, hours=1, most=64) == 2
    assert costs.ranks_for(5 * 3600, hours=1, most=64) == 8
    assert costs.ranks_for(1e9, hours=1, most=64) == 64


def test_steps_of_a_quench():
    protocol = {
        "melt_temperature": 2000.0,
        "final_temperature": 1.0,
        "melt_time": 1000.0,
        "timestep": 2.0,
    }
    # 1 ns and then 1999 K at 1e13 K/s, 0.1999 ns, in steps of 2 fs
    assert costs.quench_steps(1e13, protocol) == pytest.approx(599_950)


def test_costs_of_the_paper_s_protocol(repository):
    from symgnn.workflow.configuration import check_configuration

    config = check_configuration(
        yaml.safe_load((repository / "config.yaml").read_text()),
        repository / "workflow" / "schemas" / "config.schema.yaml",
    )
    glasses = plan.list_glasses(config["glasses"]["ensembles"], config["glasses"]["seed"])
    splits = plan.list_splits(config["dataset"], glasses)
    shards = plan.list_shards(config["barriers"], [glasses[name] for name in splits])
    sheared = plan.match(config["shear"]["glasses"], glasses, "shear.glasses")
    found = costs.stage_costs(config, glasses, splits, shards, sheared, [])
    table = {c.stage: c for c in found}
    assert [list(splits.values()).count(split) for split in plan.SPLITS] == [6, 1, 2]
    assert sum(glass.atoms == 8000 for glass in glasses.values()) == 55
    unit = config["execution"]["costs"]  # a check is of all atoms of a glass
    each = unit["barriers"] + unit["barriers_check"]
    large, small = (each + unit["barriers_check_atom"] * atoms for atoms in (8000, 3000))
    seconds = 20 * (7 * 8000 * large + 2 * 3000 * small)
    seconds += 80 * (7 * 8000 + 2 * 3000) * unit["barriers"]  # those that end in the region
    assert table["barriers"].core_hours == pytest.approx(seconds / 3600)
    # seven models, four seeds, 20,000 epochs of the training and validation glasses
    training = 7 * 8000 * unit["training"] * 4 / 3600
    assert table["models"].gpu_hours == pytest.approx(training * 7 * 20000)
    config["models"]["names"].append("response")
    found = costs.stage_costs(config, glasses, splits, shards, sheared, [])
    models = next(cost for cost in found if cost.stage == "models")
    assert models.gpu_hours == pytest.approx(training * (7 * 20000 + 30))
    assert models.jobs == table["models"].jobs + 4
    large = glasses[next(name for name in splits if glasses[name].atoms == 8000)]
    protocol = config["barriers"]["protocol"]
    protocol["engine"] = "gpu"  # its unit has the check in it, which the others do not make
    check = unit["barriers_check"] + 8000 * unit["barriers_check_atom"]
    one = unit["barriers_gpu"]
    alone = one * unit["barriers"] / (unit["barriers"] + check)
    assert costs.search_seconds(large, 3, config) == pytest.approx(3 * (20 * one + 80 * alone))
    protocol |= {"engine": "lammps", "region_searches": 50}
    lammps = 3 * 20 * (unit["barriers"] + check)
    assert costs.search_seconds(large, 3, config) == pytest.approx(lammps)
    protocol["engine"] = "cpu"
    further = 3 * 50 * unit["barriers"]
    assert costs.search_seconds(large, 3, config) == pytest.approx(lammps + further)
    protocol["check"] = False
    assert costs.search_seconds(large, 3, config) == pytest.approx(3 * 20 * unit["barriers"])
    # seven ensembles and rates, one sheared glass each, to a strain of 0.2 in steps of 1e-4
    assert len(sheared) == table["shear"].jobs == 7
    work = (5 * 8000 + 2 * 3000) * 2000 * config["execution"]["costs"]["shear"]
    assert table["shear"].core_hours == pytest.approx(work / 3600)
    text = costs.format_costs(table.values())
    assert text.splitlines()[-1].split()[1] == str(sum(c.jobs for c in table.values()))


def test_models_need_their_inputs_in_the_graphs():
    config = {
        "graphs": {"cutoff": 5, "inputs": ["invariants_by_element"]},
        "models": {"names": ["ridge", "gcn"]},
    }
    potential = find_potential("Cu-Zr-2009")
    plan.check_inputs(config, potential)
    bare = config | {"graphs": {"cutoff": 5}}
    with pytest.raises(
        InputError, match=r"graphs\.inputs: \[\]: model ridge needs 'invariants_by_element'"
    ):
        plan.check_inputs(bare, potential)
    with pytest.raises(InputError, match=r"explanations\.model: ridge: it has per-atom inputs"):
        plan.check_inputs(config | {"explanations": {"model": "ridge"}}, potential)
    other = replace(potential, style="sw")
    with pytest.raises(InputError, match=r"graphs\.inputs: .*: need an EAM potential; .* style sw"):
        plan.check_inputs(config, other)
    plan.check_inputs(bare | {"models": {"names": ["gcn"]}}, other)


@pytest.mark.parametrize(
    ("name", "engine", "resolved"),
    [
        ("Cu-Zr-2009", "auto", "cpu"),
        ("Cu-Zr-2009", "gpu", "gpu"),
        ("other", "auto", "lammps"),
        ("other", None, "lammps"),
    ],
)
def test_jobs_are_told_the_engine(name, engine, resolved):
    """What `auto` means must not depend on the node that a shard runs on."""
    potential = find_potential("Cu-Zr-2009")
    if name == "other":
        potential = replace(potential, style="sw")
    protocol = {"searches": 5} | ({"engine": engine} if engine else {})
    words = shlex.split(plan.search_options(protocol, potential))
    assert words[words.index("--engine") + 1] == resolved
    assert words[words.index("--searches") + 1] == "5"


def test_explained_atoms_must_be_there():
    glasses = list(plan.list_glasses([ENSEMBLE], seed=7).values())
    plan.check_explained({"explanations": {"atoms": 500}}, glasses)
    with pytest.raises(InputError, match=r"explanations\.atoms: 501 must lie within 0 to 500"):
        plan.check_explained({"explanations": {"atoms": 501}}, glasses)
