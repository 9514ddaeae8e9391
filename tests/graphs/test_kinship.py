"""Copies of a glass are found, and `symgnn graphs` keeps them together or warns."""

import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from symgnn.graphs.dataset import read_graphs
from symgnn.graphs.kinship import crossings, groups, kinships, stated_groups
from symgnn.graphs.reordering import partners
from symgnn.structures import read_structure, structure_hash, write_structure
from tests.graphs.test_graphs import run, write_events

STRAIN = np.diag([1.04, 0.98, 0.98]) + 0.04 * np.eye(3)[[2, 0, 1]]


def glass(seed, sites=4):
    """16 Cu, then Zr, on jittered sites in random order: any two are far from copies."""
    random = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(sites)] * 3), -1).reshape(-1, 3)
    positions = (random.permutation(grid) + 0.2 * random.random((sites**3, 3))) * 2.6
    symbols = np.where(np.arange(sites**3) < 16, "Cu", "Zr")
    return Atoms(symbols, positions, cell=[2.6 * sites] * 3, pbc=True)


def amorphous(seed, atoms=150):
    """Atoms at random, no two within 2 Å."""
    random = np.random.default_rng(seed)
    cell = 2.8 * atoms ** (1 / 3) * np.array([1.0, 0.9, 1.1])
    places = []
    while len(places) < atoms:
        place = random.random(3) * cell
        apart = np.array(places).reshape(-1, 3) - place
        if (np.linalg.norm(apart - cell * (apart / cell).round(), axis=1) > 2.0).all():
            places.append(place)
    return Atoms(["Cu"] * 50 + ["Zr"] * (atoms - 50), places, cell=cell, pbc=True)


def strained(atoms):
    copy = atoms.copy()
    copy.set_cell(atoms.cell.array @ STRAIN, scale_atoms=True)
    return copy


def jittered(atoms):
    copy = atoms.copy()
    copy.positions += 0.1 * np.random.default_rng(9).standard_normal(copy.positions.shape)
    return copy


def moved(atoms):
    """By half a cell, where the mean of the displacements is no use; and wrapped."""
    copy = atoms.copy()
    copy.positions += atoms.cell.array.sum(axis=0) / 2
    copy = jittered(copy)
    copy.wrap()
    return copy


def in_another_cell(atoms):
    """The same lattice of the same atoms, as LAMMPS flips a box that has tilted far."""
    copy = strained(atoms)
    copy.set_cell(copy.cell.array - np.outer([0, 0, 1], copy.cell.array[0]))
    copy.wrap()
    return copy


def turned(atoms):
    """By 90 degrees, which takes a cubic lattice to itself."""
    copy = atoms.copy()
    copy.rotate(90, "z", rotate_cell=True)
    return copy


def shuffled(atoms):
    """The same atoms as a file of another program lists them."""
    return atoms[np.random.default_rng(3).permutation(len(atoms))]


def written(folder, structures):
    """Words of the command for these structures, with events of theirs."""
    words = []
    for name, atoms in structures.items():
        write_structure(folder / f"{name}.xyz", atoms)
        atoms = read_structure(folder / f"{name}.xyz")
        write_events(
            folder / f"{name}.h5", atoms, np.ones(len(atoms)), np.ones(len(atoms), dtype=int)
        )
        words += [folder / f"{name}.xyz", "--events", folder / f"{name}.h5"]
    return words


def split(words, folder, *more):
    """The split of each glass, and the lines that are warnings."""
    result = run(*words, *more, "--cutoff", 3, "-o", folder / "graphs.h5")
    assert result.exception is None, result.output
    parts = {graph.name: graph.split for graph in read_graphs(folder / "graphs.h5").graphs}
    return parts, [line for line in result.output.splitlines() if "warning" in line]


