"""Inputs from saddle searches at each atom: shares, means, and that nothing else decides."""

import hashlib
import inspect
import os
import re
import subprocess
import sys
import threading
import time
import warnings
from dataclasses import asdict, replace
from pathlib import Path

import numba
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from joblib.externals.loky import process_executor
from typer.testing import CliRunner

import symgnn
from symgnn.barriers.eam_engine import RegionEngine
from symgnn.barriers.event import MOVED, region_number
from symgnn.barriers.protocol import Status
from symgnn.barriers.searches import Searches
from symgnn.cli import app
from symgnn.descriptors import searches
from symgnn.descriptors.registry import describe
from symgnn.descriptors.searches import PRIOR, Saddles, columns_of, saddles_of
from symgnn.errors import InputError
from symgnn.graphs.dataset import read_graphs, write_graphs
from symgnn.graphs.describing import Describer
from symgnn.graphs.graph import glass_graph
from symgnn.models.inputs import MODEL_INPUTS
from symgnn.structures import read_structure, write_structure
from symgnn.threads import use_threads
from symgnn.training import prediction
from symgnn.training.batches import as_batch
from symgnn.training.checkpoint import load
from symgnn.training.evaluation import read_run
from symgnn.training.metrics import pearson
from symgnn.training.prediction_files import read_structures
from tests.descriptors.test_response import cuzr, relaxed  # noqa: F401 fixtures

PROTOCOL = searches.PROTOCOL
BARRIER = searches.names().index("share_barrier")
MEAN_LOG = 0.54  # of the saddles of `relaxed` by version 2, barriers in eV plus 0.05


@pytest.fixture(scope="module")
def found(relaxed, cuzr):  # noqa: F811
    return saddles_of(relaxed, cuzr, searches=1)


def test_saddles_are_those_of_searches_without_checks(found, relaxed, cuzr):  # noqa: F811
    """Barrier, atoms that move and how far, of searches with numbers that no label has."""
    assert region_number(100_000) > searches.FIRST
    engine = RegionEngine(relaxed, cuzr, radius=searches.RADIUS)
    runner = Searches(relaxed, engine, protocol=PROTOCOL, seed=searches.SEED, motion=True)
    events = {event.atom: event for event in runner.run((i, searches.FIRST) for i in range(108))}
    events = [events[i] for i in range(108) if events[i].status == Status.CONVERGED]
    # a few end in minima below the start, which is no deep one, and their saddles below it, too
    events = [event for event in events if event.barrier > 0]
    assert len(found.barrier) == len(events) > 90
    for k, event in enumerate(events):
        assert found.barrier[k] == event.barrier
        moves = found.saddle == k
        np.testing.assert_array_equal(found.atom[moves], event.moved_atoms)
        way = np.linalg.norm(event.saddle_displacement, axis=1)
        np.testing.assert_allclose(found.square[moves], way**2, rtol=1e-12)
        assert way.max() == pytest.approx(event.displacement_max)


@pytest.mark.parametrize(
    "other", [{"radius": 5.0}, {"protocol": replace(PROTOCOL, force_tolerance=0.05)}]
)
def test_searches_can_be_made_otherwise(found, relaxed, cuzr, other):  # noqa: F811
    assert saddles_of(relaxed, cuzr, searches=1, **other).barrier[0] != found.barrier[0]


def test_inputs_are_of_three_searches(relaxed, cuzr):  # noqa: F811
    columns = searches.features(relaxed, cuzr, [29, 40])
    known = columns_of(relaxed, saddles_of(relaxed, cuzr, searches=3), [29, 40])
    np.testing.assert_array_equal(columns, known)


def test_more_searches_begin_with_the_same(found, relaxed, cuzr):  # noqa: F811
    """Of two at each atom the first are those that one finds, bit by bit; the second are others."""
    both = saddles_of(relaxed, cuzr, searches=2)
    for name, value in vars(both.of([0])).items():
        np.testing.assert_array_equal(getattr(found, name), value, err_msg=name)
    for name, value in vars(both.of([0, 1])).items():
        np.testing.assert_array_equal(getattr(both, name), value, err_msg=name)
    second = both.of([1])
    assert len(second.barrier) > 90
    assert not np.isin(second.barrier, found.barrier).all()


