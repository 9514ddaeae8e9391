"""The local region of a search: free atoms around a target inside a frozen periodic structure.

Only the free atoms move. The frozen atoms keep their places but not their embedding: the density
that the free atoms lay on them changes, so that the force on a free atom is exactly what the full
periodic structure would give.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms
from scipy.spatial import cKDTree


@dataclass(frozen=True)
class Region:
    """Free atoms of one search and every place in the crystal of images that they can feel.

    A site is an atom or a periodic image of one. The first `free` owners and sites are the free
    atoms themselves; a site whose owner is free moves with it.

    Attributes:
        target: index of the target in the structure.
        atoms: (free,), indices of the free atoms; the target is the first.
        position: (free, 3), Å, relative to the target.
        owners: (owners,), indices of the free and then of the frozen atoms in the structure.
        owner_species: (owners,), element number in the tables.
        density: (owners,), electron density at the owners at the start.
        travel: how far a free atom may go from its start, Å, before sites that are not here matter.
        site_owner: (sites,), which owner a site belongs to.
        site_offset: (sites, 3), Å: the place of a frozen site, the lattice vector of a moving one.
    """

    target: int
    atoms: np.ndarray
    position: np.ndarray
    owners: np.ndarray
    owner_species: np.ndarray
    density: np.ndarray
    travel: float
    site_owner: np.ndarray
    site_offset: np.ndarray

    @property
    def free(self) -> int:
        """Number of free atoms."""
        return len(self.atoms)

    def site_position(self, position: np.ndarray) -> np.ndarray:
        """Places of all sites (sites, 3), Å, where the free atoms are at `position`."""
        moving = self.site_owner < self.free
        place = self.site_offset.copy()
        place[moving] += position[self.site_owner[moving]]
        return place


def displaced(region: Region, displacement: np.ndarray, density: np.ndarray) -> Region:
    """A region whose atoms and surroundings start where all atoms of the structure have moved.

    Args:
        region: the region at the structure's own places.
        displacement: (atoms of the structure, 3), Å.
        density: (atoms of the structure,), electron densities where they have moved.
    """
    moving = region.site_owner < region.free
    offset = region.site_offset.copy()
    offset[~moving] += displacement[region.owners[region.site_owner[~moving]]]
    moved = replace(
        region,
        position=region.position + displacement[region.atoms],
        density=density[region.owners],
        site_offset=offset,
    )
    # Behind the free atoms, sites stand in the order of their distance at the start.
    distance = np.linalg.norm(moved.site_position(moved.position), axis=1)
    behind = region.free + np.argsort(distance[region.free :], kind="stable")
    order = np.concatenate([np.arange(region.free), behind])
    return replace(moved, site_owner=region.site_owner[order], site_offset=offset[order])


def whole(
    atoms: Atoms, *, reach: float, travel: float, species: np.ndarray, density: np.ndarray
) -> Region:
    """The region in which every atom of a structure is free, in the structure's order.

    Args:
        atoms: periodic structure.
        reach: the potential's cutoff, plus the skin of the pair list, Å.
        travel: how far an atom may go, Å; images are gathered so much further around the cell.
        species: (atoms,), element numbers in the tables.
        density: (atoms,), electron densities.
    """
    cell = atoms.cell.array
    fractional = (atoms.positions @ np.linalg.inv(cell)) % 1.0
    center = np.full(3, 0.5) @ cell
    position = fractional @ cell - center
    images, indices, offsets = [], [], []
    for shift, near in _images(fractional, cell, reach + travel):
        if shift.any():
            images.append(position[near] + shift @ cell)
            indices.append(near)
            offsets.append(np.broadcast_to(shift @ cell, (len(near), 3)))
    order = np.argsort(np.linalg.norm(np.concatenate(images), axis=1), kind="stable")
    everyone = np.arange(len(atoms))
    return Region(
        target=0,
        atoms=everyone,
        position=position,
        owners=everyone,
        owner_species=species.astype(np.int32),
        density=density,
        travel=travel,
        site_owner=np.concatenate([everyone, np.concatenate(indices)[order]]).astype(np.int32),
        site_offset=np.concatenate([np.zeros((len(atoms), 3)), np.concatenate(offsets)[order]]),
    )


def _images(
    fractional: np.ndarray, cell: np.ndarray, reach: float
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Shifts of the cell, and which atoms they bring within reach of it."""
    margin = reach * np.linalg.norm(np.linalg.inv(cell), axis=0)
    shifts = [np.arange(-np.ceil(m), np.ceil(m) + 1) for m in margin]
    for shift in np.array(np.meshgrid(*shifts)).reshape(3, -1).T:
        moved = fractional + shift
        yield shift, np.flatnonzero(((moved > -margin) & (moved < 1.0 + margin)).all(axis=1))


