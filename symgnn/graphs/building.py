"""From files of glasses and events to one file of graphs."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms

from symgnn.errors import InputError
from symgnn.graphs.dataset import write_graphs
from symgnn.graphs.describing import Describer, kept_beside
from symgnn.graphs.graph import Graph, glass_graph
from symgnn.graphs.labels import Labels, read_labels
from symgnn.graphs.splits import choose_split
from symgnn.progress import Progress
from symgnn.provenance import provenance
from symgnn.structures import check_searchable, read_structure, structure_hash

ORIGIN = ("composition", "cooling_rate", "seed", "energy_per_atom", "density", "pressure", "group")


def build_graphs(
    glasses: Sequence[Path],
    events: Sequence[Path],
    *,
    cutoff: float,
    label: str,
    min_converged: int,
    patterns: dict[str, Sequence[str]],
    seed: int,
    output: Path,
    inputs: Sequence[str] = (),
    potential: str = "",
) -> list[str]:
    """Read glasses and events, match them, choose the split and write the graphs.

    Args:
        glasses: structure files; the stem of a file's name is the name of its glass.
        events: events.h5 files, one a glass, in any order.
        cutoff: longest edge, Å.
        label: dataset of the events' group `atoms`.
        min_converged: converged searches that an atom needs to be labelled.
        patterns: names or patterns of the glasses of each part; all empty for automatic.
        seed: of the automatic split.
        output: graphs.h5.
        inputs: per-atom inputs of models to add, see `Describer`.
        potential: name or file; what the inputs are computed with.

    Returns:
        A line for each two glasses that are no independent ones and that the patterns part, for
        each glass that has labels, but none at the atoms of an element, and for each that gets
        inputs and is no minimum.

    Raises:
        InputError: events of another structure, a glass without events, a name twice.
    """
    if not 0 < cutoff < 100:
        raise InputError(f"--cutoff: {cutoff} Å: must be above 0 and below 100")
    structures = _read_structures(glasses)
    if "searches" in inputs:
        for name, atoms in structures.items():
            check_searchable(atoms, name)
    labels = _match(
        structures, [read_labels(path, label=label, min_converged=min_converged) for path in events]
    )
    split, crossing = choose_split(structures, patterns, seed)
    protocol = provenance(cutoff=cutoff, label=label, min_converged=min_converged, split_seed=seed)
    describer = Describer(inputs, potential, structures.values(), kept=kept_beside(output))
    write_graphs(
        output,
        _graphs(structures, labels, split, cutoff, describer),
        cutoff=cutoff,
        label=label,
        **describer.attributes,
        **protocol,
    )
    describer.forget()
    return crossing + _without_labels(structures, labels) + describer.warnings


def _read_structures(paths: Sequence[Path]) -> dict[str, Atoms]:
    structures: dict[str, Atoms] = {}
    for path in paths:
        if path.stem in structures:
            raise InputError(f"{path}: two glasses are named {path.stem}")
        structures[path.stem] = read_structure(path)
    if not structures:
        raise InputError("graphs: no glass was given")
    return dict(sorted(structures.items()))


def _match(structures: dict[str, Atoms], labels: Sequence[Labels]) -> dict[str, Labels]:
    """The labels of each glass, matched by the hash of the structure."""
    name_of = {structure_hash(atoms): name for name, atoms in structures.items()}
    matched: dict[str, Labels] = {}
    for found in labels:
        name = name_of.get(found.structure_hash)
        if name is None:
            raise InputError(f"{found.path}: its structure_hash is that of none of the glasses")
        if name in matched:
            raise InputError(f"{found.path}: {name} has events already, from {matched[name].path}")
        if len(found.barrier) != len(structures[name]):
            raise InputError(
                f"{found.path}: it has {len(found.barrier)} atoms, {name} {len(structures[name])}"
            )
        matched[name] = found
    for name in structures:
        if name not in matched:
            raise InputError(f"{name}: no events file is of this structure")
    return matched


def _without_labels(structures: dict[str, Atoms], labels: dict[str, Labels]) -> list[str]:
    """A line for each glass with elements whose atoms have no label, where others have some."""
    lines = []
    for name, atoms in structures.items():
        labelled = np.isfinite(labels[name].barrier)
        bare = sorted(set(atoms.symbols) - set(atoms.symbols[labelled]))
        if labelled.any() and bare:
            lines.append(
                f"{name} has no label at an atom of {', '.join(bare)}: a range of atoms may be of "
                "one element; --atoms with a number takes random ones"
            )
    return lines


def _graphs(
    structures: dict[str, Atoms],
    labels: dict[str, Labels],
    split: dict[str, str],
    cutoff: float,
    describer: Describer,
) -> Iterator[Graph]:
    with Progress("atoms of graphs", sum(map(len, structures.values()))) as progress:
        for name, atoms in structures.items():
            found = labels[name]
            graph = glass_graph(name, atoms, cutoff=cutoff, barrier=found.barrier)
            graph.split = split[name]
            graph.atom_fields = found.atom_fields
            origin = {key: atoms.info[key] for key in ORIGIN if key in atoms.info}
            graph.attributes = origin | {"structure_hash": found.structure_hash}
            describer.describe(graph, progress.add)
            progress.advance(
                0, glass=name, edges=len(graph.edge_vector), labels=np.isfinite(graph.barrier).sum()
            )
            yield graph
