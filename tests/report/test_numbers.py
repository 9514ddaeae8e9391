"""The numbers on the page are those of the inputs."""

import re
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest

from symgnn.analysis.radial import mean_distribution, radial_distribution
from symgnn.barriers.event import region_number
from symgnn.barriers.events import region_columns_of, write_events
from symgnn.barriers.protocol import Status
from symgnn.report.assembly import Inputs, assemble
from symgnn.report.barriers import noise_sentence, section
from symgnn.report.glasses import on_cooling
from symgnn.report.inputs import read_events
from symgnn.report.words import MINUS
from symgnn.structures import read_structure
from tests.report.conftest import make_events


def number(text: str) -> float:
    """The first number of a cell."""
    return float(text.replace(MINUS, "-").replace(",", "").split()[0])


@pytest.fixture(scope="module")
def glasses(study):
    return [read_structure(path) for path in study.inputs.glasses]


@pytest.fixture(scope="module")
def columns(study):
    """Columns of all events files, by file."""
    found = []
    for path in study.inputs.events:
        with h5py.File(path) as file:
            found.append({key: file["events"][key][()] for key in file["events"]})
    return found


@pytest.fixture(scope="module")
def predictions(study):
    """(model, seed) -> split -> computed and predicted barriers of the labelled atoms."""
    found = {}
    for run in study.inputs.runs:
        with h5py.File(run / "predictions.h5") as file:
            parts = {}
            for group in file.values():
                known = np.isfinite(group["barrier"][()])
                pair = group["barrier"][()][known], group["predicted"][()][known]
                old = parts.get(group.attrs["split"], (np.empty(0), np.empty(0)))
                parts[group.attrs["split"]] = tuple(
                    np.concatenate(both) for both in zip(old, pair, strict=True)
                )
            found[file.attrs["model"], int(file.attrs["seed"])] = parts
    return found


def test_energies_and_rates_are_those_of_the_glasses(page, glasses):
    for panel, key in enumerate(("energy_per_atom", "density")):
        means, points = page.traces("energy", panel)
        assert points["x"] == pytest.approx([atoms.info["cooling_rate"] for atoms in glasses])
        assert points["y"] == pytest.approx([atoms.info[key] for atoms in glasses])
        for rate, mean in zip(means["x"], means["y"], strict=True):
            own = [a.info[key] for a in glasses if a.info["cooling_rate"] == rate]
            assert mean == pytest.approx(np.mean(own))
    fast, slow = page.rows("glasses")
    assert number(slow["energy, eV/atom"]) == pytest.approx(-4.499, abs=5e-5)
    assert number(fast["energy, eV/atom"]) == pytest.approx(-4.488, abs=5e-5)
    assert slow["samples"] == fast["samples"] == "2"
    assert number(slow["pressure, MPa"]) == pytest.approx(0.2)


def test_the_trend_of_the_energy_is_the_slope_of_the_means(page):
    # two rates with two glasses each: least squares joins the means, 11 meV a decade; all four
    # lie 1 meV off the line, so the error is sqrt(4 / (4 - 2) / 1) meV
    sentence = next(text for text in page.findings if "tenfold" in text)
    assert "Cu₅₀Zr₅₀ rises by 11.0 ± 1.4 meV" in sentence


def test_the_record_is_a_straight_line_in_time_and_against_temperature(page):
    traces = page.traces("quench", 0)
    assert len(traces) == 4
    time, temperature = traces[0]["x"], traces[0]["y"]
    assert len(time) == 240
    assert temperature == pytest.approx(2000 - 400 * time, abs=1e-2)
    for panel, line in ((2, lambda t: -4.5 + (2000 - t) / 4000), (3, lambda t: 0.06 - 1e-6 * t)):
        cooling = page.traces("quench", panel)[0]
        assert cooling["x"].max() == pytest.approx(2000, abs=40)
        assert cooling["y"] == pytest.approx(line(cooling["x"]), rel=1e-5)


def test_cooling_curves_are_means_over_temperature_without_the_melt():
    record = {
        "stage": np.array(["melt", "quench", "quench", "quench"]),
        "temperature": np.array([90.0, 90.0, 110.0, 130.0]),
        "energy": np.array([9.0, 1.0, 3.0, 7.0]),
    }
    temperature, energy = on_cooling(record, "energy")
    assert temperature.tolist() == [100.0, 130.0]
    assert energy.tolist() == [2.0, 7.0]


def test_radial_distributions_are_means_over_a_group(page, glasses):
    fast = [radial_distribution(a) for a in glasses if a.info["cooling_rate"] == 1e14]
    expected = mean_distribution(fast)
    traces = {trace["name"]: trace for trace in page.traces("radial", choice=0)}
    assert set(traces) == {"Cu-Cu", "Cu-Zr", "Zr-Zr"}
    for pair, g in expected.partial.items():
        shown = traces["-".join(pair)]
        kept = expected.distance >= 1.8
        assert shown["x"] == pytest.approx(expected.distance[kept], rel=1e-6)
        assert shown["y"] == pytest.approx(g[kept], rel=1e-6)


