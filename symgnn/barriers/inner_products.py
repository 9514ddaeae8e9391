"""Inner products and sums of the rows of a batch, on which nothing else in the batch acts.

The compiled functions are for one row on a processor, the others for many at once.
"""

from torch import Tensor

from symgnn.compiled import njit


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner products along the last axis."""
    return total(a * b)


def total(terms: Tensor) -> Tensor:
    """Sum along the last axis, in an order that does not depend on the other axes."""
    return terms.sum(-1) if terms.device.type == "cpu" else folded_sum(terms)


def folded_sum(terms: Tensor) -> Tensor:
    """Sum along the last axis by adding halves, for GPUs.

    Their own sums go in an order that depends on how many rows there are, and a search must not
    depend on the others in its batch.
    """
    while (count := terms.shape[-1]) > 1:
        half = count // 2
        folded = terms[..., :half] + terms[..., half : 2 * half]
        if count % 2:
            folded[..., 0] += terms[..., -1]
        terms = folded
    return terms[..., 0]


def normalized(vector: Tensor) -> Tensor:
    """Vectors of unit length along the last axis."""
    return vector / dot(vector, vector).sqrt().unsqueeze(-1)


@njit(error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
def inner(a, b):
    """Inner product of two vectors."""
    total = 0.0
    for x in range(len(a)):
        total += a[x] * b[x]
    return total


@njit(error_model="numpy", fastmath={"contract"})
def add_multiple(a, factor, b):
    """Add `factor` times `b` to `a`."""
    for x in range(len(a)):
        a[x] += factor * b[x]
