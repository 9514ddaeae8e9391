"""EAM forces on the free atoms of a region, and the densities of a structure."""

from collections.abc import Callable
from copy import copy
from typing import NamedTuple

import numpy as np
from ase import Atoms

from symgnn.barriers.eam_hessian import (
    ForceConstants,
    find_constants,
    iterate,
    make_constants,
    multiply,
)
from symgnn.barriers.eam_kernel import (
    Owners,
    Scratch,
    Tables,
    add_near_densities,
    embed,
    energy_and_forces,
    make_scratch,
    place_sites,
)
from symgnn.barriers.lanczos_kernel import Basis, Stop
from symgnn.barriers.pairs import PairList, furthest
from symgnn.barriers.regions import Region
from symgnn.barriers.tables import PackedTables
from symgnn.compiled import njit
from symgnn.neighbors import linked_cells, most_near, near_atoms


class Workspace:
    """Scratch memory that the regions of a core share, so that it stays in the cache."""

    def __init__(self, symmetric: bool) -> None:
        self._symmetric = symmetric
        self._made: dict[Callable, tuple[tuple[int, ...], NamedTuple]] = {}

    def scratch(self, near: int, owners: int) -> Scratch:
        """Memory for so many near pairs and owners, of no set content."""
        return self._memory(make_scratch, near, owners)

    def constants(self, pairs: int, near: int, owners: int) -> ForceConstants:
        """The same for the force constants of so many pairs, of which some are near."""
        return self._memory(make_constants, pairs, near, owners)

    def _memory(self, make: Callable, *wanted: int) -> NamedTuple:
        """What was made before where it suffices, or else something larger."""
        room, memory = self._made.get(make, ((0,) * len(wanted), None))
        if memory is None or any(many > has for many, has in zip(wanted, room, strict=True)):
            grown = (max(has, many + many // 8) for many, has in zip(wanted, room, strict=True))
            room = tuple(grown)
            memory = make(*room, self._symmetric)
            self._made[make] = room, memory
        return memory


class RegionForces:
    """Energy and forces of one region, with a pair list that is renewed when atoms have moved.

    Energies are relative to the region's start. Atoms that travel so far that sites beyond those
    gathered could matter make `inside` false.

    Args:
        region: the region.
        tables: the potential.
        workspace: shared by the regions of a core.
        skin: how far beyond their reach pairs are listed, Å.
        candidate_skin: how far beyond that candidates for pairs are listed, Å.
    """

    def __init__(
        self,
        region: Region,
        tables: PackedTables,
        *,
        workspace: Workspace,
        skin: float,
        candidate_skin: float,
    ):
        self._region, self._workspace = region, workspace
        self._tables = Tables(
            rows=tables.rows,
            knots=tables.pair.shape[2],
            cutoff=tables.cutoff,
            distance_step=tables.distance_step,
            symmetric=tables.symmetric,
            density_step=tables.density_step,
            embedding=tables.embedding,
            density_max=tables.density_max,
        )
        site = np.zeros((len(region.site_owner), 4))
        site[:, :3] = region.site_offset
        self._site = site.ravel()
        self._moving = np.flatnonzero(region.site_owner < region.free).astype(np.int32)
        self._pairs = PairList(region, tables, skin, candidate_skin)
        self.inside = True
        self._owners = self._at_start()
        self._zero = 0.0
        self._zero = self(region.position)[0]

    def copy(self) -> "RegionForces":
        """Forces of the same region for another search."""
        other = copy(self)
        other._site, other._pairs = self._site.copy(), self._pairs.copy()
        return other

    def _at_start(self) -> Owners:
        """Split the densities at the start into those of free atoms and of all others."""
        region, tables = self._region, self._tables
        density = region.density
        self._follow(region.position)
        own = np.zeros(len(density))
        pairs = self._pairs.pairs
        scratch = self._workspace.scratch(pairs.near, len(self._region.owners))
        add_near_densities(self._site, pairs, tables, own, scratch)
        frozen = slice(region.free, None)
        background, before, slope = np.zeros((3, len(density)))
        background[frozen] = density[frozen] - own[frozen]
        embedding = (tables.density_step, tables.embedding, tables.density_max)
        everyone = np.arange(len(density), dtype=np.int32)
        embed(everyone, density, region.owner_species, *embedding, before, slope)
        return Owners(region.owner_species, background, before)

    def _follow(self, position: np.ndarray) -> None:
        """Move the sites, and renew the pair list where it does not hold any more."""
        region = self._region
        place_sites(position, region.site_offset, region.site_owner, self._moving, self._site)
        if self._pairs.renew(position, self._site):
            self.inside = furthest(position, region.position) < region.travel**2

    def __call__(self, position: np.ndarray) -> tuple[float, np.ndarray]:
        """Energy (eV, relative to the start) and forces (free, 3) in eV/Å."""
        self._follow(position)
        pairs, force = self._pairs.pairs, np.empty(4 * self._region.free)
        energy = energy_and_forces(
            self._site,
            pairs,
            self._tables,
            self._pairs.reached,
            self._owners,
            self._workspace.scratch(pairs.near, len(self._region.owners)),
            force,
        )
        return energy - self._zero, force.reshape(-1, 4)[:, :3]

    def iterate(
        self, position: np.ndarray, basis: Basis, stop: Stop, value: np.ndarray, vector: np.ndarray
    ) -> int:
        """Lanczos iterations with the Hessian at a position; see `lanczos.Hessians`."""
        free = self._region.free
        return iterate(*self._hessian(position), free, basis, stop, value, vector)

    def products(self, position: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """Products of the Hessian at a position with vectors (n, 3 free), eV/Å² over their unit."""
        hessian, found = self._hessian(position), np.empty_like(vectors)
        for vector, product in zip(vectors, found, strict=True):
            multiply(*hessian, vector, product)
        return found

    def _hessian(self, position: np.ndarray) -> tuple:
        """The first arguments of `multiply`."""
        self._follow(position)
        region, pairs, reached = self._region, self._pairs.pairs, self._pairs.reached
        owners = len(region.owners)
        constants = self._workspace.constants(pairs.total, pairs.near, owners)
        scratch = self._workspace.scratch(pairs.near, owners)
        places = self._site, pairs, self._tables, reached, self._owners
        find_constants(*places, scratch, constants)
        return self._site, pairs, reached, owners > region.free, constants

    @property
    def listed_pairs(self) -> int:
        """Number of pairs in the list."""
        return self._pairs.pairs.total


@njit(error_model="numpy")
def _sum_densities(places, reach, most, species, step, table, density):
    who, where = np.empty(most, np.int64), np.empty((most, 3))
    for place in range(len(density)):
        count = near_atoms(place, places, reach, who, where)
        i, total = who[0], 0.0
        for k in range(1, count):
            x, y, z = where[k]
            distance = np.sqrt(x * x + y * y + z * z)
            c = table[species[i], species[who[k]]]
            m = min(int(distance / step), len(c) - 2)
            p = distance / step - m
            rise = c[m + 1, 0] - c[m, 0]
            c2 = 3.0 * rise - 2.0 * c[m, 1] - c[m + 1, 1]
            c3 = c[m, 1] + c[m + 1, 1] - 2.0 * rise
            total += c[m, 0] + p * (c[m, 1] + p * (c2 + p * c3))
        density[i] = total


def structure_densities(atoms: Atoms, species: np.ndarray, tables: PackedTables) -> np.ndarray:
    """Electron density at every atom of a periodic structure, (atoms,)."""
    density, reach = np.zeros(len(atoms)), tables.density_reach.max()
    if reach > 0.0:
        places = linked_cells(atoms.positions, atoms.cell.array, reach, finer=2)
        most = most_near(places, reach)
        _sum_densities(places, reach, most, species, tables.distance_step, tables.pair, density)
    return density