def test_saddles_of_a_turned_structure_are_others_of_the_same_kind(found, relaxed, cuzr):  # noqa: F811
    """The pushes are others. Means are the same within four standard errors of their difference."""
    turned = relaxed[np.random.default_rng(0).permutation(108)]
    turned.rotate(90, (1, 1, 1), rotate_cell=True)
    again = saddles_of(turned, cuzr, searches=1)
    assert not np.isin(again.barrier, found.barrier).all()
    for values in (np.log, lambda barrier: barrier < 1.0):
        one, other = values(found.barrier), values(again.barrier)
        error = np.sqrt(one.var() / len(one) + other.var() / len(other))
        assert abs(one.mean() - other.mean()) < 4 * error


def test_searches_that_end_in_the_region_keep_no_displacements_elsewhere(relaxed, cuzr):  # noqa: F811
    engine = RegionEngine(relaxed, cuzr, radius=searches.RADIUS)
    runner = Searches(relaxed, engine, protocol=PROTOCOL, seed=searches.SEED)
    (event,) = runner.run([(0, searches.FIRST)])
    assert len(event.moved_atoms) == 0


@pytest.mark.parametrize("chunk", [7, 54])
def test_neither_processes_nor_chunks_change_a_bit(found, relaxed, cuzr, chunk, monkeypatch):  # noqa: F811
    """And progress adds up to all atoms."""
    monkeypatch.setattr(searches, "CHUNK", chunk)
    told = []
    use_threads(2 if numba.config.NUMBA_NUM_THREADS > 1 and chunk == 54 else 1)
    try:
        again = saddles_of(relaxed, cuzr, searches=1, done=told.append)
    finally:
        use_threads(0)
    for name, value in vars(found).items():
        np.testing.assert_array_equal(getattr(again, name), value, err_msg=name)
    assert sum(told) == len(relaxed)
    assert len(told) == -(-108 // chunk)


def test_a_worker_that_ends_as_work_comes_is_no_error(relaxed, cuzr):  # noqa: F811
    """Joblib warns of it in the thread that serves the workers; an error there ends all service."""
    assert searches.LATE in "".join(re.split(r'"\s+"', inspect.getsource(process_executor)))
    told, said = [], []

    def late():
        warnings.warn(f"{searches.LATE}. It was too late.", stacklevel=1)
        said.append(True)  # no error before

    def done(atoms):
        told.append(atoms)
        thread = threading.Thread(target=late)
        thread.start()
        thread.join()

    saddles_of(relaxed[:20], cuzr, searches=1, done=done)
    assert sum(told) == 20
    assert len(said) == len(told)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="workers end with their parent on Linux")
def test_workers_end_with_a_parent_that_is_killed(relaxed, tmp_path):  # noqa: F811
    """Even when nobody can tell them, as when memory has run out."""
    write_structure(tmp_path / "glass.xyz", relaxed.repeat((2, 2, 2)))
    script = (
        "from symgnn.descriptors.searches import saddles_of\n"
        "from symgnn.potentials import find_potential\n"
        "from symgnn.structures import read_structure\n"
        "saddles_of(read_structure('glass.xyz'), find_potential('Cu-Zr-2009'), searches=99)\n"
    )
    environment = os.environ | {"NUMBA_NUM_THREADS": "2"}
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, env=environment)
    workers: list[int] = []
    try:
        deadline = time.monotonic() + 120
        while len(workers := busy_below(parent.pid)) < 2 and time.monotonic() < deadline:
            assert parent.poll() is None
            time.sleep(0.2)
    finally:
        parent.kill()
        parent.wait()
    assert len(workers) == 2
    deadline = time.monotonic() + 30
    while any(map(running, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(running, workers))


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="needs two threads")
def test_threads_that_end_leave_the_workers_of_others_alone(relaxed, cuzr):  # noqa: F811
    """As in a server, where each call has a thread of its own."""
    found = []

    def call():
        use_threads(2)
        found.append(len(saddles_of(relaxed, cuzr).barrier))

    for _ in range(2):
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
    assert len(found) == 2
    assert found[0] == found[1] > 90


