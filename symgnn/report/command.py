"""The command `symgnn report`."""

from pathlib import Path

import typer


def report(
    files: list[Path] = typer.Argument(
        None,
        help="Glasses (extended XYZ; GLASS.thermo.csv beside GLASS.xyz is read too), or any other "
        "input: its kind is recognised.",
    ),
    output: Path = typer.Option(
        ..., "-o", "--output", help="The page to write (HTML).", dir_okay=False
    ),
    events: list[Path] = typer.Option([], help="Saddle searches, an events.h5 a glass."),
    graphs: list[Path] = typer.Option([], help="The data set, graphs.h5."),
    runs: list[Path] = typer.Option([], help="Folders of training runs."),
    table: list[Path] = typer.Option([], help="Table of models, from `symgnn evaluate`."),
    explanations: list[Path] = typer.Option([], help="Explanations, an explanation.h5 a glass."),
    assessments: list[Path] = typer.Option(
        [], help="Tests of the explanations, an assessment.json a glass."
    ),
    benchmarks: list[Path] = typer.Option([], help="Snakemake benchmark files (TSV), for times."),
    title: str = typer.Option("Energy barriers of metallic glasses", help="Heading of the page."),
) -> None:
    """Write one offline HTML page with the figures and numbers of the whole chain.

    Every input is optional: a part of the page whose input is not given is left out, and the page
    says so. Options that take several files are repeated, or take a quoted pattern; files that
    follow without an option are recognised by their kind.

    Example: `symgnn report results/glasses/*.xyz --events 'results/barriers/*/events.h5'
    --runs 'results/models/*/seed-*' --table results/models/table.csv -o report.html`
    """
    from symgnn.files import atomic_path
    from symgnn.report.assembly import Inputs, assemble
    from symgnn.report.inputs import by_kind, expand
    from symgnn.report.page import render

    others = by_kind(expand(files or []))
    given = {"events": events, "graphs": graphs, "runs": runs, "tables": table}
    given |= {"explanations": explanations, "assessments": assessments}
    inputs = {kind: [*expand(paths), *others.pop(kind, [])] for kind, paths in given.items()}
    inputs["benchmarks"] = [*expand(benchmarks, empty=True), *others.pop("benchmarks", [])]
    sections, left_out = assemble(Inputs(**inputs, **others))
    page = render(title, sections, left_out)
    with atomic_path(output) as temporary:
        temporary.write_text(page, encoding="utf-8")
    typer.echo(output)
