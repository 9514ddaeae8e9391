"""Commands of the workflow: `symgnn job`, `symgnn status`."""

from pathlib import Path
from typing import Annotated

import typer


def job(
    command: Annotated[list[str], typer.Argument(help="Program and arguments, after --.")],
    output: Annotated[
        list[Path], typer.Option("--output", "-o", help="A file that the command makes.")
    ],
    results: Annotated[
        Path, typer.Option(envvar="SYMGNN_RESULTS", help="Folder of the results and the ledger.")
    ],
    ranks: Annotated[int, typer.Option(min=1, help="MPI ranks.")] = 1,
    minutes: Annotated[
        float | None, typer.Option(help="Walltime of the job's allocation, min.")
    ] = None,
    budgeted: Annotated[
        bool, typer.Option(help="The command takes --time-budget: pass it on, under Slurm.")
    ] = False,
) -> None:
    """Run a command as a job of the workflow; the rules start everything through this.

    A lock keeps a second copy of the job off the same files: it waits, and ends without work
    when the first has made them. The ledger in the results folder tells who made which file, with
    what, where and in how long. Within a Slurm allocation, ranks are started by srun, and
    --time-budget is nine tenths of the walltime; elsewhere by mpiexec, without a limit.

    Example: `symgnn job -o a.xyz --results results -- symgnn quench ... -o a.xyz`
    """
    from symgnn.workflow.jobs import run_job

    raise typer.Exit(run_job(command, output, results, ranks, minutes, budgeted))


def status(
    configfile: Annotated[
        list[Path], typer.Option(help="Overlays over config.yaml, as given to snakemake.")
    ] = [],  # noqa: B006
    directory: Annotated[
        Path, typer.Option("--directory", "-d", help="Working directory of the workflow.")
    ] = Path(),
    everything: Annotated[bool, typer.Option("--all", help="Every file, also those done.")] = False,
    verify: Annotated[
        bool, typer.Option(help="Compare every file with the checksum in the ledger (exit 2).")
    ] = False,
    set_aside: Annotated[
        bool,
        typer.Option(help="With --verify: rename damaged files, to be made again."),
    ] = False,
    ledger: Annotated[bool, typer.Option(help="Who made what, where and in how long.")] = False,
) -> None:
    """Show every stage and shard of the workflow: done, running, begun or to do.

    Run it at the top of the repository, beside config.yaml.

    Example: `symgnn status --configfile resources/demo.yaml --verify`
    """
    from symgnn.workflow.configuration import read_configuration
    from symgnn.workflow.status import list_items, print_ledger, print_status, report_damage

    config = read_configuration([Path("config.yaml"), *configfile])
    results = directory / config["results"]
    if ledger:
        print_ledger(results)
        return
    print_status(list_items(config, results), everything)
    if verify:
        report_damage(results, set_aside)
