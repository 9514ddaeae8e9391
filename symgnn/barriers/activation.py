"""How a barrier answers to strain and pressure, from the saddle of an event of events.h5."""

from collections.abc import Iterable, Iterator

import numpy as np
from ase import Atoms, units
from scipy.optimize import minimize

from symgnn.barriers.confirmation import Confirmation, Unconfirmed
from symgnn.barriers.eam_engine import RegionEngine
from symgnn.barriers.event import Event, furthest
from symgnn.barriers.events import SAME_PLACE
from symgnn.barriers.lammps_engine import LammpsEngine
from symgnn.barriers.protocol import Protocol, Status
from symgnn.lammps_interface import LammpsForces
from symgnn.potentials import Potential

AROUND_FORCE = 0.005  # eV/Å, of the atoms around before the saddle is looked for again
AROUND_STEPS = 500


class Saddles:
    """Saddle points of one structure with all their displacements, from those that events keep.

    events.h5 keeps the atoms that go further than 0.1 Å. Those stay while all others are relaxed,
    and then the saddle is found again with all atoms free, as when it was confirmed.

    Args:
        atoms: periodic structure at a minimum, the one that was searched.
        potential: the one of the searches.
        tolerance: largest atomic force at the saddle, eV/Å. What is left of the forces changes a
            stress in first order; but the smaller it is, the further soft saddles move, and the
            more of them are not the event's any more.
    """

    def __init__(self, atoms: Atoms, potential: Potential, tolerance: float = 0.01):
        eam = potential.is_eam
        # all atoms are free here, so the radius of its regions does not matter
        engine = (
            RegionEngine(atoms, potential, radius=8.0) if eam else LammpsEngine(atoms, potential)
        )
        self._confirm = Confirmation(atoms, engine, Protocol(full_tolerance=tolerance))
        self._forces = LammpsForces(atoms, potential)
        self._start, self._volume = atoms.positions.copy(), atoms.get_volume()
        self._stress = self._forces.stress(self._start)

    def close(self) -> None:
        """End this LAMMPS."""
        self._forces.close()

    def __enter__(self) -> "Saddles":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def displacements(self, events: Iterable[Event]) -> Iterator[np.ndarray]:
        """Displacements of all atoms from the start to the saddle, (atoms, 3), Å, one an event.

        NaN where the event has no saddle or keeps no atom, or where another one was found: an atom
        that the event keeps is further than `SAME_PLACE` from its place.
        """
        for event in events:
            way = np.full_like(self._start, np.nan)
            if event.status == Status.CONVERGED and len(event.moved_atoms):
                found = self._confirm.find_again(self._guess(event))
                off = found.saddle[event.moved_atoms] - event.saddle_displacement
                if found.event.status == Status.CONVERGED and furthest(off) < SAME_PLACE:
                    way = found.saddle
            yield way

    def strain_derivatives(self, events: Iterable[Event]) -> Iterator[np.ndarray]:
        """How barriers change with a strain of the cell, dE/dε, (3, 3), eV, one an event.

        At the start and at the saddle no forces act, so the energy of either changes with a
        strain ε by its volume times its stress, whatever the atoms do besides (the theorem of
        Hellmann and Feynman): dE/dε = V (σ_saddle - σ_start). NaN as in `displacements`.
        """
        for way in self.displacements(events):
            known = np.isfinite(way).all()
            stress = self._forces.stress(self._start + way) if known else np.nan
            yield self._volume * (stress - self._stress) * units.GPa

    def _guess(self, event: Event) -> Unconfirmed:
        """The saddle of an event, with what its kept displacements do to the atoms around."""
        way = np.zeros_like(self._start)
        way[event.moved_atoms] = event.saddle_displacement
        free = np.ones(len(way), dtype=bool)
        free[event.moved_atoms] = False

        def energy_and_slope(around: np.ndarray) -> tuple[float, np.ndarray]:
            place = self._start + way
            place[free] += around.reshape(-1, 3)
            energy, force = self._forces.energy_and_forces(place)
            return energy, -force[free].ravel()

        around = minimize(
            energy_and_slope,
            np.zeros(3 * free.sum()),
            jac=True,
            method="L-BFGS-B",
            options={"gtol": AROUND_FORCE, "ftol": 0.0, "maxiter": AROUND_STEPS},
        ).x
        way[free] += around.reshape(-1, 3)
        none = np.zeros(0, dtype=int)
        return Unconfirmed(event, np.arange(len(way)), way, way / np.linalg.norm(way), none)


def activation_volume(strain_derivative: np.ndarray, bulk_modulus: float) -> float:
    """The activation volume dE/dp, Å³, of an isotropic solid.

    A pressure p changes all lengths by the strain -p / (3 B), B the bulk modulus.

    Args:
        strain_derivative: (3, 3), eV, from `Saddles.strain_derivatives`.
        bulk_modulus: GPa.
    """
    return float(-np.trace(strain_derivative) / (3 * bulk_modulus * units.GPa))