def busy_below(pid: int) -> list[int]:
    """Workers of a process that have spent three seconds of a processor: they search."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            words = (process / "cmdline").read_text()
        except OSError:  # it has ended
            continue
        spent = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        if int(fields[1]) == pid and "LokyProcess" in words and spent > 3:
            found.append(int(process.name))
    return found


def running(pid: int) -> bool:
    """Whether a process is there, and not as a zombie alone."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_columns_are_shares_of_saddles_averaged_around(relaxed):  # noqa: F811
    """Against sums over all pairs of atoms; further than 5.5 Å the cell meets itself."""
    random = np.random.default_rng(0)
    barrier = random.uniform(0.1, 3.0, 40)
    saddle = np.sort(random.integers(0, 40, 300))
    atom, square = random.integers(0, 60, 300), random.random(300)
    known = Saddles(2, barrier, np.zeros(40, dtype=int), saddle, atom, square)
    columns = columns_of(relaxed, known, [29, 40])
    assert columns.shape == (108, searches.size(2))
    squares, fourth, moving = np.zeros((3, 108, 40))
    np.add.at(squares, (atom, saddle), square)
    np.add.at(fourth, (atom, saddle), square**2)
    np.add.at(moving, (atom, saddle), square / (square + 0.2**2))
    total = squares.sum(0)
    geometry = np.log(total**2 / fourth.sum(0)), np.sqrt(total)
    soft = np.exp(-barrier / 0.25), np.exp(-barrier)
    values = np.stack([np.ones(40), barrier, np.log(barrier + 0.05), *soft, *geometry], 1)
    sums = np.concatenate([squares / total @ values, moving @ values], axis=1) / 2
    assert sums[:, 0].sum() == pytest.approx(20)

    def expected(mean):
        return np.concatenate([ratio(mean[:, :7], sums[:, :7]), ratio(mean[:, 7:], sums[:, 7:])], 1)

    def ratio(mean, own):
        whole = own[:, 1:].sum(0) / own[:, 0].sum()
        return np.c_[mean[:, 0], (mean[:, 1:] + PRIOR * whole) / (mean[:, :1] + PRIOR)]

    np.testing.assert_allclose(columns[:, :14], expected(sums), rtol=2e-6)
    np.testing.assert_allclose(columns[60:, 1], sums[:, 1].sum() / 20, rtol=2e-6)  # none moves
    distance, column = relaxed.get_all_distances(mic=True), 14
    for radius, split in searches.AVERAGED_TO:
        groups = [relaxed.numbers == z for z in (29, 40)] if split else [relaxed.numbers > 0]
        for group in groups:
            if radius < 5.5:
                near = (distance < radius) & group
                mean = near @ sums / np.maximum(near.sum(1, keepdims=True), 1)
                np.testing.assert_allclose(
                    columns[:, column : column + 14], expected(mean), rtol=2e-5
                )
            column += 14
    assert column == columns.shape[1]


@pytest.fixture(scope="module")
def trained(relaxed, tmp_path_factory):  # noqa: F811
    """Runs of `searched` and `response`, whose label the searches alone tell."""
    folder = tmp_path_factory.mktemp("trained")
    describer = Describer(MODEL_INPUTS["searched"], "Cu-Zr-2009", [relaxed])
    graph = glass_graph("g", relaxed, cutoff=4.0)
    describer.describe(graph)
    assert describer.warnings == []
    graph.barrier = graph.inputs["searches"][:, BARRIER].astype(float)
    assert graph.barrier.std() > 0.1
    graph.split = "train"
    path = folder / "graphs.h5"
    write_graphs(path, [graph], cutoff=4.0, label="barrier_mean", **describer.attributes)
    for model in ("searched", "response"):
        words = ["train", path, "--model", model, "--epochs", 2, "-o", folder / model]
        assert CliRunner().invoke(app, list(map(str, words))).exception is None
    return folder


