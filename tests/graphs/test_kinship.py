"""Copies of a glass are found, and `symgnn graphs` keeps them together or warns."""

import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from symgnn.graphs import reordering
from symgnn.graphs.dataset import read_graphs
from symgnn.graphs.kinship import crossings, displacement, groups, kinships, stated_groups
from symgnn.graphs.reordering import BINS_AN_ATOM, grid_for, partners, places_of
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


def found_partners(a, b):
    bins = grid_for(a)
    places = [places_of(atoms, atoms.cell.array, bins) for atoms in (a, b)]
    return partners(*places, a.cell.array)


def drifted(atoms, drift):
    """By so many bins of the grid along each axis."""
    copy = atoms.copy()
    copy.positions += np.full(3, drift) / grid_for(atoms) @ atoms.cell.array
    return copy


TILTED = [[1.0, 0.0, 0.0], [0.4, 1.0, 0.0], [-0.3, 0.2, 1.0]]


@pytest.mark.parametrize("shape", [np.eye(3), TILTED])
@pytest.mark.parametrize("drift", [0.0, 0.5, 7.2])
def test_partners_in_another_order_are_the_same_atoms(drift, shape):
    """A third of an ångström apart, strained and moved: what lies nearest is the atom itself."""
    a = amorphous(0, atoms=500)
    a.set_cell(a.cell.array @ shape)
    b = drifted(strained(a), drift)
    b.positions += 0.2 * np.random.default_rng(1).standard_normal(b.positions.shape)
    order = np.random.default_rng(2).permutation(len(a))
    mine, theirs = found_partners(a, b[order])
    assert len(mine) > 0.97 * len(a)  # a tilt brings atoms near each other
    assert (order[theirs] == mine).mean() > 0.99
    assert found_partners(a, amorphous(1, atoms=500)) is None


def test_small_copies_are_found_at_any_drift():
    """Between two bins along each axis, an atom's counts are spread over eight of them."""
    for seed, drift in enumerate(np.linspace(0.0, 0.9, 10)):
        a = amorphous(seed, atoms=64)
        mine, _ = found_partners(a, shuffled(drifted(a, drift)))
        assert len(mine) == len(a)


def test_partners_are_of_one_element_and_each_other_s_nearest():
    """Of two atoms that exchange their elements neither has a partner, nor has a second nearest."""
    a = amorphous(0)
    b = a.copy()
    b.numbers[[0, 149]] = b.numbers[[149, 0]]
    # an atom comes between another one and its place, 0.3 and 0.6 Å from there
    b.positions[60] = a.positions[61] + [0.3, 0.0, 0.0]
    b.positions[61] = a.positions[61] - [0.6, 0.0, 0.0]
    mine, theirs = found_partners(a, b)
    assert set(range(len(a))) - set(mine) == {0, 149, 60}
    assert theirs[mine == 61] == [60]
    assert 61 not in theirs
    assert (theirs == mine).sum() == len(mine) - 1


def test_the_drift_is_taken_out_before_partners_are_chosen():
    """Half an ångström apart, where a bin of 1 Å too far would be too far for many."""
    a = amorphous(0, atoms=300)
    b = drifted(a, 0.3)
    b.positions += 0.35 * np.random.default_rng(1).standard_normal(b.positions.shape)
    (same,) = kinships({"a": a, "b": b})
    (found,) = kinships({"a": a, "b": shuffled(b)})
    assert found.displacement == pytest.approx(same.displacement, rel=0.03)


def test_structures_that_are_alike_in_part_are_no_copies():
    """Seven in ten atoms elsewhere: the drift is plain, and yet too few have a partner."""
    a = amorphous(0, atoms=400)
    b = a.copy()
    moved = np.random.default_rng(1).permutation(len(a))[:280]
    b.positions[moved] = b.positions[np.roll(moved, 1)] + [1.3, -0.9, 1.1]
    assert found_partners(a, b) is None
    b.positions[moved[120:]] = a.positions[moved[120:]]
    assert found_partners(a, b) is not None


def test_the_drift_alone_tells_structures_apart_that_have_nothing_to_do_with_each_other(
    monkeypatch,
):
    """So that partners need not be looked for, which costs more."""
    monkeypatch.setattr(reordering, "MUTUAL", 0.0)
    assert found_partners(amorphous(0, atoms=500), amorphous(1, atoms=500)) is None


def test_a_pair_in_one_order_is_as_far_as_its_own_atoms_are():
    """And not as what lies nearest: beyond 1 Å it is no copy, whatever else is near."""
    a = amorphous(0, atoms=500)
    b = a.copy()
    b.positions += 0.7 * np.random.default_rng(1).standard_normal(b.positions.shape)
    assert displacement(a, b)[0] == pytest.approx(1.08, abs=0.05)
    assert kinships({"a": a, "b": b}) == []


def test_a_grid_has_no_more_bins_where_there_is_empty_space():
    a = amorphous(0)
    film = a.copy()
    film.set_cell([500.0, 500.0, 500.0])
    assert np.prod(grid_for(film)) <= BINS_AN_ATOM * len(a)
    assert (np.array(grid_for(a)) == a.cell.lengths().astype(int)).all()


@pytest.mark.parametrize("cells", [1, 2, 5])
def test_crystals_in_another_order_are_not_told_apart(cells):
    """Each is the other but for noise, and yet none is a copy: many a drift does as well."""
    a, b = (bulk("Cu", cubic=True).repeat(cells) for _ in range(2))
    a.rattle(0.1, seed=1)
    b.rattle(0.1, seed=2)
    a.positions += 0.31
    b.positions += 0.31
    assert found_partners(a, shuffled(b)) is None


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
