"""Graphs as tensors, alone and several as one."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

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
    """

    species: Tensor
    edge_index: Tensor
    edge_vector: Tensor
    target: Tensor
    labelled: Tensor

    def to(self, device: torch.device | str) -> "Batch":
        """The same on a device."""
        return Batch(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


def as_batch(graph: Graph, scaling: Scaling) -> Batch:
    """A graph as tensors."""
    target = torch.from_numpy(scaling.standardised(graph.barrier)).float()
    return Batch(
        species=torch.from_numpy(graph.species),
        edge_index=torch.from_numpy(graph.edge_index),
        edge_vector=torch.from_numpy(graph.edge_vector),
        target=target,
        labelled=torch.isfinite(target).nonzero().squeeze(-1),
    )


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
        labelled=torch.cat([b.labelled + start for b, start in zip(batches, starts, strict=True)]),
    )
