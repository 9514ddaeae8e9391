"""From files of glasses and events to one file of graphs."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
from ase import Atoms

from symgnn import fields
from symgnn.descriptors.potential import LARGEST_FORCE, largest_force
from symgnn.descriptors.registry import DESCRIPTORS, WORK, describe, input_version
from symgnn.errors import InputError
from symgnn.files import atomic_path
from symgnn.graphs.dataset import write_graphs
from symgnn.graphs.graph import Graph, glass_graph
from symgnn.graphs.kinship import Kinship, groups, kinships
from symgnn.graphs.labels import Labels, read_labels
from symgnn.graphs.published import paper_split, published_files, read_published
from symgnn.graphs.splits import automatic_split, choose_split, named_split
from symgnn.pieces import Done, unwatched
from symgnn.potentials import Potential, find_potential
from symgnn.progress import Progress
from symgnn.provenance import provenance, stage_hash
from symgnn.structures import check_searchable, read_structure, structure_hash

QUICK = 10.0  # work of inputs, in that of a network, above which they are kept until all are done
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
    describer = Describer(inputs, potential, structures.values(), kept=_kept_beside(output))
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


class Describer:
    """Adds per-atom inputs to graphs.

    Args:
        inputs: names in symgnn.descriptors.registry; `none` alone is the same as no name.
        potential: name or file.
        structures: all of the dataset, whose elements order the columns.
        kept: folder where inputs that take long are kept, a file each, until `forget`; from there
            a later call of the same code goes on. None: they are not.

    Raises:
        InputError: an unknown name, or no potential.

    Attributes:
        warnings: a line for each described glass that is no minimum of the potential's energy.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        potential: str,
        structures: Iterable[Atoms],
        kept: Path | None = None,
    ):
        self._kept, self._files = kept, set()
        self.warnings: list[str] = []
        self._inputs = [] if list(inputs) == ["none"] else list(inputs)
        for name in self._inputs:
            if name not in DESCRIPTORS:
                raise InputError(
                    f"--inputs: {name!r}: must be one of {', '.join(DESCRIPTORS)}, none"
                )
        self.attributes: dict[str, object] = {}
        if not self._inputs:
            return
        if not potential:
            raise InputError("--inputs: they are computed with a potential: give --potential")
        self._potential = find_potential(potential)
        self._elements = sorted({int(z) for atoms in structures for z in set(atoms.numbers)})
        self.attributes = {
            fields.POTENTIAL: self._potential.name,
            fields.POTENTIAL_SHA256: self._potential.sha256,
            fields.INPUT_ELEMENTS: self._elements,
            fields.INPUT_VERSIONS: json.dumps({name: input_version(name) for name in self._inputs}),
        }

    def describe(self, graph: Graph, done: Done = unwatched) -> None:
        """Add the inputs to a graph; `done` is told of the atoms, each in shares of the work."""
        atoms = graph.atoms
        if not self._inputs:
            return done(len(atoms))
        if (force := largest_force(atoms, self._potential)) > LARGEST_FORCE:
            self.warnings.append(
                f"{graph.name}: largest force {force:.3g} eV/Å: inputs are those of minima of the "
                "energy; relax it with this potential first"
            )
        work = sum(WORK[name] for name in self._inputs)
        for name in self._inputs:
            part = partial(_in_shares, done, WORK[name] / work)
            slow = self._kept is not None and WORK[name] > QUICK
            compute = self._known if slow else describe
            graph.inputs[name] = compute(name, atoms, self._potential, self._elements, part)

    def _known(
        self, name: str, atoms: Atoms, potential: Potential, elements: Sequence[int], done: Done
    ) -> np.ndarray:
        """`describe` from a file of an earlier call, or computed and kept there."""
        code = [stage_hash(stage) for stage in ("barriers", "graphs")]
        what = name, input_version(name), potential.sha256, elements, code, structure_hash(atoms)
        path = self._kept / f"{hashlib.sha256(repr(what).encode()).hexdigest()[:32]}.npy"
        self._kept.mkdir(parents=True, exist_ok=True)
        self._files.add(path)
        try:
            found = np.load(path)
        except (OSError, EOFError, ValueError):
            found = describe(name, atoms, potential, elements, done)
            with atomic_path(path) as temporary, open(temporary, "wb") as stream:
                np.save(stream, found)
        else:
            done(len(atoms))
        return found

    def forget(self) -> None:
        """Remove what this call kept, when the graphs are written."""
        for path in self._files:
            path.unlink(missing_ok=True)
        if self._files:
            with suppress(OSError):  # another call's are in it
                self._kept.rmdir()


def _kept_beside(output: Path) -> Path:
    return output.with_name(f"{output.name}.inputs")


def _in_shares(done: Done, share: float, atoms: float) -> None:
    done(share * atoms)


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
    describer = Describer(inputs, potential, structures.values(), kept=_kept_beside(output))
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
