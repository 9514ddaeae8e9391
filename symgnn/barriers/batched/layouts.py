"""A region on a device: its sites, and the pairs of them that may come into reach."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from symgnn.barriers.batched.tables import DeviceTables
from symgnn.barriers.regions import Region

BIN = 0.1  # Å, of distances in which the order of pairs does not matter
BLOCK = 32_768  # distances computed at a time, which stay in a processor's cache
DEVICE_BLOCK = 16_000_000  # the same on a GPU, which bounds its memory


class Layout:
    """What does not change while the atoms of a region move.

    Args:
        region: the region.
        tables: the potential.
        device: where to keep it.

    Attributes:
        free: number of free atoms.
        travel2: square of how far one may go from its start, Å².
        owner: (sites,), which owner a site belongs to; the first `free` of both are free atoms.
        species: (owners,), element numbers.
        position: (free, 3), Å, at the start.
        density: (owners,), at the start.
    """

    def __init__(self, region: Region, tables: DeviceTables, device: torch.device | str):
        self.free, self.sites = region.free, len(region.site_owner)
        self.travel2 = region.travel**2
        self.owner = torch.from_numpy(region.site_owner).to(device, torch.int64)
        self.species = torch.from_numpy(region.owner_species).to(device, torch.int64)
        self.position = torch.from_numpy(region.position).to(device)
        self.density = torch.from_numpy(region.density).to(device)
        self._offset = torch.from_numpy(np.ascontiguousarray(region.site_offset.T)).to(device)
        images = (self.owner[self.free :] < self.free).nonzero()[:, 0] + self.free
        self._images = images if len(images) else None
        distance = np.linalg.norm(region.site_position(region.position), axis=1)
        self._distance = np.maximum.accumulate(distance[self.free :])
        self._tables = tables

    def place(self, position: Tensor, site: Tensor | None = None) -> Tensor:
        """Places of the sites (3, sites), Å, for positions (free, 3) of the free atoms.

        Args:
            position: (free, 3), Å.
            site: what an earlier call returned; its moving sites are written anew.
        """
        site = self._offset.clone() if site is None else site
        site[:, : self.free] = position.T
        if self._images is not None:
            moved = position[self.owner[self._images]].T
            site[:, self._images] = self._offset[:, self._images] + moved
        return site

    def pairs(self, position: Tensor, skin: float) -> tuple[Tensor, Tensor]:
        """Pairs (atom, site) of free atoms and sites within reach plus `skin`, each once.

        A pair of free atoms stands at the lower one; of an atom's own images every second one
        counts, because the opposite image makes the same pair.
        """
        site = self.place(position)
        reach = np.where(self._tables.far > 0, self._tables.far + skin, 0.0)
        # Sites stand in the order of their distance at the start, when none had moved.
        moved = 2.0 * float((position - self.position).norm(dim=1).max())
        outer = position.norm(dim=1).cpu().numpy() + reach.max() + moved
        block = BLOCK if site.device.type == "cpu" else DEVICE_BLOCK
        found, begin = [], 0
        while begin < self.free:
            end = min(self.free, begin + max(1, block // (self.sites - begin)))
            last = self.free + int(np.searchsorted(self._distance, outer[begin:end].max()))
            # Pairs with free atoms before `begin` stand at those.
            square = torch.zeros(end - begin, last - begin, dtype=site.dtype, device=site.device)
            for x in site:
                across = x[begin:last] - x[begin:end, None]
                square.addcmul_(across, across)
            found.append((square < reach.max() ** 2).nonzero().add_(begin))
            begin = end
        first, second = (index.contiguous() for index in torch.cat(found).T)
        counted = self._counted(first, second, site, torch.from_numpy(reach**2).to(site))
        return first.index_select(0, counted), second.index_select(0, counted)

    def _counted(self, first: Tensor, second: Tensor, site: Tensor, reach2: Tensor) -> Tensor:
        """Which of the pairs are in reach of their species and not the second of two equal ones."""
        owner = self.owner.index_select(0, second)
        counted = owner > first
        same = (owner == first).nonzero()[:, 0]
        x, y, z = site[:, second[same]] - site[:, first[same]]
        counted[same] = (x > 0) | ((x == 0) & ((y > 0) | ((y == 0) & (z > 0))))
        if len(reach2) > 1 and reach2.min() < reach2.max():
            kind = self.species.index_select(0, first) * len(reach2)
            kind += self.species.index_select(0, owner)
            counted &= square_distances(site, first, second) < reach2.view(-1)[kind]
        return counted.nonzero()[:, 0]


def square_distances(site: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Squares of the distances between sites (3, sites), Å²."""
    square = torch.zeros(len(first), dtype=site.dtype, device=site.device)
    for x in site:
        across = x.index_select(0, second).sub_(x.index_select(0, first))
        square.addcmul_(across, across)
    return square


def by_distance(square: Tensor, kind: Tensor) -> Tensor:
    """An order of pairs in which those that look up the tables at near places are neighbours."""
    key = square.sqrt().div_(BIN).clamp_(max=255).to(torch.int16).add_(kind << 8)
    order = np.argsort(key.cpu().numpy(), kind="stable")  # a radix sort, many times torch's speed
    return torch.from_numpy(order).to(square.device)


@dataclass(frozen=True)
class Candidates:
    """Pairs that may come into reach until an atom has gone half the skin from where it was.

    Those with frozen sites stand before those of two free atoms, both in the order of their kinds
    and distances: then table look-ups of neighbouring pairs are near, and their atoms are not, as
    sums over pairs of the same atom in a row would wait for one another.

    Attributes:
        first: (candidates,), free atom.
        second: (candidates,), site.
        frozen: number of pairs with a frozen site.
        near2, far2: (candidates,), Å², squares of the distances at which they are listed.
        kind: (candidates,), of the tables.
        position: (free, 3), Å, where the atoms were.
        skin: Å.
    """

    first: Tensor
    second: Tensor
    frozen: int
    near2: Tensor
    far2: Tensor
    kind: Tensor
    position: Tensor
    skin: float


def find_candidates(
    layout: Layout, tables: DeviceTables, position: Tensor, *, skin: float, list_skin: float
) -> Candidates:
    """Look for candidates among all sites.

    Args:
        layout: the region.
        tables: the potential.
        position: (free, 3), Å.
        skin: how far beyond the pairs of a list candidates are kept, Å.
        list_skin: how far beyond their reach pairs are listed, Å.
    """
    first, second = layout.pairs(position, skin + list_skin)
    owner = layout.owner.index_select(0, second)
    kind = tables.kind_of[
        layout.species.index_select(0, first) * tables.elements
        + layout.species.index_select(0, owner)
    ]
    order = by_distance(square_distances(layout.place(position), first, second), kind)
    free = owner.index_select(0, order) < layout.free
    order = torch.cat([order[~free], order[free]])
    first, second, kind = (of.index_select(0, order) for of in (first, second, kind))

    def listed(reach: np.ndarray) -> Tensor:
        square = np.where(reach > 0, (reach + list_skin) ** 2, 0.0)
        return torch.from_numpy(square.ravel()).to(position).index_select(0, kind)

    return Candidates(
        first=first,
        second=second,
        frozen=len(first) - int(free.sum()),
        near2=listed(tables.near),
        far2=listed(tables.far),
        kind=kind,
        position=position.clone(),
        skin=skin,
    )
