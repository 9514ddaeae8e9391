"""The command line: one command a stage. Workflow rules call these and nothing else."""

import os
import sys
import traceback

import typer

import symgnn
from symgnn.analysis.command import analyse
from symgnn.barriers.command import barriers, merge_events
from symgnn.errors import (
    EXIT_BAD_INPUT,
    EXIT_FAILED,
    EXIT_TRY_AGAIN,
    InputError,
    SimulationError,
    TimeBudgetReached,
)
from symgnn.explanations.command import assess, explain
from symgnn.glasses.command import quench
from symgnn.graphs.command import graphs, import_published
from symgnn.report.command import report
from symgnn.shear.command import shear
from symgnn.training.command import evaluate, predict, train
from symgnn.workflow.command import job, status

app = typer.Typer(
    name="symgnn",
    help="Energy barriers of metallic glasses: quench, search, learn, explain.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"symgnn {symgnn.__version__}")
        raise typer.Exit()


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Print the version."
    ),
) -> None:
    pass


app.command("quench")(quench)
app.command("shear")(shear)
app.command("analyse")(analyse)
app.command("barriers")(barriers)
app.command("merge-events")(merge_events)
app.command("import-published")(import_published)
app.command("graphs")(graphs)
app.command("train")(train)
app.command("evaluate")(evaluate)
app.command("predict")(predict)
app.command("explain")(explain)
app.command("assess")(assess)
app.command("report")(report)
app.command("job")(job)
app.command("status")(status)


def _abort_ranks(code: int) -> None:
    """End the other MPI ranks, where there are some that wait for this one."""
    mpi = sys.modules.get("mpi4py.MPI")
    if mpi is not None and mpi.COMM_WORLD.size > 1:
        sys.stderr.flush()
        mpi.COMM_WORLD.Abort(code)


def _leave(code: int) -> None:
    _abort_ranks(code)
    sys.exit(code)


def main() -> None:
    """Run the command line; exit 2 on bad input, 1 on a failure, 75 at the time budget."""
    # Before torch's first tensor: large ones then come in large pages. To fill fresh pages of 4 KiB
    # takes longer than most of what a training does with a number for each edge.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    try:
        app()
    except InputError as error:
        print(f"symgnn: error: {error}", file=sys.stderr)
        _leave(EXIT_BAD_INPUT)
    except TimeBudgetReached as error:
        print(f"symgnn: {error}", file=sys.stderr)
        _leave(EXIT_TRY_AGAIN)
    except SimulationError as error:
        print(f"symgnn: failed: {error}", file=sys.stderr)
        _leave(EXIT_FAILED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"symgnn: failed: {where}{error.strerror or error}", file=sys.stderr, flush=True)
        _abort_ranks(EXIT_FAILED)
        os._exit(EXIT_FAILED)  # HDF5 crashes in its clean-up of a file that the disk did not take
    except Exception:
        traceback.print_exc()
        _leave(1)


if __name__ == "__main__":
    main()
