"""Barriers of a structure from a trained model."""

from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols

from symgnn.errors import InputError
from symgnn.graphs.graph import edges
from symgnn.training.checkpoint import Trained, load


class Predictor:
    """A trained model that takes structures.

    Args:
        trained: from `symgnn.training.checkpoint.load`.
        device: `cpu` or `cuda`.
    """

    def __init__(self, trained: Trained, device: str = "cpu"):
        self.trained = trained
        self._device = device
        self._model = trained.model.to(device)

    @torch.no_grad()
    def predict(self, atoms: Atoms) -> np.ndarray:
        """Energy barrier of each atom, (atoms,) float64, eV.

        Args:
            atoms: a periodic structure of elements that the model knows.

        Raises:
            InputError: an element that the model was not trained on.
        """
        self._check_elements(atoms)
        edge_index, edge_vector = edges(atoms.positions, atoms.cell.array, self.trained.cutoff)
        standardised = self._model(
            torch.from_numpy(atoms.numbers.astype(np.int64)).to(self._device),
            torch.from_numpy(edge_index).to(self._device),
            torch.from_numpy(edge_vector).to(self._device),
        )
        return self.trained.scaling.barrier(standardised.double().cpu().numpy())

    def _check_elements(self, atoms: Atoms) -> None:
        known = self.trained.elements
        for number in np.unique(atoms.numbers):
            if number not in known:
                names = ", ".join(chemical_symbols[z] for z in known)
                raise InputError(
                    f"element: {chemical_symbols[number]}: the model was trained on {names} only"
                )


def load_predictor(checkpoint: Path | str, device: str = "cpu") -> Predictor:
    """Load a checkpoint for predictions.

    Args:
        checkpoint: checkpoint.pt of a training run.
        device: `cpu` or `cuda`.

    Raises:
        InputError: not a checkpoint that this program can use.
    """
    return Predictor(load(checkpoint), device)
