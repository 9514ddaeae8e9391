"""EAM forces of the rows of a batch by Triton kernels: all rows at once, on a GPU."""

from typing import NamedTuple

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from symgnn.barriers.batched import triton_kernels as kernels
from symgnn.barriers.batched.rows import RowSearch, Settings, furthest
from symgnn.barriers.lanczos import Hessians
from symgnn.barriers.regions import Region

REAL = torch.float64
NUMBERS = {torch.float64: tl.float64, torch.float32: tl.float32}
BLOCK = 256  # sites, owners or candidates of a program
ATOMS, SLOTS = 8, 32  # of a tile of pairs
FAR_AWAY = 1e6  # Å, where unused sites stand


def launch(
    kernel: triton.JITFunction, grid: tuple[int, ...], *arguments: object, **constants: object
) -> None:
    """Run a kernel; products and sums may be fused, which older versions do unasked."""
    kernel[grid](*arguments, **constants, enable_fp_fusion=True)


class Sizes(NamedTuple):
    """Of a row: most free atoms, sites, owners, and slots of the two lists of an atom."""

    atoms: int
    sites: int
    owners: int
    slots: int
    candidates: int


class Splines(NamedTuple):
    """The potential as the kernels read it.

    Attributes:
        pairs: (kinds * intervals, 8), what a pair looks up in a row.
        embedding: (elements * knots, 4).
        steps: (2,), spacings of the knots of the pair and the embedding functions.
    """

    pairs: Tensor
    embedding: Tensor
    steps: Tensor


