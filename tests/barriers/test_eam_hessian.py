"""Products with the Hessian are those of the forces' differences, and symmetric."""

from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms

from symgnn.barriers.eam import RegionForces
from symgnn.barriers.eam_hessian import multiply, stiffen
from symgnn.barriers.engines import RegionEngine, RegionRows
from symgnn.barriers.lanczos import LanczosBatch
from symgnn.lammps_interface import LammpsForces
from symgnn.potentials import Potential
from tests.barriers.test_eam import displaced, write_potential

STEP = 1e-3  # Å, of a difference; the splines' second derivatives jump at knots that are as near


def products(forces: RegionForces, position: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """H q for some vectors (n, 3 free)."""
    forces(position)
    region, pairs, reached = forces._region, forces._pairs.pairs, forces._pairs.reached
    owners = len(region.owners)
    room = forces._workspace.stiffness(pairs.total, pairs.near, owners)
    scratch = forces._workspace.scratch(pairs.near, owners)
    stiffen(forces._site, pairs, forces._tables, reached, forces._owners, scratch, room)
    found = np.empty_like(vectors)
    for vector, product in zip(vectors, found, strict=True):
        bound = owners > region.free
        multiply(forces._site, pairs, reached, bound, room, vector, product)
    return found


def at_a_place(atoms: Atoms, potential: Potential, radius: float, target: int = 77, step: int = -1):
    """The search, its forces and a position away from the start."""
    engine = RegionEngine(atoms, potential, radius=radius)
    search = engine.open(target) if step < 0 else engine.open_larger(target, step)
    return search, search._forces, displaced(search, seed=3)


def random_vectors(number: int, dimension: int) -> np.ndarray:
    vectors = np.random.default_rng(1).normal(size=(number, dimension))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("style", ["eam/fs", "eam/alloy"])
@pytest.mark.parametrize("radius", [5.0, 9.0])
def test_products_are_differences_of_the_forces(
    disordered: Atoms, cu_zr: Potential, tmp_path: Path, style: str, radius: float
) -> None:
    """For densities that depend on both elements of a pair, and in a cell less than the region."""
    potential = write_potential(tmp_path / f"x.{style.replace('/', '.')}", cu_zr, style)
    search, forces, position = at_a_place(disordered, potential, radius)
    vectors = random_vectors(3, 3 * len(search.atoms))
    found = products(forces, position, vectors)
    for vector, product in zip(vectors, found, strict=True):
        way = STEP * vector.reshape(-1, 3)
        ahead, behind = (forces(position + side * way)[1].copy() for side in (1, -1))
        expected = (behind - ahead).ravel() / (2 * STEP)
        assert np.linalg.norm(product - expected) < 2e-3 * np.linalg.norm(expected)


def test_products_are_differences_of_the_forces_of_lammps(disordered, cu_zr) -> None:
    search, forces, position = at_a_place(disordered, cu_zr, radius=5.0)
    (vector,) = random_vectors(1, 3 * len(search.atoms))
    (product,) = products(forces, position, vector[None])
    moved, sides = disordered.positions.copy(), []
    moved[search.atoms] += position - search.position
    with LammpsForces(disordered, cu_zr) as full:
        for side in (1, -1):
            place = moved.copy()
            place[search.atoms] += side * STEP * vector.reshape(-1, 3)
            sides.append(full.energy_and_forces(place)[1][search.atoms].ravel())
    expected = (sides[1] - sides[0]) / (2 * STEP)
    assert np.linalg.norm(product - expected) < 2e-3 * np.linalg.norm(expected)


def test_the_hessian_is_symmetric(disordered, cu_zr) -> None:
    search, forces, position = at_a_place(disordered, cu_zr, radius=5.0)
    hessian = products(forces, position, np.eye(3 * len(search.atoms)))
    np.testing.assert_allclose(hessian, hessian.T, rtol=0, atol=1e-11 * np.abs(hessian).max())


def test_nothing_holds_all_atoms_together(disordered, cu_zr) -> None:
    """Motions of everything have no product, and no product has a part along them."""
    search, forces, position = at_a_place(disordered, cu_zr, radius=5.0, step=0)
    assert len(search.atoms) == len(disordered)
    shift = np.tile(np.eye(3), len(disordered))
    other = random_vectors(1, 3 * len(disordered))
    found = products(forces, position, np.concatenate([shift, other]))
    scale = np.abs(found[3]).max()
    np.testing.assert_allclose(found[:3], 0.0, rtol=0, atol=1e-11 * scale)
    drift = found[3].reshape(-1, 3).sum(axis=0)
    np.testing.assert_allclose(drift, 0.0, rtol=0, atol=1e-11 * scale)


def test_lanczos_iterations_give_the_lowest_eigenpairs(disordered, cu_zr) -> None:
    """Behind one another in rows of regions of several sizes, whose memory they share."""
    engine = RegionEngine(disordered, cu_zr, radius=5.0)
    rows, searches = RegionRows(), [engine.open(target) for target in (77, 5, 40)]
    dimension = 3 * engine.capacity
    batch = LanczosBatch(
        *(3, dimension),
        vectors=dimension,
        tolerance=1e-13,
        device=torch.device("cpu"),
        pairs=2,
        least=40,
    )
    position, start = np.zeros((2, 3, dimension))
    for row, search in enumerate(searches):
        rows.take(row, search)
        length = 3 * len(search.atoms)
        position[row, :length] = displaced(search, seed=row).ravel()
        start[row, :length] = random_vectors(1, length)[0]
    chosen = torch.arange(3)
    batch.start(chosen, torch.from_numpy(start))
    limit, resolution = torch.full((3,), dimension), torch.zeros(3, dtype=torch.float64)
    used, value, vector = batch.finish(chosen, torch.from_numpy(position), rows, limit, resolution)
    for row, search in enumerate(searches):
        length = 3 * len(search.atoms)
        place = position[row, :length].reshape(-1, 3)
        hessian = products(search._forces, place, np.eye(length))
        exact = np.linalg.eigvalsh(hessian)
        np.testing.assert_allclose(value[row], exact[:2], rtol=0, atol=1e-6 * exact[-1])
        mode = vector[row, 0, :length].numpy()
        assert np.linalg.norm(hessian @ mode - exact[0] * mode) < 1e-3 * exact[-1]
        assert not vector[row, :, length:].any()
        assert 40 < used[row] <= length
