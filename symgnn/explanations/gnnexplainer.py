"""GNNExplainer with the squared-error objective, on many receptive fields at once.

Equation 6 of the paper (arXiv:2401.08627): a weight between 0 and 1 on each edge, such that the
prediction with weighted messages is the prediction of the whole, by a squared error, with the
penalties on the size and the entropy of the mask of Ying et al. 2019 (arXiv:1903.03894).

Fields side by side share no edge, the objective is a sum over them, and Adam moves each weight by
its own gradients alone: optimising many masks in one graph gives what optimising them one at a
time gives. `one_at_a_time` is torch-geometric's explainer, and the reference in the tests.
"""

import math
from dataclasses import dataclass

import torch
from torch_geometric.explain import Explainer, GNNExplainer

from symgnn.explanations.receptive_field import Fields
from symgnn.explanations.trimmed import predictor

TINY = 1e-15  # inside the logarithm of the entropy, as in torch-geometric


@dataclass(frozen=True)
class Optimisation:
    """How a mask is found; `docs/explanations.md` says why the defaults are not torch-geometric's.

    Attributes:
        epochs: steps of Adam.
        learning_rate: of Adam, in the logit of a weight.
        size_weight: penalty for the mean weight of a field, squared standardised barrier.
        entropy_weight: penalty for the mean entropy of the weights, squared standardised barrier.
        start: logit of the first weights, to which small random numbers are added. At 6 nearly
            all of every message is there, and edges go as far as they are not missed;
            torch-geometric starts at 0, with half of every message.
    """

    epochs: int = 50
    learning_rate: float = 0.2
    size_weight: float = 1.0
    entropy_weight: float = 0.0
    start: float = 6.0


def optimised_masks(
    model: torch.nn.Module, fields: Fields, *, seeds: list[int], **options: float
) -> torch.Tensor:
    """Masks that keep the predictions of all fields, found together.

    Args:
        model: in evaluation mode; its parameters stay as they are.
        fields: receptive fields.
        seeds: (fields,), seed of each field's first mask.
        options: of `Optimisation`.

    Returns:
        (edges,), weights in [0, 1]; zero where the prediction does not depend on the edge.
    """
    how = Optimisation(**options)
    evaluate = predictor(model, fields)
    with torch.no_grad():
        wanted = evaluate(None)
    logit = (how.start + _first_logits(fields, seeds)).requires_grad_()
    optimiser = torch.optim.Adam([logit], lr=how.learning_rate)
    acts = torch.ones(len(logit), dtype=torch.bool)
    for epoch in range(how.epochs):
        mask = logit.sigmoid()
        loss = (evaluate(mask) - wanted).square().sum()
        if epoch > 0:
            loss = loss + _penalty(mask, acts, fields, how)
        (logit.grad,) = torch.autograd.grad(loss, logit)
        if epoch == 0:
            acts = logit.grad != 0
        optimiser.step()
    return torch.where(acts, logit.detach().sigmoid(), 0.0)


def _first_logits(fields: Fields, seeds: list[int]) -> torch.Tensor:
    """Small random logits, of the width that torch-geometric takes."""
    logits = torch.empty(len(fields.edge))
    atoms = torch.bincount(fields.atom_field, minlength=len(fields))
    edges = torch.bincount(fields.edge_field, minlength=len(fields))
    for field, seed in enumerate(seeds):
        generator = torch.Generator().manual_seed(seed)
        width = math.sqrt(2.0) * math.sqrt(2.0 / (2 * int(atoms[field])))
        own = torch.randn(int(edges[field]), generator=generator) * width
        logits[fields.edge_field == field] = own
    return logits


def _penalty(
    mask: torch.Tensor, acts: torch.Tensor, fields: Fields, how: Optimisation
) -> torch.Tensor:
    """Size and entropy of the masks, averaged over the edges of each field."""
    kept, field = mask[acts], fields.edge_field[acts]
    count = torch.bincount(field, minlength=len(fields))
    entropy = -kept * torch.log(kept + TINY) - (1 - kept) * torch.log(1 - kept + TINY)
    return ((how.size_weight * kept + how.entropy_weight * entropy) / count[field]).sum()


class _NodeRegression(torch.nn.Module):
    """A model in the shape that torch-geometric's Explainer calls: (atoms, 1) in and out."""

    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.model = model

    def forward(
        self, x: torch.Tensor, edge_index: torch.Tensor, edge_vector: torch.Tensor
    ) -> torch.Tensor:
        return self.model(x[:, 0], edge_index, edge_vector)


class _StartingFrom(GNNExplainer):
    """Torch-geometric's explainer with first weights about a logit of our choice.

    Args:
        start: see `Optimisation`.
        options: of `GNNExplainer`.
    """

    def __init__(self, start: float, **options: float):
        super().__init__(**options)
        self.start = start

    def _initialize_masks(self, x: torch.Tensor, edge_index: torch.Tensor) -> None:
        super()._initialize_masks(x, edge_index)
        self.edge_mask.data += self.start


def one_at_a_time(
    model: torch.nn.Module, fields: Fields, *, seeds: list[int], **options: float
) -> torch.Tensor:
    """The mask of one field by `torch_geometric.explain.GNNExplainer`.

    Arguments and result as in `optimised_masks`.

    Raises:
        ValueError: there is more than one field.
    """
    how = Optimisation(**options)
    if len(fields) != 1:
        raise ValueError(f"one field at a time, not {len(fields)}")
    explainer = Explainer(
        model=_NodeRegression(model),
        algorithm=_StartingFrom(
            how.start,
            epochs=how.epochs,
            lr=how.learning_rate,
            edge_size=how.size_weight,
            edge_reduction="mean",
            edge_ent=how.entropy_weight,
        ),
        explanation_type="model",
        edge_mask_type="object",
        model_config={"mode": "regression", "task_level": "node", "return_type": "raw"},
    )
    graph = fields.graph
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeds[0])
        found = explainer(
            graph.species[:, None],
            graph.edge_index,
            index=int(fields.targets[0]),
            edge_vector=graph.edge_vector,
        )
    return found.edge_mask.detach()
