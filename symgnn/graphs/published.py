"""The published structures and labels of arXiv:2401.08627, read without running their code."""

import io
import pickle
import re
from pathlib import Path

import numpy as np
from ase import Atoms

from symgnn import fields
from symgnn.errors import InputError
from symgnn.graphs.graph import Graph, glass_graph

ELEMENTS = {1: 29, 2: 40}  # their types: copper and zirconium
LABEL = "trajectory_start_velocities"  # the mean barrier; the name is another project's

# What a pickle of numpy arrays and plain containers needs, under old and new numpy names.
ADMITTED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
}


class _ArrayUnpickler(pickle.Unpickler):
    """Admits numpy arrays and plain containers; a pickle can run no other code."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in ADMITTED:
            raise pickle.UnpicklingError(f"it wants {module}.{name}")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def read_pickle(path: Path | str) -> dict[str, object]:
    """The dictionary in a pickle of numpy arrays.

    Raises:
        InputError: not a pickle, or one with anything but arrays and plain containers.
    """
    try:
        content = _ArrayUnpickler(io.BytesIO(Path(path).read_bytes()), encoding="latin1").load()
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to ask for
        raise InputError(f"{path}: not a pickle of arrays ({error})") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: it holds a {type(content).__name__}, expected a dictionary")
    return content


def read_published(path: Path | str, *, cutoff: float) -> Graph:
    """One published graph, with its labels and the fields they computed.

    Args:
        path: a pickle such as train0.pickle.
        cutoff: longest edge, Å.

    Raises:
        InputError: not such a file.
    """
    content = read_pickle(path)
    try:
        positions = np.asarray(content["positions"], dtype=np.float64)
        box = np.asarray(content["box"], dtype=np.float64).ravel()
        types = np.asarray(content["types"]).ravel()
        label = np.asarray(content[LABEL], dtype=np.float64).ravel()
        numbers = np.array([ELEMENTS[int(kind)] for kind in types])
        atoms = Atoms(numbers, positions, cell=box, pbc=True)
        graph = glass_graph(Path(path).stem, atoms, cutoff=cutoff, barrier=label)
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path}: not a published graph ({error})") from None
    if len(label) != len(numbers):
        raise InputError(f"{path}: {len(label)} labels for {len(numbers)} atoms")
    for theirs, ours in (("pot", fields.PUBLISHED_ENERGY), ("press", fields.PUBLISHED_PRESSURE)):
        if theirs in content:
            graph.atom_fields[ours] = np.asarray(content[theirs], dtype=np.float64).ravel()
    graph.attributes["density"] = len(numbers) / float(box.prod())
    return graph


def published_files(folder: Path | str) -> list[Path]:
    """The pickles of train and test graphs in a folder, in the order of their numbers.

    Raises:
        InputError: there are none.
    """
    found = [
        (match[1], int(match[2]), path)
        for path in Path(folder).glob("*.pickle")
        if (match := re.fullmatch(r"(train|test)(\d+)", path.stem))
    ]
    if not found:
        raise InputError(f"{folder}: no train<number>.pickle or test<number>.pickle in it")
    return [path for _, _, path in sorted(found, key=lambda item: (item[0] != "train", item[1]))]


def paper_split(name: str) -> str:
    """The paper's split: train0 to train5 train, train6 validates, test graphs test."""
    if name.startswith("test"):
        return "test"
    return "validation" if name == "train6" else "train"
