"""The engine of the batches: opens searches for many rows, and chooses how many fit the memory."""

import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from ase import Atoms

from symgnn import neighbors
from symgnn.barriers.batched.rows import Kernel, RowSearch, Settings, Space
from symgnn.barriers.batched.tables import on_device
from symgnn.barriers.batched.torch_rows import TorchKernel
from symgnn.barriers.eam_engine import PREPARED, EamRegions
from symgnn.barriers.engines import CHECK_BATCH, RowForces
from symgnn.barriers.protocol import Protocol
from symgnn.barriers.regions import Region
from symgnn.errors import InputError
from symgnn.potentials import Potential

PRECISIONS = {"double": torch.float64, "mixed": torch.float32}
LARGEST_BATCH = {"cpu": 32, "cuda": 8192}  # searches; more do not make a round cheaper
LARGEST_CHECK = {"cpu": CHECK_BATCH, "cuda": 256}  # saddles confirmed together
FREE_SHARE = 0.8  # of the free memory, where no bound is given
CHECK_SHARE = 0.3  # of the memory, for the systems on which saddles are confirmed
# Of an atom: what ARTn keeps, and the copies of bases and vectors with which it works in a round.
STATE_BYTES = 8 * 3 * (12 + 8 + 4 * Protocol().lanczos_vectors)
DESCENT_BYTES = 8 * 3 * (2 + 4 * Protocol().descent_pairs)  # where sides or minima are relaxed
SECOND_BYTES = 8 * 3 * (4 + 8 * Protocol().second_vectors)  # where two eigenpairs are looked for
KEPT = PREPARED + 1  # regions kept for the next searches, and the row in which they are prepared
GIB = 1 << 30


class Share(NamedTuple):
    """Systems that advance together."""

    rows: int
    row_bytes: int

    @property
    def bytes(self) -> int:
        """Of all of them, and of the regions that are kept for the next ones."""
        return (self.rows + KEPT) * self.row_bytes

    def __str__(self) -> str:
        return f"{self.rows} of {self.row_bytes / (1 << 20):.2f} MiB"


class Plan(NamedTuple):
    """How many searches and confirmations advance together, and what they need."""

    searches: Share
    checks: tuple[Share, ...]

    @property
    def bytes(self) -> int:
        """Of everything."""
        return self.searches.bytes + sum(share.bytes for share in self.checks)

    def __str__(self) -> str:
        checks = " and ".join(map(str, self.checks)) or "none"
        return f"searches {self.searches}, checks {checks}; {self.bytes / GIB:.2f} GiB in all"


def usable_memory(device: str) -> float:
    """Bytes of a device that batches may take: most of what is free."""
    if device == "cpu":
        return FREE_SHARE * os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return FREE_SHARE * torch.cuda.mem_get_info(device)[0]


