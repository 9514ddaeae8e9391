"""From the published pickles to one file of graphs."""

import json
from collections.abc import Sequence
from pathlib import Path

from symgnn import fields
from symgnn.errors import InputError
from symgnn.graphs.dataset import write_graphs
from symgnn.graphs.describing import Describer, kept_beside
from symgnn.graphs.kinship import Kinship, groups, kinships
from symgnn.graphs.published import paper_split, published_files, read_published
from symgnn.graphs.splits import automatic_split, named_split
from symgnn.progress import Progress
from symgnn.provenance import provenance


def import_published(
    folder: Path,
    *,
    cutoff: float,
    split: str,
    validation: Sequence[str],
    test: Sequence[str],
    seed: int,
    output: Path,
    inputs: Sequence[str] = (),
    potential: str = "",
) -> list[Kinship]:
    """Write the published graphs as ours, with copies of each other named and grouped.

    Args:
        folder: with train<number>.pickle and test<number>.pickle.
        cutoff: longest edge, Å.
        split: `paper`, or `grouped`: glasses that are copies of each other stay together.
        validation: for `grouped`: names or patterns; whole groups follow. Automatic if both are
            empty.
        test: likewise.
        seed: of the automatic choice.
        output: graphs.h5.
        inputs: per-atom inputs of models to add, see `Describer`.
        potential: what they are computed with.

    Returns:
        The copies that were found.

    Raises:
        InputError: no such files, or a group in both parts.
    """
    if split not in ("paper", "grouped"):
        raise InputError(f"--split: {split!r}: must be paper or grouped")
    if split == "paper" and (validation or test):
        raise InputError("--split: paper: --validation and --test need --split grouped")
    graphs = [read_published(path, cutoff=cutoff) for path in published_files(folder)]
    structures = {graph.name: graph.atoms for graph in graphs}
    found = kinships(structures)
    group = groups({name: name for name in structures}, found)
    for graph in graphs:
        graph.attributes[fields.GROUP] = group[graph.name]
    if split == "paper":
        parts = {graph.name: paper_split(graph.name) for graph in graphs}
    else:
        parts = _grouped_split(group, validation, test, seed)
    describer = Describer(inputs, potential, structures.values(), kept=kept_beside(output))
    for graph in graphs:
        graph.split = parts[graph.name]
    if describer.attributes:
        with Progress("inputs of atoms", sum(map(len, structures.values()))) as progress:
            for graph in graphs:
                describer.describe(graph, progress.add)
                progress.advance(0, glass=graph.name)
    write_graphs(
        output,
        graphs,
        cutoff=cutoff,
        label=fields.BARRIER_MEAN,
        defects=json.dumps([str(kinship) for kinship in found]),
        **describer.attributes,
        **provenance(cutoff=cutoff, split=split, validation=validation, test=test, seed=seed),
    )
    describer.forget()
    return found


def _grouped_split(
    group: dict[str, str], validation: Sequence[str], test: Sequence[str], seed: int
) -> dict[str, str]:
    """The split of each graph; the published test graphs and their copies only test."""
    kept = {group[name] for name in group if paper_split(name) == "test"}
    names = list(group)
    if not validation and not test:
        free = [name for name in names if group[name] not in kept]
        groups = [group[name] for name in free]
        found = automatic_split(free, strata=[0] * len(free), groups=groups, seed=seed)
        return {name: found.get(name, "test") for name in names}
    chosen = named_split(names, {"validation": validation, "test": test})
    parts = dict.fromkeys(kept, "test")
    for name, part in chosen.items():
        if part != "train" and parts.setdefault(group[name], part) != part:
            raise InputError(f"--{part}: {name}: a copy of it is in {parts[group[name]]}")
    return {name: parts.get(group[name], "train") for name in names}
