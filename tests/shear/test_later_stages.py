"""A sheared, triclinic snapshot goes through barriers, graphs, training and prediction."""

import h5py
import numpy as np
import pytest
from ase.build import bulk
from matscipy.calculators.eam import EAM
from typer.testing import CliRunner

from symgnn.cli import app
from symgnn.graphs.dataset import read_graphs
from symgnn.graphs.kinship import kinships, stated_groups
from symgnn.structures import read_structure, write_structure


def run(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output


@pytest.fixture(scope="module")
def snapshots(potential, tmp_path_factory):
    """Disordered B2 CuZr, 54 atoms, at strains 0, 0.04 and 0.08, and the last with another cell.

    The other cell's third vector is shorter by the first: the same lattice of the same atoms.
    """
    folder = tmp_path_factory.mktemp("shear")
    crystal = bulk("CuZr", "cesiumchloride", a=3.25, cubic=True).repeat(3)
    crystal.positions += 0.2 * np.random.default_rng(4).standard_normal((54, 3))
    write_structure(folder / "glass.xyz", crystal)
    strains = ["--strain=0.08", "--step=0.02", "--snapshot-strain=0.04"]
    run("shear", folder / "glass.xyz", "--potential", potential, *strains, "-o", folder / "s.h5")
    last = read_structure(folder / "s.snapshots" / "strain-0.0800.xyz")
    last.set_cell(last.cell.array - np.outer([0, 0, 1], last.cell.array[0]))
    write_structure(folder / "s.snapshots" / "other.xyz", last)
    return folder / "s.snapshots"


def test_energy_in_the_file_is_that_of_an_independent_code(snapshots, potential):
    atoms = read_structure(snapshots / "strain-0.0800.xyz")
    assert atoms.cell.array[2, 0] == pytest.approx(0.08 * 9.75)
    atoms.calc = EAM(str(potential), kind="eam/fs")
    # positions in the file hold 1e-8 Å, forces are below 1e-4 eV/Å
    assert atoms.get_potential_energy() / 54 == pytest.approx(
        atoms.info["energy_per_atom"], abs=1e-6
    )


def test_snapshots_are_recognised_as_their_glass(snapshots):
    """By their atoms, in whichever cell, and by what their files say, however far these move."""
    files = [snapshots.parent / "glass.xyz", *sorted(snapshots.glob("*.xyz"))]
    structures = {file.stem: read_structure(file) for file in files}
    assert len(kinships(structures)) == 5 * 4 / 2
    assert set(stated_groups(structures).values()) == {"glass"}


def test_barriers_graphs_and_predictions_of_a_tilted_cell(snapshots, potential, tmp_path):
    """Edges and predictions do not depend on which cell vectors describe the lattice."""
    names = ("strain-0.0800", "other")
    files = [snapshots / f"{name}.xyz" for name in names]
    barrier = {}
    for name, file in zip(names, files, strict=True):
        search = ["--atoms=6", "--searches=1", "--radius=6", "--seed=3"]
        events = tmp_path / f"{name}.h5"
        run("barriers", file, "--potential", potential, *search, "-o", events)
        with h5py.File(events) as content:
            barrier[name] = content["atoms/barrier_mean"][()]
        assert (barrier[name] > 0).sum() >= 2
    splits = ["--train=strain-0.0800", "--validation=other"]
    events = [f"--events={tmp_path / name}.h5" for name in names]
    run("graphs", *files, *events, *splits, "-o", tmp_path / "graphs.h5")
    first, second = read_graphs(tmp_path / "graphs.h5").graphs
    np.testing.assert_array_equal(first.barrier, barrier[first.name])
    lengths = [np.sort(np.linalg.norm(one.edge_vector, axis=1)) for one in (first, second)]
    np.testing.assert_allclose(lengths[0], lengths[1], atol=1e-6)

    small = ["--epochs=1", "--width=8", "--threads=1", "--model=gcn"]
    run("train", tmp_path / "graphs.h5", *small, "-o", tmp_path / "run")
    run("predict", *files, "--checkpoint", tmp_path / "run/checkpoint.pt", "-o", tmp_path / "out")
    found = [read_structure(tmp_path / "out" / f"{name}.xyz").arrays["barrier"] for name in names]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)
    assert np.ptp(found[0]) > 0
