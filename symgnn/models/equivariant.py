"""An E(3)-equivariant network with e3nn's tensor products, after NequIP (arXiv:2101.03164)."""

import itertools
from collections.abc import Sequence

import torch
from e3nn import nn as equivariant
from e3nn import o3
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing

from symgnn.models.elements import ElementEmbedding
from symgnn.models.radial import RadialBasis


class TensorProductConvolution(MessagePassing):
    """Sum over the neighbours of (features x spherical harmonics), weighted by the length.

    Args:
        incoming: irreps of the node features.
        outgoing: irreps after the layer.
        harmonics: irreps of the edges' directions.
        radial: number of radial functions.
    """

    def __init__(self, incoming: o3.Irreps, outgoing: o3.Irreps, harmonics: o3.Irreps, radial: int):
        super().__init__(aggr="add")
        paths, middle = [], []
        for i, (count, first) in enumerate(incoming):
            for j, (_, second) in enumerate(harmonics):
                for product in first * second:
                    if product in outgoing or product == o3.Irrep("0e"):
                        paths.append((i, j, len(middle), "uvu", True))
                        middle.append((count, product))
        middle = o3.Irreps(middle)
        self.product = o3.TensorProduct(
            incoming, harmonics, middle, paths, shared_weights=False, internal_weights=False
        )
        self.weight = nn.Sequential(
            nn.Linear(radial, 32), nn.SiLU(), nn.Linear(32, self.product.weight_numel)
        )
        scalars = o3.Irreps([(n, ir) for n, ir in outgoing if ir.l == 0])
        gated = o3.Irreps([(n, ir) for n, ir in outgoing if ir.l > 0])
        gates = o3.Irreps([(gated.num_irreps, "0e")]) if gated.dim else o3.Irreps("")
        self.gate = equivariant.Gate(
            scalars, [torch.nn.functional.silu], gates, [torch.sigmoid] * len(gates), gated
        )
        self.mix = o3.Linear(middle.simplify(), self.gate.irreps_in)
        self.skip = o3.Linear(incoming, outgoing)
        self.neighbours = 32.0  # about as many within 5 Å: keeps sums of order one

    def forward(
        self, node: Tensor, edge_index: Tensor, harmonics: Tensor, radial: Tensor
    ) -> Tensor:
        """New node features, (atoms, dimension of outgoing)."""
        weight = self.weight(radial)
        total = self.propagate(edge_index, node=node, harmonics=harmonics, weight=weight)
        return self.skip(node) + self.gate(self.mix(total / self.neighbours**0.5))

    def message(self, node_j: Tensor, harmonics: Tensor, weight: Tensor) -> Tensor:
        """What the source of each edge sends."""
        return self.product(node_j, harmonics, weight)


class TensorProductNetwork(nn.Module):
    """Equivariant messages, invariant predictions; sees lengths and angles.

    Args:
        elements: atomic numbers that the model knows.
        width: number of scalar features; half as many vectors and a quarter tensors of rank two.
        layers: number of convolutions.
        radial: number of radial functions.
        reach: where they end, Å.
    """

    compilable = False  # torch.compile asks e3nn's irreps for a length that they do not have

    def __init__(
        self,
        elements: Sequence[int],
        *,
        width: int = 16,
        layers: int = 3,
        radial: int = 8,
        reach: float = 5.0,
    ):
        super().__init__()
        self.embedding = ElementEmbedding(elements, width)
        self.radial = RadialBasis(radial, cutoff=reach)
        self.harmonics = o3.Irreps("1x0e + 1x1o + 1x2e")
        hidden = o3.Irreps(f"{width}x0e + {max(width // 2, 1)}x1o + {max(width // 4, 1)}x2e")
        scalars = o3.Irreps(f"{width}x0e")
        irreps = [scalars, *[hidden] * (layers - 1), scalars]
        self.layers = nn.ModuleList(
            TensorProductConvolution(a, b, self.harmonics, radial)
            for a, b in itertools.pairwise(irreps)
        )
        self.decoder = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1))

    def forward(self, species: Tensor, edge_index: Tensor, edge_vector: Tensor) -> Tensor:
        """Standardised barriers, (atoms,); arguments as `SymGNN.forward`.

        e3nn multiplies numbers of one kind only, so mixed precision is left off.
        """
        with torch.autocast(edge_vector.device.type, enabled=False):
            return self._in_full_precision(species, edge_index, edge_vector)

    def _in_full_precision(
        self, species: Tensor, edge_index: Tensor, edge_vector: Tensor
    ) -> Tensor:
        harmonics = o3.spherical_harmonics(
            self.harmonics, edge_vector, normalize=True, normalization="component"
        )
        radial = self.radial(torch.linalg.vector_norm(edge_vector, dim=-1))
        node = self.embedding(species)
        for layer in self.layers:
            node = layer(node, edge_index, harmonics, radial)
        return self.decoder(node).squeeze(-1)
