"""Bad input is one clear line and no half-written page."""

import shutil
from dataclasses import replace

import h5py
import pytest

from symgnn.errors import InputError
from symgnn.report.assembly import Inputs, assemble
from symgnn.report.inputs import read_glass
from tests.report.conftest import run_report


@pytest.fixture
def copied(study, tmp_path):
    """Copy a file of the study to where it can be spoilt."""

    def copy(path):
        target = tmp_path / path.parent.name / path.name
        target.parent.mkdir(exist_ok=True)
        return shutil.copy(path, target)

    return copy


def test_a_truncated_file(study, copied):
    path = copied(study.inputs.events[0])
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"events\.h5: not a whole HDF5 file"):
        assemble(Inputs(events=[path]))


def test_a_file_of_another_kind(study):
    with pytest.raises(InputError, match="format is 'symgnn-graphs', expected 'symgnn-events'"):
        assemble(Inputs(events=study.inputs.graphs))


@pytest.mark.parametrize("dataset", ["events/barrier", "events/status", "atoms/barrier_mean"])
def test_a_dataset_is_missing(study, copied, dataset):
    path = copied(study.inputs.events[0])
    with h5py.File(path, "a") as file:
        del file[dataset]
    with pytest.raises(InputError, match=f"{dataset}: missing"):
        assemble(Inputs(events=[path]))


def test_a_record_without_a_column_or_with_text_in_it(study, copied):
    glass = copied(study.inputs.glasses[0])
    thermo = glass.with_suffix(".thermo.csv")
    thermo.write_text("time,temperature,pressure,density\n1,2,3,4\n")
    with pytest.raises(InputError, match="column 'energy' is missing"):
        read_glass(glass)
    thermo.write_text("time,temperature,pressure,density,energy\n1,2,3,4,5\n1,2,hot,4,5\n")
    with pytest.raises(InputError, match="line 3: pressure: 'hot'"):
        read_glass(glass)


def test_two_glasses_of_one_name(study):
    glass = study.inputs.glasses[0]
    with pytest.raises(InputError, match="names must differ"):
        assemble(Inputs(glasses=[glass, glass]))


def test_an_unfinished_run_and_a_history_without_epochs(study, tmp_path):
    run = shutil.copytree(study.inputs.runs[0], tmp_path / "model" / "seed-0")
    (run / "history.csv").write_text("loss\n1\n")
    with pytest.raises(InputError, match="column 'epoch' is missing"):
        assemble(Inputs(runs=[run]))
    shutil.copy(study.inputs.runs[0] / "history.csv", run)
    (run / "checkpoint.pt").unlink()
    with pytest.raises(InputError, match="not a finished training run"):
        assemble(Inputs(runs=[run]))


def test_tables_that_are_none(study, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("")
    with pytest.raises(InputError, match="it has no rows"):
        assemble(Inputs(tables=[path]))
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="column 'model' is missing"):
        assemble(Inputs(tables=[path]))
    times = tmp_path / "times.tsv"
    times.write_text("a\tb\n1\t2\n")
    with pytest.raises(InputError, match="column 's' is missing"):
        assemble(Inputs(benchmarks=[times]))
    times.write_text("s\tmax_rss\nfast\t2\n")
    with pytest.raises(InputError, match="s: 'fast'"):
        assemble(Inputs(benchmarks=[times]))


def test_nothing_is_written_on_bad_input(study, tmp_path):
    output = tmp_path / "page" / "report.html"
    with pytest.raises(InputError, match="no such file"):
        run_report(tmp_path / "absent.xyz", "-o", output)
    unknown = tmp_path / "unknown.h5"
    with h5py.File(unknown, "w"):
        pass
    with pytest.raises(InputError, match=r"unknown\.h5: format is"):
        run_report(unknown, "-o", output)
    assert not output.parent.exists() or not list(output.parent.iterdir())


def test_a_failed_set_of_searches_is_a_page_all_the_same(study, copied):
    path = copied(study.inputs.events[0])
    with h5py.File(path, "a") as file:
        file["events/status"][...] = 1
        file["events/barrier"][...] = float("nan")
        for name in file["atoms"]:
            if name.startswith("barrier"):
                file["atoms"][name][...] = float("nan")
    sections, _ = assemble(replace(Inputs(), events=[path], glasses=study.inputs.glasses))
    searches = next(one for one in sections if one.name == "barriers")
    assert "0 searches (0 %) reached a saddle" in searches.blocks[0]
