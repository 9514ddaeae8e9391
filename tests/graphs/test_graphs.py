"""Building graphs from glasses and events, and the file they live in."""

import h5py
import numba
import numpy as np
import pytest
from ase import Atoms
from typer.testing import CliRunner

from symgnn import fields
from symgnn.cli import app
from symgnn.errors import InputError
from symgnn.files import create_hdf5
from symgnn.graphs import describing
from symgnn.graphs.dataset import read_graphs, write_graphs
from symgnn.graphs.graph import edges, glass_graph
from symgnn.graphs.splits import automatic_split, named_split
from symgnn.structures import read_structure, structure_hash, write_structure
from symgnn.threads import use_threads


def random_glass(seed, atoms=24, side=8.0):
    """Cu and Zr on a jittered grid: no overlaps, no symmetry."""
    random = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(3)] * 3), -1).reshape(-1, 3)[:atoms]
    positions = (grid + 0.2 * random.random((atoms, 3))) * side / 3
    return Atoms(random.choice(["Cu", "Zr"], atoms), positions, cell=[side] * 3, pbc=True)


def write_events(path, atoms, barrier, converged):
    with create_hdf5(path, "events") as file:
        file.attrs["structure_hash"] = structure_hash(atoms)
        group = file.create_group(fields.ATOMS)
        group[fields.BARRIER_MEAN] = barrier
        group[fields.CONVERGED] = converged


@pytest.fixture
def glasses(tmp_path):
    """Three glasses and their events; every third atom is labelled."""
    paths = []
    for seed in range(3):
        atoms = random_glass(seed)
        atoms.info |= {"cooling_rate": 1e13, "composition": "Cu64Zr36"}
        write_structure(tmp_path / f"g{seed}.xyz", atoms)
        atoms = read_structure(tmp_path / f"g{seed}.xyz")
        converged = np.where(np.arange(len(atoms)) % 3 == 0, 5, 0)
        converged[0] = 1
        barrier = np.where(converged > 0, seed + np.arange(len(atoms)), np.nan)
        write_events(tmp_path / f"e{seed}.h5", atoms, barrier, converged)
        paths.append((tmp_path / f"g{seed}.xyz", tmp_path / f"e{seed}.h5"))
    return paths


def run(*arguments):
    return CliRunner().invoke(app, ["graphs", *map(str, arguments)])


def test_a_glass_whose_labels_leave_out_an_element_is_warned_of(glasses, tmp_path):
    (structure, events), *others = glasses
    atoms = read_structure(structure)
    copper = np.where(atoms.symbols == "Cu", 1.0, np.nan)
    write_events(events, atoms, copper, np.isfinite(copper).astype(int))
    output = tmp_path / "graphs.h5"
    result = run(structure, events, *(path for pair in others for path in pair), "-o", output)
    assert result.exception is None
    warned = [line for line in result.output.splitlines() if "warning" in line]
    assert len(warned) == 1
    assert warned[0].startswith(f"{output}: warning: g0 has no label at an atom of Zr: ")
    bare = np.full(len(atoms), np.nan)  # a glass to predict and not to learn from
    write_events(events, atoms, bare, np.zeros(len(atoms), dtype=int))
    result = run(structure, events, *(path for pair in others for path in pair), "-o", output)
    assert "warning" not in result.output


def test_command_matches_events_by_structure_and_not_by_order(glasses, tmp_path):
    output = tmp_path / "graphs.h5"
    structures, events = zip(*glasses, strict=True)
    result = run(*structures, "--events", *reversed(events), "--cutoff", 4, "-o", output)
    assert result.exception is None
    dataset = read_graphs(output)
    assert dataset.cutoff == 4
    assert sorted(graph.split for graph in dataset.graphs) == ["test", "train", "validation"]
    for seed, graph in enumerate(dataset.graphs):
        assert graph.name == f"g{seed}"
        labelled = np.flatnonzero(np.isfinite(graph.barrier))
        np.testing.assert_array_equal(labelled, np.arange(0, 24, 3))
        np.testing.assert_allclose(graph.barrier[labelled], seed + labelled)
        assert graph.attributes["cooling_rate"] == 1e13
        j, i = graph.edge_index
        image = graph.position[i] - graph.position[j] - graph.edge_vector
        shift = image @ np.linalg.inv(graph.cell)
        np.testing.assert_allclose(shift, shift.round(), atol=1e-6)  # float32 over 8 Å
        assert (np.diff(i) >= 0).all()


