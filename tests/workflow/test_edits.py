"""Exactly what changed reruns: an edit, and the jobs that a dry run then wants."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

GLASSES = [f"Cu64Zr36_120_1e15_s{k}" for k in (1, 2, 3)]
QUENCHES = {f"quench {glass}" for glass in GLASSES}
SEARCHES = {f"search_barriers {glass} {shard}" for glass in GLASSES for shard in (0, 1)}
MERGES = {f"merge_shards {glass}" for glass in GLASSES}
EXPLAINING = {"explain Cu64Zr36_120_1e15_s3", "assess Cu64Zr36_120_1e15_s3"}
TRAINING = {"train gcn 0", "evaluate", "report"} | EXPLAINING
FROM_GRAPHS = {"build_graphs"} | TRAINING
FROM_SEARCHES = SEARCHES | MERGES | FROM_GRAPHS
SHEAR = {"shear Cu64Zr36_120_1e15_s3"}
ALL = QUENCHES | SHEAR | FROM_SEARCHES

POTENTIAL = "potential file"
ENSEMBLE = {"composition": "Cu64Zr36", "atoms": 120, "cooling_rates": [1e15], "samples": 3}


def ensembles(*changed: dict) -> dict:
    return {"glasses": {"ensembles": [ENSEMBLE | change for change in changed]}}


def of_glass(name: str) -> set[str]:
    return {f"quench {name}", f"merge_shards {name}"} | {
        f"search_barriers {name} {shard}" for shard in (0, 1)
    }


EDITS = {
    "seed": ({"glasses": {"seed": 2010}}, ALL),
    "cooling rate added, to see it in the report": (
        ensembles({"cooling_rates": [1e15, 5e14], "samples": 3}),
        {f"quench Cu64Zr36_120_5e14_s{k}" for k in (1, 2, 3)} | {"report"},
    ),
    "cooling rate added, with its barriers": (
        ensembles({}, {"cooling_rates": [5e14], "samples": 1})
        | {"dataset": {"train": ["*_1e15_s1", "*_5e14_s1"]}},
        of_glass("Cu64Zr36_120_5e14_s1") | FROM_GRAPHS,
    ),
    "sample added": (
        ensembles({"samples": 4}) | {"dataset": {"train": ["*_s1", "*_s4"]}},
        of_glass("Cu64Zr36_120_1e15_s4") | FROM_GRAPHS,
    ),
    "composition added": (
        ensembles({}, {"composition": "Cu50Zr50", "samples": 1})
        | {"dataset": {"test": ["Cu64*_s3", "Cu50*"]}},
        of_glass("Cu50Zr50_120_1e15_s1") | FROM_GRAPHS,
    ),
    "step of the strain": (
        {"shear": {"protocol": {"step": 1e-3}}},
        SHEAR | {"report"},
    ),
    "another glass sheared": (
        {"shear": {"glasses": ["*_s3", "*_s1"]}},
        {"shear Cu64Zr36_120_1e15_s1", "report"},
    ),
    "no glass sheared": ({"shear": {"glasses": []}}, {"report"}),
    "accelerator package": (
        {"glasses": {"protocol": {"suffix": "omp", "package": ["omp 2"]}}},
        ALL,
    ),
    "searches an atom": ({"barriers": {"protocol": {"searches": 2}}}, FROM_SEARCHES),
    "cutoff": ({"graphs": {"cutoff": 4.5}}, FROM_GRAPHS),
    "learning rate": ({"models": {"training": {"learning_rate": 2e-3}}}, TRAINING),
    "learning rate of one model": (
        {"models": {"options": {"gcn": {"learning_rate": 2e-3}}}},
        TRAINING,
    ),
    "recipe of a model that is not among the names": (
        {"models": {"options": {"mlp": {"learning_rate": 2e-3, "epochs": 3}}}},
        set(),
    ),
    "learning rate of the others": (
        {
            "models": {
                "training": {"learning_rate": 3e-3},
                "options": {"gcn": {"learning_rate": 1e-3}},
            }
        },
        set(),
    ),
    "model added": (
        {"models": {"names": ["gcn", "gcn_edges"]}},
        {"train gcn_edges 0", "evaluate", "report"},
    ),
    "explained atoms": (
        {"explanations": {"atoms": 2}},
        EXPLAINING | {"report"},
    ),
    "judged atoms": (
        {"explanations": {"assessment": {"judged": 3}}},
        {"assess Cu64Zr36_120_1e15_s3", "report"},
    ),
    "numbers spelled otherwise": (
        {"graphs": {"cutoff": "5.00"}, "models": {"training": {"learning_rate": "0.001"}}},
        set(),
    ),
    "how jobs are cut in time": ({"execution": {"job_hours": 1, "costs": {"barriers": 9}}}, set()),
}


@pytest.fixture(scope="module")
def planned(finished, potential, tmp_path_factory) -> dict[str, set[str]]:
    """The jobs that a dry run wants after each edit; the dry runs share the cores."""
    # The same numbers under another name and with another remark, so another checksum.
    other = tmp_path_factory.mktemp("potential") / "other.eam.fs"
    other.write_text("another remark\n" + potential.read_text().split("\n", 1)[1])
    overlays = {name: overlay for name, (overlay, _) in EDITS.items()}
    overlays[POTENTIAL] = {"potential": str(other)}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(overlays, pool.map(finished.planned, overlays.values()), strict=True))


@pytest.mark.parametrize("edit", EDITS)
def test_edit_of_the_configuration(planned, edit):
    assert planned[edit] == EDITS[edit][1]


def test_another_potential_file(planned):
    assert planned[POTENTIAL] == ALL


CODE = {
    "glasses/quench.py": ALL,
    "shear/quasistatic.py": SHEAR | {"report"},
    "glasses/relaxation.py": ALL,
    "barriers/artn.py": FROM_SEARCHES,
    "graphs/building.py": FROM_GRAPHS,
    "training/loop.py": TRAINING,
    "models/gcn.py": TRAINING,
    "training/evaluation.py": {"evaluate", "report"},
    "explanations/job.py": EXPLAINING | {"report"},
    "report/page.py": {"report"},
}


@pytest.fixture(scope="module")
def planned_after(repository, finished, tmp_path_factory):
    """What a dry run wants in changed repositories: (module, text added to it) -> jobs."""

    def plan(edit: tuple[str, str]) -> set[str]:
        module, text = edit
        copy = tmp_path_factory.mktemp("repository")
        ignored = shutil.ignore_patterns("__pycache__")
        for name in ("symgnn", "workflow"):
            shutil.copytree(repository / name, copy / name, ignore=ignored)
        for name in ("Snakefile", "config.yaml", "resources"):
            (copy / name).symlink_to(repository / name)
        path = copy / "symgnn" / module
        path.write_text(path.read_text() + text)
        return replace(finished, repository=copy).planned()

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        edits = [(module, "\nADDED_BY_A_TEST = 1\n") for module in CODE]
        edits.append(("barriers/artn.py", "\n# a comment changes no result\n"))
        return dict(zip(edits, pool.map(plan, edits), strict=True))


@pytest.mark.parametrize("module", CODE)
def test_edit_of_the_code_of_a_stage(planned_after, module):
    assert planned_after[module, "\nADDED_BY_A_TEST = 1\n"] == CODE[module]


def test_a_comment_reruns_nothing(planned_after):
    assert planned_after["barriers/artn.py", "\n# a comment changes no result\n"] == set()
