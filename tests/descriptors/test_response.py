"""The potential's per-atom inputs: LAMMPS and finite differences agree, and laws hold."""

import numba
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.optimize import FIRE
from ase.units import GPa
from scipy.special import sph_harm_y
from scipy.stats import special_ortho_group

from symgnn.barriers.eam_engine import RegionEngine
from symgnn.descriptors import invariants, response
from symgnn.descriptors.hessian import hessian_blocks, hessian_frame
from symgnn.descriptors.potential import mechanics_of, species_of, splines, stress_invariants
from symgnn.descriptors.region import Region, list_pairs, sort_sites
from symgnn.descriptors.region_forces import (
    WAYS,
    energy_and_forces,
    make_scratch,
    start_energy_and_forces,
)
from symgnn.descriptors.region_hessian import listed_hessian, unlisted_hessian, whole_hessian
from symgnn.descriptors.registry import DESCRIPTORS, describe, input_size
from symgnn.errors import InputError
from symgnn.lammps_interface import LammpsForces
from symgnn.neighbors import linked_cells, most_near, near_atoms, pairs
from symgnn.potentials import find_potential
from symgnn.threads import use_threads
from symgnn.vectors import LANES
from tests.calculators import ForcesCalculator

EXACT = sorted(DESCRIPTORS.keys() - {"searches"})  # no random pushes


@pytest.fixture(scope="module")
def cuzr():
    return find_potential("Cu-Zr-2009")


@pytest.fixture(scope="module")
def relaxed(cuzr):
    """A disordered minimum of 108 atoms, forces below 1e-3 eV/Å."""
    random = np.random.default_rng(4)
    atoms = bulk("Cu", "fcc", a=4.05, cubic=True).repeat(3)
    atoms.symbols = random.permutation(["Cu"] * 69 + ["Zr"] * 39)
    atoms.positions += random.normal(scale=0.4, size=atoms.positions.shape)
    with LammpsForces(atoms, cuzr) as forces:
        atoms.calc = ForcesCalculator(forces)
        assert FIRE(atoms, logfile=None).run(fmax=1e-3, steps=5000)
        atoms.calc = None
    return atoms


def test_energies_and_stress_are_those_of_lammps(relaxed, cuzr):
    # The tables are the file's on coarser knots: energies agree to 1e-6 eV an atom.
    shaken = relaxed.copy()
    shaken.positions += np.random.default_rng(1).normal(scale=0.1, size=(len(shaken), 3))
    found = mechanics_of(shaken, species_of(shaken, cuzr), splines(cuzr))
    with LammpsForces(shaken, cuzr) as forces:
        np.testing.assert_allclose(found.energy, forces.energies(shaken.positions), atol=1e-6)
        stress = forces.stress(shaken.positions)
        _, force = forces.energy_and_forces(shaken.positions)
    np.testing.assert_allclose(found.force, force, atol=2e-3)
    volume = shaken.get_volume() * GPa
    np.testing.assert_allclose(-found.virial.sum(0) / volume, stress, atol=1e-4)
    pressure = stress_invariants(found.virial)[:, 0].sum() / volume
    assert pressure == pytest.approx(-np.trace(stress) / 3, abs=1e-4)


def test_compliance_is_the_inverse_of_the_forces_derivative(relaxed, cuzr):
    """Over atoms of both elements, against differences of the barriers' engine, whose forces are
    LAMMPS's. The file's tables are rough on the scale of their knots, so the step is larger."""
    found = response.response_of(relaxed, cuzr, radius=4.0, steps=1)
    engine = RegionEngine(relaxed, cuzr, radius=4.0)
    for atom in (0, int(np.flatnonzero(relaxed.numbers == 40)[0])):
        search = engine.open(atom)
        size, step = 3 * len(search.atoms), 0.01
        hessian = np.empty((size, size))
        for k in range(size):
            shift = np.zeros(size)
            shift[k] = step
            ahead, behind = (
                search(search.position + sign * shift.reshape(-1, 3))[1].ravel() for sign in (1, -1)
            )
            hessian[k] = -(ahead - behind) / (2 * step)
        inverse = np.linalg.inv(0.5 * (hessian + hessian.T))
        np.testing.assert_allclose(
            found.compliance[atom], np.linalg.eigvalsh(inverse[:3, :3]), rtol=0.02
        )
        np.testing.assert_allclose(
            found.stiffness[atom], np.linalg.eigvalsh(hessian[:3, :3]), rtol=0.01
        )