def test_threads_change_no_input_and_none_is_no_input(tmp_path):
    """Of 192 atoms, which are two blocks of work."""
    atoms = random_glass(0, atoms=24).repeat(2)
    write_structure(tmp_path / "g.xyz", atoms)
    atoms = read_structure(tmp_path / "g.xyz")
    write_events(tmp_path / "e.h5", atoms, np.ones(len(atoms)), np.ones(len(atoms), dtype=int))
    words = (tmp_path / "g.xyz", "--events", tmp_path / "e.h5", "--potential", "Cu-Zr-2009")
    names, found = ("response", "invariants"), {}
    for threads in (1, 2):
        output = tmp_path / f"{threads}.h5"
        inputs = [word for name in names for word in ("--inputs", name)]
        assert run(*words, *inputs, "--threads", threads, "-o", output).exception is None
        found[threads] = read_graphs(output).graphs[0].inputs
        assert numba.get_num_threads() == min(threads, numba.config.NUMBA_NUM_THREADS)
    use_threads(0)
    for name in names:
        np.testing.assert_array_equal(found[1][name], found[2][name])
    assert run(*words, "--inputs", "none", "-o", tmp_path / "bare.h5").exception is None
    bare = read_graphs(tmp_path / "bare.h5")
    assert bare.graphs[0].inputs == {}
    assert fields.POTENTIAL not in bare.attributes


def test_slow_inputs_of_a_stopped_call_are_not_computed_again(glasses, tmp_path, monkeypatch):
    """Those of another version are no use and are left alone; nor is a file that was cut off."""
    structures, events = zip(*glasses[:3], strict=True)
    words = (*structures, "--events", *events, "--inputs", "searches", "--inputs", "invariants")
    words += ("--potential", "Cu-Zr-2009", "--threads", 1, "-o", tmp_path / "graphs.h5")
    asked = []

    def describe(name, atoms, potential, elements, done):
        asked.append(name)
        if asked.count("searches") == 3 and name == "searches":
            raise KeyboardInterrupt
        done(len(atoms))
        return np.full((len(atoms), 2), atoms.positions[0, 0], dtype=np.float32)

    monkeypatch.setattr(describing, "describe", describe)
    assert run(*words).exit_code != 0
    assert not (tmp_path / "graphs.h5").exists()
    first, second = (tmp_path / "graphs.h5.inputs").iterdir()
    first.write_bytes(b"")
    with monkeypatch.context() as other:
        other.setattr(describing, "input_version", lambda name: 99)
        atoms = read_structure(structures[0])
        kept = tmp_path / "graphs.h5.inputs"
        describer = describing.Describer(["searches"], "Cu-Zr-2009", [atoms], kept)
        describer.describe(glass_graph("g", atoms, cutoff=4.0))
    assert asked.count("searches") == 3 + 1
    assert run(*words).exception is None
    assert asked.count("searches") == 4 + 2
    assert asked.count("invariants") == 2 + 3
    (left,) = (tmp_path / "graphs.h5.inputs").iterdir()  # the other version's, of another call
    assert left not in (first, second)
    for graph in read_graphs(tmp_path / "graphs.h5").graphs:
        np.testing.assert_allclose(graph.inputs["searches"], graph.position[0, 0], rtol=1e-6)


def test_same_input_gives_the_same_bytes(glasses, tmp_path):
    structures, events = zip(*glasses, strict=True)
    for name in ("a.h5", "b.h5"):
        run(*structures, "--events", *events, "-o", tmp_path / name)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_atoms_with_few_converged_searches_stay_unlabelled(glasses, tmp_path):
    structures, events = zip(*glasses, strict=True)
    run(*structures, "--events", *events, "--min-converged", 2, "-o", tmp_path / "graphs.h5")
    assert all(np.isnan(graph.barrier[0]) for graph in read_graphs(tmp_path / "graphs.h5").graphs)


