"""The command line: one command a stage. Workflow rules call these and nothing else."""

import os
import sys

import typer

import symgnn
from symgnn.errors import EXIT_BAD_INPUT, EXIT_TRY_AGAIN, InputError, TimeBudgetReached
from symgnn.graphs.command import graphs

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


app.command("graphs")(graphs)


def main() -> None:
    """Run the command line; exit 2 on bad input, 75 at the time budget."""
    try:
        app()
    except InputError as error:
        print(f"symgnn: error: {error}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)
    except TimeBudgetReached as error:
        print(f"symgnn: {error}", file=sys.stderr)
        sys.exit(EXIT_TRY_AGAIN)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
