"""A structure that a benchmark was given, with its published labels where it has some."""

import argparse
from pathlib import Path

import numpy as np
from ase import Atoms

from symgnn.errors import InputError
from symgnn.graphs.published import read_published
from symgnn.structures import read_structure


def add_structure(parser: argparse.ArgumentParser) -> None:
    """The arguments that `structure` reads."""
    parser.add_argument("glass", help="a structure file, or the name of a published graph")
    parser.add_argument("--published", help="folder of the published graphs")


def structure(arguments: argparse.Namespace) -> tuple[Atoms, np.ndarray | None]:
    """The structure, and the published barriers (atoms,) in eV of a published one.

    Raises:
        SystemExit: neither a structure nor a published graph, in one line.
    """
    try:
        if arguments.published is None:
            return read_structure(arguments.glass), None
        return published(Path(arguments.published) / f"{arguments.glass}.pickle")
    except InputError as error:
        raise SystemExit(f"error: {error}") from None


def published(path: Path) -> tuple[Atoms, np.ndarray]:
    """A published structure and its barriers (atoms,), eV."""
    graph = read_published(path, cutoff=5.0)
    return graph.atoms, graph.barrier