def test_searches_are_counted_by_how_they_ended(page, columns):
    ended = np.concatenate([one["status"] for one in columns])
    converged = int((ended == Status.CONVERGED).sum())
    assert f"converged {converged:,} (" in page.captions["figure-status"]
    assert f"not converged {len(ended) - converged} (" in page.captions["figure-status"]
    shown = [np.asarray(trace["customdata"]).sum() for trace in page.traces("status")]
    assert shown == [converged, len(ended) - converged]
    for row, one in zip(page.rows("searches"), columns, strict=True):
        reached = one["status"] == Status.CONVERGED
        assert number(row["searches"]) == len(reached)
        assert number(row["converged"]) == pytest.approx(100 * reached.mean(), abs=0.5)
        assert number(row["mean, eV"]) == pytest.approx(one["barrier"][reached].mean(), abs=0.005)
        assert number(row["forces a search"]) == round(one["force_evaluations"].mean())


def test_a_saddle_below_its_start_counts_apart(study, tmp_path):
    path = tmp_path / "events.h5"
    shutil.copy(study.inputs.events[0], path)
    with h5py.File(path, "a") as file:
        reached = np.flatnonzero(file["events/status"][()] == Status.CONVERGED)
        file["events/barrier"][reached[0]] = -0.1
    sections, _ = assemble(replace(Inputs(), events=[path], glasses=study.inputs.glasses))
    searches = next(one for one in sections if one.name == "barriers")
    caption = next(one for one in searches.blocks if getattr(one, "name", "") == "status").caption
    assert f"{len(reached) - 1} searches" in searches.blocks[0]
    assert f"converged {len(reached) - 1} (" in caption
    assert "converged not above the start 1 (" in caption


def test_confirmations_that_failed_cost_too(study, tmp_path):
    path = tmp_path / "events.h5"
    shutil.copy(study.inputs.events[0], path)
    with h5py.File(path, "a") as file:
        events = file["events"]
        reached = np.flatnonzero(events["status"][()] == Status.CONVERGED)
        events["full_evaluations"][...] = 0
        events["full_evaluations"][reached] = 100
        events["status"][reached[0]] = int(Status.NOT_CONFIRMED)
        events["full_evaluations"][reached[0]] = 2000
        events["second_curvature"][...] = 0.1
        events["final_energy"][reached] = 0.1
        events["final_energy"][reached[1:3]] = np.nan
    sections, _ = assemble(replace(Inputs(), events=[path], glasses=study.inputs.glasses))
    text = " ".join(map(str, next(one for one in sections if one.name == "barriers").blocks))
    calls = 100 + 2000 / (len(reached) - 1)
    assert f"in {calls:.0f} further force evaluations for each that was" in text
    assert "The final minimum of 2 saddles is not known" in text


def test_histograms_hold_every_barrier_and_every_search(page, columns):
    cost = np.concatenate([one["force_evaluations"] for one in columns])
    shown = sum(np.asarray(trace["y"]).sum() for trace in page.traces("cost"))
    assert shown >= 0.99 * len(cost)
    for trace in page.traces("barriers", 0):
        width = np.diff(trace["x"])[0]
        assert np.sum(trace["y"]) * width == pytest.approx(1, abs=0.03)


def test_labels_are_the_files_own_means(page, study):
    means = []
    for path in study.inputs.events:
        with h5py.File(path) as file:
            means.append(file["atoms/barrier_mean_target"][()])
    means = np.concatenate(means)
    row = next(row for row in page.rows("means") if row["label"] == "yes")
    assert row["searches that count"] == "those that move their target"
    assert number(row["atoms"]) == np.isfinite(means).sum()
    assert number(row["mean, eV"]) == pytest.approx(np.nanmean(means), abs=0.005)