def test_events_of_another_structure_are_refused(glasses, tmp_path):
    (first, _), (_, events) = glasses[:2]
    result = run(first, "--events", events, "-o", tmp_path / "graphs.h5")
    assert isinstance(result.exception, InputError)
    assert "structure_hash" in str(result.exception)
    assert not (tmp_path / "graphs.h5").exists()


def test_glass_without_events_is_refused(glasses, tmp_path):
    (first, events), (second, _) = glasses[:2]
    result = run(first, second, "--events", events, "-o", tmp_path / "graphs.h5")
    assert "g1: no events" in str(result.exception)


def test_unknown_label_is_refused(glasses, tmp_path):
    result = run(*glasses[0], "--label", "nonsense", "-o", tmp_path / "graphs.h5")
    assert "nonsense" in str(result.exception)


@pytest.mark.parametrize("side", [4.0, 8.0, 30.0])
def test_lattice_of_known_coordination(side):
    """Simple cubic, 2 Å: 6 + 12 neighbours within 3 Å, whatever the size of the cell."""
    steps = np.arange(0, side, 2.0)
    positions = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 3)
    index, vector = edges(positions, np.eye(3) * side, 3.0)
    assert (np.bincount(index[1]) == 18).all()
    np.testing.assert_allclose(vector.sum(0), 0, atol=1e-3)


def test_reading_back_gives_what_was_written(tmp_path):
    graph = glass_graph("a", random_glass(5), cutoff=4.0, barrier=np.linspace(0, 1, 24))
    graph.split, graph.atom_fields = "train", {fields.BARRIER_STD: np.ones(24)}
    write_graphs(tmp_path / "g.h5", [graph], cutoff=4.0)
    (back,) = read_graphs(tmp_path / "g.h5").graphs
    for name in ("position", "cell", "species", "edge_index", "edge_vector", "barrier"):
        np.testing.assert_array_equal(getattr(back, name), getattr(graph, name))
    np.testing.assert_array_equal(back.atom_fields[fields.BARRIER_STD], np.ones(24))


def test_truncated_or_foreign_files_are_refused(tmp_path):
    graph = glass_graph("a", random_glass(5), cutoff=4.0)
    graph.split = "train"
    path = tmp_path / "g.h5"
    write_graphs(path, [graph], cutoff=4.0)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="not a whole HDF5 file"):
        read_graphs(path)
    path.write_bytes(whole)
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = 99
    with pytest.raises(InputError, match="99"):
        read_graphs(path)


def test_automatic_split_is_the_papers_and_even_over_rates():
    names = [f"g{i}" for i in range(9)]
    rates = [10.0 ** (10 + i % 3) for i in range(9)]
    split = automatic_split(names, strata=rates, groups=names, seed=1)
    parts = list(split.values())
    assert [parts.count(part) for part in ("train", "validation", "test")] == [6, 1, 2]
    held_out = [rates[i] for i, name in enumerate(names) if split[name] != "train"]
    assert len(set(held_out)) == 3
    assert split == automatic_split(names[::-1], strata=rates[::-1], groups=names[::-1], seed=1)


def test_glasses_of_a_group_stay_together():
    names = [f"g{i}" for i in range(8)]
    groups = [f"{i // 2}" for i in range(8)]
    for seed in range(5):
        split = automatic_split(names, strata=[0] * 8, groups=groups, seed=seed)
        assert set(split.values()) == {"train", "validation", "test"}
        assert all(split[names[i]] == split[names[i + 1]] for i in range(0, 8, 2))


def test_named_split_takes_patterns_and_refuses_overlap():
    names = ["a_1e10_s1", "a_1e10_s2", "a_1e14_s1"]
    split = named_split(names, {"train": [], "validation": ["*_1e14_*"], "test": ["a_1e10_s2"]})
    assert split == {"a_1e10_s1": "train", "a_1e10_s2": "test", "a_1e14_s1": "validation"}
    with pytest.raises(InputError, match="already"):
        named_split(names, {"train": ["*"], "validation": ["*s2"], "test": []})
    with pytest.raises(InputError, match="no glass"):
        named_split(names, {"train": [], "validation": ["b*"], "test": []})
