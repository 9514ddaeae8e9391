"""The compiled forces on a region are those of the full periodic system."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from symgnn.barriers.eam_engine import RegionEngine
from symgnn.barriers.eam_kernel import embed
from symgnn.lammps_interface import LammpsForces
from symgnn.potentials import Potential, find_potential, read_eam

MILD = 0.2  # Å, random displacements


def displaced(search, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return search.position + generator.normal(scale=MILD, size=search.position.shape)


def compare_with_lammps(
    atoms: Atoms, potential: Potential, target: int, radius: float
) -> tuple[float, float]:
    """Largest difference of a force and difference of the energy change to the full system."""
    search = RegionEngine(atoms, potential, radius=radius).open(target)
    position = displaced(search, seed=target)
    energy, force = search(position)
    moved = atoms.positions.copy()
    moved[search.atoms] += position - search.position
    with LammpsForces(atoms, potential) as full:
        start, _ = full.energy_and_forces(atoms.positions)
        reference, forces = full.energy_and_forces(moved)
        difference = np.abs(force - forces[search.atoms]).max()
        return difference, abs(energy - (reference - start))


@pytest.mark.parametrize("radius", [5.0, 9.0])
@pytest.mark.parametrize("target", [0, 77])
def test_free_atoms_feel_the_forces_of_lammps(disordered, cu_zr, target, radius) -> None:
    force, energy = compare_with_lammps(disordered, cu_zr, target, radius)
    assert force < 1e-8
    assert energy < 1e-8


def test_sheared_cell_gives_the_forces_of_lammps(disordered, cu_zr) -> None:
    atoms = disordered.copy()
    cell = atoms.cell.array.copy()
    cell[2, 0] = 2.5
    atoms.set_cell(cell, scale_atoms=True)
    force, energy = compare_with_lammps(atoms, cu_zr, 3, 7.0)
    assert force < 1e-8
    assert energy < 1e-8


def write_potential(path: Path, potential: Potential, style: str) -> Potential:
    """A potential of another form made of the tables of one: asymmetric fs, or alloy."""
    tables = read_eam(potential)
    density = tables.density.copy()
    density[0, 1] *= 1.3  # what Zr feels from Cu is no longer what Cu feels from Zr
    lines = ["test", "test", "test", " ".join([str(len(tables.elements)), *tables.elements])]
    n_density, n_distance = tables.embedding.shape[1], tables.pair.shape[2]
    lines.append(
        f"{n_density} {tables.density_step!r} {n_distance} {tables.distance_step!r} "
        f"{tables.cutoff!r}"
    )
    for a in range(len(tables.elements)):
        lines.append(f"29 {tables.masses[a]} 3.6 fcc")
        rows = density[a] if style == "eam/fs" else density[a][:1]
        lines.extend(f"{value:.17g}" for value in (*tables.embedding[a], *rows.ravel()))
    for a in range(len(tables.elements)):
        for b in range(a + 1):
            lines.extend(f"{value:.17g}" for value in tables.pair[a, b])
    path.write_text("\n".join(lines) + "\n")
    return find_potential(path)


@pytest.mark.parametrize("style", ["eam/fs", "eam/alloy"])
def test_asymmetric_and_alloy_files_agree_with_lammps(tmp_path, disordered, cu_zr, style) -> None:
    path = tmp_path / f"test.{style.replace('/', '.')}"
    potential = write_potential(path, cu_zr, style)
    assert potential.style == style
    force, energy = compare_with_lammps(disordered, potential, 9, 6.0)
    assert force < 1e-8
    assert energy < 1e-8


def test_a_region_in_displaced_surroundings_has_the_forces_of_lammps(disordered, cu_zr) -> None:
    """Where all atoms have moved, some of them far; its energy is relative to that place."""
    atoms = disordered.repeat(2)
    engine = RegionEngine(atoms, cu_zr, radius=5.0)
    generator = np.random.default_rng(2)
    displacement = generator.normal(scale=0.1, size=atoms.positions.shape)
    near = engine.open(40).atoms[:12]
    displacement[near] += generator.normal(scale=0.5, size=(len(near), 3))
    for step in range(len(engine.confirming) - 1):
        own_places = engine.open_larger(40, step)
        search = engine.open_displaced(40, step, displacement)
        np.testing.assert_array_equal(search.atoms, own_places.atoms)
        way = search.position - own_places.position
        np.testing.assert_allclose(way, displacement[search.atoms], atol=1e-12)
        position = displaced(search, seed=step)
        energy, force = search(position)
        with LammpsForces(atoms, cu_zr) as full:
            moved = atoms.positions + displacement
            start, _ = full.energy_and_forces(moved)
            moved[search.atoms] += position - search.position
            reference, forces = full.energy_and_forces(moved)
        np.testing.assert_allclose(force, forces[search.atoms], rtol=0, atol=1e-8)
        assert energy == pytest.approx(reference - start, abs=1e-8)
        assert search.inside


def test_force_is_minus_the_gradient(disordered, cu_zr) -> None:
    search = RegionEngine(disordered, cu_zr, radius=8.0).open(4)
    position = displaced(search, seed=0)
    _, force = search(position)
    step = 1e-4
    for atom, axis in ((0, 0), (3, 1), (len(position) - 1, 2)):
        forward, backward = position.copy(), position.copy()
        forward[atom, axis] += step
        backward[atom, axis] -= step
        slope = (search(forward)[0] - search(backward)[0]) / (2 * step)
        assert slope == pytest.approx(-force[atom, axis], abs=2e-6)  # O(step²) of the splines


def test_forces_do_not_depend_on_the_way(disordered, cu_zr) -> None:
    """Pairs are listed anew on the way; the forces at its end are those of a straight jump."""
    engine = RegionEngine(disordered, cu_zr, radius=7.0)
    straight, wandering = engine.open(8), engine.open(8)
    position = displaced(straight, seed=3)
    for seed in (5, 6):
        wandering(displaced(straight, seed=seed) + 0.3)
    energy, force = straight(position)
    again, forces = wandering(position)
    # the order of the pairs in the list differs, so the last digits may
    assert again == pytest.approx(energy, abs=1e-10)
    np.testing.assert_allclose(forces, force, rtol=0, atol=1e-11)


def test_forces_hold_far_from_the_start(disordered, cu_zr) -> None:
    """Pairs come into reach that no list of the start had."""
    search = RegionEngine(disordered, cu_zr, radius=5.0).open(17)
    position = search.position.copy()
    for _ in range(8):
        position[0] += (0.2, -0.25, 0.3)
        energy, force = search(position)
    assert search.inside
    moved = disordered.positions.copy()
    moved[search.atoms] += position - search.position
    with LammpsForces(disordered, cu_zr) as full:
        start, _ = full.energy_and_forces(disordered.positions)
        reference, forces = full.energy_and_forces(moved)
    scale = np.abs(forces).max()  # eV/Å, large where atoms have come close
    np.testing.assert_allclose(force, forces[search.atoms], rtol=0, atol=1e-9 * scale + 1e-8)
    assert energy == pytest.approx(reference - start, abs=1e-8, rel=1e-10)


def test_a_far_journey_is_reported(disordered, cu_zr) -> None:
    search = RegionEngine(disordered, cu_zr, radius=5.0, travel=2.0).open(0)
    position = search.position.copy()
    search(position)
    assert search.inside
    position[1] += 2.5
    search(position)
    assert not search.inside


def test_matscipy_agrees_on_a_crystal(potential) -> None:
    """An independent code: matscipy's EAM on the same file, whole periodic crystal."""
    eam = pytest.importorskip("matscipy.calculators.eam")
    atoms = bulk("Zr", "hcp", a=3.2, c=5.1).repeat((5, 5, 3))
    generator = np.random.default_rng(7)
    atoms.numbers[generator.permutation(len(atoms))[:40]] = 29
    atoms.positions += generator.normal(scale=0.05, size=atoms.positions.shape)
    found = find_potential(potential)
    search = RegionEngine(atoms, found, radius=6.0).open(11)
    position = displaced(search, seed=1)
    start, _ = search(search.position)
    energy, force = search(position)
    atoms.calc = eam.EAM(str(potential), kind="eam/fs")
    before = atoms.get_potential_energy()
    atoms.positions[search.atoms] += position - search.position
    assert energy - start == pytest.approx(atoms.get_potential_energy() - before, abs=1e-5)
    # matscipy interpolates the tables by other splines
    np.testing.assert_allclose(force, atoms.get_forces()[search.atoms], rtol=0, atol=1e-5)