def test_a_model_learns_from_searches_and_predicts_with_the_same(trained, relaxed):  # noqa: F811
    (graph,) = read_graphs(trained / "graphs.h5").graphs
    stored = read_run(trained / "searched").predicted["train"]["g"]
    assert pearson(stored, graph.barrier) > 0.9
    atoms = relaxed.copy()
    atoms.calc = Unpicklable()
    predicted = symgnn.load(trained / "searched" / "checkpoint.pt").predict(atoms)
    np.testing.assert_allclose(predicted, stored, atol=2e-5)


def test_more_searches_are_used(trained, relaxed, cuzr, tmp_path):  # noqa: F811
    """By the command and in Python; the file says how many, and progress adds up."""
    checkpoint = trained / "searched" / "checkpoint.pt"
    write_structure(tmp_path / "glass.xyz", relaxed)
    atoms = read_structure(tmp_path / "glass.xyz")  # rounded, which makes the pushes others
    words = ["predict", tmp_path / "glass.xyz", "--checkpoint", checkpoint, "--searches", 2]
    done = CliRunner().invoke(app, [*map(str, words), "-o", str(tmp_path / "predicted.xyz")])
    assert done.exception is None, done.output
    written = read_structure(tmp_path / "predicted.xyz")
    assert written.info["searches_per_atom"] == 2
    predictor, told = symgnn.load(checkpoint, searches=2), []
    (predicted,) = predictor.predict_members(atoms, told.append)
    np.testing.assert_allclose(written.arrays["barrier"], predicted, atol=2e-5)
    assert sum(told) == pytest.approx(len(atoms))
    assert np.abs(predicted - symgnn.load(checkpoint).predict(atoms)).max() > 0.01
    known, graph = load(checkpoint), glass_graph("g", atoms, cutoff=4.0)
    for name in MODEL_INPUTS["searched"]:
        options = {"searches": 2} if name == "searches" else {}
        graph.inputs[name] = describe(name, atoms, cuzr, [29, 40], **options)
    batch = as_batch(graph, known.scaling, inputs=MODEL_INPUTS["searched"])
    with torch.no_grad():
        standardised = batch.through(known.model)
    np.testing.assert_allclose(known.scaling.barrier(standardised.numpy()), predicted, atol=2e-5)


def test_an_ensemble_shares_what_its_models_have_in_common(trained, relaxed, monkeypatch):  # noqa: F811
    checkpoints = [trained / model / "checkpoint.pt" for model in ("response", "searched")]
    alone = [symgnn.load(one).predict(relaxed) for one in checkpoints]
    computed, told = [], []

    def describing(name, *arguments, **options):
        computed.append(name)
        return describe(name, *arguments, **options)

    monkeypatch.setattr(prediction, "describe", describing)
    members = symgnn.load(checkpoints).predict_members(relaxed, told.append)
    np.testing.assert_allclose(members, alone, atol=1e-6)
    assert sorted(computed) == sorted(MODEL_INPUTS["searched"])
    assert sum(told) == pytest.approx(len(relaxed))


def test_bad_numbers_of_searches_are_refused(trained):
    with pytest.raises(InputError, match="--searches: 2: response takes no searches"):
        symgnn.load("Cu64Zr36", searches=2)
    with pytest.raises(InputError, match="--searches: 0: must be at least 1"):
        symgnn.load(trained / "searched" / "checkpoint.pt", searches=0)
    words = ["predict", "glass.xyz", "--checkpoint", "Cu64Zr36", "--searches", "0", "-o", "x.xyz"]
    assert CliRunner().invoke(app, words).exit_code == 2


