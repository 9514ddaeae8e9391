"""A melt-quench protocol: its steps, and the check that it can be run."""

import math
from collections.abc import Mapping

from symgnn.errors import InputError
from symgnn.glasses.start import SPACING
from symgnn.structures import SHORTEST_DISTANCE

FEWEST_STEPS = 100  # a quench of fewer is no cooling at a rate
LOOSEST_RATE = 1e-3  # largest relative change of the rate that whole steps may bring
POSITIVE = (
    "cooling_rate",
    "melt_time",
    "timestep",
    "thermostat_damping",
    "barostat_damping",
    "force_tolerance",
    "pressure_tolerance",
    "start_density",
    "final_temperature",
    "melt_temperature",
)
SHORTEST_SIDE = 1.1  # of the box, in cutoffs: no atom may feel its own image


def quench_steps(
    melt_temperature: float, final_temperature: float, cooling_rate: float, timestep: float
) -> int:
    """Steps of a quench, the whole number nearest to (T_melt - T_final) / (rate · timestep).

    Args:
        melt_temperature, final_temperature: K.
        cooling_rate: K/s.
        timestep: fs.

    Raises:
        InputError: fewer than `FEWEST_STEPS`, or so few that rounding changes the rate.
    """
    exact = (melt_temperature - final_temperature) / (cooling_rate * timestep * 1e-15)
    if round(exact) < FEWEST_STEPS:
        raise InputError(
            f"cooling_rate: {cooling_rate:g} K/s: the quench would take {exact:.3g} steps of "
            f"{timestep:g} fs, at least {FEWEST_STEPS} are needed"
        )
    if abs(round(exact) / exact - 1) > LOOSEST_RATE:
        raise InputError(
            f"cooling_rate: {cooling_rate:g} K/s: the quench would take {exact:.3f} steps of "
            f"{timestep:g} fs, which whole steps change by more than {LOOSEST_RATE:g}"
        )
    return round(exact)


def check_protocol(protocol: Mapping[str, object], cutoff: float | None) -> None:
    """Check a protocol before anything runs.

    Args:
        protocol: the keywords of `quench.melt_quench`.
        cutoff: of the potential, Å; None where it is unknown.

    Raises:
        InputError: with the first value outside its range.
    """
    for name in POSITIVE:
        if not (math.isfinite(protocol[name]) and protocol[name] > 0):
            raise InputError(f"{name}: {protocol[name]:g}: must be above 0")
    if protocol["final_temperature"] >= protocol["melt_temperature"]:
        raise InputError(
            f"final_temperature: {protocol['final_temperature']:g} K: must be below "
            f"melt_temperature, {protocol['melt_temperature']:g} K"
        )
    for name in ("thermo_interval", "restart_interval"):
        if protocol[name] is not None and protocol[name] < 1:
            raise InputError(f"{name}: {protocol[name]}: must be a step or more")
    if not math.isfinite(protocol["pressure"]):
        raise InputError(f"pressure: {protocol['pressure']}: must be a number of GPa")
    if not 0 <= protocol["seed"] < 2**63:
        raise InputError(f"seed: {protocol['seed']}: must be from 0 to 2^63 - 1")
    check_start(protocol["start_density"])
    check_size(protocol["atoms"], protocol["start_density"], cutoff)


def check_atoms(atoms: int) -> None:
    """Check that there are atoms.

    Raises:
        InputError: there are none.
    """
    if atoms < 1:
        raise InputError(f"atoms: {atoms}: must be 1 or more")


def check_start(density: float) -> None:
    """Check that atoms at a density can lie apart in the random start.

    Raises:
        InputError: they would overlap.
    """
    nearest = SPACING * density ** (-1 / 3)
    if nearest < SHORTEST_DISTANCE:
        raise InputError(
            f"start_density: {density:g} atoms/Å³: atoms of the start would overlap, at "
            f"{nearest:.2f} Å; must be at most {(SPACING / SHORTEST_DISTANCE) ** 3:.2f}"
        )


def check_size(atoms: int, density: float, cutoff: float | None) -> None:
    """Check that a cubic box is longer than the potential's cutoff.

    Args:
        atoms: number of atoms.
        density: atoms/Å³.
        cutoff: Å; None where it is unknown.

    Raises:
        InputError: the box is too small.
    """
    side = (atoms / density) ** (1 / 3)
    if cutoff is not None and side < SHORTEST_SIDE * cutoff:
        fewest = math.ceil(density * (SHORTEST_SIDE * cutoff) ** 3)
        raise InputError(
            f"atoms: {atoms}: the box of {side:.1f} Å is too small for the potential's cutoff "
            f"of {cutoff:g} Å, at least {fewest} atoms are needed"
        )
