"""The command that describes a glass."""

from pathlib import Path

import typer


def analyse(
    structure: Path = typer.Argument(..., help="Relaxed glass, such as quench makes."),
    output: Path = typer.Option(..., "--output", "-o", help="The figures, JSON.", dir_okay=False),
) -> None:
    """Describe a glass: g(r), coordination, icosahedra, glass transition, crystals.

    Reads the `.thermo.csv` beside the glass for the transition, where there is one.

    Example: symgnn analyse glass.xyz -o glass.json
    """
    import json

    from symgnn.analysis import figures
    from symgnn.analysis.record import read_record
    from symgnn.files import atomic_path
    from symgnn.structures import read_structure

    glass = read_structure(structure)
    record = structure.with_suffix(".thermo.csv")
    found = figures.analyse(glass, read_record(record) if record.is_file() else None)
    with atomic_path(output) as temporary:
        temporary.write_text(json.dumps(found, indent=1) + "\n")
