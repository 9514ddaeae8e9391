"""Per-atom inputs of models, added to graphs."""

import hashlib
import json
from collections.abc import Iterable, Sequence
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
from symgnn.graphs.graph import Graph
from symgnn.pieces import Done, unwatched
from symgnn.potentials import Potential, find_potential
from symgnn.provenance import stage_hash
from symgnn.structures import structure_hash

QUICK = 10.0  # work of inputs, in that of a network, above which they are kept until all are done


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


def kept_beside(output: Path) -> Path:
    """The folder beside a file of graphs where slow inputs are kept until it is written."""
    return output.with_name(f"{output.name}.inputs")


def _in_shares(done: Done, share: float, atoms: float) -> None:
    done(share * atoms)
