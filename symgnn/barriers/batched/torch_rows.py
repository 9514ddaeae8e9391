"""EAM forces of the rows of a batch in vectorised torch, for devices without a kernel of their own.

One row after the other, each in some eighty operations over all its pairs, whose operands stay
in the cache of a processor. The sums of a row depend on nothing but the row.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from symgnn.barriers.batched.layouts import Candidates, Layout, find_candidates, square_distances
from symgnn.barriers.batched.rows import RowSearch, Space, furthest
from symgnn.barriers.batched.tables import DeviceTables, on_device
from symgnn.barriers.regions import Region
from symgnn.barriers.tables import PackedTables

REAL = torch.float64
RENEWED_SKIN = 2.0  # Å, of candidates that are looked for while a search is under way
PAIR_BYTES, CANDIDATE_BYTES, SITE_BYTES = 10, 40, 80  # a pair counts for one of its two atoms


class Workspace:
    """Memory for numbers a pair, which all rows of a core share."""

    REALS, DOUBLES, INDICES = 13, 2, 4

    def __init__(self, dtype: torch.dtype, device: torch.device | str):
        self._dtype, self._device, self._size = dtype, device, 0
        self.grow(1)

    def grow(self, pairs: int) -> None:
        """Make room for so many pairs; lists made before keep the memory that they had."""
        if pairs > self._size:
            self._size = pairs + pairs // 8
            real = {"dtype": self._dtype, "device": self._device}
            double = {"dtype": REAL, "device": self._device}
            self.reals = torch.empty(self.REALS, self._size, **real)
            self.doubles = torch.empty(self.DOUBLES, self._size, **double)
            integer = {"device": self._device, "dtype": torch.int64}
            self.indices = torch.empty(self.INDICES, self._size, **integer)
            self.place = torch.empty(self._size, dtype=torch.int32, device=self._device)


@dataclass(frozen=True)
class PairList:
    """The pairs of a row: far ones with frozen sites, far ones of free atoms, near ones of free
    atoms, near ones with frozen sites. Near are those in reach of the densities.

    Indices are kept narrow, as the lists of many rows share the cache.

    Attributes:
        first: (pairs,), free atom.
        second: (pairs,), site.
        kind: (pairs,), of the tables.
        kind_back: (near,), the same for the density at the neighbour.
        free: the slice of pairs of two free atoms.
        near: the slice of near pairs.
        other_free: (free pairs,), the other atom.
        other: (near,), place of the other atom among the reached owners.
        reached: (reached,), owners whose density can have changed: first all free atoms.
        background: (reached,), density that others than the free atoms lay.
        before: (reached,), eV, embedding energy at the start.
        base_embedding: (reached,), where the embedding function begins.
    """

    first: Tensor
    second: Tensor
    kind: Tensor
    kind_back: Tensor
    free: slice
    near: slice
    other_free: Tensor
    other: Tensor
    reached: Tensor
    background: Tensor
    before: Tensor
    base_embedding: Tensor


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


class TorchKernel:
    """EAM forces by operations of torch.

    Args:
        tables: the potential.
        density: (atoms of the structure,), densities of the unperturbed structure.
        device: of torch.
        dtype: of the pair functions.
        skin: how far beyond their reach pairs are listed, Å.
        travel: how far an atom may go from its start, Å.
        neighbors: most neighbours within reach and skin of any atom at the start.
    """

    def __init__(
        self,
        tables: PackedTables,
        density: np.ndarray,
        *,
        device: str,
        dtype: torch.dtype,
        skin: float,
        travel: float,
        neighbors: int,
    ):
        self._neighbors = neighbors
        self._device, self._skin, self._travel, self._density = device, skin, travel, density
        self._tables = on_device(
            tables, longest=tables.cutoff + 2.1 * skin, device=device, dtype=dtype
        )
        self._workspace = Workspace(dtype, device)

    def prepare(self, region: Region, space: Space) -> Start:
        """A region, for all searches that start in it."""
        layout = Layout(region, self._tables, self._density, self._device)
        return Start(
            layout,
            self._tables,
            self._workspace,
            skin=self._skin,
            candidate_skin=space.candidate_skin,
        )

    def listed_pairs(self, start: Start) -> tuple[int, int]:
        """Pairs in the list of a region at the start: in reach of the densities, and others."""
        return len(start.pairs.kind_back), len(start.pairs.kind) - len(start.pairs.kind_back)

    def rows(self, size: int, space: Space) -> "TorchRows":
        """Forces for a batch of rows."""
        return TorchRows(size, space.free, travel=self._travel, device=self._device)

    def row_bytes(self, space: Space) -> int:
        """Memory of a row, about: where the atoms of a region crowd it may be more."""
        reach = self._tables.far.max() + self._skin
        wider = ((reach + space.candidate_skin) / reach) ** 3
        pairs = space.free * self._neighbors
        return int(pairs * (PAIR_BYTES + wider * CANDIDATE_BYTES) + space.sites * SITE_BYTES)


class TorchRows:
    """Forces for the rows of a batch.

    Args:
        size: rows.
        capacity: most free atoms of a row.
        travel: how far an atom may go from its start, Å.
        device: where positions and forces live.
    """

    def __init__(self, size: int, capacity: int, *, travel: float, device: torch.device | str):
        self._travel2 = travel * travel
        self._starts: dict[int, Start] = {}
        self._candidates: dict[int, Candidates] = {}
        self._evaluations: dict[int, Evaluation] = {}
        self._listed_at = torch.zeros(size, 3 * capacity, dtype=REAL, device=device)
        self._inside = torch.ones(size, dtype=torch.bool, device=device)

    def take(self, row: int, search: RowSearch) -> None:
        """Give a row to a search that the engine opened."""
        start = search.start
        self._starts[row], self._candidates[row] = start, start.candidates
        self._evaluations[row] = Evaluation(start, start.pairs)
        self._listed_at[row] = 0.0
        self._listed_at[row, : 3 * start.layout.free] = start.layout.position.reshape(-1)
        self._inside[row] = True

    def leave(self, row: int) -> None:
        """Make a row free again."""
        for of in (self._starts, self._candidates, self._evaluations):
            del of[row]

    def of(self, rows: Tensor, trial: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Energies, forces, and whether they hold; see `engines.RowForces`."""
        energy = torch.empty(len(rows), dtype=REAL, device=trial.device)
        force = torch.zeros(len(rows), trial.shape[1], dtype=REAL, device=trial.device)
        self._fill(rows, trial, energy, force)
        return energy, force, self._inside[rows]

    @torch.inference_mode()  # which makes an operation cheaper to begin
    def _fill(self, rows: Tensor, trial: Tensor, energy: Tensor, force: Tensor) -> None:
        """Write energies and forces."""
        moved = furthest(trial[rows], self._listed_at[rows]).tolist()
        for k, row in enumerate(rows.tolist()):
            start = self._starts[row]
            free = start.layout.free
            position = trial[row, : 3 * free].view(free, 3)
            if not moved[k] <= (0.5 * start.skin) ** 2:
                self._renew(row, position)
            energy[k], found = self._evaluations[row](position)
            force[k, : 3 * free].view(free, 3).T.copy_(found)

    def _renew(self, row: int, position: Tensor) -> None:
        """List the pairs of a row anew."""
        start, candidates = self._starts[row], self._candidates[row]
        flat = position.reshape(1, -1)
        if not furthest(flat, candidates.position.view(1, -1)) <= (0.5 * candidates.skin) ** 2:
            candidates = find_candidates(
                start.layout, start.tables, position, skin=RENEWED_SKIN, list_skin=start.skin
            )
            self._candidates[row] = candidates
        self._evaluations[row] = Evaluation(start, start.list_pairs(position, candidates))
        self._listed_at[row, : position.numel()] = flat
        self._inside[row] = furthest(flat, start.layout.position.view(1, -1))[0] < self._travel2
