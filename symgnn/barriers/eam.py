"""Compiled EAM forces on the free atoms of a region."""

import numpy as np
from ase import Atoms
from numba import njit

from symgnn import neighbors
from symgnn.barriers.regions import Region
from symgnn.barriers.tables import PackedTables


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def _place_sites(position, site_owner, site_offset, site):
    free = len(position)
    for s in range(len(site_owner)):
        owner = site_owner[s]
        if owner < free:
            for x in range(3):
                site[s, x] = site_offset[s, x] + position[owner, x]


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def _list_pairs(site, site_owner, last_site, free, reach, start, neighbor):
    """List each pair of a free atom and a site within reach once; return how many there are.

    A pair of free atoms stands at the lower one; of an atom's own images every second one counts,
    because the opposite image makes the same pair. Sites from `last_site[i]` on are out of reach.
    """
    count = 0
    reach2 = reach * reach
    for i in range(free):
        start[i] = count
        x, y, z = site[i, 0], site[i, 1], site[i, 2]
        for s in range(i + 1, last_site[i]):
            dx = site[s, 0] - x
            dy = site[s, 1] - y
            dz = site[s, 2] - z
            if dx * dx + dy * dy + dz * dz >= reach2:
                continue
            owner = site_owner[s]
            half = dx > 0 or (dx == 0 and (dy > 0 or (dy == 0 and dz > 0)))
            if owner > i or (owner == i and half):
                if count < len(neighbor):
                    neighbor[count] = s
                count += 1
    start[free] = count
    return count


@njit(cache=True, error_model="numpy", fastmath={"contract"}, inline="always")
def _cubic(table, m, k, p):
    """Value and slope per knot spacing of function k of a table between knots m and m + 1."""
    value, slope, rise = table[m, k], table[m, k + 1], table[m + 1, k] - table[m, k]
    c2 = 3.0 * rise - 2.0 * slope - table[m + 1, k + 1]
    c3 = slope + table[m + 1, k + 1] - 2.0 * rise
    return value + p * (slope + p * (c2 + p * c3)), slope + p * (2.0 * c2 + 3.0 * p * c3)


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def _pair_functions(
    site, site_owner, species, start, neighbor, cutoff, step, table, symmetric, density, slope
):
    """Add the pairs' densities to `density`, keep their slopes, return their energy in eV."""
    free = len(start) - 1
    inverse, last = 1.0 / step, table.shape[2] - 2
    cutoff2 = cutoff * cutoff
    energy = 0.0
    for i in range(free):
        x, y, z = site[i, 0], site[i, 1], site[i, 2]
        kind = species[i]
        own = 0.0
        for k in range(start[i], start[i + 1]):
            s = neighbor[k]
            dx, dy, dz = site[s, 0] - x, site[s, 1] - y, site[s, 2] - z
            r2 = dx * dx + dy * dy + dz * dz
            if r2 >= cutoff2:
                slope[k, 0] = slope[k, 1] = slope[k, 2] = 0.0
                continue
            owner = site_owner[s]
            other = species[owner]
            r = np.sqrt(r2)
            per_distance = 1.0 / r
            m = min(int(r * inverse), last)
            p = r * inverse - m
            value, rise = _cubic(table[kind, other], m, 0, p)
            own += value
            scale = inverse * per_distance
            slope[k, 0] = rise * scale
            if not symmetric:
                value, rise = _cubic(table[other, kind], m, 0, p)
            density[owner] += value
            slope[k, 1] = rise * scale
            value, rise = _cubic(table[kind, other], m, 2, p)
            phi = value * per_distance
            energy += phi
            slope[k, 2] = (rise * inverse - phi) * per_distance * per_distance
        density[i] += own
    return energy


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def embed(density, species, step, table, density_max, energy, slope):
    """Embedding energies (eV) and their slopes at the given densities."""
    last = table.shape[1] - 1
    for i in range(len(density)):
        rho = density[i]
        m = min(int(rho / step), last - 1)
        p = min(rho / step - m, 1.0)
        c = table[species[i], m]
        energy[i] = c[0] + p * (c[1] + p * (c[2] + p * c[3]))
        slope[i] = (c[1] + p * (2.0 * c[2] + 3.0 * p * c[3])) / step
        if rho > density_max:
            energy[i] += slope[i] * (rho - density_max)


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def _gather_forces(site, site_owner, start, neighbor, slope, embedding_slope, force):
    free = len(start) - 1
    force[:] = 0.0
    for i in range(free):
        x, y, z = site[i, 0], site[i, 1], site[i, 2]
        own = embedding_slope[i]
        fx = fy = fz = 0.0
        for k in range(start[i], start[i + 1]):
            s = neighbor[k]
            owner = site_owner[s]
            pull = own * slope[k, 0] + embedding_slope[owner] * slope[k, 1] + slope[k, 2]
            gx, gy, gz = pull * (site[s, 0] - x), pull * (site[s, 1] - y), pull * (site[s, 2] - z)
            fx += gx
            fy += gy
            fz += gz
            if owner < free:
                force[owner, 0] -= gx
                force[owner, 1] -= gy
                force[owner, 2] -= gz
        force[i, 0] += fx
        force[i, 1] += fy
        force[i, 2] += fz