def make_plan(
    search_bytes: int, check_bytes: list[int], *, memory: float, most: int, most_checks: int
) -> Plan:
    """Divide the memory.

    Args:
        search_bytes: of a search.
        check_bytes: of a confirmation, for each of the larger systems.
        memory: bytes for everything.
        most: searches that are useful.
        most_checks: confirmations together that are useful.

    Raises:
        InputError: not even one search and its confirmation fit.
    """
    part = CHECK_SHARE * memory / max(1, len(check_bytes))
    checks = tuple(
        Share(int(np.clip(part / size - KEPT, 1, most_checks)), size) for size in check_bytes
    )
    left = memory - sum(share.bytes for share in checks)
    rows = int(min(most, left // search_bytes - KEPT))
    if rows < 1:
        least = (1 + KEPT) * (search_bytes + sum(check_bytes)) / GIB
        raise InputError(
            f"memory: {memory / GIB:.3g} GiB: must be at least {least:.3g} GiB for one search"
        )
    return Plan(Share(rows, search_bytes), checks)


def _triton_kernel() -> Callable[[Settings], Kernel]:
    """Triton's kernel, imported where it is wanted: few machines have Triton.

    Raises:
        InputError: it is not installed.
    """
    try:
        from symgnn.barriers.batched.triton_eam import TritonKernel
    except ImportError:
        raise InputError("kernel: triton: is not installed; pip install triton") from None
    return TritonKernel


class BatchedEngine(EamRegions):
    """EAM forces of many regions at once, on a GPU or, for tests and comparison, a processor.

    Args:
        atoms: periodic structure.
        potential: an EAM potential.
        radius: atoms nearer to the target are free, Å.
        device: of torch.
        precision: of the pair functions: `double`, or `mixed` (float32, sums in float64).
        kernel: `triton`, `torch`, or `auto` (triton on a GPU).
        memory: most memory of the batches, GiB; None for most of what is free.
        searches: how many are wanted; no memory is kept for more.
        check: whether saddles will be confirmed.
        skin: how far beyond the cutoff pairs are listed, Å.
        travel: how far an atom may go from its start, Å.

    Attributes:
        plan: sizes of the batches and their memory.

    Raises:
        InputError: the potential is of another form, or not one search fits the memory.
    """

    def __init__(
        self,
        atoms: Atoms,
        potential: Potential,
        *,
        radius: float,
        device: str = "cuda",
        precision: str = "double",
        kernel: str = "auto",
        memory: float | None = None,
        searches: int | None = None,
        check: bool = True,
        skin: float = 0.5,
        travel: float = 4.0,
    ):
        super().__init__(atoms, potential, radius=radius, skin=skin, travel=travel)
        self.device, self.name = device, f"BatchedEngine, {precision}"
        self._spaces: dict[int, Space] = {}
        kind = torch.device(device).type
        if kind == "cuda":
            torch.cuda.set_device(device)  # where Triton runs its kernels
        triton = kernel == "triton" or (kernel == "auto" and kind == "cuda")
        self._kernel: Kernel = (_triton_kernel() if triton else TorchKernel)(
            self._settings(PRECISIONS[precision])
        )
        self.plan = make_plan(
            self._row_bytes(self.capacity, descends=not check),
            self._check_bytes() if check else [],
            memory=usable_memory(device) if memory is None else memory * GIB,
            most=min(LARGEST_BATCH[kind], searches or LARGEST_BATCH[kind]),
            most_checks=LARGEST_CHECK[kind],
        )
        self.batch = self.plan.searches.rows
        self.unconfirmed = max((share.rows for share in self.plan.checks), default=1)

    def _settings(self, dtype: torch.dtype) -> Settings:
        """What a kernel is told, with the pair functions in the numbers of `dtype`."""
        # A pair is listed up to the skin, and until its list is renewed may grow by as much again.
        longest = self._tables.cutoff + 2.1 * self._skin
        return Settings(
            tables=on_device(self._tables, longest=longest, device=self.device, dtype=dtype),
            atoms=len(self._atoms),
            device=self.device,
            dtype=dtype,
            skin=self._skin,
            neighbors=self._most_neighbors(),
        )

    def _most_neighbors(self) -> int:
        """Most atoms within the reach of a pair list of any atom."""
        cutoff = self._tables.cutoff + self._skin
        found = neighbors.pairs(self._atoms.positions, self._atoms.cell.array, cutoff)
        return int(np.bincount(found.source).max())

    def _space(self, capacity: int) -> Space:
        """What the rows of a batch need, which is that of searches, or confirms their saddles."""
        if capacity not in self._spaces:
            sites = [self._surroundings.most_sites()] if capacity == self.capacity else []
            if capacity == len(self._atoms):
                sites.append(len(self._everything().site_owner))
            for grown, atoms in zip(self._grown, self.confirming, strict=False):
                if capacity == atoms:
                    sites.append(grown.most_sites())
            self._spaces[capacity] = Space(capacity, max(sites), self._candidate_skin(capacity))
        return self._spaces[capacity]

    def _row_bytes(self, capacity: int, *, descends: bool) -> int:
        """Of a row, with the state of its search."""
        state = STATE_BYTES + DESCENT_BYTES * descends
        return state * capacity + self._kernel.row_bytes(self._space(capacity))

    def _check_bytes(self) -> list[int]:
        """Of a row of each of the larger systems."""
        last = len(self.confirming) - 1
        return [
            self._row_bytes(atoms, descends=step in (self.descending, last)) + SECOND_BYTES * atoms
            for step, atoms in enumerate(self.confirming)
        ]

    def _prepare(self, region: Region, capacity: int) -> object:
        return self._kernel.prepare(region, self._space(capacity))

    def _search(self, region: Region, prepared: object) -> RowSearch:
        return RowSearch(region.atoms, region.position, prepared)

    def rows(self, size: int, capacity: int) -> RowForces:
        """Forces for a batch of rows."""
        return self._kernel.rows(size, self._space(capacity))

    def confirming_rows(self, atoms: int) -> int:
        """How many of the larger systems of so many free atoms may advance together."""
        return self.plan.checks[self.confirming.index(atoms)].rows

    def listed_pairs(self, target: int) -> tuple[int, int]:
        """Pairs in the list of a region at the start: in reach of the densities, and others."""
        return self._kernel.listed_pairs(self.open(target).start)
