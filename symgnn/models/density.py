"""An invariant network on projections of the neighbours' density: the strong, fast model.

Each layer projects its neighbours' features on radial functions and spherical harmonics, as the
atomic cluster expansion does (Drautz 2019, doi:10.1103/PhysRevB.99.014104; message passing as in
MACE, arXiv:2206.07697), and makes rotation-invariant numbers of the projections. All learned
weights act on atoms; an edge only adds its share to a sum, which makes a layer cheap: an atom has
some 30 edges.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing

from symgnn.descriptors import response
from symgnn.descriptors.registry import input_size
from symgnn.models.blocks import many_edges, target_blocks
from symgnn.models.elements import ElementEmbedding
from symgnn.models.inputs import MODEL_INPUTS
from symgnn.models.normalization import RunningNorm
from symgnn.models.radial import RadialBasis, spherical_harmonics
from symgnn.models.ridge import LinearFit

if TYPE_CHECKING:
    from symgnn.training.batches import Batch

DEGREES = (1, 3, 5, 7)  # components of l = 0, 1, 2, 3


class DensityProjection(MessagePassing):
    """Sum over the neighbours j of h_j R_n(r_ij) Y_lm(r_ij): (atoms, channels, n, lm).

    The sum is one product of small matrices an atom, over its neighbours padded to the largest
    number of them.
    """

    def __init__(self):
        super().__init__(aggr="add")

    def forward(self, node: Tensor, edge_index: Tensor, slot: Tensor, geometry: Tensor) -> Tensor:
        """Project.

        Args:
            node: (atoms, channels), h.
            edge_index: (2, edges).
            slot: (edges,), place of each edge in the padded (atoms * places) list.
            geometry: (atoms, places, n * lm), R_n Y_lm of each place; zero where it is empty.

        Returns:
            (atoms, channels, n * lm).
        """
        return self.propagate(edge_index, node=node, slot=slot, geometry=geometry)

    def message(self, node_j: Tensor) -> Tensor:
        """What the source of each edge sends, (edges, channels)."""
        return node_j

    def aggregate(self, inputs: Tensor, slot: Tensor, geometry: Tensor) -> Tensor:
        """The sum over the neighbours of each atom."""
        atoms, places, _ = geometry.shape
        padded = inputs.new_zeros(atoms * places, inputs.shape[1]).index_copy(0, slot, inputs)
        return padded.view(atoms, places, -1).transpose(1, 2) @ geometry


class DensityLayer(nn.Module):
    """Projections, invariants of second order, and a residual update of the atoms.

    For each l two linear mixtures P and Q of the projections are learned; the invariants are
    sum over m of P_lm Q_lm, and P_00.

    Args:
        width: length of the atoms' features.
        channels: features of a neighbour that are projected.
        radial: number of radial functions.
        products: number of mixtures.
        dropout: share of the new features that training drops.
    """

    in_blocks = True

    def __init__(self, width: int, *, channels: int, radial: int, products: int, dropout: float):
        super().__init__()
        self.send = nn.Linear(width, channels)
        self.project = DensityProjection()
        size = channels * radial
        self.mixtures = nn.Parameter(torch.randn(len(DEGREES), 2 * products, size) / size**0.5)
        self.norm = RunningNorm((len(DEGREES) + 1) * products)
        self.update = nn.Sequential(
            nn.Linear((len(DEGREES) + 1) * products + width, 2 * width),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
        )

    def forward(
        self, node: Tensor, own: Tensor, edge_index: Tensor, slot: Tensor, geometry: Tensor
    ) -> Tensor:
        """New features of the targets, (targets, width).

        Args:
            node: (atoms, width), of all atoms.
            own: (targets, width), of those that get new features.
            edge_index: see `DensityProjection.forward`, and the next two.
            slot: of the edges.
            geometry: of the targets.
        """
        projection = self.project(self.send(node), edge_index, slot, geometry)
        atoms, channels, _ = projection.shape
        by_radius = projection.view(atoms, channels, -1, sum(DEGREES)).flatten(1, 2)
        invariants = []
        for mixture, components in zip(self.mixtures, by_radius.split(DEGREES, -1), strict=True):
            first, second = (mixture @ components).chunk(2, dim=1)
            invariants.append((first * second).mean(-1))
            if components.shape[-1] == 1:
                invariants.append(first.squeeze(-1))
        found = self.norm(torch.cat(invariants, -1))
        return own + self.update(torch.cat([found, own], -1))


class DensityNetwork(nn.Module):
    """Layers of density projections; exactly invariant under O(3) and permutations.

    Args:
        elements: atomic numbers that the model knows.
        width: length of the atoms' features.
        layers: number of layers; each reaches one cutoff further.
        channels: features of a neighbour that a layer projects.
        radial: number of radial functions.
        products: learned mixtures of the projections, for each l.
        dropout: share of a layer's new features that training drops.
        reach: where the radial functions end, Å; edges beyond it do not count.
    """

    def __init__(
        self,
        elements: Sequence[int],
        *,
        width: int = 64,
        layers: int = 3,
        channels: int = 8,
        radial: int = 8,
        products: int = 32,
        dropout: float = 0.1,
        reach: float = 5.0,
    ):
        super().__init__()
        self.embedding = ElementEmbedding(elements, width)
        self.radial = RadialBasis(radial, cutoff=reach)
        self.layers = nn.ModuleList(
            DensityLayer(
                width, channels=channels, radial=radial, products=products, dropout=dropout
            )
            for _ in range(layers)
        )
        self.decoder = nn.Sequential(
            RunningNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1)
        )

    def forward(self, species: Tensor, edge_index: Tensor, edge_vector: Tensor) -> Tensor:
        """Standardised barriers, (atoms,).

        Args:
            species: (atoms,), atomic numbers.
            edge_index: (2, edges), source and target.
            edge_vector: (edges, 3), Å, source -> target.
        """
        return self._through_layers(self.embedding(species), edge_index, edge_vector)

    def _through_layers(self, node: Tensor, edge_index: Tensor, edge_vector: Tensor) -> Tensor:
        """From the atoms' first features (atoms, width) to their numbers (atoms,)."""
        if many_edges(edge_index):
            return self._in_blocks(node, edge_index, edge_vector)
        slot, geometry = self.padded_geometry(len(node), edge_index[1], edge_vector)
        for layer in self.layers:
            node = layer(node, node, edge_index, slot, geometry)
        return self.decoder(node).squeeze(-1)

    def _in_blocks(self, node: Tensor, edge_index: Tensor, edge_vector: Tensor) -> Tensor:
        """The same for large structures, some atoms at a time."""
        for layer in self.layers:
            new = torch.empty_like(node)
            for atoms, edges in target_blocks(edge_index, len(node)):
                block = torch.stack([edge_index[0, edges], edge_index[1, edges] - atoms.start])
                count = atoms.stop - atoms.start
                slot, geometry = self.padded_geometry(count, block[1], edge_vector[edges])
                new[atoms] = layer(node, node[atoms], block, slot, geometry)
            node = new
        return self.decoder(node).squeeze(-1)

    def padded_geometry(
        self, atoms: int, target: Tensor, edge_vector: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Place of each edge and R_n Y_lm of each place, see `DensityProjection.forward`."""
        slot, places = _slots(atoms, target)
        length = torch.linalg.vector_norm(edge_vector, dim=-1)
        direction = edge_vector / length.unsqueeze(-1)
        harmonics = torch.cat(spherical_harmonics(direction), -1)
        geometry = (self.radial(length).unsqueeze(-1) * harmonics.unsqueeze(-2)).flatten(1)
        padded = geometry.new_zeros(atoms * places, geometry.shape[1]).index_copy(0, slot, geometry)
        return slot, padded.view(atoms, places, -1)


@torch.compiler.disable  # its numbers decide on sizes: torch compiles before it and after it
def _slots(atoms: int, target: Tensor) -> tuple[Tensor, int]:
    """Place of each edge, see `DensityProjection.forward`, and how many places an atom has."""
    order = torch.argsort(target, stable=True)
    count = torch.bincount(target, minlength=atoms)
    places = max(int(count.max()), 1) if len(target) else 1
    first = torch.cumsum(count, 0) - count
    rank = torch.empty_like(target)
    rank[order] = torch.arange(len(target), device=target.device) - first[target[order]]
    return target * places + rank, places


class ResponseNetwork(DensityNetwork):
    """A linear fit to per-atom inputs, and the density network on what is left.

    The inputs say how an atom's surroundings answer to pushes (`symgnn.descriptors.response`) and
    how they look (`symgnn.descriptors.invariants`). With labels as noisy as means of twenty
    searches a linear fit to them is hard to beat; it is solved for before the first epoch. The
    network sees the atom's own answers and the geometry, begins as zero and learns the rest; a
    training may end with the fit alone, see `symgnn.training.loop.train`.
    Exactly invariant, as its inputs are.

    Args:
        elements: atomic numbers that the model knows.
        width: length of the atoms' features.
        layers: number of layers.
        dropout: share of a layer's new features that training drops.
        reach: where the radial functions end, Å.
        level: of the linear fit, see `symgnn.models.ridge.LinearFit`.
    """

    name = "response"  # whose inputs it takes; those of the response are the first

    def __init__(
        self,
        elements: Sequence[int],
        *,
        width: int = 64,
        layers: int = 2,
        dropout: float = 0.2,
        reach: float = 5.0,
        level: float = 0.005,
    ):
        super().__init__(elements, width=width, layers=layers, dropout=dropout, reach=reach)
        inputs = sum(input_size(name, len(elements)) for name in MODEL_INPUTS[self.name])
        self.linear = LinearFit(inputs, level)
        self.own = len(response.names())
        self.enter = nn.Sequential(
            RunningNorm(self.own),
            nn.Linear(self.own, width),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(width, width),
        )
        nn.init.zeros_(self.decoder[-1].weight)
        nn.init.zeros_(self.decoder[-1].bias)

    def prepare(self, batches: "Sequence[Batch]", validation: "Sequence[Batch]" = ()) -> None:
        """Solve for the linear part, before the first epoch."""
        self.linear.solve(batches, validation)

    def forward(
        self, species: Tensor, edge_index: Tensor, edge_vector: Tensor, inputs: Tensor
    ) -> Tensor:
        """Standardised barriers, (atoms,).

        Args:
            species: (atoms,), atomic numbers.
            edge_index: (2, edges), source and target.
            edge_vector: (edges, 3), Å, source -> target.
            inputs: (atoms, inputs), as `symgnn.models.inputs.MODEL_INPUTS` names them.
        """
        fit = self.linear(inputs)
        if not self.training and self._fit_alone():
            return fit
        node = self.embedding(species) + self.enter(inputs[:, : self.own])
        return self._through_layers(node, edge_index, edge_vector) + fit

    def _fit_alone(self) -> bool:
        """Whether the network is as it began, so that it says zero of every atom."""
        last = self.decoder[-1]
        return not bool(last.weight.any() or last.bias.any())


class SearchedNetwork(ResponseNetwork):
    """The same with what searches at each atom find among the inputs of the linear fit.

    See `symgnn.descriptors.searches`; invariant as far as random pushes are.
    """

    name = "searched"
