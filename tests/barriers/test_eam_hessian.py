"""Products with the Hessian are second derivatives of the energy of the splines."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from torch import Tensor

from symgnn.barriers.eam_engine import RegionEngine, RegionRows
from symgnn.barriers.eam_hessian import multiply
from symgnn.barriers.lanczos import LanczosBatch
from symgnn.barriers.tables import PackedTables, pack
from symgnn.lammps_interface import LammpsForces
from symgnn.potentials import Potential, find_potential, read_eam
from tests.barriers.conftest import random_alloy
from tests.barriers.test_eam import displaced, write_potential

STEP = 1e-3  # Å, of a difference; the splines' second derivatives jump at knots that are as near


def cubic(low: Tensor, high: Tensor, p: Tensor) -> Tensor:
    """The cubics between knots, of values and slopes (..., 2) at both ends."""
    rise = high[:, 0] - low[:, 0]
    c2 = 3.0 * rise - 2.0 * low[:, 1] - high[:, 1]
    c3 = low[:, 1] + high[:, 1] - 2.0 * rise
    return low[:, 0] + p * (low[:, 1] + p * (c2 + p * c3))


def periodic_energy(tables: PackedTables, atoms: Atoms, species: Tensor, position: Tensor):
    """Energy of a periodic structure by torch, pair by pair, and whether densities are off the
    end of the embedding table (atoms,)."""
    heights = 1.0 / np.linalg.norm(np.linalg.inv(atoms.cell.array), axis=0)
    images = [range(-n, n + 1) for n in np.ceil(tables.cutoff / heights + 0.5).astype(int)]
    table, last = torch.from_numpy(tables.pair), tables.pair.shape[2] - 2
    density, energy = torch.zeros(len(atoms), dtype=torch.float64), 0.0
    for shift in itertools.product(*images):
        way = position + torch.from_numpy(shift @ atoms.cell.array) - position.unsqueeze(1)
        near = way.detach().square().sum(-1) < tables.cutoff**2
        if not any(shift):
            near.fill_diagonal_(False)
        i, j = near.nonzero().T
        distance = way[i, j].norm(dim=-1)
        knot = (distance.detach() / tables.distance_step).long().clamp(max=last)
        p = distance / tables.distance_step - knot
        low, high = (table[species[i], species[j], knot + k] for k in (0, 1))
        density = density.index_add(0, i, cubic(low[:, :2], high[:, :2], p))
        energy = energy + 0.5 * (cubic(low[:, 2:], high[:, 2:], p) / distance).sum()
    over = density.detach() > tables.density_max
    knots = tables.embedding.shape[1] - 1
    knot = (density.detach() / tables.density_step).long().clamp(0, knots - 1)
    c = torch.from_numpy(tables.embedding)[species, knot]
    p = torch.where(over, 1.0, density / tables.density_step - knot)
    embedding = c[:, 0] + p * (c[:, 1] + p * (c[:, 2] + p * c[:, 3]))
    slope = (c[:, 1] + 2.0 * c[:, 2] + 3.0 * c[:, 3]) / tables.density_step
    embedding = embedding + torch.where(over, slope * (density - tables.density_max), 0.0)
    return energy + embedding.sum(), over


def expected_product(
    atoms: Atoms, potential: Potential, places: np.ndarray, vector: np.ndarray
) -> tuple[np.ndarray, Tensor]:
    """H q of all atoms (atoms, 3) by torch's derivatives of that energy."""
    names = atoms.get_chemical_symbols()
    species = torch.tensor([potential.elements.index(name) for name in names])
    position = torch.tensor(places, requires_grad=True)
    energy, over = periodic_energy(pack(read_eam(potential)), atoms, species, position)
    (gradient,) = torch.autograd.grad(energy, position, create_graph=True)
    (product,) = torch.autograd.grad((gradient * torch.from_numpy(vector)).sum(), position)
    return product.numpy(), over


def cut_embedding(path: Path, potential: Potential) -> Potential:
    """A potential whose embedding table ends before the densities of a crystal do."""
    lines, tables = potential.path.read_text().split("\n"), read_eam(potential)
    words = lines[4].split()
    kept, lost = 0.15, []  # of 300; those of the atoms are from 20 to 71
    numbers = " ".join(lines[5:]).split()
    n_density, n_distance = int(words[0]), int(words[2])
    keep = int(kept * n_density)
    elements = len(tables.elements)
    for _ in range(elements):
        header, numbers = numbers[:4], numbers[4:]
        embedding, numbers = numbers[:n_density], numbers[n_density:]
        densities, numbers = numbers[: elements * n_distance], numbers[elements * n_distance :]
        lost += [" ".join(header), *embedding[:keep], *densities]
    words[0] = str(keep)
    path.write_text("\n".join([*lines[:4], " ".join(words), *lost, *numbers]) + "\n")
    return find_potential(path)