@pytest.mark.parametrize("copy", [strained, jittered, moved, in_another_cell, turned])
def test_a_copy_is_found_whichever_comes_first_and_an_independent_glass_is_not(copy):
    a, other = glass(0), glass(1)
    for pair in ({"a": a, "b": copy(a)}, {"b": copy(a), "a": a}):
        (found,) = kinships({"before": other, **pair, "after": glass(2)})
        assert (found.first, found.second) == tuple(pair)
        assert found.strained == (copy in (strained, in_another_cell))
        assert found.displacement < 0.3


@pytest.mark.parametrize("copy", [strained, jittered, moved, in_another_cell, turned])
def test_a_copy_in_another_order_is_found_and_is_as_far_as_in_the_same(copy):
    a = amorphous(0)
    (expected,) = kinships({"a": a, "b": copy(a)})
    for pair in ({"a": a, "b": shuffled(copy(a))}, {"a": shuffled(a), "b": copy(a)}):
        (found,) = kinships({"before": amorphous(1), **pair, "after": amorphous(2)})
        assert (found.first, found.second, found.strained) == ("a", "b", expected.strained)
        assert found.displacement == pytest.approx(expected.displacement, abs=0.01)


def test_large_glasses_are_compared_by_a_sample_first():
    """4,096 atoms, one in twenty of the sample; half an ångström on average is still a copy."""
    a, b = glass(0, sites=16), glass(0, sites=16)
    b.positions += 0.3 * np.random.default_rng(1).standard_normal(b.positions.shape)
    (found,) = kinships({"a": a, "b": strained(b), "c": glass(3, sites=16)})
    assert found.displacement == pytest.approx(0.3 * 1.538, rel=0.05)  # median of Maxwell's law


def test_partners_in_another_order_are_the_same_atoms():
    """A third of an ångström apart, strained and moved: what lies nearest is the atom itself."""
    a = amorphous(0, atoms=500)
    b = strained(a)
    b.positions += 0.2 * np.random.default_rng(1).standard_normal(b.positions.shape) + 7.7
    order = np.random.default_rng(2).permutation(len(a))
    mine, theirs = partners(a, b[order], b.cell.array)
    assert len(mine) > 0.99 * len(a)
    assert (order[theirs] == mine).all()
    assert partners(a, amorphous(1, atoms=500), a.cell.array) is None


def test_crystals_in_another_order_are_not_told_apart():
    """Each is the other but for noise, and yet none is a copy: many a drift does as well."""
    crystals = {seed: bulk("Cu", cubic=True).repeat(5) for seed in "ab"}
    for seed, atoms in zip((1, 2), crystals.values(), strict=True):
        atoms.rattle(0.1, seed=seed)
    a, b = crystals.values()
    assert partners(a, shuffled(b), b.cell.array) is None
    assert kinships({"a": a, "b": shuffled(b)}) == []


def test_glasses_of_other_atoms_are_no_copies():
    a = glass(0)
    other = a.copy()
    other.numbers[0] = 40
    assert kinships({"a": a, "larger": a.repeat((1, 1, 2)), "fewer": a[:-1], "other": other}) == []


def test_groups_join_what_is_stated_and_what_is_found():
    """a and b are copies, b and c are of one group, d is alone."""
    structures = {"a": glass(0), "b": strained(glass(0)), "c": glass(1), "d": glass(2)}
    found = kinships(structures)
    group = groups({"a": "a", "b": "mine", "c": "mine", "d": "d"}, found)
    assert group == {"a": "a", "b": "a", "c": "a", "d": "d"}
    parts = {"a": "train", "b": "test", "c": "train", "d": "validation"}
    assert crossings(parts, group, found) == [
        f"{found[0]}: a is in train, b in test",
        "c is of the group of b: b is in test, c in train",
    ]


