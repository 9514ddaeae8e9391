"""The command `symgnn explain`."""

from pathlib import Path

import typer


def explain(
    structure: Path = typer.Argument(..., help="Any file that ASE reads, with a periodic cell."),
    checkpoint: Path = typer.Option(..., help="A trained model: run/checkpoint.pt."),
    atoms: str = typer.Option(
        "3", help="all, a number (seeded random choice), a range i:j, or indices i,j,k."
    ),
    method: str = typer.Option(
        "gnnexplainer",
        help="gnnexplainer, gnnexplainer-single (torch-geometric's loop), integrated-gradients, "
        "saliency or removal (exact, slow).",
    ),
    seed: int = typer.Option(0, help="Of the random choice and of the first masks."),
    epochs: int = typer.Option(50, min=1, help="Optimiser steps of GNNExplainer."),
    learning_rate: float = typer.Option(0.2, help="Of GNNExplainer, in the logit of a weight."),
    size_weight: float = typer.Option(
        1.0, min=0, help="GNNExplainer's penalty on the mean weight."
    ),
    entropy_weight: float = typer.Option(
        0.0, min=0, help="GNNExplainer's penalty on the mean entropy of the weights."
    ),
    start: float = typer.Option(
        6.0, help="GNNExplainer's first weights, as a logit: 6 the whole graph, 0 half of it."
    ),
    steps: int = typer.Option(32, min=1, help="Quadrature points of the integrated gradients."),
    reach: int = typer.Option(
        1, min=1, help="Removal: edges and atoms up to this many steps from the atom."
    ),
    batch: int = typer.Option(1, min=1, help="Atoms explained side by side."),
    time_budget: float = typer.Option(
        None, help="Stop after this time, s, with what is done kept (exit code 75)."
    ),
    views: Path | None = typer.Option(
        None, help="Folder for two views of each atom as extended XYZ and bonds for OVITO."
    ),
    output: Path = typer.Option(
        ..., "--output", "-o", help="Explanations to write, HDF5.", dir_okay=False
    ),
) -> None:
    """Find the edges and atoms that a model's predictions rest on.

    Each atom is explained within its receptive field, the atoms that message passing can reach.
    GNNExplainer finds a weight between 0 and 1 for each edge that keeps the prediction by a
    squared error; integrated gradients and saliency differentiate the prediction by the weights
    of the messages; removal predicts again without each edge and atom, which is exact and slow. The
    signed methods give eV. Stopped or killed, the same command goes on after the last atom done.

    Example: `symgnn explain glass.xyz --checkpoint run/checkpoint.pt --atoms 3 -o explanation.h5`
    """
    from symgnn.explanations.job import explain_structure

    explain_structure(
        structure,
        checkpoint,
        selection=atoms,
        method=method,
        seed=seed,
        batch=batch,
        time_budget=time_budget,
        views=views,
        output=output,
        epochs=epochs,
        learning_rate=learning_rate,
        size_weight=size_weight,
        entropy_weight=entropy_weight,
        start=start,
        steps=steps,
        reach=reach,
    )


def assess(
    explanation: Path = typer.Argument(..., help="Explanations of a structure (explanation.h5)."),
    checkpoint: Path = typer.Option(..., help="The model that was explained."),
    events: Path | None = typer.Option(
        None, help="Saddle searches on the same structure (events.h5): which atoms move."
    ),
    judged: int = typer.Option(
        20, min=3, help="Explained atoms to make curves of and to explain again."
    ),
    seed: int = typer.Option(0, help="Of the choice of these atoms and of all controls."),
    output: Path = typer.Option(
        ..., "--output", "-o", help="Findings to write, JSON.", dir_okay=False
    ),
) -> None:
    """Put explanations to the test and write what holds, for the report.

    Deletion and insertion curves are drawn against random, shortest-first and nearest-first
    edges; explanations are made again with other seeds and for a model with shuffled weights; the
    explainer has to find the edges that made the labels of a small task; cycles of the
    neighbourhood through important edges are counted against edges at the same distance and of
    the same length; and important atoms are held against the atoms that move in saddle searches.

    Example: `symgnn assess explanation.h5 --checkpoint run/checkpoint.pt --events events.h5
    -o assessment.json`
    """
    from symgnn.explanations.job import assess_file

    assess_file(explanation, checkpoint, events=events, judged=judged, seed=seed, output=output)