def region_around(atoms, potential, atom, listed, table=None):
    """The region of 5 Å around an atom; its background is not set."""
    table, species = table or splines(potential), species_of(atoms, potential)
    density = mechanics_of(atoms, species, table).density
    places = linked_cells(atoms.positions, atoms.cell.array, 5.0 + listed)
    most = most_near(places, 5.0 + listed)
    who, where = np.empty(most, np.int64), np.empty((most, 3))
    place = int(np.flatnonzero(places.members == atom)[0])
    count = near_atoms(place, places, 5.0 + listed, who, where)
    atom, start = np.empty(count, np.int64), np.empty((count, 3))
    element, group = np.empty(count, np.int32), np.empty(2 * table.elements + 1, np.int32)
    free = sort_sites(who[:count], where[:count], species, 5.0, atom, start, element, group)
    begin, second = np.empty(4 * free + 1, np.int32), np.empty(free * count, np.int32)
    list_pairs(start, group, free, listed, begin, second)
    return Region(start, atom, element, free, group, begin, second, density[atom], np.empty(count))


def moved_region(found, table, shifts):
    """Energies and forces of a region whose free atoms are shifted, a lane each."""
    free = found.free
    scratch = make_scratch(len(found.atom), found.begin[-1])
    energy, force = np.empty(LANES), np.empty((3 * free, LANES))
    start_energy_and_forces(found, table, scratch, energy, force)
    moved = scratch.place.reshape(-1, LANES)
    for lane, shift in enumerate(shifts):
        moved[: 3 * free, lane] += shift(found.start[:free]).ravel()
    energy_and_forces(found, table, scratch, energy, force)
    return energy, force


def test_regions_with_all_pairs_listed_have_the_forces_of_lammps(relaxed, cuzr):
    """Against the barriers' engine, whose forces are LAMMPS's, in one lane and not in the others.

    Displacements are functions of the place, so that both orders of the atoms get the same.
    """
    large = relaxed.repeat(2)  # images of moving atoms are out of reach
    atom = int(np.flatnonzero(large.numbers == 40)[0])

    def bend(where):
        return 0.2 * np.sin(where[:, [1, 2, 0]])

    def nothing(where):
        return np.zeros_like(where)

    found = region_around(large, cuzr, atom, 8.4)
    energy, force = moved_region(found, splines(cuzr), [nothing, bend])
    where = found.start[: found.free]
    search = RegionEngine(large, cuzr, radius=5.0).open(atom)
    start, before = search(search.position)
    vector = search.position - search.position[list(search.atoms).index(atom)]
    place = np.array([np.abs(vector - one).sum(1).argmin() for one in where])
    np.testing.assert_allclose(vector[place], where, atol=1e-9)
    after, pulled = search(search.position + bend(vector))
    assert energy[1] - energy[0] == pytest.approx(after - start, abs=1e-4)
    np.testing.assert_allclose(force[:, 1].reshape(-1, 3), pulled[place], atol=2e-3)
    np.testing.assert_allclose(force[:, 0].reshape(-1, 3), before[place], atol=2e-3)
    assert np.ptp(energy[[0, *range(2, WAYS)]]) == 0.0


def check_forces_are_derivatives(found, table):
    """Along a random way; returns the forces at the start."""
    way = np.random.default_rng(0).normal(size=(found.free, 3))
    step = 1e-4
    shifts = [lambda where, sign=sign: sign * step * way for sign in (0, 1, -1)]
    energy, force = moved_region(found, table, shifts)
    slope = (energy[1] - energy[2]) / (2 * step)
    assert slope == pytest.approx(-way.ravel() @ force[:, 0], rel=1e-5)
    return force[:, 0].reshape(-1, 3)


def test_forces_beyond_the_embedding_table_are_derivatives(relaxed, cuzr):
    """Half of the sites have a density for which the embedding goes on linearly."""
    table = splines(cuzr)
    found = region_around(relaxed.repeat(2), cuzr, 3, 6.8)
    found.density[::2] += table.density_step * table.embedding.shape[1]
    check_forces_are_derivatives(found, table)


def test_two_elements_may_add_differently_to_each_other(relaxed, cuzr):
    """Densities at copper due to zirconium are 1.3 times as large; in Cu-Zr-2009 both are equal."""
    table, large = splines(cuzr), relaxed.repeat(2)
    rows = table.rows.copy()
    by_pair = rows[:-4].reshape(2, 2, table.knots, 12)
    by_pair[0, 1, :, 4:8] *= 1.3
    by_pair[1, 0, :, 8:12] *= 1.3
    table = table._replace(rows=rows)
    expected = mechanics_of(large, species_of(large, cuzr), table).force
    for atom in (np.flatnonzero(relaxed.numbers == z)[0] for z in (29, 40)):
        found = region_around(large, cuzr, atom, 8.4, table)
        force = check_forces_are_derivatives(found, table)
        np.testing.assert_allclose(force, expected[found.atom[: found.free]], atol=1e-9)


