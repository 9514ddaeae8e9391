"""Compiled EAM forces on a local region around the target, and on the larger ones of a check."""

from functools import cached_property

import numpy as np
from ase import Atoms

from symgnn.barriers.eam import RegionForces, Workspace, structure_densities
from symgnn.barriers.engines import Forces, OpenSearch, ProcessorEngine, RowByRow, RowForces
from symgnn.barriers.lanczos import Hessians
from symgnn.barriers.lanczos_kernel import Basis, Stop
from symgnn.barriers.regions import Region, Surroundings, displaced, whole
from symgnn.barriers.tables import pack
from symgnn.errors import InputError
from symgnn.potentials import Potential, check_elements, read_eam

DESCENT = 15.0  # Å, least radius of a region in which the sides of a saddle are relaxed
GROWN = 2.0  # radius of the larger region over that of the searches
# Å, of the largest region: what is frozen beyond it changes most barriers by less than 10 meV.
LARGEST = 25.0
WORTH_IT = 1.2  # least ratio of the radii of two regions of which both are used
# Å, how far atoms may go where all are free: a search that sends one further than `travel` has left
# its region, but a side of its saddle may lie there.
FREE_TRAVEL = 8.0
PREPARED = 4  # regions kept for the next searches at the same atom
CANDIDATE_SKIN = 2.0  # Å, beyond the pairs of a list, of the candidates for them
LARGER_CANDIDATE_SKIN = 5.0  # Å, where saddles are confirmed, at some distance from the start


class RegionRows(RowByRow):
    """The rows of `RegionEngine`, whose Hessians are known."""

    _forces: "dict[int, _RegionSearch]"

    @property
    def hessians(self) -> Hessians:
        """Those of the same rows."""
        return self

    def iterate(
        self,
        row: int,
        position: np.ndarray,
        basis: Basis,
        stop: Stop,
        value: np.ndarray,
        vector: np.ndarray,
    ) -> int:
        """Lanczos iterations to their end; see `Hessians`."""
        search = self._forces[row]
        place = position[: 3 * len(search.atoms)].reshape(-1, 3)
        return search.iterate(place, basis, stop, value, vector)


class _RegionSearch:
    def __init__(self, forces: RegionForces, atoms: np.ndarray, position: np.ndarray):
        self._forces, self.atoms, self.position = forces, atoms, position
        self.iterate = forces.iterate

    def __call__(self, position: np.ndarray) -> tuple[float, np.ndarray]:
        return self._forces(position)

    @property
    def inside(self) -> bool:
        return self._forces.inside


def grown_radii(atoms: Atoms, radius: float) -> list[float]:
    """Radii of the regions in which a saddle is found again before all atoms are free, Å.

    Each step of the way is made where it costs least: the first region takes most of it. None is
    wider than the cell, where an atom would meet its own image.
    """
    half = 0.5 / np.linalg.norm(np.linalg.inv(atoms.cell.array), axis=0).max()
    radii = [GROWN * radius] if GROWN * radius <= half else []
    largest = min(LARGEST, half)
    return [*radii, largest] if largest >= WORTH_IT * GROWN * radius else radii


