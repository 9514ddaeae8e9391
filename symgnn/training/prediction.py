"""Barriers of a structure from one trained model or several."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols

from symgnn.descriptors.potential import LARGEST_FORCE, largest_force
from symgnn.descriptors.registry import WORK, describe, input_size
from symgnn.descriptors.searches import SEARCHES
from symgnn.errors import InputError
from symgnn.graphs.graph import edges
from symgnn.pieces import Done, unwatched
from symgnn.potentials import Potential, find_potential
from symgnn.structures import check_structure
from symgnn.training.batches import Batch
from symgnn.training.checkpoint import Trained, load
from symgnn.training.metrics import ensemble_error
from symgnn.training.outside import outside_of
from symgnn.training.pieces import predict_all
from symgnn.training.shipped import find_checkpoints


class Predictor:
    """One trained model or several that take structures; several predict by their mean.

    Args:
        members: from `symgnn.training.checkpoint.load`, of one cutoff, the same elements and one
            kind of label.
        device: `cpu` or `cuda`.
        potential: name or file of the one that per-atom inputs are computed with; where it is not
            given it is found by the name that the members know. Models without such inputs use it
            for the forces of `outside` alone.
        searches: saddle searches at each atom, for models with such inputs; not given, as many as
            in their training.

    Raises:
        InputError: the members differ in cutoff, elements or label, or their potential is not the
            one that is found, or none of them takes the searches that are asked for.

    Attributes:
        members: the models.
        label: dataset of events.h5 that they predict, such as `barrier_mean`.
        searches: saddle searches at each atom, None where no member takes what they find.
    """

    def __init__(
        self,
        members: Sequence[Trained],
        device: str = "cpu",
        potential: Path | str | None = None,
        searches: int | None = None,
    ):
        first = members[0]
        for other in members[1:]:
            if (other.cutoff, other.elements) != (first.cutoff, first.elements):
                raise InputError("checkpoint: the models differ in cutoff or elements")
            if other.data["label"] != first.data["label"]:
                labels = f"{first.data['label']} and {other.data['label']}"
                raise InputError(f"checkpoint: the models predict different labels: {labels}")
        self.members, self.label = list(members), str(first.data["label"])
        self._device = device
        given = find_potential(potential) if potential else None
        # names, potential and elements of the inputs of each model, None where it has none
        self._inputs = [
            (
                tuple(member.inputs["names"]),
                _known_potential(member, given),
                tuple(member.inputs["elements"]),
            )
            if member.inputs
            else None
            for member in members
        ]
        known = (inputs[1] for inputs in self._inputs if inputs)
        self._forces_of = given or next(known, None)
        self.searches = self._searches(searches)
        self._options = {"searches": {"searches": self.searches}} if self.searches else {}
        for member in members:
            member.model.to(device)

    def predict(self, atoms: Atoms) -> np.ndarray:
        """Energy barrier of each atom, (atoms,) float64, eV; warns where `outside` has a reason.

        Args:
            atoms: a periodic structure of elements that the model knows.

        Raises:
            InputError: not a sound periodic structure, see `symgnn.structures.check_structure`, or
                an element that the model was not trained on.
        """
        check_structure(atoms)
        for reason in self.outside(atoms):
            warnings.warn(reason, stacklevel=2)
        return self.predict_members(atoms).mean(0)

    @torch.no_grad()
    def predict_members(self, atoms: Atoms, done: Done = unwatched) -> np.ndarray:
        """Energy barrier of each atom from each model, (models, atoms) float64, eV.

        The spread over models that differ in their seed says where they do not know; it leaves
        out the noise of the labels. Time and memory grow with the atoms.

        Args:
            atoms: a sound periodic structure.
            done: called after each part of the work; adds up to all atoms.

        Raises:
            InputError: an element that the model was not trained on.
        """
        self.check_elements(atoms)
        wanted = dict.fromkeys(one for one in self._inputs if one)  # equal ones are shared
        single = {(name, *rest) for names, *rest in wanted for name in names}
        work = sum(self._work(name) for name, *_ in single) + len(self.members)

        def part(atoms: float, share: float = 1.0) -> None:
            done(atoms * share / work)

        # before the edges, so that the memory of both is not needed at once
        known: dict[tuple, torch.Tensor] = {}
        described = {inputs: self._describe(atoms, *inputs, known, part) for inputs in wanted}
        del known
        edge_index, edge_vector = edges(atoms.positions, atoms.cell.array, self.members[0].cutoff)
        whole = Batch(
            torch.from_numpy(atoms.numbers.astype(np.int64)),
            torch.from_numpy(edge_index),
            torch.from_numpy(edge_vector),
            target=torch.zeros(len(atoms)),
            labelled=torch.arange(len(atoms)),
            weight=torch.ones(len(atoms)),
        ).to(self._device)
        del edge_index, edge_vector

        found = []
        for member, inputs in zip(self.members, self._inputs, strict=True):
            batch = replace(whole, inputs=described.get(inputs))
            standardised = predict_all(member.model, batch, atoms.positions, atoms.cell.array, part)
            found.append(member.scaling.barrier(standardised.double().cpu().numpy()))
        return np.stack(found)

    def _describe(
        self,
        atoms: Atoms,
        names: Sequence[str],
        potential: Potential,
        elements: Sequence[int],
        known: dict[tuple, torch.Tensor],
        done: Callable[..., None],
    ) -> torch.Tensor:
        """Per-atom inputs, (atoms, inputs).

        Args:
            atoms: the structure.
            names: of the inputs.
            potential: what they are computed with.
            elements: that their columns are ordered by.
            known: columns by name, potential and elements: is read and written.
            done: is told of the atoms and the work of each.
        """
        sizes = [input_size(name, len(elements)) for name in names]
        found = torch.empty(len(atoms), sum(sizes))
        for name, columns in zip(names, found.split(sizes, dim=1), strict=True):
            if (name, potential, elements) in known:
                columns.copy_(known[name, potential, elements])
                continue
            part = partial(done, share=self._work(name))
            options = self._options.get(name, {})
            values = describe(name, atoms, potential, elements, part, **options)
            columns.copy_(torch.from_numpy(values))
            known[name, potential, elements] = columns
        return found.to(self._device)

    def _work(self, name: str) -> float:
        """Time that inputs of this name take, over that of a network."""
        return WORK[name] * self._options.get(name, {}).get("searches", SEARCHES) / SEARCHES

    def _searches(self, given: int | None) -> int | None:
        """How many at each atom, None where no member takes what they find."""
        if any(inputs and "searches" in inputs[0] for inputs in self._inputs):
            if given is not None and given < 1:
                raise InputError(f"--searches: {given}: must be at least 1")
            return given or SEARCHES
        if given is not None:
            names = ", ".join(sorted({member.name for member in self.members}))
            raise InputError(f"--searches: {given}: {names} takes no searches; searched does")
        return None

    def error(self, members: np.ndarray) -> np.ndarray | None:
        """Standard error of each atom's barrier, (atoms,), eV; None without validation glasses.

        From the error that the models' mean made on the validation atoms, whose labels' own noise
        is part of it, and how much the models differ, see `metrics.ensemble_error`. Models with
        other validation atoms have the mean of their own squared errors. Those errors were made
        with as many searches at each atom as in training: with more it is somewhat too large, with
        fewer too small.

        Args:
            members: from `predict_members`.
        """
        errors = [member.errors for member in self.members]
        if not all(map(len, errors)):
            return None
        parts = [_validation(member) for member in self.members]
        if all(part == parts[0] for part in parts):
            return ensemble_error(errors, members)
        squares = np.mean([member.residual**2 for member in self.members])
        return np.full(members.shape[1], np.sqrt(squares))

    def outside(self, atoms: Atoms) -> list[str]:
        """In what a structure lies outside the training glasses: one line a reason.

        Composition and density are compared with the ranges of each model's training data. Where
        a potential is known, the structure has to be a minimum of its energy.
        """
        found = [reason for one in self.members for reason in outside_of(one.data, atoms)]
        reasons = list(dict.fromkeys(found))
        if self._forces_of is not None:
            force = largest_force(atoms, self._forces_of)
            if force > LARGEST_FORCE:
                reasons.append(
                    f"largest force {force:.2f} eV/Å: the model was trained on minima of the "
                    f"energy; relax the structure with {self._forces_of.name}"
                )
        return reasons

    def check_elements(self, atoms: Atoms) -> None:
        """Raise InputError where a structure has an element that the model was not trained on."""
        known = self.members[0].elements
        for number in np.unique(atoms.numbers):
            if number not in known:
                names = ", ".join(chemical_symbols[z] for z in known)
                raise InputError(
                    f"element: {chemical_symbols[number]}: the model was trained on {names} only"
                )


def _validation(member: Trained) -> tuple[str, list[str], int]:
    """Which validation atoms a model has its errors of."""
    splits = member.data["splits"]
    glasses = sorted(name for name, split in splits.items() if split == "validation")
    # an older model knows the hash of all its graphs alone
    hashed = member.data.get("validation_hash", member.data["hash"])
    return hashed, glasses, len(member.errors)


def _known_potential(member: Trained, given: Potential | None) -> Potential:
    """The potential that a model's inputs are computed with.

    Raises:
        InputError: it is not here, or it is another one.
    """
    name = str(member.inputs["potential"])
    if given is None:
        try:
            given = find_potential(name)
        except InputError as error:
            raise InputError(
                f"checkpoint: {error}; give the potential's file with --potential"
            ) from None
    if given.sha256 != member.inputs["potential_sha256"]:
        raise InputError(
            f"checkpoint: potential {name}: the model knows sha256 "
            f"{member.inputs['potential_sha256'][:12]}..., {given.path} has {given.sha256[:12]}..."
        )
    return given


def load_predictor(
    checkpoint: Path | str | Sequence[Path | str],
    device: str = "cpu",
    potential: Path | str | None = None,
    searches: int | None = None,
) -> Predictor:
    """Load one checkpoint, or several as an ensemble.

    Args:
        checkpoint: checkpoint.pt of a training run, the name of a model that comes with the
            program, or a sequence of them.
        device: `cpu` or `cuda`.
        potential: see `Predictor`.
        searches: see `Predictor`.

    Raises:
        InputError: not a checkpoint that this program can use.
    """
    given = [checkpoint] if isinstance(checkpoint, str | Path) else list(checkpoint)
    paths = [path for one in given for path in find_checkpoints(one)]
    return Predictor([load(path) for path in paths], device, potential, searches)