@pytest.mark.parametrize("listed", [6.8, 7.2])
def test_listed_and_unlisted_pairs_make_up_the_hessian(listed, relaxed, cuzr):
    table, species = splines(cuzr), species_of(relaxed, cuzr)
    assert listed > table.density_cutoff
    found = region_around(relaxed, cuzr, 3, listed)
    places, frame = hessian_frame(
        relaxed.positions,
        relaxed.cell.array,
        species,
        mechanics_of(relaxed, species, table).density,
        table,
        10.0,
    )
    needed = np.ones(len(relaxed), dtype=bool)
    blocks = hessian_blocks(places, frame, species, table, listed, needed)
    count, free = len(found.atom), found.free
    whole, part, rest = np.empty((3, 3 * free, 3 * free))
    whole_hessian(found, blocks, np.full(len(relaxed), -1, np.int32), whole)
    used, slopes = np.empty((count, free + 1), np.int32), np.empty((count, free, 3))
    listed_hessian(found, frame.embedding[found.atom], table, part, used, slopes)
    unlisted_hessian(found, blocks, table, listed, rest)
    assert np.abs(rest).max() > 1e-3
    np.testing.assert_allclose(part + rest, whole, atol=1e-11)


def test_unlisted_pairs_act_to_second_order(relaxed, cuzr):
    """Energies on the way with few pairs listed approach those with all as the cube of the way."""
    errors = []
    for stride in (0.02, 0.04):
        all_listed, few = (
            response.response_of(relaxed, cuzr, steps=1, stride=stride, listed=listed)
            for listed in (8.4, 4.0)
        )
        errors.append(np.abs(all_listed.energy - few.energy))
        np.testing.assert_allclose(all_listed.compliance, few.compliance, rtol=1e-9)
    assert errors[0].max() > 1e-7
    ratio = errors[1].mean() / errors[0].mean()
    assert 6.0 < ratio < 10.0  # 8


def test_small_pushes_cost_half_the_force_times_the_way(relaxed, cuzr):
    """Near a minimum, E = - F s / 2 along a way on which all other coordinates have followed."""
    stride = 0.02
    found = response.response_of(relaxed, cuzr, steps=1, stride=stride, relaxations=3)
    # residual forces and third derivatives do their work: the mean of both ways is free of it
    energy, force = found.energy.mean(2), found.force.mean(2)
    assert (energy > 0).all()
    np.testing.assert_allclose(energy, -0.5 * stride * force, rtol=0.05)


def test_energy_on_the_way_falls_when_more_coordinates_follow(relaxed, cuzr):
    stiff, soft = (
        response.response_of(relaxed, cuzr, steps=4, stride=0.1, relaxations=count).energy
        for count in (1, 3)
    )
    assert soft.mean() < stiff.mean()


def turned(atoms, sign):
    turn = sign * special_ortho_group.rvs(3, random_state=3)
    other = Atoms(atoms.numbers, atoms.positions @ turn, cell=atoms.cell.array @ turn, pbc=True)
    return other


@pytest.mark.parametrize("name", EXACT)
def test_inputs_do_not_turn_and_follow_permutations(name, relaxed, cuzr):
    def inputs(atoms):
        return describe(name, atoms, cuzr, [29, 40])

    before = inputs(relaxed)
    assert np.isfinite(before).all()
    assert before.shape == (len(relaxed), input_size(name, 2))
    scale = np.abs(before).max(0) + 1e-6

    def check(found, expected=before):
        np.testing.assert_allclose(found / scale, expected / scale, atol=2e-5)  # single precision

    for sign in (1, -1):
        check(inputs(turned(relaxed, sign)))
    order = np.random.default_rng(0).permutation(len(relaxed))
    moved = relaxed[order]
    moved.positions += [1.0, -7.0, 30.0]
    check(inputs(moved), before[order])
    double = inputs(relaxed.repeat((2, 1, 1)))
    check(double, np.tile(before, (2, 1)))


