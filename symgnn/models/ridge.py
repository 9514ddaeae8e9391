"""Ridge regression on hand-made invariants: what any group would try first."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from torch import Tensor, nn

from symgnn.descriptors.registry import input_size
from symgnn.models.inputs import MODEL_INPUTS

if TYPE_CHECKING:
    from symgnn.training.batches import Batch

PENALTIES = 10.0 ** torch.arange(-2.0, 6.01, 0.25, dtype=torch.float64)  # that are tried
ROWS_AT_ONCE = 8192  # atoms: copies in double precision are as large as some of a structure
FOLDS = 6  # at most, of the cross-validation that chooses among them
ENOUGH_LABELS = 100  # of validation glasses, to count as much as the cross-validation

Labels = tuple[Tensor, Tensor, Tensor]  # inputs (labels, inputs), targets and weights (labels,)


class RidgeRegression(nn.Module):
    """Linear in standardised invariants, solved for at once; exactly invariant.

    Args:
        elements: atomic numbers that the model knows.
    """

    def __init__(self, elements: Sequence[int]):
        super().__init__()
        inputs = sum(input_size(name, len(elements)) for name in MODEL_INPUTS["ridge"])
        self.linear = LinearFit(inputs)

    def forward(
        self, species: Tensor, edge_index: Tensor, edge_vector: Tensor, inputs: Tensor
    ) -> Tensor:
        """Standardised barriers, (atoms,); only `inputs` (atoms, inputs) counts."""
        return self.linear(inputs)

    def prepare(self, batches: "Sequence[Batch]", validation: "Sequence[Batch]" = ()) -> None:
        """Solve for the weights; nothing is left to train."""
        self.linear.solve(batches, validation)


class LinearFit(nn.Module):
    """Weights of standardised inputs that minimise squared errors and a penalty on their squares.

    A squared error weighs as its label does. The penalty is the one of `PENALTIES` with the least
    mean squared error on glasses that a fit has not seen: that of a cross-validation over the
    training glasses and, where there are any, that on the validation glasses, each glass's own
    level apart, half and half; fewer than `ENOUGH_LABELS` count less. Atoms of one glass say too
    little about each other's errors: neighbours share their rearrangements, so that generalised
    cross-validation over atoms takes penalties that are too small, and so does cross-validation
    over parts of one small glass.

    Args:
        inputs: number of inputs.
        level: variance of a glass's own level (what all its labels have in common beyond the
            inputs) over that of one label; what differs between glasses then counts less than what
            differs within them. 0: none.
    """

    def __init__(self, inputs: int, level: float = 0.0):
        super().__init__()
        self.level = level
        self.register_buffer("mean", torch.zeros(inputs, dtype=torch.float64))
        self.register_buffer("deviation", torch.ones(inputs, dtype=torch.float64))
        self.register_buffer("penalty", torch.zeros((), dtype=torch.float64))
        self.weight = _solved_for(inputs)
        self.bias = _solved_for()

    def forward(self, inputs: Tensor) -> Tensor:
        """Linear in `inputs` (atoms, inputs): (atoms,)."""
        found = [
            ((rows.double() - self.mean) / self.deviation) @ self.weight + self.bias
            for rows in inputs.split(ROWS_AT_ONCE)
        ]
        return torch.cat(found).float()

    @torch.no_grad()
    def solve(self, batches: "Sequence[Batch]", validation: "Sequence[Batch]" = ()) -> None:
        """Set penalty and weights.

        Args:
            batches: a training glass each; a single one is divided into parts that count as
                glasses, each compact in space.
            validation: a glass each.
        """
        parts = [(batch, batch.labelled) for batch in batches if len(batch.labelled)]
        unseen = _labels([(batch, batch.labelled) for batch in validation if len(batch.labelled)])
        if len(parts) == 1:
            (batch, _), *_ = parts
            parts = [(batch, part) for part in _compact_parts(batch)]
        glasses = _labels(parts)
        inputs, target, weight = (torch.cat(parts) for parts in zip(*glasses, strict=True))
        self.mean.copy_(inputs.mean(0))
        self.deviation.copy_(inputs.std(0).clamp(min=1e-9))
        self.bias.copy_((weight.double() * target).sum() / weight.double().sum())
        number = min(FOLDS, len(glasses))
        folds = [self._moments(glasses[k::FOLDS], self.level) for k in range(number)]
        everything = _Moments.sum(folds)
        fits = everything.ridge()
        error = sum(fold.errors((everything - fold).ridge()) for fold in folds) / weight.sum()
        if unseen:
            total = sum(weight.sum() for *_, weight in unseen).clamp(min=ENOUGH_LABELS)
            error = error + self._moments(unseen, level=math.inf).errors(fits) / total
        best = int(error.argmin())
        self.penalty.copy_(PENALTIES[best])
        self.weight.copy_(fits[best])

    def _moments(self, glasses: "Sequence[Labels]", level: float) -> "_Moments":
        """Of inputs, targets and weights of some glasses, whose levels are set apart."""
        found = []
        for inputs, target, weight in glasses:
            x, y, weight = (
                (inputs - self.mean) / self.deviation,
                target - self.bias,
                weight.double(),
            )
            total = weight.sum()
            centre, own = (weight @ x) / total, (weight @ y) / total
            x, y = x - centre, y - own
            weighted = x * weight.unsqueeze(-1)
            between = total / (1.0 + level * total)
            found.append(
                _Moments(
                    x.T @ weighted + between * torch.outer(centre, centre),
                    weighted.T @ y + between * own * centre,
                    weight @ y**2 + between * own**2,
                )
            )
        return _Moments.sum(found)


def _labels(parts: "Sequence[tuple[Batch, Tensor]]") -> list[Labels]:
    """Of some atoms of some glasses."""
    return [(b.inputs[k].double(), b.target[k].double(), b.weight[k]) for b, k in parts]


def _compact_parts(batch: "Batch") -> list[Tensor]:
    """Labelled atoms of a glass by which of a few atoms far from each other is the nearest.

    Distances are along edges. The first of these atoms is the first with a label, each other one
    the furthest with a label from those before. Where no edges lead to some labels, all are shared
    out by their numbers.
    """
    source, target = batch.edge_index.cpu().numpy()
    lengths = batch.edge_vector.norm(dim=1).double().cpu().numpy()
    atoms = len(batch.species)
    bonds = csr_array((lengths, (source, target)), shape=(atoms, atoms))
    labelled = batch.labelled.cpu().numpy()
    center, distances = labelled[0], []
    for _ in range(FOLDS):
        distances.append(dijkstra(bonds, indices=center)[labelled])
        center = labelled[np.min(distances, axis=0).argmax()]
    if not np.isfinite(distances).any(axis=0).all():
        return list(batch.labelled.chunk(FOLDS))
    mine = torch.from_numpy(np.argmin(distances, axis=0)).to(batch.labelled.device)
    return [batch.labelled[mine == k] for k in range(FOLDS) if (mine == k).any()]


class _Moments(NamedTuple):
    """What least squares need to know of some labels y and their standardised inputs X.

    Attributes:
        inputs: XᵀX, (inputs, inputs).
        both: Xᵀy, (inputs,).
        labels: yᵀy.
    """

    inputs: Tensor
    both: Tensor
    labels: Tensor

    @staticmethod
    def sum(several: "Sequence[_Moments]") -> "_Moments":
        return _Moments(*(sum(parts) for parts in zip(*several, strict=True)))

    def __sub__(self, other: "_Moments") -> "_Moments":
        return _Moments(*(mine - theirs for mine, theirs in zip(self, other, strict=True)))

    def ridge(self) -> Tensor:
        """Weights that minimise squared errors and penalty, (penalties, inputs)."""
        value, vector = torch.linalg.eigh(self.inputs)
        shrunk = value.clamp(min=0.0) + PENALTIES.to(value.device).unsqueeze(-1)
        return (self.both @ vector / shrunk) @ vector.T

    def errors(self, weights: Tensor) -> Tensor:
        """Sum of squared errors (n,) of some weights (n, inputs)."""
        squares = ((weights @ self.inputs) * weights).sum(-1)
        return self.labels - 2.0 * weights @ self.both + squares


def _solved_for(*shape: int) -> nn.Parameter:
    """A parameter that is set by a formula and not by an optimiser."""
    return nn.Parameter(torch.zeros(shape, dtype=torch.float64), requires_grad=False)
