"""The command that shears a glass."""

from pathlib import Path

import typer

from symgnn.errors import InputError


def shear(
    structure: Path = typer.Argument(..., help="Relaxed glass, such as quench makes."),
    potential: str = typer.Option(..., help="Name in the registry, or path of an EAM file."),
    output: Path = typer.Option(..., "--output", "-o", help="Stress, strain, D²min: HDF5."),
    plane: str = typer.Option("xz", help="xy, xz or yz: displacement along, growing with."),
    strain: float = typer.Option(0.2, help="Last shear strain."),
    step: float = typer.Option(1e-4, help="Step of the strain."),
    snapshot_strain: float = typer.Option(0.01, help="Strain between stored structures."),
    force_tolerance: float = typer.Option(1e-4, help="Largest force after each step, eV/Å."),
    non_affine_cutoff: float = typer.Option(5.0, help="Distance of D²min's neighbours, Å."),
    restart_interval: int = typer.Option(50, help="Steps between restart files."),
    suffix: str = typer.Option("opt", help="LAMMPS's -suffix: opt, omp, kk, gpu, intel; '' none."),
    package: list[str] = typer.Option(
        [], help="LAMMPS's -package, such as 'omp 2'; may be repeated."
    ),
    kokkos: str = typer.Option("", help="LAMMPS's -kokkos, such as 'on g 1'."),
    time_budget: float | None = typer.Option(
        None, help="Stop with a restart file after so long, s; exit 75.", show_default="no limit"
    ),
) -> None:
    """Shear a glass without temperature: tilt the box, move the atoms along, relax, repeat.

    Beside `x.h5` the folder `x.snapshots/` holds the sheared structures as extended XYZ, which
    `symgnn barriers`, `graphs` and `predict` take. A run that was stopped goes on when the same
    command is given again. Runs alone or under `mpiexec -n N`.

    Example: symgnn shear glass.xyz --potential Cu-Zr-2009 --plane xz --strain 0.2 -o shear.h5
    """
    from mpi4py import MPI

    from symgnn.glasses.restarts import remove_restarts
    from symgnn.potentials import find_potential
    from symgnn.progress import TimeBudget
    from symgnn.shear import quasistatic
    from symgnn.shear.storage import write_shear
    from symgnn.structures import read_structure

    if output.suffix != ".h5":
        raise InputError(f"output: {output}: its name must end in .h5")
    world = MPI.COMM_WORLD
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
        time_budget=TimeBudget(time_budget),
        communicator=world,
        suffix=suffix,
        package=tuple(package),
        kokkos=kokkos,
    )
    if world.rank == 0:
        write_shear(output, glass, plane, rows, arrays, record)
        remove_restarts(output)
