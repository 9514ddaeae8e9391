"""Where the forces of a search come from: compiled on a local region, or LAMMPS on everything.

An engine opens a search at a target atom; what it returns holds the free atoms, their starting
positions, and gives energy and forces for new ones.
"""

from typing import Protocol as Interface

import numpy as np
from ase import Atoms

from symgnn.barriers.eam import RegionForces, Workspace, structure_densities
from symgnn.barriers.regions import Region, Surroundings, whole
from symgnn.barriers.tables import pack
from symgnn.errors import InputError
from symgnn.lammps_interface import LammpsForces
from symgnn.potentials import EAM_STYLES, Potential, check_elements, read_eam

GROWN = 2.0  # radius of the larger region over that of the searches
PREPARED = 4  # regions kept for the next searches at the same atom


class OpenSearch(Interface):
    """One search's atoms and forces."""

    atoms: np.ndarray  # (free,), indices in the structure
    position: np.ndarray  # (free, 3), Å, at the start
    inside: bool  # false where an atom went further than the forces hold

    def __call__(self, position: np.ndarray) -> tuple[float, np.ndarray]:
        """Energy, eV, relative to the start, and forces (free, 3), eV/Å."""


class Engine(Interface):
    """Opens searches in one structure."""

    capacity: int  # free atoms of the largest region
    batch: int  # searches that may advance together

    confirming: list[int]  # free atoms of the larger systems on which a saddle is found again

    def open(self, target: int) -> OpenSearch:
        """Open a search at an atom."""

    def open_larger(self, target: int, step: int) -> OpenSearch:
        """Open one of the larger systems around an atom; the last one has all atoms free."""


class _RegionSearch:
    def __init__(self, forces: RegionForces, atoms: np.ndarray, position: np.ndarray):
        self._forces, self.atoms, self.position = forces, atoms, position

    def __call__(self, position: np.ndarray) -> tuple[float, np.ndarray]:
        return self._forces(position)

    @property
    def inside(self) -> bool:
        return self._forces.inside


class RegionEngine:
    """EAM forces on the atoms within `radius` of the target, the others frozen.

    Args:
        atoms: periodic structure.
        potential: an EAM potential.
        radius: Å.
        skin: how far beyond the cutoff pairs are listed, Å.
        travel: how far an atom may go from its start, Å.
        batch: searches that may advance together.
    """

    def __init__(
        self,
        atoms: Atoms,
        potential: Potential,
        *,
        radius: float,
        skin: float = 0.5,
        travel: float = 4.0,
        batch: int = 32,
    ):
        check_elements(potential, atoms.get_chemical_symbols())
        if potential.style not in EAM_STYLES.values():
            raise InputError(f"{potential.path.name}: style {potential.style}: use engine lammps")
        tables = pack(read_eam(potential))
        species = np.array([potential.elements.index(s) for s in atoms.get_chemical_symbols()])
        self._tables, self._skin, self._travel = tables, skin, travel
        self._workspace = Workspace(tables.symmetric)
        self._density = structure_densities(atoms, species, tables)
        self._surroundings = Surroundings(
            atoms, radius=radius, reach=tables.cutoff + skin + travel, species=species
        )
        self.capacity = self._surroundings.capacity()
        self.batch = batch
        self._atoms, self._species = atoms, species
        self._prepared: dict[int, tuple[Region, RegionForces]] = {}
        self._whole: tuple[Region, RegionForces] | None = None
        self.confirming = [len(atoms)]
        grown = GROWN * radius
        # Where the larger region is a small part of the structure, most of the way is made in it.
        if 4.0 / 3.0 * np.pi * grown**3 < 0.5 * atoms.get_volume():
            reach = tables.cutoff + skin + travel
            self._grown = Surroundings(atoms, radius=grown, reach=reach, species=species)
            self.confirming.insert(0, self._grown.capacity())

    def open(self, target: int) -> OpenSearch:
        """Open a search at an atom; the target is the first of its free atoms."""
        if target not in self._prepared:
            while len(self._prepared) >= PREPARED:
                del self._prepared[next(iter(self._prepared))]
            self._prepared[target] = self._forces(self._surroundings.region(target))
        region, forces = self._prepared[target]
        return _RegionSearch(forces.copy(), region.atoms, region.position)

    def open_larger(self, target: int, step: int) -> OpenSearch:
        """A region of twice the radius, or the whole periodic structure in its own order."""
        if step < len(self.confirming) - 1:
            region, forces = self._forces(self._grown.region(target))
            return _RegionSearch(forces, region.atoms, region.position)
        if self._whole is None:
            reach = self._tables.cutoff + self._skin + self._travel
            region = whole(self._atoms, reach=reach, species=self._species)
            self._whole = self._forces(region, candidate_skin=5.0)
        region, forces = self._whole
        return _RegionSearch(forces.copy(), region.atoms, region.position)

    def _forces(self, region: Region, candidate_skin: float = 2.0) -> tuple[Region, RegionForces]:
        forces = RegionForces(
            region,
            self._tables,
            self._density,
            workspace=self._workspace,
            skin=self._skin,
            travel=self._travel,
            candidate_skin=candidate_skin,
        )
        return region, forces


class _LammpsSearch:
    inside = True

    def __init__(self, forces: LammpsForces, position: np.ndarray):
        self._forces = forces
        self.atoms, self.position = np.arange(len(position)), position
        forces.rebuild(position)
        self._zero = forces.energy_and_forces(position)[0]

    def __call__(self, position: np.ndarray) -> tuple[float, np.ndarray]:
        energy, force = self._forces.energy_and_forces(position)
        return energy - self._zero, force


class LammpsEngine:
    """Forces of LAMMPS on the full periodic system: the reference, for any pair style."""

    batch = 1

    def __init__(self, atoms: Atoms, potential: Potential):
        self._position = atoms.positions.copy()
        self._forces = LammpsForces(atoms, potential)
        self.capacity = len(atoms)
        self.confirming = [len(atoms)]

    def open(self, target: int) -> OpenSearch:
        """Open a search at an atom; all atoms are free, in the order of the structure."""
        return _LammpsSearch(self._forces, self._position)

    def open_larger(self, target: int, step: int) -> OpenSearch:
        """The same as `open`: all atoms are free already."""
        return self.open(target)