@njit(cache=True, error_model="numpy")
def _furthest(position, listed):
    """Square of the longest way that an atom has gone, Å²."""
    longest = 0.0
    for i in range(len(listed)):
        way = 0.0
        for x in range(3):
            way += (position[i, x] - listed[i, x]) ** 2
        longest = max(longest, way)
    return longest


class Workspace:
    """Memory for the slopes of one region's pairs at a time."""

    def __init__(self) -> None:
        self._slopes = np.empty((0, 3))

    def slopes(self, pairs: int) -> np.ndarray:
        """An array (at least pairs, 3) of no set content."""
        if len(self._slopes) < pairs:
            self._slopes = np.empty((pairs, 3))
        return self._slopes


class RegionForces:
    """Energy and forces of one region, with a pair list that is renewed when atoms have moved.

    Energies are relative to the region's start. Atoms that travel so far that sites beyond those
    gathered could matter make `inside` false.

    Args:
        region: the region.
        tables: the potential.
        density: (atoms of the structure,), densities of the unperturbed structure.
        workspace: shared by the regions of a core, so that it stays in the cache.
        skin: how far beyond the cutoff pairs are listed, Å.
        travel: how far an atom may go from its start, Å.
    """

    def __init__(
        self,
        region: Region,
        tables: PackedTables,
        density: np.ndarray,
        *,
        workspace: "Workspace",
        skin: float,
        travel: float,
    ):
        self._region, self._tables, self._skin = region, tables, skin
        self._travel2 = travel * travel
        self._site = region.site_offset.copy()
        self._start = np.zeros(region.free + 1, dtype=np.int64)
        self._neighbor = np.empty(0, dtype=np.int32)
        self._workspace = workspace
        distance = np.linalg.norm(region.site_position(region.position), axis=1)
        self._site_distance = np.maximum.accumulate(distance[region.free :])
        self._embedding_energy = np.empty(len(region.owners))
        self._embedding_slope = np.empty(len(region.owners))
        self._listed = np.full_like(region.position, np.inf)
        self._background = np.zeros(len(region.owners))
        self._zero = 0.0
        self.inside = True
        frozen = slice(region.free, None)
        own = self._densities(region.position)[0]
        self._background[frozen] = density[region.owners[frozen]] - own[frozen]
        self._zero = self(region.position)[0]

    def _densities(self, position: np.ndarray) -> tuple[np.ndarray, float]:
        region, tables = self._region, self._tables
        _place_sites(position, region.site_owner, region.site_offset, self._site)
        if _furthest(position, self._listed) > (0.5 * self._skin) ** 2:
            self._renew_list(position)
            self._listed = position.copy()
            self.inside = _furthest(position, region.position) < self._travel2
        density = self._background.copy()
        energy = _pair_functions(
            self._site,
            region.site_owner,
            region.owner_species,
            self._start,
            self._neighbor,
            tables.cutoff,
            tables.distance_step,
            tables.pair,
            tables.symmetric,
            density,
            self._workspace.slopes(len(self._neighbor)),
        )
        return density, energy

    def _renew_list(self, position: np.ndarray) -> None:
        region = self._region
        reach = self._tables.cutoff + self._skin
        # Sites stand in the order of their distance at the start, when none had moved.
        moved = 2.0 * np.sqrt(_furthest(position, region.position))
        outer = np.linalg.norm(region.position, axis=1) + reach + moved
        last = region.free + np.searchsorted(self._site_distance, outer)
        arguments = (self._site, region.site_owner, last, region.free, reach, self._start)
        count = _list_pairs(*arguments, self._neighbor)
        if count > len(self._neighbor):
            self._neighbor = np.empty(count + count // 8, dtype=np.int32)
            _list_pairs(*arguments, self._neighbor)

    def __call__(self, position: np.ndarray) -> tuple[float, np.ndarray]:
        """Energy (eV, relative to the start) and forces (free, 3) in eV/Å."""
        region, tables = self._region, self._tables
        density, energy = self._densities(position)
        embed(
            density,
            region.owner_species,
            tables.density_step,
            tables.embedding,
            tables.density_max,
            self._embedding_energy,
            self._embedding_slope,
        )
        force = np.empty((region.free, 3))
        _gather_forces(
            self._site,
            region.site_owner,
            self._start,
            self._neighbor,
            self._workspace.slopes(len(self._neighbor)),
            self._embedding_slope,
            force,
        )
        return energy + self._embedding_energy.sum() - self._zero, force

    @property
    def listed_pairs(self) -> int:
        """Number of pairs in the list."""
        return int(self._start[-1])


@njit(cache=True, error_model="numpy")
def _sum_densities(source, target, distance, species, step, table, density):
    for k in range(len(source)):
        i, j = source[k], target[k]
        m = min(int(distance[k] / step), table.shape[2] - 2)
        p = distance[k] / step - m
        density[i] += _cubic(table[species[i], species[j]], m, 0, p)[0]


def structure_densities(atoms: Atoms, species: np.ndarray, tables: PackedTables) -> np.ndarray:
    """Electron density at every atom of a periodic structure, (atoms,)."""
    found = neighbors.pairs(atoms.positions, atoms.cell.array, tables.cutoff)
    density = np.zeros(len(atoms))
    _sum_densities(
        found.source,
        found.target,
        np.linalg.norm(found.vector, axis=1),
        species,
        tables.distance_step,
        tables.pair,
        density,
    )
    return density