class EamRegions:
    """The regions of a structure with an EAM potential, as an engine prepares them.

    Args:
        atoms: periodic structure.
        potential: an EAM potential.
        radius: atoms nearer to the target are free, Å.
        skin: how far beyond the cutoff pairs are listed, Å.
        travel: how far an atom may go from its start, Å.

    Attributes:
        capacity: free atoms of the largest region.
        descending: which of them is large enough for most of the way down from it.

    Raises:
        InputError: the potential is of another form.
    """

    def __init__(
        self, atoms: Atoms, potential: Potential, *, radius: float, skin: float, travel: float
    ):
        check_elements(potential, atoms.get_chemical_symbols())
        if not potential.is_eam:
            raise InputError(f"{potential.path.name}: style {potential.style}: use engine lammps")
        tables = pack(read_eam(potential))
        species = np.array([potential.elements.index(s) for s in atoms.get_chemical_symbols()])
        self._tables, self._skin, self._travel = tables, skin, travel
        self._of_structure = {
            "reach": tables.cutoff + skin,
            "species": species,
            "density": structure_densities(atoms, species, tables),
        }
        self._atoms, self._species = atoms, species
        self._surroundings = self._around(radius)
        self.capacity = self._surroundings.capacity()
        self._prepared: dict[int, tuple[Region, object]] = {}
        self._whole: tuple[Region, object] | None = None
        radii = grown_radii(atoms, radius)
        wide = (step for step, grown in enumerate(radii) if grown >= DESCENT)
        self.descending = next(wide, len(radii))
        self._grown_radii = radii
        self._larger: list[dict[int, tuple[Region, object]]] = [{} for _ in radii]

    @cached_property
    def _grown(self) -> list[Surroundings]:
        """Made where saddles are confirmed alone, as they hold many more atoms."""
        return [self._around(grown) for grown in self._grown_radii]

    @cached_property
    def confirming(self) -> list[int]:
        """Free atoms of the larger systems on which a saddle is found again."""
        return [*(grown.capacity() for grown in self._grown), len(self._atoms)]

    def _around(self, radius: float) -> Surroundings:
        return Surroundings(self._atoms, radius=radius, travel=self._travel, **self._of_structure)

    def _everything(self) -> Region:
        return whole(self._atoms, travel=FREE_TRAVEL, **self._of_structure)

    def _candidate_skin(self, capacity: int) -> float:
        return CANDIDATE_SKIN if capacity == self.capacity else LARGER_CANDIDATE_SKIN

    def _prepare(self, region: Region, capacity: int) -> object:
        """What the searches in a region share; `capacity` is that of their batch."""
        raise NotImplementedError

    def _search(self, region: Region, prepared: object) -> OpenSearch:
        """A search in a region that other searches share."""
        raise NotImplementedError

    def open(self, target: int) -> OpenSearch:
        """Open a search at an atom; the target is the first of its free atoms."""
        return self._open(target, self._surroundings, self.capacity, self._prepared)

    def open_larger(self, target: int, step: int) -> OpenSearch:
        """A larger region, or the whole periodic structure in its own order."""
        if step < len(self.confirming) - 1:
            return self._open(target, self._grown[step], self.confirming[step], self._larger[step])
        if self._whole is None:
            region = self._everything()
            self._whole = region, self._prepare(region, len(self._atoms))
        return self._search(*self._whole)

    def open_displaced(self, target: int, step: int, displacement: np.ndarray) -> OpenSearch:
        """A larger region where all atoms have moved; the whole structure at its own places."""
        if step == len(self.confirming) - 1:
            return self.open_larger(target, step)
        moved = self._atoms.copy()
        moved.positions += displacement
        density = structure_densities(moved, self._species, self._tables)
        kept = self._larger[step].get(target)
        region = self._grown[step].region(target) if kept is None else kept[0]
        region = displaced(region, displacement, density)
        return self._search(region, self._prepare(region, self.confirming[step]))

    def _open(
        self,
        target: int,
        surroundings: Surroundings,
        capacity: int,
        prepared: dict[int, tuple[Region, object]],
    ) -> OpenSearch:
        if target not in prepared:
            while len(prepared) >= PREPARED:
                del prepared[next(iter(prepared))]
            region = surroundings.region(target)
            prepared[target] = region, self._prepare(region, capacity)
        return self._search(*prepared[target])


class RegionEngine(EamRegions, ProcessorEngine):
    """EAM forces on the atoms within `radius` of the target, the others frozen.

    Args:
        atoms: periodic structure.
        potential: an EAM potential.
        radius: Å.
        skin: how far beyond the cutoff pairs are listed, Å.
        travel: how far an atom may go from its start, Å.
        batch: searches that may advance together.
        hessians: whether Lanczos iterations take products with the Hessian, or differences of
            forces as those of the other engines.
    """

    def __init__(
        self,
        atoms: Atoms,
        potential: Potential,
        *,
        radius: float,
        skin: float = 0.5,
        travel: float = 4.0,
        batch: int = 32,
        hessians: bool = True,
    ):
        super().__init__(atoms, potential, radius=radius, skin=skin, travel=travel)
        self._workspace = Workspace(self._tables.symmetric)
        self.batch, self._hessians = batch, hessians

    @property
    def name(self) -> str:
        """What else than the protocol results depend on."""
        return super().name + ("" if self._hessians else ", differences")

    def _prepare(self, region: Region, capacity: int) -> RegionForces:
        return RegionForces(
            region,
            self._tables,
            workspace=self._workspace,
            skin=self._skin,
            candidate_skin=self._candidate_skin(capacity),
        )

    def _search(self, region: Region, prepared: RegionForces) -> Forces:
        return _RegionSearch(prepared.copy(), region.atoms, region.position)

    def rows(self, size: int, capacity: int) -> RowForces:
        """Forces for a batch of rows, and Hessians."""
        return RegionRows() if self._hessians else RowByRow()