def test_a_group_that_names_a_glass_is_that_glass_s():
    structures = {name: glass(k) for k, name in enumerate("abcdef")}
    named = {"a": "batch7", "b": "a", "c": structure_hash(structures["b"]), "d": "e", "e": "d"}
    for name, group in named.items():
        structures[name].info["group"] = group
    found = stated_groups(structures)
    assert found["a"] == found["b"] == found["c"] == "batch7"
    assert found["d"] == found["e"] != found["f"] == "f"


@pytest.mark.parametrize("copy", [strained, jittered])
def test_an_automatic_split_never_parts_copies(tmp_path, copy):
    structures = {"a": glass(0), "b": copy(glass(0)), "d": glass(1), "e": glass(2)}
    words, held_out = written(tmp_path, structures), set()
    for seed in range(6):
        parts, warnings = split(words, tmp_path, "--seed", seed)
        assert parts["a"] == parts["b"]
        assert set(parts.values()) == {"train", "validation", "test"}
        assert warnings == []
        held_out.add(parts["a"])
    assert len(held_out) > 1  # the seeds do choose


def test_an_automatic_split_does_not_depend_on_the_order_of_the_files(tmp_path):
    structures = {"a": glass(0), "d": glass(1), "e": glass(2), "z": strained(glass(0))}
    words = written(tmp_path, structures)
    back = written(tmp_path, dict(reversed(structures.items())))
    for seed in range(4):
        assert split(words, tmp_path, "--seed", seed) == split(back, tmp_path, "--seed", seed)


def test_an_automatic_split_never_parts_a_group_of_the_files(tmp_path):
    """By a name of the user's, and by the hash that a snapshot has of its glass."""
    structures = {name: glass(seed) for seed, name in enumerate("abcdef")}
    write_structure(tmp_path / "c.xyz", structures["c"])
    for name in "ab":
        structures[name].info["group"] = 7
    for name in "de":
        structures[name].info["group"] = structure_hash(read_structure(tmp_path / "c.xyz"))
    words = written(tmp_path, structures)
    for seed in range(6):
        parts, _ = split(words, tmp_path, "--seed", seed)
        assert parts["a"] == parts["b"]
        assert parts["c"] == parts["d"] == parts["e"]
        assert len(set(parts.values())) == 3


def test_a_named_split_warns_once_a_pair_and_does_as_it_is_told(tmp_path):
    a = glass(0)
    structures = {"a": a, "b": strained(a), "c": jittered(a), "d": glass(1)}
    words = written(tmp_path, structures)
    named = ("--train", "a", "--validation", "d", "--test", "b", "--test", "c")
    parts, warnings = split(words, tmp_path, *named)
    assert parts == {"a": "train", "b": "test", "c": "test", "d": "validation"}
    assert [line.split(" (")[0] for line in warnings] == [
        f"{tmp_path / 'graphs.h5'}: warning: b is a strained copy of a",
        f"{tmp_path / 'graphs.h5'}: warning: c is a near-duplicate of a",
    ]
    assert warnings[0].endswith(": a is in train, b in test")


def test_a_named_split_of_independent_glasses_does_not_warn(tmp_path):
    """Nor where copies are in one part."""
    structures = {"a": glass(0), "b": strained(glass(0)), "d": glass(1), "e": glass(2)}
    words = written(tmp_path, structures)
    parts, warnings = split(words, tmp_path, "--validation", "d", "--test", "e")
    assert parts == {"a": "train", "b": "train", "d": "validation", "e": "test"}
    assert warnings == []


def test_a_named_split_warns_of_a_stated_group_and_stores_it_as_it_is(tmp_path):
    structures = {"a": glass(0), "b": glass(1)}
    structures["b"].info["group"] = "a"
    words = written(tmp_path, structures)
    _, warnings = split(words, tmp_path, "--test", "b")
    assert [line.split("warning: ")[1] for line in warnings] == [
        "b is of the group of a: a is in train, b in test"
    ]
    with h5py.File(tmp_path / "graphs.h5") as file:
        assert file["b"].attrs["group"] == "a"
        assert "group" not in file["a"].attrs
