"""Relaxation of a structure in a running LAMMPS to its inherent structure."""

import numpy as np
from lammps import lammps

from symgnn.errors import SimulationError
from symgnn.lammps_interface import GPA_PER_BAR, one_line

ROUNDS = 40  # of atoms, then box; 5 to 8 are needed in practice
ITERATIONS = 10_000  # of conjugate gradients, at most, in a round
FIRST_TOLERANCE = 0.01  # eV/Å, of the first round; a tenth of it in each that follows
LARGEST_STRAIN = 0.02  # of a side of the box in one round
STIFFNESS = 110.0 + 60.0 * np.eye(3)  # GPa, a soft metallic glass; corrected as it goes


def relax(
    lmp: lammps,
    force_tolerance: float,
    pressure_tolerance: float | None = None,
    pressure: float = 0.0,
) -> None:
    """Minimise the energy, or the enthalpy with the box, atoms at rest at the end.

    Atoms go by conjugate gradients. The three lengths of the box follow in between by Broyden's
    method (doi:10.1090/S0025-5718-1965-0198670-6) until each normal stress vanishes: 7 times
    fewer force calls than LAMMPS's `fix box/relax`, whose box is stiff beside its atoms.

    Args:
        lmp: a LAMMPS with a potential and without integrating fixes; its velocities are zeroed.
        force_tolerance: largest norm of an atom's force at the end, eV/Å.
        pressure_tolerance: largest deviation of a normal pressure at the end, GPa; None to
            leave the box as it is.
        pressure: of the surroundings, GPa.

    Raises:
        SimulationError: the tolerances are not reached, or LAMMPS fails.
    """
    lmp.commands_list(
        [
            "velocity all set 0 0 0",
            "thermo_style custom step pe press pxx pyy pzz pyz pxz pxy vol",
            "min_style cg",
            "min_modify norm max line forcezero dmax 0.1",
        ]
    )
    try:
        relaxed = _rounds(lmp, force_tolerance, pressure_tolerance, pressure)
    except Exception as error:  # the module raises bare Exceptions
        raise SimulationError(f"relaxation: LAMMPS fails: {one_line(error)}") from None
    if not relaxed:
        raise SimulationError(
            f"relaxation: after {ROUNDS} rounds the largest force is {force_max(lmp):.2g} eV/Å "
            f"and a normal pressure is off by {pressure_error(lmp, pressure):.2g} GPa; the "
            f"tolerances are {force_tolerance:g} eV/Å and {pressure_tolerance} GPa"
        )


def _rounds(
    lmp: lammps, force_tolerance: float, pressure_tolerance: float | None, pressure: float
) -> bool:
    goal = 0.5 * force_tolerance  # a margin for the digits that a file keeps
    tolerance = goal if pressure_tolerance is None else max(goal, FIRST_TOLERANCE)
    compliance = np.linalg.inv(STIFFNESS)
    strain = before = None
    for _ in range(ROUNDS):
        lmp.command(f"minimize 0 {tolerance:.17g} {ITERATIONS} {10 * ITERATIONS}")
        excess = _normal_pressures(lmp) - pressure
        found = force_max(lmp) <= 1.5 * goal
        if pressure_tolerance is None:
            if found:
                return True
            continue
        if found and tolerance == goal and np.abs(excess).max() <= 0.5 * pressure_tolerance:
            return True
        if strain is not None:
            compliance = _broyden(compliance, strain, before - excess)
        strain = np.clip(compliance @ excess, -LARGEST_STRAIN, LARGEST_STRAIN)
        before = excess
        scales = " ".join(
            f"{axis} scale {1 + e:.17g}" for axis, e in zip("xyz", strain, strict=True)
        )
        lmp.command(f"change_box all {scales} remap")
        tolerance = max(goal, tolerance / 10)
    return False


def _broyden(compliance: np.ndarray, strain: np.ndarray, relief: np.ndarray) -> np.ndarray:
    """Compliance that maps the relief of pressure that a strain brought onto that strain."""
    weight = strain @ compliance
    scale = weight @ relief
    # a rearrangement of atoms, not the box, moved the pressure: nothing to learn from
    if not 0.2 * (strain @ strain) < scale < 5 * (strain @ strain):
        return compliance
    return compliance + np.outer(strain - compliance @ relief, weight) / scale


def _normal_pressures(lmp: lammps) -> np.ndarray:
    return np.array([lmp.get_thermo(name) for name in ("pxx", "pyy", "pzz")]) * GPA_PER_BAR


def force_max(lmp: lammps) -> float:
    """Largest norm of an atom's force, eV/Å."""
    forces = np.array(lmp.gather_atoms("f", 1, 3)).reshape(-1, 3)
    return float(np.linalg.norm(forces, axis=1).max())


def pressure_error(lmp: lammps, pressure: float = 0.0) -> float:
    """Largest deviation of a normal pressure from `pressure`, GPa."""
    return float(np.abs(_normal_pressures(lmp) - pressure).max())
