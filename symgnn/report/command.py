"""The command `symgnn report`."""

from pathlib import Path

import typer


def report(
    glasses: list[Path] = typer.Argument(
        None, help="Structures (extended XYZ); <glass>.thermo.csv beside one is read too."
    ),
    output: Path = typer.Option(..., "-o", "--output", help="The page to write (HTML)."),
    events: list[Path] = typer.Option([], help="Saddle searches, an events.h5 a glass."),
    graphs: Path = typer.Option(None, help="The data set: graphs.h5."),
    runs: list[Path] = typer.Option([], help="Folders of training runs."),
    table: Path = typer.Option(None, help="Table of models, from `symgnn evaluate`."),
    explanations: list[Path] = typer.Option([], help="Explanations, an explanation.h5 a glass."),
    benchmarks: list[Path] = typer.Option([], help="Snakemake benchmark files (TSV), for times."),
    title: str = typer.Option("Energy barriers of metallic glasses", help="Heading of the page."),
) -> None:
    """Write one offline HTML page with the figures and numbers of the whole chain.

    Every input is optional: a part of the page whose input is not given is left out, and the page
    says so. An option that takes several files is given once for each of them, or once with a
    quoted pattern.

    Example: symgnn report results/glasses/*.xyz --events 'results/barriers/*/events.h5'
    --runs 'results/models/*/seed-*' --table results/models/table.csv -o report.html
    """
    from symgnn.files import atomic_path
    from symgnn.report.assembly import assemble
    from symgnn.report.inputs import expand
    from symgnn.report.page import render

    sections, left_out = assemble(
        glasses=expand(glasses or []),
        events=expand(events),
        graphs=graphs,
        runs=expand(runs),
        table=table,
        explanations=expand(explanations),
        benchmarks=expand(benchmarks),
    )
    page = render(title, sections, left_out)
    with atomic_path(output) as temporary:
        temporary.write_text(page, encoding="utf-8")
    typer.echo(output)
