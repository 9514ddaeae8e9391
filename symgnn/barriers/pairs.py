"""Which pairs of a region are in reach of the potential, renewed when atoms have moved.

Two lists: candidates, found among all sites, and the pairs themselves, picked out of the
candidates. Each holds until an atom has gone half its skin.
"""

import numpy as np
from numba import njit

from symgnn.barriers.eam_kernel import Pairs
from symgnn.barriers.regions import Region
from symgnn.barriers.tables import PackedTables
from symgnn.barriers.vectors import LANES

GROUPS = 4  # near pairs of two free atoms, near of a free and a frozen one, and far ones likewise
CANDIDATE_SKIN = 2.0  # Å


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def _find_candidates(site, owner, last_site, free, reach, start, candidate):
    """List each pair of a free atom and a site within reach once; return how many there are.

    A pair of free atoms stands at the lower one; of an atom's own images every second one counts,
    because the opposite image makes the same pair. Sites from `last_site[i]` on are out of reach.
    """
    count = 0
    reach2 = reach * reach
    for i in range(free):
        start[i] = count
        x, y, z = site[4 * i], site[4 * i + 1], site[4 * i + 2]
        for s in range(i + 1, last_site[i]):
            dx, dy, dz = site[4 * s] - x, site[4 * s + 1] - y, site[4 * s + 2] - z
            if dx * dx + dy * dy + dz * dz >= reach2:
                continue
            half = dx > 0 or (dx == 0 and (dy > 0 or (dy == 0 and dz > 0)))
            if owner[s] > i or (owner[s] == i and half):
                if count < len(candidate):
                    candidate[count] = s
                count += 1
    start[free] = count
    return count


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def _sort_candidates(site, owner, species, begin, candidate, near2, far2, group, start):
    """Group of every candidate, -1 where it is out of reach, and where the groups' pairs begin."""
    free = len(begin) - 1
    start[:] = 0
    for i in range(free):
        x, y, z = site[4 * i], site[4 * i + 1], site[4 * i + 2]
        for k in range(begin[i], begin[i + 1]):
            s = candidate[k]
            dx, dy, dz = site[4 * s] - x, site[4 * s + 1] - y, site[4 * s + 2] - z
            r2 = dx * dx + dy * dy + dz * dz
            a, b = species[i], species[owner[s]]
            group[k] = -1
            if r2 < far2[a, b]:
                group[k] = 2 * (r2 >= near2[a, b]) + (owner[s] >= free)
                start[group[k], i + 1] += 1
    count = 0
    for g in range(GROUPS):
        start[g, 0] = count
        for i in range(free):
            count += start[g, i + 1]
            start[g, i + 1] = count
    return count


@njit(cache=True, error_model="numpy")
def _fill_pairs(owner, species, begin, candidate, group, start, row_of, pairs):
    place = np.empty(GROUPS, dtype=np.int64)
    for i in range(len(begin) - 1):
        place[:] = start[:, i]
        for k in range(begin[i], begin[i + 1]):
            g = group[k]
            if g < 0:
                continue
            s, at = candidate[k], place[g]
            a, b = species[i], species[owner[s]]
            pairs.first[at], pairs.second[at], pairs.other[at] = i, s, owner[s]
            pairs.row[at], pairs.row_back[at] = row_of[a, b], row_of[b, a]
            place[g] += 1


@njit(cache=True, error_model="numpy")
def furthest(position, listed):
    """Square of the longest way that an atom has gone, Å²."""
    longest = 0.0
    for i in range(len(listed)):
        way = 0.0
        for x in range(3):
            way += (position[i, x] - listed[i, x]) ** 2
        longest = max(longest, way)
    return longest


def _empty_pairs(capacity: int) -> Pairs:
    arrays = np.zeros((5, capacity + LANES), dtype=np.int32)
    return Pairs(*arrays, near=0, total=0)


class PairList:
    """Pairs of a region's free atoms with the sites around them.

    In `pairs` the near ones stand before the far ones, and in both those of two free atoms before
    those of a free and a frozen one.

    Args:
        region: the region.
        tables: the potential.
        skin: how far beyond their reach pairs are listed, Å.

    Attributes:
        pairs: the list.
        reached: owners on which the free atoms lay, or laid, density.
    """

    def __init__(self, region: Region, tables: PackedTables, skin: float):
        self._region, self._skin = region, skin
        elements, knots = tables.pair.shape[1:3]
        rows = 4 * knots * np.arange(elements**2, dtype=np.int32)
        self._row_of = rows.reshape(elements, elements)
        self._near2 = np.where(tables.density_reach > 0, (tables.density_reach + skin) ** 2, 0.0)
        self._far2 = np.where(tables.pair_reach > 0, (tables.pair_reach + skin) ** 2, 0.0)
        self._reach = tables.pair_reach.max() + skin + CANDIDATE_SKIN
        distance = np.linalg.norm(region.site_position(region.position), axis=1)
        self._site_distance = np.maximum.accumulate(distance[region.free :])
        self._begin = np.zeros(region.free + 1, dtype=np.int64)
        self._start = np.zeros((GROUPS, region.free + 1), dtype=np.int64)
        self._candidate = np.empty(0, dtype=np.int32)
        self._group = np.empty(0, dtype=np.int8)
        self._found_at = np.full_like(region.position, np.inf)
        self._listed_at = self._found_at
        self._is_reached = np.arange(len(region.owners)) < region.free
        self._memory = _empty_pairs(0)
        self.pairs = self._memory
        self.reached = np.arange(region.free, dtype=np.int32)

    def renew(self, position: np.ndarray, site: np.ndarray) -> bool:
        """Make the list hold for these positions; tells whether it is a new one.

        Args:
            position: (free, 3), Å.
            site: (4 sites,), Å, the sites at these positions.
        """
        if furthest(position, self._listed_at) <= (0.5 * self._skin) ** 2:
            return False
        if furthest(position, self._found_at) > (0.5 * CANDIDATE_SKIN) ** 2:
            self._find(position, site)
        region, start = self._region, self._start
        kinds = (region.site_owner, region.owner_species)
        found = (self._begin, self._candidate)
        reaches = (self._near2, self._far2)
        total = _sort_candidates(site, *kinds, *found, *reaches, self._group, start)
        if total + LANES > len(self._memory.first):
            self._memory = _empty_pairs(total + total // 8)
        _fill_pairs(*kinds, *found, self._group, start, self._row_of, self._memory)
        self.pairs = self._memory._replace(near=int(start[2, 0]), total=total)
        self._is_reached[self.pairs.other[start[1, 0] : start[1, -1]]] = True
        self.reached = np.flatnonzero(self._is_reached).astype(np.int32)
        self._listed_at = position.copy()
        return True

    def _find(self, position: np.ndarray, site: np.ndarray) -> None:
        region = self._region
        # Sites stand in the order of their distance at the start, when none had moved.
        moved = 2.0 * np.sqrt(furthest(position, region.position))
        outer = np.linalg.norm(region.position, axis=1) + self._reach + moved
        last = region.free + np.searchsorted(self._site_distance, outer)
        arguments = (site, region.site_owner, last, region.free, self._reach, self._begin)
        count = _find_candidates(*arguments, self._candidate)
        if count > len(self._candidate):
            self._candidate = np.empty(count + count // 8, dtype=np.int32)
            self._group = np.empty(len(self._candidate), dtype=np.int8)
            _find_candidates(*arguments, self._candidate)
        self._found_at = position.copy()
