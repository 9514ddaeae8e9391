"""The engine of the batches: opens searches for many rows, and chooses how many fit the memory."""

import os
from typing import NamedTuple

import numpy as np
import torch
from ase import Atoms

from symgnn import neighbors
from symgnn.barriers.artn import Protocol
from symgnn.barriers.batched.torch_rows import RowSearch, Start, TorchKernel
from symgnn.barriers.engines import CHECK_BATCH, EamRegions, RowForces
from symgnn.barriers.regions import Region
from symgnn.errors import InputError
from symgnn.potentials import Potential

PRECISIONS = {"double": torch.float64, "mixed": torch.float32}
LARGEST_BATCH = {"cpu": 32, "cuda": 8192}  # searches; more do not make a round cheaper
LARGEST_CHECK = {"cpu": CHECK_BATCH, "cuda": 256}  # saddles confirmed together
FREE_SHARE = 0.8  # of the free memory, where no bound is given
CHECK_SHARE = 0.3  # of the memory, for the systems on which saddles are confirmed
STATE_BYTES = 8 * 3 * (11 + Protocol().lanczos_vectors)  # an atom, of what ARTn keeps
GIB = 1 << 30


class Share(NamedTuple):
    """Systems that advance together."""

    rows: int
    row_bytes: int

    @property
    def bytes(self) -> int:
        """Of all of them."""
        return self.rows * self.row_bytes

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


def free_memory(device: str) -> int:
    """Free bytes of a device."""
    if device == "cpu":
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return torch.cuda.mem_get_info(device)[0]


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
    checks = tuple(
        Share(int(np.clip(CHECK_SHARE * memory / len(check_bytes) / size, 1, most_checks)), size)
        for size in check_bytes
    )
    left = memory - sum(share.bytes for share in checks)
    rows = int(min(most, left // search_bytes))
    if rows < 1:
        least = (search_bytes + sum(check_bytes)) / GIB
        raise InputError(
            f"memory: {memory / GIB:.3g} GiB: must be at least {least:.3g} GiB for one search"
        )
    return Plan(Share(rows, search_bytes), checks)


class BatchedEngine(EamRegions):
    """EAM forces of many regions at once, on a GPU or, for tests and comparison, a processor.

    Args:
        atoms: periodic structure.
        potential: an EAM potential.
        radius: atoms nearer to the target are free, Å.
        device: of torch.
        precision: of the pair functions: `double`, or `mixed` (float32, sums in float64).
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
        memory: float | None = None,
        searches: int | None = None,
        check: bool = True,
        skin: float = 0.5,
        travel: float = 4.0,
    ):
        super().__init__(atoms, potential, radius=radius, skin=skin, travel=travel)
        self.device, self.name = device, f"BatchedEngine, {precision}"
        self._kernel = TorchKernel(
            self._tables,
            self._density,
            device=device,
            dtype=PRECISIONS[precision],
            skin=skin,
            travel=travel,
        )
        self._neighbors = self._most_neighbors()
        kind = torch.device(device).type
        self.plan = make_plan(
            self._row_bytes(self.capacity),
            [self._row_bytes(atoms) for atoms in self.confirming if check],
            memory=FREE_SHARE * free_memory(device) if memory is None else memory * GIB,
            most=min(LARGEST_BATCH[kind], searches or LARGEST_BATCH[kind]),
            most_checks=LARGEST_CHECK[kind],
        )
        self.batch = self.plan.searches.rows
        self.unconfirmed = max((share.rows for share in self.plan.checks), default=1)

    def _most_neighbors(self) -> int:
        """Most atoms within the reach of a pair list of any atom."""
        cutoff = self._tables.cutoff + self._skin
        found = neighbors.pairs(self._atoms.positions, self._atoms.cell.array, cutoff)
        return int(np.bincount(found.source).max())

    def _row_bytes(self, free: int) -> int:
        """Of a row with so many free atoms."""
        density = len(self._atoms) / self._atoms.get_volume()
        radius = (3.0 * free / (4.0 * np.pi * density)) ** (1 / 3) + self._reach
        sites = int(4.0 / 3.0 * np.pi * density * radius**3)
        return STATE_BYTES * free + self._kernel.row_bytes(free, sites, self._neighbors)

    def _prepare(self, region: Region, candidate_skin: float) -> Start:
        return self._kernel.prepare(region, candidate_skin)

    def _search(self, region: Region, prepared: Start, shared: bool) -> RowSearch:
        return RowSearch(region.atoms, region.position, prepared)

    def rows(self, size: int, capacity: int) -> RowForces:
        """Forces for a batch of rows."""
        return self._kernel.rows(size, capacity)

    def confirming_rows(self, atoms: int) -> int:
        """How many of the larger systems of so many free atoms may advance together."""
        return self.plan.checks[self.confirming.index(atoms)].rows

    def listed_pairs(self, target: int) -> tuple[int, int]:
        """Pairs in the list of a region at the start: in reach of the densities, and others."""
        return self._kernel.listed_pairs(self.open(target).start)
