"""The commands `symgnn graphs` and `symgnn import-published`."""

from pathlib import Path

import typer


def graphs(
    files: list[Path] = typer.Argument(
        ..., help="Glasses (any format that ASE reads). Files ending in .h5 count as --events."
    ),
    events: list[Path] = typer.Option(
        [], "--events", help="Saddle searches (events.h5), one file a glass."
    ),
    cutoff: float = typer.Option(5.0, help="Longest edge, Å."),
    output: Path = typer.Option(
        ..., "--output", "-o", help="Graphs to write, HDF5.", dir_okay=False
    ),
    label: str = typer.Option(
        "barrier_mean", help="Dataset of the events' group `atoms` that becomes the label, eV."
    ),
    min_converged: int = typer.Option(1, min=1, help="Searches that a label must be the mean of."),
    train: list[str] = typer.Option([], help="Glasses to train on: names or patterns."),
    validation: list[str] = typer.Option(
        [], help="Glasses that choose the epoch, and with others the penalty of linear fits."
    ),
    test: list[str] = typer.Option([], help="Glasses to test on."),
    seed: int = typer.Option(0, help="Of the automatic split (used when no split is named)."),
    inputs: list[str] = typer.Option(
        [],
        help="Per-atom inputs to add: response and invariants (for model response), searches too "
        "(for model searched, 70 core-ms an atom), invariants_by_element (for model ridge); none.",
    ),
    potential: str = typer.Option("", help="Name or file; what the inputs are computed with."),
    threads: int = typer.Option(
        0, min=0, help="CPU threads for the inputs; 0 for all that the machine offers."
    ),
) -> None:
    """Turn glasses and their saddle searches into graphs with labels and a split.

    Atoms are nodes and pairs closer than the cutoff are edges, in both directions. A glass and
    its events are matched by the hash of the structure, so the order of the files is free.
    Whole glasses go to train, validation or test; without --train, --validation and --test the
    choice is automatic, in the proportions 6:1:2 and even over the cooling rates. Glasses that are
    not independent count as one: copies up to a strain and small displacements, the snapshots of
    a sheared glass, and those with the same `group` in their files (key of extended XYZ). The
    automatic choice keeps them together; where a named one parts them, a warning says so.
    Searches as inputs are kept in OUTPUT.inputs until the graphs are written: a call that was
    stopped goes on from there.

    Example: `symgnn graphs g1.xyz g2.xyz --events e1.h5 e2.h5 --cutoff 5 -o graphs.h5`
    """
    from symgnn.graphs.building import build_graphs
    from symgnn.threads import use_threads

    use_threads(threads)
    glasses = [path for path in files if path.suffix != ".h5"]
    crossing = build_graphs(
        glasses,
        [*events, *(path for path in files if path.suffix == ".h5")],
        cutoff=cutoff,
        label=label,
        min_converged=min_converged,
        patterns={"train": train, "validation": validation, "test": test},
        seed=seed,
        output=output,
        inputs=inputs,
        potential=potential,
    )
    for line in crossing:
        typer.echo(f"{output}: warning: {line}", err=True)


def import_published(
    folder: Path = typer.Argument(..., help="Folder with train0.pickle, ..., test0.pickle, ..."),
    cutoff: float = typer.Option(5.0, help="Longest edge, Å."),
    output: Path = typer.Option(
        ..., "--output", "-o", help="Graphs to write, HDF5.", dir_okay=False
    ),
    split: str = typer.Option(
        "paper", help="paper (train6 validates) or grouped (copies stay together)."
    ),
    validation: list[str] = typer.Option([], help="grouped: glasses that choose the epoch."),
    test: list[str] = typer.Option(
        [], help="grouped: glasses to test on; the published test graphs always do."
    ),
    seed: int = typer.Option(0, help="grouped: of the choice where none is named."),
    inputs: list[str] = typer.Option(
        ["response", "invariants", "invariants_by_element"],
        help="Per-atom inputs to add, for the models response and ridge; searches for model "
        "searched, 70 core-ms an atom; none for none.",
    ),
    potential: str = typer.Option(
        "Cu-Zr-2009", help="Name or file; what the inputs are computed with."
    ),
    threads: int = typer.Option(
        0, min=0, help="CPU threads for the inputs; 0 for all that the machine offers."
    ),
) -> None:
    """Turn the published graphs of the SymGNN paper into a graphs.h5 of ours.

    Their pickles are read by an unpickler that admits numpy arrays and plain containers only.
    Known defects are named on standard output and stored in the file: train1 is a near-duplicate
    of train0, and train6, the paper's validation graph, a strained copy of train5. With
    `--split grouped` such copies are never on both sides. The per-atom inputs take some 1 ms an
    atom, searches 70. The data are their authors': do not redistribute the file.

    Example: `symgnn import-published raw_data --split grouped --test train2 -o graphs.h5`
    """
    from symgnn.graphs.importing import import_published as build
    from symgnn.threads import use_threads

    use_threads(threads)
    found = build(
        folder,
        cutoff=cutoff,
        split=split,
        validation=validation,
        test=test,
        seed=seed,
        output=output,
        inputs=inputs,
        potential=potential,
    )
    for kinship in found:
        typer.echo(f"defect: {kinship}")
