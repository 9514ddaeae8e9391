"""EAM energy and forces of a row in vectorised torch.

Some eighty operations over all its pairs, whose operands stay in the cache of a processor. The
sums of a row depend on nothing but the row.
"""

import numpy as np
import torch
from torch import Tensor

from symgnn.barriers.batched.layouts import (
    Candidates,
    Layout,
    find_candidates,
    square_distances,
)
from symgnn.barriers.batched.tables import DeviceTables
from symgnn.barriers.batched.torch_pairs import REAL, PairList, Workspace


class Start:
    """A region at the start, shared by the searches at one atom.

    Args:
        layout: the region.
        tables: the potential.
        workspace: memory of the core.
        skin: how far beyond their reach pairs are listed, Å.
        candidate_skin: how far beyond that candidates are kept, Å.
    """

    def __init__(
        self,
        layout: Layout,
        tables: DeviceTables,
        workspace: Workspace,
        *,
        skin: float,
        candidate_skin: float,
    ):
        self.layout, self.tables, self.skin = layout, tables, skin
        self.workspace = workspace
        self.candidates = find_candidates(
            layout, tables, layout.position, skin=candidate_skin, list_skin=skin
        )
        device = layout.position.device
        self._site = layout.place(layout.position)
        self.background = torch.zeros_like(layout.density)
        self.before, _ = embed(layout.density, layout.species * tables.knots, tables)
        self.reached = torch.arange(len(layout.species), device=device) < layout.free
        pairs = self.list_pairs(layout.position, self.candidates)
        own = Evaluation(self, pairs).densities(layout.position)
        self.reached[pairs.reached] = True
        self.background[layout.free :] = layout.density[layout.free :]
        self.background[pairs.reached[layout.free :]] -= own[layout.free :]
        self.zero = torch.zeros((), dtype=REAL, device=device)
        self.pairs = self.list_pairs(layout.position, self.candidates)
        self.zero, _ = Evaluation(self, self.pairs)(layout.position)

    def place(self, position: Tensor) -> Tensor:
        """Places of the sites, (3, sites); they hold until the next call."""
        return self.layout.place(position, self._site)

    def list_pairs(self, position: Tensor, candidates: Candidates) -> PairList:
        """Pick the pairs in reach out of the candidates."""
        c, layout, site = candidates, self.layout, self.place(position)
        square = square_distances(site, c.first, c.second)
        is_near, is_far = square < c.near2, square < c.far2
        is_far &= ~is_near
        groups = [is_far[: c.frozen], is_far[c.frozen :], is_near[c.frozen :], is_near[: c.frozen]]
        chosen = [group.nonzero()[:, 0] for group in groups]
        chosen[1] += c.frozen
        chosen[2] += c.frozen
        begin = np.cumsum([0, *map(len, chosen)]).tolist()
        order = torch.cat(chosen)
        first, second, kind = (of.index_select(0, order) for of in (c.first, c.second, c.kind))
        owner = layout.owner.index_select(0, second)
        free, near = slice(begin[1], begin[3]), slice(begin[2], begin[4])
        reached = self.reached.clone()
        reached[owner[near]] = True
        reached = reached.nonzero()[:, 0]
        rank = torch.empty(len(self.reached), dtype=torch.int64, device=site.device)
        rank[reached] = torch.arange(len(reached), device=site.device)
        elements = self.tables.elements
        back = kind[near] % elements * elements + kind[near] // elements
        index = torch.int16 if layout.sites < 1 << 15 else torch.int32
        self.workspace.grow(len(order))
        return PairList(
            first=first.to(index),
            second=second.to(index),
            kind=kind.to(torch.uint8),
            kind_back=back.to(torch.uint8),
            free=free,
            near=near,
            other_free=owner[free].to(index),
            other=rank[owner[near]].to(index),
            reached=reached,
            background=self.background[reached],
            before=self.before[reached],
            base_embedding=layout.species[reached] * self.tables.knots,
        )


def embed(density: Tensor, base: Tensor, tables: DeviceTables) -> tuple[Tensor, Tensor]:
    """Embedding energies, eV, and their slopes at densities (owners,)."""
    knot = (density * (1.0 / tables.density_step)).floor_().clamp_(0, tables.knots - 1)
    way = torch.sub(density, knot, alpha=tables.density_step)
    place = base + knot.to(base.dtype)
    c0, c1, c2, c3 = (table.index_select(0, place) for table in tables.embedding)
    c3 *= way
    c2 += c3
    c1.addcmul_(way, c2)
    c2 += c3
    return c0.addcmul_(way, c1), c1.addcmul_(way, c2)


