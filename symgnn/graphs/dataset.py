"""Graphs in HDF5: a group a glass, with its split."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from symgnn import fields
from symgnn.errors import InputError
from symgnn.files import FORMAT_ATTRIBUTES, create_hdf5, open_hdf5
from symgnn.graphs.graph import Graph

SPLITS = ("train", "validation", "test")
STORED = {
    fields.POSITION: "f8",
    fields.CELL: "f8",
    fields.SPECIES: "i4",
    fields.EDGE_INDEX: "i4",
    fields.EDGE_VECTOR: "f4",
    fields.BARRIER: "f8",
}


@dataclass
class Dataset:
    """The graphs of a file and what they share.

    Attributes:
        cutoff: longest edge, Å.
        graphs: in the order of their names.
        attributes: label, versions, protocol.
    """

    cutoff: float
    graphs: list[Graph]
    attributes: dict[str, object]

    def of_split(self, split: str) -> list[Graph]:
        """The graphs of train, validation or test."""
        return [graph for graph in self.graphs if graph.split == split]


def write_graphs(
    path: Path | str, graphs: Iterable[Graph], *, cutoff: float, **attributes: object
) -> None:
    """Write graphs one after the other, whole or not at all.

    Args:
        path: the HDF5 file.
        graphs: can be a generator; only one graph is in memory then.
        cutoff: longest edge, Å.
        attributes: further attributes of the file (provenance, label).
    """
    with create_hdf5(path, "graphs") as file:
        file.attrs["cutoff"] = cutoff
        file.attrs.update(attributes)
        for graph in graphs:
            _write_graph(file.create_group(graph.name), graph)


def _write_graph(group: h5py.Group, graph: Graph) -> None:
    for name, kind in STORED.items():
        group.create_dataset(name, data=getattr(graph, name), dtype=kind)
    for name, values in graph.atom_fields.items():
        group.create_dataset(name, data=values)
    for name, values in graph.inputs.items():
        group.create_dataset(f"{fields.INPUTS}/{name}", data=values, dtype="f4")
    group.attrs[fields.SPLIT] = graph.split
    group.attrs.update(graph.attributes)


def read_graphs(path: Path | str) -> Dataset:
    """Read all graphs of a file.

    Raises:
        InputError: no whole graphs.h5 of this version, or a field is missing or of a wrong shape.
    """
    with open_hdf5(path, "graphs") as file:
        attributes = {k: v for k, v in file.attrs.items() if k not in FORMAT_ATTRIBUTES}
        try:
            cutoff = float(attributes.pop("cutoff"))
            graphs = [_read_graph(file[name]) for name in sorted(file)]
        except (KeyError, OSError) as error:
            raise InputError(f"{path}: incomplete: {error}") from None
    if not graphs:
        raise InputError(f"{path}: it holds no glass")
    for graph in graphs:
        _check(graph, path)
    return Dataset(cutoff=cutoff, graphs=graphs, attributes=attributes)


def _read_graph(group: h5py.Group) -> Graph:
    attributes = dict(group.attrs)
    split = attributes.pop(fields.SPLIT)
    arrays = {name: group[name][()] for name in STORED}
    for name in (fields.SPECIES, fields.EDGE_INDEX):
        arrays[name] = arrays[name].astype(np.int64)
    return Graph(
        name=group.name.lstrip("/"),
        split=split,
        attributes=attributes,
        atom_fields={
            name: group[name][()] for name in sorted(set(group) - set(STORED) - {fields.INPUTS})
        },
        inputs={name: values[()] for name, values in group.get(fields.INPUTS, {}).items()},
        **arrays,
    )


def _check(graph: Graph, path: Path | str) -> None:
    atoms = len(graph.species)
    edges = graph.edge_index.shape[1]
    wrong = (
        graph.position.shape != (atoms, 3)
        or graph.barrier.shape != (atoms,)
        or graph.edge_vector.shape != (edges, 3)
        or any(len(values) != atoms for values in graph.inputs.values())
        or (edges and not 0 <= graph.edge_index.min() <= graph.edge_index.max() < atoms)
    )
    if wrong:
        raise InputError(f"{path}: {graph.name}: its arrays do not fit each other")
    if graph.split not in SPLITS:
        raise InputError(
            f"{path}: {graph.name}: split is {graph.split!r}, must be one of {', '.join(SPLITS)}"
        )
