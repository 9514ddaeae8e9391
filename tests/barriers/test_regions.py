"""Regions around atoms."""

import numpy as np
import pytest
from ase import Atoms

from symgnn.barriers.regions import Surroundings


@pytest.mark.parametrize("radius", [4.0, 6.59, 9.0])
@pytest.mark.parametrize("sheared", [False, True])
def test_no_region_has_more_atoms_than_the_capacity(disordered: Atoms, radius, sheared) -> None:
    # 13.2 Å: for the radii above half of it atoms have more than one image in the region
    atoms = disordered.copy()
    if sheared:
        shear = np.array([[0, 0, 0], [6, 0, 0], [0, 0, 0]])
        atoms.set_cell(atoms.cell.array + shear, scale_atoms=True)
    species = np.zeros(len(atoms), dtype=int)
    numbers = {"species": species, "density": np.zeros(len(atoms))}
    surroundings = Surroundings(atoms, radius=radius, reach=5.0, travel=2.0, **numbers)
    sizes = [surroundings.region(target).free for target in range(len(atoms))]
    assert surroundings.capacity() == max(sizes)
