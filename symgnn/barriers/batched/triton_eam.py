"""EAM forces of the rows of a batch by Triton kernels: all rows at once, on a GPU."""

import torch

from symgnn.barriers.batched.rows import Settings, Space
from symgnn.barriers.batched.triton_rows import REAL, Sizes, Splines, TritonRows
from symgnn.barriers.regions import Region

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
    "travel2",
)


class Start:
    """A region at the start: what a row begins with."""

    def __init__(self, rows: TritonRows):
        self.state = {name: getattr(rows, name)[0].clone() for name in OF_START}


class TritonKernel:
    """EAM forces by Triton kernels.

    Args:
        settings: the potential and the structure.
    """

    def __init__(self, settings: Settings):
        tables, self._settings = settings.tables, settings
        steps = [tables.step, tables.density_step]
        self._splines = Splines(
            tables.pair.T.contiguous(),
            tables.embedding.T.contiguous(),
            torch.tensor(steps, dtype=REAL, device=settings.device),
        )
        self._benches: dict[Space, TritonRows] = {}

    def sizes(self, space: Space) -> Sizes:
        """Sizes of rows in which there is room for a region."""
        slots = 32 * -(-int(CROWDED * self._settings.neighbors) // 32)
        candidates = int(slots * self._settings.wider(space))
        owners = min(space.sites, self._settings.atoms)
        return Sizes(space.free, space.sites, owners, slots, candidates)

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
        bench.load(region)
        return Start(bench)

    def rows(self, size: int, space: Space) -> TritonRows:
        """Forces for a batch of rows."""
        return TritonRows(
            self._settings, self._splines, size, self.sizes(space), space.candidate_skin
        )

    def listed_pairs(self, start: Start) -> tuple[int, int]:
        """Pairs in the list of a region at the start: in reach of the densities, and others."""
        near, count = (int(start.state[name].sum()) for name in ("near_count", "count"))
        return near, count - near