class Evaluation:
    """Energy and forces of a row with one pair list.

    Args:
        start: the row's region.
        pairs: the list.
    """

    def __init__(self, start: Start, pairs: PairList):
        self._start, self._pairs, self._tables = start, pairs, start.tables
        count, work = len(pairs.first), start.workspace
        self._reals = [row[:count] for row in work.reals]
        self._near = [row[pairs.near] for row in work.reals]
        self._doubles = [row[:count] for row in work.doubles]
        self._place, self._near_place = work.place[:count], work.place[pairs.near]
        first, second, other, other_free = work.indices
        self._first, self._first_near = first[:count], first[pairs.near]
        self._second = second[:count]
        self._other, self._other_free = other[pairs.near], other_free[pairs.free]
        tables = start.tables.pair
        self._density_table, self._pair_table = list(tables[:4]), list(tables[4:])

    def _measure(self, position: Tensor) -> None:
        """Vectors, distances and table places of all pairs."""
        pairs, r = self._pairs, self._reals
        narrow = r[0].dtype != REAL
        site = self._start.place(position)
        for wide, narrow_index in (
            (self._first, pairs.first),
            (self._second, pairs.second),
            (self._other, pairs.other),
            (self._other_free, pairs.other_free),
        ):
            wide.copy_(narrow_index)
        spare, square = self._doubles[0], r[3]
        for x in range(3):
            across = self._doubles[1] if narrow else r[x]
            torch.index_select(site[x], 0, self._second, out=across)
            torch.index_select(site[x], 0, self._first, out=spare)
            across.sub_(spare)
            if narrow:
                r[x].copy_(across)
        torch.mul(r[0], r[0], out=square)
        square.addcmul_(r[1], r[1]).addcmul_(r[2], r[2])
        distance, knot = r[6], r[5]
        torch.rsqrt(square, out=r[4])
        torch.mul(square, r[4], out=distance)
        torch.mul(distance, 1.0 / self._tables.step, out=knot)
        knot.floor_()
        self._place.copy_(knot)
        distance.sub_(knot, alpha=self._tables.step)
        self._place.add_(pairs.kind, alpha=self._tables.intervals)

    @staticmethod
    def _cubic(table: list[Tensor], place: Tensor, way: Tensor, out: list[Tensor]) -> None:
        """Write value and slope of a function to `out[0]` and `out[1]`; overwrites `out[:4]`."""
        value, slope, c2, c3 = out
        for coefficient, memory in zip(table, out, strict=True):
            torch.index_select(coefficient, 0, place, out=memory)
        c3.mul_(way)
        c2.add_(c3)
        slope.addcmul_(way, c2)  # for now c1 + d (c2 + d c3)
        value.addcmul_(way, slope)
        c2.add_(c3)
        slope.addcmul_(way, c2)

    def _lay(self) -> Tensor:
        """Densities of the reached owners; keeps the slopes over the distance of near pairs."""
        pairs, n = self._pairs, self._near
        total = pairs.background.clone()
        value, slope = n[7], n[8]
        self._cubic(self._density_table, self._near_place, n[6], n[7:11])
        total.scatter_add_(0, self._first_near, value.to(REAL))
        if not self._tables.symmetric:
            slope.mul_(n[4])
            n[12].copy_(slope)
            self._near_place.sub_(pairs.kind[pairs.near], alpha=self._tables.intervals)
            self._near_place.add_(pairs.kind_back, alpha=self._tables.intervals)
            self._cubic(self._density_table, self._near_place, n[6], n[7:11])
        total.scatter_add_(0, self._other, value.to(REAL))
        slope.mul_(n[4])
        return total

    def densities(self, position: Tensor) -> Tensor:
        """Densities (reached,) of the reached owners."""
        self._measure(position)
        return self._lay()

    def _pull(self) -> Tensor:
        """Keep φ'/r of all pairs in `reals[7]` and return the pair energy, eV."""
        r = self._reals
        self._cubic(self._pair_table, self._place, r[6], r[7:11])
        value, slope, per_distance = r[7], r[8], r[4]
        value.mul_(per_distance)
        energy = value.sum(dtype=REAL)
        slope.sub_(value).mul_(per_distance)
        torch.mul(slope, per_distance, out=value)
        return energy

    def __call__(self, position: Tensor) -> tuple[Tensor, Tensor]:
        """Energy, eV, relative to the start, and forces (3, free), eV/Å.

        Args:
            position: (free, 3), Å.
        """
        pairs, r, n = self._pairs, self._reals, self._near
        self._measure(position)
        energy = self._pull()
        pull = n[11].copy_(n[7])
        total = self._lay()
        embedding, rise = embed(total, pairs.base_embedding, self._tables)
        energy = energy + (embedding - pairs.before).sum() - self._start.zero
        rise = rise.to(r[0].dtype)
        back, own = n[8], n[8] if self._tables.symmetric else n[12]
        torch.index_select(rise, 0, self._first_near, out=n[9])
        pull.addcmul_(n[9], own)
        torch.index_select(rise, 0, self._other, out=n[9])
        torch.addcmul(pull, n[9], back, out=n[7])
        force = torch.zeros(3, self._start.layout.free, dtype=r[0].dtype, device=r[0].device)
        for x in range(3):
            r[x].mul_(r[7])
            force[x].scatter_add_(0, self._first, r[x])
        for x in range(3):
            force[x].scatter_add_(0, self._other_free, r[x][pairs.free].neg_())
        return energy, force
