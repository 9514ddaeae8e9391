"""Which pairs of a region are in reach of the potential, renewed when atoms have moved.

Two lists: candidates, found among all sites, and the pairs themselves, picked out of the
candidates. Each holds until an atom has gone half its skin.
"""

from copy import copy
from typing import NamedTuple

import numpy as np

from symgnn.barriers.eam_kernel import Pairs
from symgnn.barriers.quads import square_distances
from symgnn.barriers.regions import Region
from symgnn.barriers.tables import PackedTables
from symgnn.compiled import njit
from symgnn.errors import InputError
from symgnn.vectors import LANES, read, write

GROUPS = 4  # near pairs of two free atoms, near of a free and a frozen one, and far ones likewise
BLOCK = 256  # candidates at a time
ROOM = 0.75  # memory for candidates, over those of full lists of all atoms
KIND = np.uint8
MOST_ELEMENTS = 11  # twice their pairs, plus one, is a KIND


class Candidates(NamedTuple):
    """Pairs that may come into reach; its arrays go on for `LANES` valid entries after the last."""

    first: np.ndarray  # (candidates,), free atom
    second: np.ndarray  # (candidates,), site
    code: np.ndarray  # (candidates,), twice the kind, plus one if the site's owner is frozen
    group: np.ndarray  # (candidates,), written: which group, GROUPS or more if out of reach


def _empty_candidates(capacity: int, index_type: type) -> Candidates:
    index = np.zeros((2, capacity + LANES), dtype=index_type)
    return Candidates(*index, *np.zeros((2, capacity + LANES), dtype=KIND))


@njit(error_model="numpy", fastmath={"contract"})
def _measure(x, y, z, at, begin, end, square):
    """Squares of the distances of sites `begin` to `end` from site `at`."""
    x0, y0, z0 = x[at], y[at], z[at]
    for k in range(end - begin):
        dx, dy, dz = read(x, begin + k) - x0, read(y, begin + k) - y0, read(z, begin + k) - z0
        write(square, k, dx * dx + dy * dy + dz * dz)


@njit(error_model="numpy")
def _find_candidates(place, owner, species, last_site, reach2, kind_of, candidates):
    """List each pair of a free atom and a site within reach once; return how many there are.

    A pair of free atoms stands at the lower one; of an atom's own images every second one counts,
    because the opposite image makes the same pair. Sites from `last_site[i]` on are out of reach.

    Args:
        place: (3, sites), Å.
        owner: (sites,).
        species: (owners,).
        last_site: (free,).
        reach2: (E, E), Å², by element.
        kind_of: (E, E), by element.
        candidates: written; where they do not suffice, the number tells what would.
    """
    x, y, z = place[0].copy(), place[1].copy(), place[2].copy()
    square, near = np.empty(len(x)), np.empty(len(x) + 1, dtype=np.int32)
    free, furthest2 = len(last_site), reach2.max()
    count, capacity = 0, len(candidates.first) - LANES
    for i in range(free):
        begin = i + 1
        _measure(x, y, z, i, begin, last_site[i], square)
        found = 0
        for k in range(last_site[i] - begin):
            near[found] = begin + k
            found += square[k] < furthest2
        for s in near[:found]:
            o = owner[s]
            if square[s - begin] >= reach2[species[i], species[o]] or o < i:
                continue
            if o == i and (x[s] - x[i], y[s] - y[i], z[s] - z[i]) <= (0.0, 0.0, 0.0):
                continue
            if count < capacity:
                candidates.first[count], candidates.second[count] = i, s
                candidates.code[count] = 2 * kind_of[species[i], species[o]] + (o >= free)
            count += 1
    return count


@njit(error_model="numpy")
def _sort_candidates(site, candidates, count, near2, far2, number):
    """Find the group of every candidate, and how many each group has."""
    first, second, code, group = candidates
    square = np.empty(BLOCK)
    for begin in range(0, count, BLOCK):
        block = min(BLOCK, count - begin)
        for k in range(0, block, LANES):
            square_distances(site, first, second, begin + k, square, k)
        for k in range(block):
            c = code[begin + k]
            kind, r2 = c >> 1, square[k]
            group[begin + k] = (c & 1) + 2 * (r2 >= near2[kind]) + 4 * (r2 >= far2[kind])
    for g in range(GROUPS):
        found = 0
        for k in range(count):
            found += group[k] == g
        number[g] = found


@njit(error_model="numpy")
def _fill_pairs(candidates, count, owner, elements, chosen, pairs):
    """Write the candidates in reach, group by group; `chosen` is scratch memory."""
    first, second, code, group = candidates
    filled = 0
    for g in range(GROUPS):
        found = 0
        for k in range(count):
            chosen[found] = k
            found += group[k] == g
        for k in chosen[:found]:
            s, kind = second[k], code[k] >> 1
            pairs.first[filled], pairs.second[filled], pairs.other[filled] = first[k], s, owner[s]
            pairs.kind[filled] = kind
            pairs.kind_back[filled] = kind % elements * elements + kind // elements
            filled += 1


@njit(error_model="numpy")
def furthest(position, listed):
    """Square of the longest way that an atom has gone, Å²."""
    longest = 0.0
    for i in range(len(listed)):
        way = 0.0
        for x in range(3):
            way += (position[i, x] - listed[i, x]) ** 2
        longest = max(longest, way)
    return longest