def test_unknown_forms_are_sent_to_lammps(disordered, cu_zr) -> None:
    from symgnn.errors import InputError

    with pytest.raises(InputError, match="use engine lammps"):
        RegionEngine(disordered, replace(cu_zr, style="meam"), radius=6.0)


def test_densities_below_zero_are_extrapolated_as_by_lammps() -> None:
    """The first cubic goes on, in pair_eam's words: m = MAX(1, m), p -= m."""
    table = np.random.default_rng(0).normal(size=(1, 8, 4))
    density = np.array([-0.3, -1.7, -40.0, 0.4])
    energy, slope = np.zeros(4), np.zeros(4)
    embed(np.arange(4), density, np.zeros(4, int), 0.5, table, 4.0, energy, slope)
    p = density / 0.5
    np.testing.assert_allclose(energy, np.polynomial.polynomial.polyval(p, table[0, 0]))


def test_where_all_are_free_atoms_may_go_further(disordered, cu_zr) -> None:
    """By LAMMPS's forces at a place that a region would not reach."""
    engine = RegionEngine(disordered, cu_zr, radius=5.0)
    search = engine.open_larger(0, len(engine.confirming) - 1)
    position = search.position.copy()
    position[1] += [4.6, 3.7, 1.1]  # 6 Å, through the side of a cell of 13 Å
    position[2] -= [4.9, 0.4, 0.3]
    _, forces = search(position)
    assert search.inside
    with LammpsForces(disordered, cu_zr) as full:
        _, expected = full.energy_and_forces(disordered.positions + position - search.position)
    np.testing.assert_allclose(forces, expected, rtol=1e-9, atol=1e-8)
    position[1] += 3.0
    search(position)
    assert not search.inside