class Surroundings:
    """Finds the atoms and images around any atom of a structure.

    Args:
        atoms: periodic structure.
        radius: atoms nearer to the target than this are free, Å.
        reach: the potential's cutoff, plus the skin of the pair list, Å.
        travel: how far a free atom may go, Å; sites are gathered so much further beyond the radius.
        species: (atoms,), element numbers in the tables.
        density: (atoms,), electron densities.
    """

    def __init__(
        self,
        atoms: Atoms,
        *,
        radius: float,
        reach: float,
        travel: float,
        species: np.ndarray,
        density: np.ndarray,
    ):
        self._radius, self._outer, self._travel = radius, radius + reach + travel, travel
        self._species, self._density = species, density
        cell = atoms.cell.array
        # No two images of an atom are nearer to a target than half the least height of the cell.
        self._single = 2.0 * radius <= 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0).max()
        fractional = (atoms.positions @ np.linalg.inv(cell)) % 1.0
        images, indices = [], []
        for shift, near in _images(fractional, cell, self._outer):
            images.append((fractional[near] + shift) @ cell)
            indices.append(near)
        self._position = fractional @ cell
        self._image_position = np.concatenate(images)
        self._image_atom = np.concatenate(indices)
        self._tree = cKDTree(self._image_position)

    def capacity(self) -> int:
        """The largest number of free atoms of any region of this structure."""
        if self._single:
            near = self._tree.query_ball_point(self._position, self._radius, return_length=True)
            return int(near.max())
        return max(
            len(np.unique(self._image_atom[near]))
            for near in self._tree.query_ball_point(self._position, self._radius)
        )

    def most_sites(self) -> int:
        """The largest number of sites of any region of this structure."""
        return int(
            self._tree.query_ball_point(self._position, self._outer, return_length=True).max()
        )

    def region(self, target: int) -> Region:
        """The region around one atom."""
        center = self._position[target]
        near = np.array(self._tree.query_ball_point(center, self._outer))
        vector = self._image_position[near] - center
        order = np.lexsort((near, np.round(np.linalg.norm(vector, axis=1), 9)))
        vector, atom = vector[order], self._image_atom[near[order]]
        distance = np.linalg.norm(vector, axis=1)
        # The nearest image of an atom is the atom itself, its other images are sites.
        _, first = np.unique(atom, return_index=True)
        first.sort()
        primary = first[distance[first] < self._radius]
        frozen = first[distance[first] >= self._radius]
        owners = np.concatenate([atom[primary], atom[frozen]])
        owner_of = np.full(len(self._species), -1)
        owner_of[owners] = np.arange(len(owners))
        rest = np.setdiff1d(np.arange(len(atom)), primary)
        sites = np.concatenate([primary, rest])
        site_owner = owner_of[atom[sites]]
        offset = vector[sites].copy()
        moving = site_owner < len(primary)
        offset[moving] -= vector[primary][site_owner[moving]]
        return Region(
            target=target,
            atoms=atom[primary],
            position=vector[primary],
            owners=owners,
            owner_species=self._species[owners].astype(np.int32),
            density=self._density[owners],
            travel=self._travel,
            site_owner=site_owner.astype(np.int32),
            site_offset=offset,
        )
