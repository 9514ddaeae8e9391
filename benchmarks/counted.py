"""Forces for ASE's optimisers that count their calls."""

from collections.abc import Callable

import numpy as np
from ase.calculators.calculator import Calculator, all_changes


class Counted(Calculator):
    """Energy and forces of positions (atoms, 3), Å, from any function.

    Args:
        energy_and_forces: gives eV and (atoms, 3), eV/Å.
    """

    implemented_properties = ("energy", "forces")

    def __init__(self, energy_and_forces: Callable[[np.ndarray], tuple[float, np.ndarray]]):
        super().__init__()
        self._energy_and_forces, self.calls = energy_and_forces, 0

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        """Called by ASE."""
        super().calculate(atoms, properties, system_changes)
        energy, forces = self._energy_and_forces(self.atoms.positions)
        self.results = {"energy": energy, "forces": np.array(forces)}
        self.calls += 1