def test_a_lone_atom_is_found_before_anything_is_predicted(trained, relaxed, tmp_path):  # noqa: F811
    checkpoint = trained / "searched" / "checkpoint.pt"
    lone = Atoms("Cu", cell=[20.0] * 3, pbc=True)
    for name, atoms in (("good", relaxed), ("lone", lone)):
        write_structure(tmp_path / f"{name}.xyz", atoms)
    predictor = symgnn.load(checkpoint)
    with pytest.raises(InputError, match=r"lone\.xyz: one atom: a saddle needs two"):
        read_structures(predictor, [tmp_path / "good.xyz", tmp_path / "lone.xyz"], [])
    words = ["graphs", "good.xyz", "lone.xyz", "none.h5", "--inputs", "searches", "-o", "g.h5"]
    words = [str(tmp_path / word) if "." in word else word for word in words]
    done = CliRunner().invoke(app, [*words, "--potential", "Cu-Zr-2009"])
    assert "lone: one atom: a saddle needs two" in str(done.exception)


def test_a_change_of_the_protocol_makes_other_inputs():
    """A model that was trained on those of another protocol must be refused: raise `VERSION`."""
    protocol = repr(sorted(asdict(PROTOCOL).items()))
    numbers = ("SEARCHES", "RADIUS", "SEED", "FIRST", "MOVES", "SOFT", "LEAST_LOG", "PRIOR")
    values = [getattr(searches, name) for name in (*numbers, "AVERAGED_TO")]
    settings = f"{protocol} {values} {MOVED} {searches.names()}"
    assert (searches.VERSION, hashlib.sha256(settings.encode()).hexdigest()[:16]) == (
        2,
        "5605b3ef6849ebfe",
    )


def test_saddles_are_like_those_of_the_version(found):
    """Other code of searches finds others, of another mean: raise `VERSION` then, too."""
    logarithms = np.log(found.barrier + 0.05)
    error = logarithms.std() / len(logarithms) ** 0.5
    assert abs(logarithms.mean() - MEAN_LOG) < 4 * error


class Unpicklable:
    """A calculator that cannot be sent to another process."""

    def __init__(self):
        self.lock = threading.Lock()


def test_a_glass_that_is_no_minimum_is_named(relaxed):  # noqa: F811
    atoms = relaxed.copy()
    atoms.rattle(0.1)
    describer = Describer(["invariants"], "Cu-Zr-2009", [atoms])
    describer.describe(glass_graph("shaken", atoms, cutoff=4.0))
    (line,) = describer.warnings
    assert line.startswith("shaken: largest force")


def test_a_structure_without_saddles_has_columns_all_the_same():
    atoms = bulk("Cu", cubic=True).repeat(3)
    none = np.zeros(0, dtype=int)
    columns = columns_of(atoms, Saddles(1, np.zeros(0), none, none, none, np.zeros(0)), [29])
    np.testing.assert_array_equal(columns, 0.0)
    # and a saddle in which nobody moves counts for nobody
    columns = columns_of(
        atoms, Saddles(1, np.ones(1), np.zeros(1, dtype=int), none, none, np.zeros(0)), [29]
    )
    np.testing.assert_array_equal(columns, 0.0)


def test_another_potential_s_elements_are_refused(cuzr):  # noqa: F811
    with pytest.raises(InputError, match="Ag"):
        saddles_of(Atoms("Ag4", bulk("Ag", cubic=True).positions, cell=[4.1] * 3, pbc=True), cuzr)


def test_a_lone_atom_is_refused(cuzr):  # noqa: F811
    with pytest.raises(InputError, match="one atom: a saddle needs two"):
        saddles_of(Atoms("Cu", cell=[20.0] * 3, pbc=True), cuzr)


def test_a_potential_that_is_no_eam_is_refused(cuzr):  # noqa: F811
    other = replace(cuzr, style="sw")
    with pytest.raises(InputError, match="style sw: per-atom inputs need an EAM potential"):
        saddles_of(bulk("Cu", cubic=True).repeat(3), other)


@pytest.mark.parametrize("repeat", [(2, 1, 1), (2, 2, 1)])
def test_small_cells_have_columns(cuzr, repeat):  # noqa: F811
    atoms = bulk("Cu", cubic=False).repeat(repeat)
    columns = searches.features(atoms, cuzr, [29])
    assert columns.shape == (len(atoms), searches.size(1))
    assert np.isfinite(columns).all()
