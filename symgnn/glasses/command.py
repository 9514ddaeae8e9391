"""The command that makes a glass."""

from pathlib import Path

import typer

from symgnn.errors import InputError
from symgnn.glasses.options import Budget, Kokkos, Package, RestartInterval, Suffix, execution


def quench(
    composition: str = typer.Option(..., help="Elements and their atomic per cent: Cu64Zr36."),
    atoms: int = typer.Option(..., help="Number of atoms."),
    cooling_rate: float = typer.Option(..., help="Cooling rate, K/s."),
    seed: int = typer.Option(..., help="Seed of the starting positions and velocities."),
    potential: str = typer.Option(..., help="Name in the registry, or path of an EAM file."),
    output: Path = typer.Option(
        ..., "--output", "-o", help="The glass, extended XYZ.", dir_okay=False
    ),
    melt_temperature: float = typer.Option(2000.0, help="Temperature of the melt, K."),
    melt_time: float = typer.Option(1000.0, help="Time at the melt temperature, ps."),
    final_temperature: float = typer.Option(1.0, help="Temperature at the quench's end, K."),
    pressure: float = typer.Option(0.0, help="Pressure throughout, GPa."),
    timestep: float = typer.Option(1.0, help="Time step, fs."),
    thermostat_damping: float = typer.Option(0.1, help="Nosé-Hoover thermostat's time, ps."),
    barostat_damping: float = typer.Option(1.0, help="Nosé-Hoover barostat's time, ps."),
    force_tolerance: float = typer.Option(1e-4, help="Largest force in the glass, eV/Å."),
    pressure_tolerance: float = typer.Option(
        1e-3, help="Largest error of a normal pressure in the glass, GPa."
    ),
    start_density: float | None = typer.Option(
        None, help="Density of the random start, atoms/Å³.", show_default="from the crystals"
    ),
    thermo_interval: int | None = typer.Option(
        None, help="Steps between rows of the record.", show_default="a thousandth of the quench"
    ),
    restart_interval: RestartInterval = 10_000,
    suffix: Suffix = "opt",
    package: Package = None,
    kokkos: Kokkos = "",
    time_budget: Budget = None,
) -> None:
    """Make a metallic glass: melt at random, hold, cool at a constant rate, relax atoms and box.

    Beside the glass `x.xyz` stands `x.thermo.csv`, the temperature, pressure, density and energy
    of the run. A run that was stopped goes on from its last restart file (in `x.xyz.restart/`,
    removed at the end) when the same command is given again. Runs alone or under `mpiexec -n N`.

    Example: symgnn quench --composition Cu64Zr36 --atoms 3000 --cooling-rate 1e13 --seed 1
    --potential Cu-Zr-2009 -o glass.xyz
    """
    from symgnn.glasses.quench import melt_quench
    from symgnn.glasses.restarts import remove_restarts, write_rows
    from symgnn.potentials import find_potential
    from symgnn.structures import write_structure

    if output.suffix != ".xyz":
        raise InputError(f"output: {output}: its name must end in .xyz")
    how = execution(time_budget, suffix, package, kokkos)
    glass, rows = melt_quench(
        composition,
        atoms,
        cooling_rate,
        seed,
        find_potential(potential),
        output,
        melt_temperature=melt_temperature,
        melt_time=melt_time,
        final_temperature=final_temperature,
        pressure=pressure,
        timestep=timestep,
        thermostat_damping=thermostat_damping,
        barostat_damping=barostat_damping,
        force_tolerance=force_tolerance,
        pressure_tolerance=pressure_tolerance,
        start_density=start_density,
        thermo_interval=thermo_interval,
        restart_interval=restart_interval,
        **how,
    )
    if how["communicator"].rank == 0:
        write_rows(output.with_suffix(".thermo.csv"), rows)
        write_structure(output, glass)
        remove_restarts(output)
