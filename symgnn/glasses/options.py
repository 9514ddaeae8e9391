"""What every command that runs LAMMPS for long takes: ranks, accelerators, a time budget."""

from typing import Annotated

import typer

RestartInterval = Annotated[int, typer.Option(help="Steps between restart files.")]
Suffix = Annotated[str, typer.Option(help="LAMMPS's -suffix: opt, omp, kk, gpu, intel; '' none.")]
Package = Annotated[
    list[str] | None, typer.Option(help="LAMMPS's -package, such as 'omp 2'; may be repeated.")
]
Kokkos = Annotated[str, typer.Option(help="LAMMPS's -kokkos, such as 'on g 1'.")]
Budget = Annotated[
    float | None,
    typer.Option(
        help="Stop with a restart file after so long, s; exit 75.", show_default="no limit"
    ),
]


def execution(
    time_budget: float | None, suffix: str, package: list[str] | None, kokkos: str
) -> dict[str, object]:
    """How a simulation runs, as keywords of `quench.melt_quench` and `quasistatic.shear`.

    Its ranks are those that the program was started on.
    """
    from mpi4py import MPI

    from symgnn.progress import TimeBudget

    return {
        "time_budget": TimeBudget(time_budget),
        "communicator": MPI.COMM_WORLD,
        "suffix": suffix,
        "package": tuple(package or ()),
        "kokkos": kokkos,
    }