class TritonRows:
    """Forces for the rows of a batch.

    Args:
        settings: the potential and the structure.
        splines: of the potential.
        size: rows.
        sizes: of a row.
        candidate_skin: how far beyond the pairs of a list candidates are kept, Å.
    """

    hessians: Hessians | None = None

    def __init__(
        self, settings: Settings, splines: Splines, size: int, sizes: Sizes, candidate_skin: float
    ):
        self._settings, self._splines = settings, splines
        self._sizes, self._candidate_skin = sizes, candidate_skin
        atoms, sites, owners = sizes.atoms, sizes.sites, sizes.owners

        def zeros(*shape: int, dtype: torch.dtype = REAL) -> Tensor:
            return torch.zeros(size, *shape, dtype=dtype, device=settings.device)

        integer = {"dtype": torch.int32}
        self.offset, self.site = zeros(sites, 3), zeros(sites, 4)
        self.owner, self.species = zeros(sites, **integer), zeros(owners, **integer)
        self.free, self.owners = zeros(**integer), zeros(**integer)
        self.candidates = zeros(atoms, sizes.candidates, **integer)
        self.listed = zeros(atoms, sizes.slots, **integer)
        self.candidate_count = zeros(atoms, **integer)
        self.near_count, self.count = zeros(atoms, **integer), zeros(atoms, **integer)
        self.background, self.before = zeros(owners), zeros(owners)
        self._laid = zeros(owners, dtype=torch.int64)
        self._rise, self._energy, self.zero = zeros(owners), zeros(owners), zeros()
        self.travel2 = zeros()
        self.start, self._found_at, self._listed_at = (zeros(3 * atoms) for _ in range(3))
        self._inside = torch.ones(size, dtype=torch.bool, device=settings.device)
        self._crowded = torch.zeros_like(self._inside)
        self._list_reach = (
            self._squares(settings.tables.near, 0.0),
            self._squares(settings.tables.far, 0.0),
        )
        none = torch.zeros_like(self._list_reach[0])
        self._candidate_reach = none, self._squares(settings.tables.far, candidate_skin)

    def _squares(self, reach: np.ndarray, skin: float) -> Tensor:
        """Squares (E E,), Å², of how far pairs are listed."""
        square = np.where(reach > 0, (reach + self._settings.skin + skin) ** 2, 0.0)
        return torch.from_numpy(square.ravel()).to(self._settings.device)

    def load(self, region: Region) -> None:
        """Put a region at its start into row 0.

        Of one with more neighbours than there is room for all energies are not a number, so that
        its searches fail and no others.
        """
        device, elements = self._settings.device, self._settings.tables.elements
        free, sites, owners = region.free, len(region.site_owner), len(region.owners)
        owner = torch.from_numpy(region.site_owner).to(device)
        species = torch.from_numpy(region.owner_species).to(device)
        place = region.site_position(region.position)
        self.offset[0, :sites] = torch.from_numpy(region.site_offset).to(device)
        self.owner[0] = -1
        self.owner[0, :sites] = owner
        self.site[0, :, :3], self.site[0, :, 3] = FAR_AWAY, 0.0
        self.site[0, :sites, :3] = torch.from_numpy(place).to(device)
        self.site[0, :sites, 3] = (owner * elements + species[owner]).to(REAL)
        self.species[0, :owners] = species
        self.free[0], self.owners[0] = free, owners
        self.start[0], self.travel2[0] = 0.0, region.travel**2
        self.start[0, : 3 * free] = torch.from_numpy(region.position.reshape(-1)).to(device)
        for number in (self.background, self.before, self.zero, self.count, self.near_count):
            number[0] = 0
        row = torch.zeros(1, dtype=torch.int64, device=device)
        self._crowded[0] = False
        self._find(row, self.start[:1])
        self._list(row, self.start[:1])
        density = torch.from_numpy(region.density).to(device)
        self._embed_start(row, density)
        self.zero[0] = self.of(row, self.start)[0][0]

    def _embed_start(self, row: Tensor, density: Tensor) -> None:
        """What the densities of the structure (owners,) say of row 0 at the start."""
        free, owners = int(self.free[0]), int(self.owners[0])
        self._place(row, self.start)
        self._lay(row)
        own = self._laid[0, :owners].to(REAL) / kernels.UNIT.value
        self.background[0, free:owners] = (density - own)[free:]
        self._embed_frozen(row)
        self.before[0, :owners] = self._energy[0, :owners]

    def take(self, row: int, search: RowSearch) -> None:
        """Give a row to a search that the engine opened."""
        for name, value in search.start.state.items():
            getattr(self, name)[row] = value
        self._found_at[row] = self._listed_at[row] = search.start.state["start"]
        self._inside[row], self._crowded[row] = True, False

    def leave(self, row: int) -> None:
        """Make a row free again."""

    def of(self, rows: Tensor, trial: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Energies, forces, and whether they hold; see `engines.RowForces`.

        The energy of a row with more neighbours than there is room for is not a number.
        """
        self._place(rows, trial)
        self._renew(rows, trial)
        self._lay(rows)
        self._embed_frozen(rows)
        force = torch.zeros(len(rows), trial.shape[1], dtype=REAL, device=trial.device)
        energy = torch.empty(len(rows), dtype=REAL, device=trial.device)
        sizes, splines, tables = self._sizes, self._splines, self._settings.tables
        launch(
            kernels.pull_atoms,
            self._tiles(rows),
            rows,
            self.site,
            self.listed,
            self.near_count,
            self.count,
            self.free,
            splines.pairs,
            self._rise,
            self._energy,
            force,
            sizes.atoms,
            sizes.sites,
            sizes.owners,
            sizes.slots,
            tables.elements,
            tables.intervals,
            splines.steps,
            SYMMETRIC=tables.symmetric,
            REAL=NUMBERS[self._settings.dtype],
            ATOMS=ATOMS,
            SLOTS=SLOTS,
        )
        launch(
            kernels.sum_energies,
            (len(rows),),
            rows,
            self.owners,
            self._energy,
            self.zero,
            energy,
            sizes.owners,
            BLOCK=BLOCK,
        )
        energy = torch.where(self._crowded[rows], torch.nan, energy)
        return energy, force, self._inside[rows]

    def _tiles(self, rows: Tensor) -> tuple[int, int]:
        return len(rows), triton.cdiv(self._sizes.atoms, ATOMS)

    def _place(self, rows: Tensor, trial: Tensor) -> None:
        """Move the sites with the free atoms."""
        sizes = self._sizes
        launch(
            kernels.place_sites,
            (len(rows), triton.cdiv(sizes.sites, BLOCK)),
            rows,
            trial,
            self.offset,
            self.owner,
            self.free,
            self.site,
            self._laid,
            sizes.atoms,
            sizes.sites,
            sizes.owners,
            BLOCK=BLOCK,
        )

    def _renew(self, rows: Tensor, trial: Tensor) -> None:
        """List the pairs anew in rows in which they do not hold any more."""
        holds = furthest(trial[rows], self._listed_at[rows]) <= (0.5 * self._settings.skin) ** 2
        stale = rows[~holds]
        if not len(stale):
            return
        limit = (0.5 * self._candidate_skin) ** 2
        self._find(stale[~(furthest(trial[stale], self._found_at[stale]) <= limit)], trial)
        self._list(stale, trial)
        self._inside[stale] = furthest(trial[stale], self.start[stale]) < self.travel2[stale]

    def _select(
        self, rows: Tensor, reach: tuple[Tensor, Tensor], chosen: Tensor, count: Tensor, every: bool
    ) -> None:
        sizes = self._sizes
        launch(
            kernels.select_pairs,
            (len(rows), sizes.atoms),
            rows,
            self.site,
            self.candidates,
            self.candidate_count,
            *reach,
            chosen,
            self.near_count,
            count,
            sizes.atoms,
            sizes.sites,
            sizes.candidates,
            chosen.shape[-1],
            self._settings.tables.elements,
            EVERY=every,
            BLOCK=BLOCK,
        )
        self._crowded[rows] |= (count[rows] > chosen.shape[-1]).any(-1)
        count[rows] = count[rows].clamp(max=chosen.shape[-1])

    def _find(self, rows: Tensor, trial: Tensor) -> None:
        """Look for candidates among all sites."""
        if len(rows):
            self._select(rows, self._candidate_reach, self.candidates, self.candidate_count, True)
            self._found_at[rows] = trial[rows]

    def _list(self, rows: Tensor, trial: Tensor) -> None:
        """Pick the pairs in reach out of the candidates."""
        self._select(rows, self._list_reach, self.listed, self.count, False)
        self.near_count[rows] = torch.minimum(self.near_count[rows], self.count[rows])
        self._listed_at[rows] = trial[rows]

    def _lay(self, rows: Tensor) -> None:
        """Densities and embedding of the free atoms, and densities on the frozen ones."""
        sizes, splines, tables = self._sizes, self._splines, self._settings.tables
        launch(
            kernels.lay_densities,
            self._tiles(rows),
            rows,
            self.site,
            self.listed,
            self.near_count,
            self.free,
            splines.pairs,
            splines.embedding,
            self.before,
            self._laid,
            self._rise,
            self._energy,
            sizes.atoms,
            sizes.sites,
            sizes.owners,
            sizes.slots,
            tables.elements,
            tables.intervals,
            tables.knots,
            splines.steps,
            SYMMETRIC=tables.symmetric,
            REAL=NUMBERS[self._settings.dtype],
            ATOMS=ATOMS,
            SLOTS=SLOTS,
        )

    def _embed_frozen(self, rows: Tensor) -> None:
        sizes, splines = self._sizes, self._splines
        launch(
            kernels.embed_frozen,
            (len(rows), triton.cdiv(sizes.owners, BLOCK)),
            rows,
            self.species,
            self.free,
            self.owners,
            self.background,
            self._laid,
            splines.embedding,
            self.before,
            self._rise,
            self._energy,
            sizes.owners,
            self._settings.tables.knots,
            splines.steps,
            BLOCK=BLOCK,
        )
