"""Barriers of a structure from one trained model or several."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols

from symgnn.descriptors.registry import describe, input_version
from symgnn.errors import InputError
from symgnn.graphs.graph import edges
from symgnn.potentials import Potential, find_potential
from symgnn.training.checkpoint import Trained, load

# How far outside of the training glasses a structure may lie before a warning.
DENSITY_MARGIN = 0.01  # relative
COMPOSITION_MARGIN = 0.02  # share of atoms


class Predictor:
    """One trained model or several that take structures; several predict by their mean.

    Args:
        members: from `symgnn.training.checkpoint.load`, of one cutoff and the same elements.
        device: `cpu` or `cuda`.

    Raises:
        InputError: the members differ in cutoff or elements.
    """

    def __init__(self, members: Sequence[Trained], device: str = "cpu"):
        first = members[0]
        for other in members[1:]:
            if (other.cutoff, other.elements) != (first.cutoff, first.elements):
                raise InputError("checkpoint: the models differ in cutoff or elements")
        self.members = list(members)
        self._device = device
        for member in members:
            member.model.to(device)

    def predict(self, atoms: Atoms) -> np.ndarray:
        """Energy barrier of each atom, (atoms,) float64, eV; warns where `outside` has a reason.

        Args:
            atoms: a periodic structure of elements that the model knows.

        Raises:
            InputError: an element that the model was not trained on.
        """
        for reason in self.outside(atoms):
            warnings.warn(reason, stacklevel=2)
        return self.predict_members(atoms).mean(0)

    @torch.no_grad()
    def predict_members(self, atoms: Atoms) -> np.ndarray:
        """Energy barrier of each atom from each model, (models, atoms) float64, eV.

        The spread over models that differ in their seed says where they do not know; it leaves
        out the noise of the labels. Time and memory grow with the atoms.

        Raises:
            InputError: an element that the model was not trained on.
        """
        self._check_elements(atoms)
        edge_index, edge_vector = edges(atoms.positions, atoms.cell.array, self.members[0].cutoff)
        tensors = [
            torch.from_numpy(array).to(self._device)
            for array in (atoms.numbers.astype(np.int64), edge_index, edge_vector)
        ]
        del edge_index, edge_vector
        found, described = [], {}
        for member in self.members:
            extra = self._inputs(member, atoms, described)
            standardised = member.model(*tensors, *extra).double().cpu().numpy()
            found.append(member.scaling.barrier(standardised))
        return np.stack(found)

    def _inputs(
        self, member: Trained, atoms: Atoms, described: dict[str, torch.Tensor]
    ) -> list[torch.Tensor]:
        """The per-atom inputs of a model, at most one tensor; `described` keeps what was made."""
        if not member.inputs:
            return []
        potential = _known_potential(member)
        for name in member.inputs["names"]:
            key = f"{name} {potential.sha256} {member.inputs['elements']}"
            if key not in described:
                values = describe(name, atoms, potential, member.inputs["elements"])
                described[key] = torch.from_numpy(values).to(self._device)
        tensors = [
            described[f"{name} {potential.sha256} {member.inputs['elements']}"]
            for name in member.inputs["names"]
        ]
        return [torch.cat(tensors, dim=1)]

    def error(self, members: np.ndarray) -> np.ndarray | None:
        """Standard error of each atom's barrier, (atoms,), eV; None without validation glasses.

        The error that the models made on their validation glasses, whose labels' own noise is part
        of it, and the spread over the models, added in squares.

        Args:
            members: from `predict_members`.
        """
        residuals = np.array([member.residual for member in self.members])
        if not np.isfinite(residuals).all():
            return None
        spread = members.var(0, ddof=1) if len(members) > 1 else np.zeros(members.shape[1])
        return np.sqrt((residuals**2).mean() + spread)

    def outside(self, atoms: Atoms) -> list[str]:
        """In what a structure lies outside the training glasses: one line a reason.

        Composition and density are compared with the ranges of the first model's training data.
        """
        data, reasons = self.members[0].data, []
        density = len(atoms) / abs(atoms.cell.volume)
        low, high = data["density"]
        if not low * (1 - DENSITY_MARGIN) <= density <= high * (1 + DENSITY_MARGIN):
            reasons.append(
                f"density {density:.4f} atoms/Å³: the model was trained on {low:.4f} to {high:.4f}"
            )
        for number, (low, high) in data["composition"].items():
            share = float((atoms.numbers == int(number)).mean())
            if not low - COMPOSITION_MARGIN <= share <= high + COMPOSITION_MARGIN:
                reasons.append(
                    f"{share:.0%} {chemical_symbols[int(number)]}: the model was trained on "
                    f"{low:.0%} to {high:.0%}"
                )
        return reasons

    def _check_elements(self, atoms: Atoms) -> None:
        known = self.members[0].elements
        for number in np.unique(atoms.numbers):
            if number not in known:
                names = ", ".join(chemical_symbols[z] for z in known)
                raise InputError(
                    f"element: {chemical_symbols[number]}: the model was trained on {names} only"
                )


def _known_potential(member: Trained) -> Potential:
    """The potential that a model's inputs are computed with.

    Raises:
        InputError: it is not here, or it is another one of the same name, or this program computes
            the inputs in another way.
    """
    name = str(member.inputs["potential"])
    potential = find_potential(name)
    if potential.sha256 != member.inputs["potential_sha256"]:
        raise InputError(f"checkpoint: potential {name}: it is not the one that the model knows")
    for one, version in member.inputs["versions"].items():
        if one in member.inputs["names"] and version != input_version(one):
            raise InputError(
                f"checkpoint: inputs {one!r}: the model knows version {version} of them, this "
                f"program computes version {input_version(one)}; train it again"
            )
    return potential


def load_predictor(checkpoint: Path | str | Sequence[Path | str], device: str = "cpu") -> Predictor:
    """Load one checkpoint, or several as an ensemble.

    Args:
        checkpoint: checkpoint.pt of a training run, or a sequence of them.
        device: `cpu` or `cuda`.

    Raises:
        InputError: not a checkpoint that this program can use.
    """
    paths = [checkpoint] if isinstance(checkpoint, str | Path) else list(checkpoint)
    return Predictor([load(path) for path in paths], device)