def test_power_spectra_are_those_of_spherical_harmonics(relaxed, cuzr):
    """Against scipy's, for one atom, over each element and shell; and the radial densities."""
    found = invariants.features(relaxed, cuzr, [29, 40])[7]
    around = pairs(relaxed.positions, relaxed.cell.array, invariants.CUTOFF)
    mine = around.source == 7
    vector, number = around.vector[mine], relaxed.numbers[around.target[mine]]
    length = np.linalg.norm(vector, axis=1)
    polar, azimuth = np.arccos(vector[:, 2] / length), np.arctan2(vector[:, 1], vector[:, 0])
    expected = []
    for element in (29, 40):
        away = length[number == element] - invariants.CENTRES[:, None]
        expected.append(np.exp(-0.5 * (away / 0.25) ** 2).sum(1))
        for inner, outer in zip(invariants.SHELLS[:-1], invariants.SHELLS[1:], strict=True):
            chosen = (number == element) & (length > inner) & (length <= outer)
            for degree in invariants.DEGREES:
                orders = np.arange(-degree, degree + 1)[:, None]
                mean = sph_harm_y(degree, orders, polar[chosen], azimuth[chosen]).sum(1)
                expected.append([np.linalg.norm(mean) / max(chosen.sum(), 1)])
    expected = np.concatenate(expected)
    np.testing.assert_allclose(found[: len(expected)], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", EXACT)
def test_means_around_are_those_of_a_distance_matrix(name, relaxed, cuzr):
    found = describe(name, relaxed, cuzr, [29, 40])
    if name == "response":
        count, averages = len(response.names()), response.AVERAGED_TO
    else:
        count = 2 * (len(invariants.CENTRES) + 4 * len(invariants.DEGREES)) + 3
        averages = [(radius, name != "invariants") for radius in invariants.AVERAGED_TO]
    own, column = found[:, :count].astype(float), count
    # far enough that no atom meets another image of the same neighbour twice within 5.5 Å
    distance = relaxed.get_all_distances(mic=True)
    for radius, split in averages:
        groups = [relaxed.numbers == z for z in (29, 40)] if split else [relaxed.numbers > 0]
        for group in groups:
            if radius < 6.0:
                near = (distance < radius) & group
                mean = near @ own / np.maximum(near.sum(1, keepdims=True), 1)
                scale = np.abs(own).max(0) + 1e-6
                np.testing.assert_allclose(
                    found[:, column : column + count] / scale, mean / scale, atol=2e-6
                )
            column += count
    species = relaxed.numbers[:, None] == [29, 40]
    np.testing.assert_array_equal(found[:, column:], species[:, : found.shape[1] - column])
    assert column + 2 * (name != "response") == found.shape[1]


def test_threads_change_nothing(relaxed, cuzr):
    """324 atoms are three blocks of work."""
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("one core")
    atoms = relaxed.repeat((3, 1, 1))
    before = response.features(atoms, cuzr, [29, 40])
    use_threads(1)
    try:
        assert numba.get_num_threads() == 1
        np.testing.assert_array_equal(response.features(atoms, cuzr, [29, 40]), before)
    finally:
        use_threads(0)


def test_pieces_change_nothing(relaxed, cuzr):
    """324 atoms in pieces of some 40, whose Hessians leave out atoms that no region reaches."""
    atoms = relaxed.repeat((3, 1, 1))
    found, whole = (response.response_of(atoms, cuzr, steps=2, most_atoms=n) for n in (45, 324))
    for name, value in vars(whole).items():
        np.testing.assert_array_equal(getattr(found, name), value, err_msg=name)


def test_isolated_atoms_and_dense_ones_side_by_side(cuzr):
    """A cluster in a dilute gas: regions of one atom and of many in one block of work."""
    gas = bulk("Cu", "sc", a=5.2).repeat(8)
    cluster = bulk("Cu", "fcc", a=3.61, cubic=True).repeat(2)
    cluster.positions += [15.0, 15.0, 60.0]
    atoms = Atoms(gas.symbols, gas.positions, cell=[41.6, 41.6, 120.0], pbc=True) + cluster
    alone = Atoms(cluster.symbols, cluster.positions, cell=[41.6, 41.6, 120.0], pbc=True)
    found = response.response_of(atoms, cuzr, steps=2)
    expected = response.response_of(alone, cuzr, steps=2)
    np.testing.assert_allclose(found.stiffness[len(gas) :], expected.stiffness, atol=1e-9)
    np.testing.assert_allclose(found.compliance[len(gas) :], expected.compliance, rtol=1e-6)


def test_counts_out_of_range_are_refused(relaxed, cuzr):
    for wrong in ({"relaxations": 0}, {"directions": 4}):
        with pytest.raises(ValueError, match="1 to 3"):
            response.response_of(relaxed, cuzr, **wrong)


def test_a_structure_off_its_minimum_still_gets_numbers(cuzr):
    random = np.random.default_rng(0)
    atoms = bulk("Cu", "fcc", a=3.9, cubic=True).repeat(3)
    atoms.positions += random.normal(scale=0.5, size=atoms.positions.shape)
    assert np.isfinite(response.features(atoms, cuzr, [29, 40])).all()


def test_elements_that_the_potential_lacks_are_refused(cuzr):
    with pytest.raises(InputError, match="Ag"):
        response.features(bulk("Ag", cubic=True), cuzr, [47])
