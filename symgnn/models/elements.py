"""Chemical elements as vectors that are learned."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

HIGHEST_ATOMIC_NUMBER = 118


class ElementEmbedding(nn.Module):
    """A learned vector for each element that a model knows.

    Args:
        elements: atomic numbers, each once.
        width: length of the vectors.
    """

    def __init__(self, elements: Sequence[int], width: int):
        super().__init__()
        place = torch.full((HIGHEST_ATOMIC_NUMBER + 1,), -1)
        place[list(elements)] = torch.arange(len(elements))
        self.register_buffer("place", place)
        self.vectors = nn.Embedding(len(elements), width)

    def forward(self, species: Tensor) -> Tensor:
        """(atoms, width) vectors of (atoms,) atomic numbers; IndexError for unknown elements."""
        return self.vectors(self.place[species])
