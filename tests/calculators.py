"""ASE calculators around our force engines, so that ASE's optimisers can judge them."""

from ase.calculators.calculator import Calculator, all_changes

from symgnn.lammps_interface import LammpsForces


class ForcesCalculator(Calculator):
    """Energy and forces of the full periodic system by LAMMPS."""

    implemented_properties = ("energy", "forces")

    def __init__(self, forces: LammpsForces):
        super().__init__()
        self._forces = forces

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        """Called by ASE."""
        super().calculate(atoms, properties, system_changes)
        energy, forces = self._forces.energy_and_forces(self.atoms.positions)
        self.results = {"energy": energy, "forces": forces.copy()}