@pytest.mark.parametrize("kind", ["eam/fs", "asymmetric", "eam/alloy", "cut"])
@pytest.mark.parametrize("radius", [3.0, 20.0])
def test_products_are_second_derivatives(
    cu_zr: Potential, tmp_path: Path, radius: float, kind: str
) -> None:
    """In a cell of 6.6 Å, where atoms are pairs with their own images, and after other places."""
    atoms = random_alloy(2, seed=1)
    style = "alloy" if kind == "eam/alloy" else "fs"
    path = tmp_path / f"x.eam.{style}"
    potential = {
        "eam/fs": lambda: cu_zr,
        "asymmetric": lambda: write_potential(path, cu_zr, "eam/fs"),
        "eam/alloy": lambda: write_potential(path, cu_zr, "eam/alloy"),
        "cut": lambda: cut_embedding(path, cu_zr),
    }[kind]()
    search = RegionEngine(atoms, potential, radius=radius).open(1)
    search(displaced(search, seed=10) + 0.3)
    position = displaced(search, seed=3)
    vector = np.zeros_like(atoms.positions)
    vector[search.atoms] = np.random.default_rng(1).normal(size=search.position.shape)
    moved = vector[search.atoms]
    if len(search.atoms) == len(atoms):
        moved = moved - moved.mean(axis=0)
        vector[search.atoms] = moved
    (product,) = search._forces.products(position, moved.reshape(1, -1))
    places = atoms.positions.copy()
    places[search.atoms] += position - search.position
    expected, over = expected_product(atoms, potential, places, vector)
    assert over.any() == (kind == "cut")
    scale = np.abs(expected).max()
    difference = product.reshape(-1, 3) - expected[search.atoms]
    np.testing.assert_allclose(difference, 0.0, rtol=0, atol=1e-12 * scale)


def test_products_are_differences_of_the_forces_of_lammps(disordered, cu_zr) -> None:
    search = RegionEngine(disordered, cu_zr, radius=5.0).open(77)
    position = displaced(search, seed=3)
    vector = np.random.default_rng(1).normal(size=search.position.shape)
    vector /= np.linalg.norm(vector)
    (product,) = search._forces.products(position, vector.reshape(1, -1))
    moved, sides = disordered.positions.copy(), []
    moved[search.atoms] += position - search.position
    with LammpsForces(disordered, cu_zr) as full:
        for side in (1, -1):
            place = moved.copy()
            place[search.atoms] += side * STEP * vector
            sides.append(full.energy_and_forces(place)[1][search.atoms].ravel())
    expected = (sides[1] - sides[0]) / (2 * STEP)
    assert np.linalg.norm(product - expected) < 1e-3 * np.linalg.norm(expected)


def test_the_hessian_is_symmetric(disordered, cu_zr) -> None:
    search = RegionEngine(disordered, cu_zr, radius=5.0).open(77)
    every = np.eye(3 * len(search.atoms))
    hessian = search._forces.products(displaced(search, seed=3), every)
    np.testing.assert_allclose(hessian, hessian.T, rtol=0, atol=1e-12 * np.abs(hessian).max())


def test_no_product_pushes_all_atoms_together(disordered, cu_zr) -> None:
    """Not even before what rounding leaves of it is taken away."""
    search = RegionEngine(disordered, cu_zr, radius=5.0).open_larger(77, 0)
    assert len(search.atoms) == len(disordered)
    *hessian, bound, constants = search._forces._hessian(displaced(search, seed=3))
    assert not bound
    vector, product = np.random.default_rng(1).normal(size=(2, 3 * len(disordered)))
    multiply(*hessian, True, constants, vector, product)
    drift = product.reshape(-1, 3).sum(axis=0)
    np.testing.assert_allclose(drift, 0.0, rtol=0, atol=1e-12 * np.abs(product).max())


def test_lanczos_iterations_give_the_lowest_eigenpairs(disordered, cu_zr) -> None:
    """Behind one another in rows of regions of several sizes, whose memory they share."""
    engine = RegionEngine(disordered, cu_zr, radius=5.0)
    rows, searches = RegionRows(), [engine.open(target) for target in (77, 5, 40)]
    dimension, calls = 3 * engine.capacity, []
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
        start[row, :length] = np.random.default_rng(row).normal(size=length)
    chosen = torch.arange(3)
    batch.start(chosen, torch.from_numpy(start))
    limit, resolution = torch.full((3,), dimension), torch.zeros(3, dtype=torch.float64)
    used, value, vector = batch.finish(
        *(chosen, torch.from_numpy(position), rows, limit, resolution), lambda: calls.append(1)
    )
    assert len(calls) == 3
    for row, search in enumerate(searches):
        length = 3 * len(search.atoms)
        place = position[row, :length].reshape(-1, 3)
        hessian = search._forces.products(place, np.eye(length))
        exact = np.linalg.eigvalsh(hessian)
        np.testing.assert_allclose(value[row], exact[:2], rtol=0, atol=1e-6 * exact[-1])
        mode = vector[row, 0, :length].numpy()
        assert np.linalg.norm(hessian @ mode - exact[0] * mode) < 1e-3 * exact[-1]
        assert not vector[row, :, length:].any()
        assert 40 < used[row] <= length
