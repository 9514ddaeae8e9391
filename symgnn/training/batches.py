"""Graphs as tensors, alone and several as one."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor, nn

from symgnn.fields import CONVERGED, COUNTED
from symgnn.graphs.graph import Graph


@dataclass(frozen=True)
class Scaling:
    """Labels are learned as (barrier - mean) / std; both in eV, from training glasses only."""

    mean: float
    std: float

    def standardised(self, barrier: np.ndarray) -> np.ndarray:
        """Barriers in units that a network learns easily."""
        return (barrier - self.mean) / self.std

    def barrier(self, standardised: np.ndarray) -> np.ndarray:
        """Barriers in eV."""
        return standardised * self.std + self.mean


def label_scaling(graphs: Sequence[Graph]) -> Scaling:
    """Mean and standard deviation of the labels of some graphs, unlabelled atoms left out."""
    labels = np.concatenate([graph.barrier for graph in graphs])
    labels = labels[np.isfinite(labels)]
    std = float(labels.std())
    return Scaling(float(labels.mean()), std if std > 0 else 1.0)


@dataclass(frozen=True)
class Batch:
    """One or several graphs as one graph without edges between them.

    Attributes:
        species: (atoms,) int64, atomic numbers.
        edge_index: (2, edges) int64, sorted by target.
        edge_vector: (edges, 3) float32, Å.
        target: (atoms,) float32, standardised barrier, NaN where unlabelled.
        labelled: (labelled atoms,) int64, which atoms have a label.
        weight: (atoms,) float32, of each label in the loss.
        inputs: (atoms, n) float32, per-atom inputs; None for models that have none.
    """

    species: Tensor
    edge_index: Tensor
    edge_vector: Tensor
    target: Tensor
    labelled: Tensor
    weight: Tensor
    inputs: Tensor | None = None

    def to(self, device: torch.device | str) -> "Batch":
        """The same on a device."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return Batch(**{name: t if t is None else t.to(device) for name, t in found.items()})

    def through(self, model: nn.Module) -> Tensor:
        """What a model says of the atoms, (atoms,)."""
        if self.inputs is None:
            return model(self.species, self.edge_index, self.edge_vector)
        return model(self.species, self.edge_index, self.edge_vector, self.inputs)


def as_batch(
    graph: Graph, scaling: Scaling, *, label_noise: float = 0.0, inputs: Sequence[str] = ()
) -> Batch:
    """A graph as tensors.

    Args:
        graph: the graph.
        scaling: of the labels.
        label_noise: see `label_weights`.
        inputs: names of the per-atom inputs, side by side in the batch.
    """
    target = torch.from_numpy(scaling.standardised(graph.barrier)).float()
    return Batch(
        species=torch.from_numpy(graph.species),
        edge_index=torch.from_numpy(graph.edge_index),
        edge_vector=torch.from_numpy(graph.edge_vector),
        target=target,
        labelled=torch.isfinite(target).nonzero().squeeze(-1),
        weight=torch.from_numpy(label_weights(graph, scaling, label_noise)).float(),
        inputs=torch.from_numpy(np.hstack([graph.inputs[name] for name in inputs])).float()
        if inputs
        else None,
    )


def label_weights(graph: Graph, scaling: Scaling, label_noise: float) -> np.ndarray:
    """Weight of each label in the loss, (atoms,) float64, from the number of its searches.

    A mean over n confirmed searches has the variance s^2 / n around the mean over all; a label
    weighs 1 / (1 + s^2 / (n std^2)), the inverse of that variance and of the labels' own together.
    Without `counted` or `converged` in the graph, or with s = 0, all weigh the same.

    Args:
        graph: the graph.
        scaling: has the standard deviation of the labels.
        label_noise: s, standard deviation of the barriers of one atom's searches, eV; of controlled
            means what is left of it, the root of n times the squared `barrier_mean_error`.
    """
    number = graph.atom_fields.get(CONVERGED, np.ones(len(graph.species)))
    searches = graph.atom_fields.get(COUNTED, number)
    noise = (label_noise / scaling.std) ** 2 / np.maximum(searches, 1)
    return 1 / (1 + noise)


def join(batches: Sequence[Batch]) -> Batch:
    """Several graphs as one; atoms are numbered on through them."""
    if len(batches) == 1:
        return batches[0]
    counts = [0, *(len(batch.species) for batch in batches[:-1])]
    starts = np.cumsum(counts).tolist()
    return Batch(
        species=torch.cat([batch.species for batch in batches]),
        edge_index=torch.cat(
            [b.edge_index + start for b, start in zip(batches, starts, strict=True)], dim=1
        ),
        edge_vector=torch.cat([batch.edge_vector for batch in batches]),
        target=torch.cat([batch.target for batch in batches]),
        weight=torch.cat([batch.weight for batch in batches]),
        inputs=None
        if batches[0].inputs is None
        else torch.cat([batch.inputs for batch in batches]),
        labelled=torch.cat([b.labelled + start for b, start in zip(batches, starts, strict=True)]),
    )
