"""EAM forces of the rows of a batch in vectorised torch, for devices without a kernel of their own.

One row after the other, as the operands of many would not fit a processor's cache.
"""

import torch
from torch import Tensor

from symgnn.barriers.batched.layouts import Candidates, Layout, find_candidates
from symgnn.barriers.batched.rows import RowSearch, Settings, Space, furthest
from symgnn.barriers.batched.torch_forces import Evaluation, Start
from symgnn.barriers.batched.torch_pairs import REAL, Workspace
from symgnn.barriers.lanczos import Hessians
from symgnn.barriers.regions import Region

RENEWED_SKIN = 2.0  # Å, of candidates that are looked for while a search is under way
PAIR_BYTES, CANDIDATE_BYTES, SITE_BYTES = 10, 40, 80  # a pair counts for one of its two atoms


class TorchKernel:
    """EAM forces by operations of torch.

    Args:
        settings: the potential and the structure.
    """

    def __init__(self, settings: Settings):
        self._settings = settings
        self._workspace = Workspace(settings.dtype, settings.device)

    def prepare(self, region: Region, space: Space) -> Start:
        """A region, for all searches that start in it."""
        s = self._settings
        return Start(
            Layout(region, s.tables, s.device),
            s.tables,
            self._workspace,
            skin=s.skin,
            candidate_skin=space.candidate_skin,
        )

    def listed_pairs(self, start: Start) -> tuple[int, int]:
        """Pairs in the list of a region at the start: in reach of the densities, and others."""
        return len(start.pairs.kind_back), len(start.pairs.kind) - len(start.pairs.kind_back)

    def rows(self, size: int, space: Space) -> "TorchRows":
        """Forces for a batch of rows."""
        s = self._settings
        return TorchRows(size, space.free, device=s.device)

    def row_bytes(self, space: Space) -> int:
        """Memory of a row, about: where the atoms of a region crowd it may be more."""
        pairs = space.free * self._settings.neighbors
        pair_bytes = PAIR_BYTES + self._settings.wider(space) * CANDIDATE_BYTES
        return int(pairs * pair_bytes + space.sites * SITE_BYTES)


class TorchRows:
    """Forces for the rows of a batch.

    Args:
        size: rows.
        capacity: most free atoms of a row.
        device: where positions and forces live.
    """

    hessians: Hessians | None = None

    def __init__(self, size: int, capacity: int, *, device: torch.device | str):
        self._starts: dict[int, Start] = {}
        self._candidates: dict[int, Candidates] = {}
        self._evaluations: dict[int, Evaluation] = {}
        self._listed_at = torch.zeros(size, 3 * capacity, dtype=REAL, device=device)
        self._inside = torch.ones(size, dtype=torch.bool, device=device)

    def take(self, row: int, search: RowSearch) -> None:
        """Give a row to a search that the engine opened."""
        start = search.start
        self._starts[row], self._candidates[row] = start, start.candidates
        self._evaluations[row] = Evaluation(start, start.pairs)
        self._listed_at[row] = 0.0
        self._listed_at[row, : 3 * start.layout.free] = start.layout.position.reshape(-1)
        self._inside[row] = True

    def leave(self, row: int) -> None:
        """Make a row free again."""
        for of in (self._starts, self._candidates, self._evaluations):
            del of[row]

    def of(self, rows: Tensor, trial: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Energies, forces, and whether they hold; see `engines.RowForces`."""
        energy = torch.empty(len(rows), dtype=REAL, device=trial.device)
        force = torch.zeros(len(rows), trial.shape[1], dtype=REAL, device=trial.device)
        self._fill(rows, trial, energy, force)
        return energy, force, self._inside[rows]

    @torch.inference_mode()  # which makes an operation cheaper to begin
    def _fill(self, rows: Tensor, trial: Tensor, energy: Tensor, force: Tensor) -> None:
        """Write energies and forces."""
        moved = furthest(trial[rows], self._listed_at[rows]).tolist()
        for k, row in enumerate(rows.tolist()):
            start = self._starts[row]
            free = start.layout.free
            position = trial[row, : 3 * free].view(free, 3)
            if not moved[k] <= (0.5 * start.skin) ** 2:
                self._renew(row, position)
            energy[k], found = self._evaluations[row](position)
            force[k, : 3 * free].view(free, 3).T.copy_(found)

    def _renew(self, row: int, position: Tensor) -> None:
        """List the pairs of a row anew."""
        start, candidates = self._starts[row], self._candidates[row]
        flat = position.reshape(1, -1)
        if not furthest(flat, candidates.position.view(1, -1)) <= (0.5 * candidates.skin) ** 2:
            candidates = find_candidates(
                start.layout, start.tables, position, skin=RENEWED_SKIN, list_skin=start.skin
            )
            self._candidates[row] = candidates
        self._evaluations[row] = Evaluation(start, start.list_pairs(position, candidates))
        self._listed_at[row, : position.numel()] = flat
        way2 = furthest(flat, start.layout.position.view(1, -1))[0]
        self._inside[row] = way2 < start.layout.travel2
