"""Glasses in pieces: some atoms and a halo as deep as the network looks.

For the atoms of a piece a local model says the same as on the whole glass: a structure too large
for the memory is predicted piece by piece, and a training step on a few atoms of a glass has the
gradient of these atoms' errors. In training, what is a mean over all atoms of a batch (batch norm,
running statistics) sees the halo as well.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from symgnn.models.blocks import works_in_blocks
from symgnn.models.reach import reach
from symgnn.pieces import Done, divide, unwatched
from symgnn.training.batches import Batch

# Models whose layers have no blocks predict larger structures in pieces, each with its halo, so
# that the memory is that of some 50,000 atoms.
AT_ONCE = 30_000  # atoms
PIECE = 10_000  # atoms, without the halo


@dataclass(frozen=True)
class Piece:
    """Some atoms of a glass with their halo; `batch` makes the tensors.

    Attributes:
        whole: the glass.
        atoms: (n,) int64, ascending: of the piece and its halo.
        edges: (m,) int64, all edges that end at an atom less than `depth` steps away.
        labelled: (k,) int64, positions in `atoms` of the piece's own labelled atoms.
    """

    whole: Batch
    atoms: Tensor
    edges: Tensor
    labelled: Tensor

    def batch(self) -> Batch:
        """The piece as a graph of its own, edges sorted as in the whole."""
        whole = self.whole
        local = torch.empty(len(whole.species), dtype=torch.int64, device=self.atoms.device)
        local[self.atoms] = torch.arange(len(self.atoms), device=self.atoms.device)
        return Batch(
            species=whole.species[self.atoms],
            edge_index=local[whole.edge_index[:, self.edges]],
            edge_vector=whole.edge_vector[self.edges],
            target=whole.target[self.atoms],
            labelled=self.labelled,
            weight=whole.weight[self.atoms],
            inputs=None if whole.inputs is None else whole.inputs[self.atoms],
        )


def piece_of(whole: Batch, own: np.ndarray, depth: int) -> Piece:
    """A piece with its halo.

    Args:
        whole: a glass.
        own: indices of the piece's own atoms.
        depth: steps along edges that a prediction depends on, see `symgnn.models.reach`.
    """
    device = whole.species.device
    mine = torch.zeros(len(whole.species), dtype=torch.bool, device=device)
    mine[torch.from_numpy(own).to(device)] = True
    inside, ends = mine.clone(), torch.zeros_like(whole.edge_index[0], dtype=torch.bool)
    for _ in range(depth):
        ends = inside[whole.edge_index[1]]
        inside[whole.edge_index[0, ends]] = True
    atoms = inside.nonzero().squeeze(-1)
    labelled = (mine[atoms] & torch.isfinite(whole.target[atoms])).nonzero().squeeze(-1)
    return Piece(whole, atoms, ends.nonzero().squeeze(-1), labelled)


@torch.no_grad()
def predict_all(
    model: nn.Module,
    whole: Batch,
    positions: np.ndarray,
    cell: np.ndarray,
    done: Done = unwatched,
) -> Tensor:
    """What a model in evaluation mode says of the atoms of a structure of any size, (atoms,).

    A structure that is too large for a model whose layers have no blocks is done in pieces.

    Args:
        model: a local one, see `symgnn.models.reach`.
        whole: the structure.
        positions: (atoms, 3), Å.
        cell: (3, 3), Å.
        done: called after each part of the work; adds up to all atoms.
    """
    if works_in_blocks(model):
        with _watched(model, len(whole.species), done):
            return whole.through(model)
    if len(whole.species) <= AT_ONCE:
        found = whole.through(model)
        done(len(found))
        return found
    depth = max(reach(model), 1)  # an atom's own edges at least
    whole = replace(whole, target=torch.zeros_like(whole.target))  # every atom is of interest
    found = torch.empty(len(whole.species), device=whole.species.device)
    for own in divide(positions, cell, PIECE):
        piece = piece_of(whole, own, depth)
        found[piece.atoms[piece.labelled]] = piece.batch().through(model)[piece.labelled]
        done(len(own))
    return found


@contextmanager
def _watched(model: nn.Module, atoms: int, done: Done) -> Iterator[None]:
    """Tell of the atoms that each layer has done, a block at a time where it is given blocks.

    A model that does without its layers tells of all atoms at the end.
    """
    layers = [module for module in model.modules() if getattr(module, "in_blocks", False)]
    calls = len(layers) * _passes(model)
    worked = False

    def after(_layer: nn.Module, _given: tuple, found: Tensor | tuple[Tensor, Tensor]) -> None:
        nonlocal worked
        worked = True
        done(len(found[0] if isinstance(found, tuple) else found) / calls)

    hooks = [layer.register_forward_hook(after) for layer in layers]
    try:
        yield
        if not worked:
            done(atoms)
    finally:
        for hook in hooks:
            hook.remove()


def _passes(model: nn.Module) -> int:
    """How often a prediction goes through the layers."""
    if getattr(model, "aggregation", None) != "predictions":
        return 1
    return 2 * model.symmetrization.evaluation_samples
