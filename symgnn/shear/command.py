"""The command that shears a glass."""

from pathlib import Path

import typer

from symgnn.errors import InputError
from symgnn.glasses.options import Budget, Kokkos, Package, RestartInterval, Suffix, execution


def shear(
    structure: Path = typer.Argument(..., help="Relaxed glass, such as quench makes."),
    potential: str = typer.Option(..., help="Name in the registry, or path of an EAM file."),
    output: Path = typer.Option(
        ..., "--output", "-o", help="Stress, strain, D²min: HDF5.", dir_okay=False
    ),
    plane: str = typer.Option("xz", help="xy, xz or yz: displacement along, growing with."),
    strain: float = typer.Option(0.2, help="Last shear strain."),
    step: float = typer.Option(1e-4, help="Step of the strain."),
    snapshot_strain: float = typer.Option(0.01, help="Strain between stored structures."),
    force_tolerance: float = typer.Option(1e-4, help="Largest force after each step, eV/Å."),
    non_affine_cutoff: float = typer.Option(5.0, help="Distance of D²min's neighbours, Å."),
    restart_interval: RestartInterval = 50,
    suffix: Suffix = "opt",
    package: Package = None,
    kokkos: Kokkos = "",
    time_budget: Budget = None,
) -> None:
    """Shear a glass without temperature: tilt the box, move the atoms along, relax, repeat.

    Beside `x.h5` the folder `x.snapshots/` holds the sheared structures as extended XYZ, which
    `symgnn barriers`, `graphs` and `predict` take. A run that was stopped goes on when the same
    command is given again. Runs alone or under `mpiexec -n N`.

    Example: symgnn shear glass.xyz --potential Cu-Zr-2009 --plane xz --strain 0.2 -o shear.h5
    """
    from symgnn.glasses.restarts import remove_restarts
    from symgnn.potentials import find_potential
    from symgnn.shear import quasistatic
    from symgnn.shear.storage import write_shear
    from symgnn.structures import read_structure

    if output.suffix != ".h5":
        raise InputError(f"output: {output}: its name must end in .h5")
    how = execution(time_budget, suffix, package, kokkos)
    glass = read_structure(structure)
    rows, arrays, record = quasistatic.shear(
        glass,
        find_potential(potential),
        output,
        plane=plane,
        strain=strain,
        step=step,
        snapshot_strain=snapshot_strain,
        force_tolerance=force_tolerance,
        non_affine_cutoff=non_affine_cutoff,
        restart_interval=restart_interval,
        **how,
    )
    if how["communicator"].rank == 0:
        write_shear(output, glass, plane, rows, arrays, record)
        remove_restarts(output)
