"""EAM forces of the rows of a batch by Triton kernels: all rows at once, on a GPU."""

import numpy as np
import torch

from symgnn.barriers.batched.rows import Space
from symgnn.barriers.batched.tables import on_device
from symgnn.barriers.batched.triton_rows import REAL, Sizes, Tables, TritonRows
from symgnn.barriers.regions import Region
from symgnn.barriers.tables import PackedTables

CROWDED = 1.25  # neighbours that an atom has room for over the most at the start
SITE_BYTES, OWNER_BYTES, ROW_BYTES = 60, 44, 32
OF_START = (
    "offset",
    "owner",
    "species",
    "site",
    "candidates",
    "candidate_count",
    "listed",
    "near_count",
    "count",
    "background",
    "before",
    "zero",
    "free",
    "owners",
    "start",
)


class Start:
    """A region at the start: what a row begins with."""

    def __init__(self, rows: TritonRows):
        self.state = {name: getattr(rows, name)[0].clone() for name in OF_START}


class TritonKernel:
    """EAM forces by Triton kernels.

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
        splines = on_device(tables, longest=tables.cutoff + 2.1 * skin, device=device, dtype=dtype)
        self._tables = Tables(
            splines,
            splines.pair.T.contiguous(),
            splines.embedding.T.contiguous(),
            torch.tensor([splines.step, splines.density_step], dtype=REAL, device=device),
            dtype,
            skin,
            travel,
        )
        self._density, self._neighbors = density, neighbors
        self._benches: dict[Space, TritonRows] = {}

    def sizes(self, space: Space) -> Sizes:
        """Sizes of rows in which there is room for a region."""
        reach = self._tables.tables.far.max() + self._tables.skin
        slots = 32 * -(-int(CROWDED * self._neighbors) // 32)
        wider = ((reach + space.candidate_skin) / reach) ** 3
        owners = min(space.sites, len(self._density))
        return Sizes(space.free, space.sites, owners, slots, int(slots * wider))

    def row_bytes(self, space: Space) -> int:
        """Memory of a row."""
        sizes = self.sizes(space)
        lists = 4 * sizes.atoms * (sizes.slots + sizes.candidates + 3)
        vectors = 8 * 3 * sizes.atoms * 3
        return lists + vectors + SITE_BYTES * sizes.sites + OWNER_BYTES * sizes.owners + ROW_BYTES

    def prepare(self, region: Region, space: Space) -> Start:
        """A region, for all searches that start in it."""
        if space not in self._benches:
            self._benches[space] = self.rows(1, space)
        bench = self._benches[space]
        bench.load(region, self._density)
        return Start(bench)

    def rows(self, size: int, space: Space) -> TritonRows:
        """Forces for a batch of rows."""
        return TritonRows(self._tables, size, self.sizes(space), space.candidate_skin)

    def listed_pairs(self, start: Start) -> tuple[int, int]:
        """Pairs in the list of a region at the start: in reach of the densities, and others."""
        near, count = (int(start.state[name].sum()) for name in ("near_count", "count"))
        return near, count - near
