"""Forces of LAMMPS on all atoms."""

import numpy as np
from ase import Atoms

from symgnn.barriers.engines import OpenSearch, ProcessorEngine
from symgnn.lammps_interface import LammpsForces
from symgnn.potentials import Potential


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


class LammpsEngine(ProcessorEngine):
    """Forces of LAMMPS on the full periodic system: the reference, for any pair style."""

    batch = 1

    def __init__(self, atoms: Atoms, potential: Potential):
        self._position = atoms.positions.copy()
        self._forces = LammpsForces(atoms, potential)
        # Of its own: saddles are confirmed while the next search is under way already, and a search
        # feels when others rebuild its neighbour lists.
        self._confirming_forces = LammpsForces(atoms, potential)
        self.capacity = len(atoms)
        self.confirming, self.descending = [len(atoms)], 0

    def open(self, target: int) -> OpenSearch:
        """Open a search at an atom; all atoms are free, in the order of the structure."""
        return _LammpsSearch(self._forces, self._position)

    def open_larger(self, target: int, step: int) -> OpenSearch:
        """The same as `open`, in another LAMMPS: all atoms are free already."""
        return _LammpsSearch(self._confirming_forces, self._position)

    def open_displaced(self, target: int, step: int, displacement: np.ndarray) -> OpenSearch:
        """The same again, at the structure's own places."""
        return self.open_larger(target, step)