def _empty_pairs(capacity: int, index_type: type) -> Pairs:
    index = np.zeros((3, capacity + LANES), dtype=index_type)
    return Pairs(*index, *np.zeros((2, capacity + LANES), dtype=KIND), near=0, total=0)


class PairList:
    """Pairs of a region's free atoms with the sites around them.

    In `pairs` the near ones stand before the far ones, and in both those of two free atoms before
    those of a free and a frozen one.

    Args:
        region: the region.
        tables: the potential.
        skin: how far beyond their reach pairs are listed, Å.
        candidate_skin: how far beyond that candidates are listed, Å.

    Attributes:
        pairs: the list.
        reached: owners on which the free atoms lay, or laid, density.

    Raises:
        InputError: the potential has more elements than the list can count.
    """

    def __init__(
        self, region: Region, tables: PackedTables, skin: float, candidate_skin: float = 2.0
    ):
        self._region, self._skin, self._candidate_skin = region, skin, candidate_skin
        self._elements = len(tables.pair)
        if self._elements > MOST_ELEMENTS:
            raise InputError(f"{self._elements} elements: must be at most {MOST_ELEMENTS}")
        # Narrow where that suffices, as the lists of many regions share the cache.
        self._index = np.uint16 if len(region.site_owner) < 1 << 16 else np.int32
        # Where the densities are symmetric, one table of two serves both orders of the elements.
        kind = np.arange(self._elements**2, dtype=KIND).reshape(self._elements, self._elements)
        self._kind_of = np.minimum(kind, kind.T) if tables.symmetric else kind
        self._near2, self._far2 = (
            np.where(reach > 0, (reach + skin) ** 2, 0.0).ravel()
            for reach in (tables.density_reach, tables.pair_reach)
        )
        self._reach = tables.pair_reach + skin + candidate_skin
        distance = np.linalg.norm(region.site_position(region.position), axis=1)
        self._site_distance = np.maximum.accumulate(distance[region.free :])
        self._candidates, self._count = _empty_candidates(0, self._index), 0
        self._found_at = np.full_like(region.position, np.inf)
        self._listed_at = self._found_at
        self._is_reached = np.arange(len(region.owners)) < region.free
        self._memory = _empty_pairs(0, self._index)
        self.pairs = self._memory
        self.reached = np.arange(region.free, dtype=np.int32)

    def copy(self) -> "PairList":
        """A list in the same state, with memory of its own."""
        other = copy(self)
        other._candidates = Candidates(*(array.copy() for array in self._candidates))
        other._memory = Pairs(*(array.copy() for array in self._memory[:5]), near=0, total=0)
        other.pairs = other._memory._replace(near=self.pairs.near, total=self.pairs.total)
        other._is_reached = self._is_reached.copy()
        return other

    def renew(self, position: np.ndarray, site: np.ndarray) -> bool:
        """Make the list hold for these positions; tells whether it is a new one.

        Args:
            position: (free, 3), Å.
            site: (4 sites,), Å, the sites at these positions.
        """
        if furthest(position, self._listed_at) <= (0.5 * self._skin) ** 2:
            return False
        if furthest(position, self._found_at) > (0.5 * self._candidate_skin) ** 2:
            self._find(position, site)
        number = np.zeros(GROUPS, dtype=np.int64)
        _sort_candidates(site, self._candidates, self._count, self._near2, self._far2, number)
        total, near = int(number.sum()), int(number[:2].sum())
        if total + LANES > len(self._memory.first):
            self._memory = _empty_pairs(total + total // 8, self._index)
        chosen = np.empty(self._count + 1, dtype=np.int32)
        owner = self._region.site_owner
        _fill_pairs(self._candidates, self._count, owner, self._elements, chosen, self._memory)
        self.pairs = self._memory._replace(near=near, total=total)
        self._is_reached[self.pairs.other[number[0] : near]] = True
        self.reached = np.flatnonzero(self._is_reached).astype(np.int32)
        self._listed_at = position.copy()
        return True

    def _find(self, position: np.ndarray, site: np.ndarray) -> None:
        region = self._region
        # Sites stand in the order of their distance at the start, when none had moved.
        moved = 2.0 * np.sqrt(furthest(position, region.position))
        outer = np.linalg.norm(region.position, axis=1) + self._reach.max() + moved
        last = region.free + np.searchsorted(self._site_distance, outer)
        place = np.ascontiguousarray(site.reshape(-1, 4)[:, :3].T)
        arguments = (
            place,
            region.site_owner,
            region.owner_species,
            last,
            self._reach**2,
            self._kind_of,
        )
        if not self._count:
            around = np.count_nonzero(np.einsum("xs,xs->s", place, place) < self._reach.max() ** 2)
            self._candidates = _empty_candidates(int(ROOM * region.free * around), self._index)
        count = _find_candidates(*arguments, self._candidates)
        room = count + count // 8 + LANES
        if count + LANES > len(self._candidates.first):
            self._candidates = _empty_candidates(room, self._index)
            _find_candidates(*arguments, self._candidates)
        # Copies take no more along than they need.
        self._candidates = Candidates(*(array[:room] for array in self._candidates))
        self._count = count
        self._found_at = position.copy()