def test_the_data_set_is_counted(page, glasses):
    rows = page.rows("graphs")
    assert [row["split"] for row in rows] == ["train", "train", "validation", "test"]
    assert {row["labelled"] for row in rows} == {str(len(glasses[0]) // 3)}


def test_predicted_and_computed_barriers_are_those_of_the_runs(page, predictions):
    # the better model on validation comes first
    assert [choice["label"] for choice in page.figures["figure-predicted"]] == [
        "symgnn, seed 0",
        "gcn, seed 0",
    ]
    for choice, model in enumerate(("symgnn", "gcn")):
        for panel, split in enumerate(("train", "validation", "test")):
            computed, predicted = predictions[model, 0][split]
            points = page.traces("predicted", panel, choice)[1]
            assert points["x"] == pytest.approx(computed, rel=1e-6)
            assert points["y"] == pytest.approx(predicted, rel=1e-6)
            r = np.corrcoef(computed, predicted)[0, 1]
            text = page.figures["figure-predicted"][choice]["panels"][panel]["layout"]
            shown = text["annotations"][0]["text"]
            assert shown == f"{split}: r = {r:.3f}"


def test_correlations_of_single_runs_and_of_the_table_agree(page, predictions):
    for row in page.rows("runs"):
        for split in ("train", "validation", "test"):
            pair = predictions[row["model"], int(row["seed"])][split]
            assert number(row[f"{split} r"]) == pytest.approx(np.corrcoef(*pair)[0, 1], abs=5e-4)
    for row in page.rows("models"):
        values = [
            np.corrcoef(*parts["test"])[0, 1]
            for (model, _), parts in predictions.items()
            if model == row["model"]
        ]
        mean, spread = map(number, row["test r"].split("±"))
        assert mean == pytest.approx(np.mean(values), abs=5e-4)
        assert spread == pytest.approx(np.std(values, ddof=1), abs=5e-4)


def test_the_error_of_a_constant_is_told(study, predictions):
    sections, _ = assemble(Inputs(runs=study.inputs.runs))
    (train, _), (test, _) = (predictions["gcn", 0][split] for split in ("train", "test"))
    error = np.abs(test - train.mean()).mean()
    assert f"error (MAE) of {error:.3f} eV" in sections[0].blocks[0]


def test_training_curves_are_the_history(page):
    loss, validation = (page.traces("training", panel)[0] for panel in (0, 1))
    assert np.array(loss["x"]) == pytest.approx([10, 20, 30])
    assert np.array(loss["y"]) == pytest.approx([0.1, 0.05, 1 / 30])
    assert np.array(validation["y"]) == pytest.approx([0.2, 0.1, 2 / 30])


def test_versions_seeds_settings_and_times_are_on_record(page, study):
    versions = {row["package"]: row for row in page.rows("versions")}
    assert versions["numpy"]["version"] == np.__version__
    settings = {row["setting"]: row["value"] for row in page.rows("protocol")}
    assert settings["melt temperature, K"] == "2000"
    assert settings["force tolerance, eV/Å"] == "0.05"
    seeds = {row["file"]: row["seed"] for row in page.rows("files")}
    assert seeds[f"{study.names[3]}.xyz"] == "3"
    assert seeds[f"{study.names[0]}/events.h5"] == "7"
    (times,) = page.rows("times")
    assert times["stage"] == "barriers"
    assert times["jobs"] == "4"
    assert times["time"] == "4 min 2 s"
    assert times["longest"] == "1 min"
    assert times["memory"] == "256 MB"


def test_no_path_of_this_machine_is_on_the_page(page, study):
    folder = str(study.folder.parent)
    text = " ".join([*page.findings, *page.captions.values()])
    cells = [cell for rows in page.tables.values() for row in rows for cell in row]
    assert not any(folder in part for part in [text, *cells])
    assert not re.search(r"\bnan\b", " ".join([text, *cells]))


def test_the_error_budget_is_that_of_the_events(page, columns):
    found = sum(int((one["status"] == Status.CONVERGED).sum()) for one in columns)
    assert f"{found:,} saddles confirmed" in page.text
    assert "by 150 meV in the median and 150 meV at the 95th percentile" in page.text
    assert "off by 4.0 meV in the median and 4 meV at the 95th percentile" in page.text


def test_the_noise_of_labels_is_said_with_and_without_the_region(tmp_path):
    """A search's barrier in the region is 0.2 eV above the confirmed one."""
    random, atoms = np.random.default_rng(3), 54
    events, further = [], []
    for event in make_events(0, atoms):
        for k in range(6):
            barrier = 2.0 + 0.02 * event.atom + random.normal(0, 0.4)
            found = replace(event, status=int(Status.CONVERGED), barrier=barrier + 0.2)
            if k == 0:
                events.append(replace(found, barrier=barrier, region_barrier=barrier + 0.2))
            else:
                further.append(replace(found, search=region_number(6 * event.search + k)))
    words = []
    for name, region in (("without", []), ("with", further)):
        path = tmp_path / name / "events.h5"
        columns = region_columns_of(region)
        write_events(path, events, columns, atoms=atoms, label="controlled", attributes={})
        found = read_events(path)
        words.append(noise_sentence([found]))
        opening = section([found], []).blocks[0]
        assert ("further searches ended in the region" in opening) == bool(region)
    assert f"{len(further)} further searches ended in the region" in opening
    numbers = [[float(x) for x in re.findall(r"\d+(?:\.\d+)?", text)] for text in words]
    (plain, root), (controlled, better, before, worse) = numbers
    assert (before, worse) == (plain, root)
    assert controlled > plain + 5  # the variance of an atom's mean falls from 0.04 to 0.007 eV²
    assert better == pytest.approx(np.sqrt(controlled / 100), abs=0.01)
