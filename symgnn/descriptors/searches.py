"""What a few saddle searches at each atom find, unconfirmed and shared among the atoms that move.

A label is the mean barrier of many confirmed searches at an atom. A few searches at each atom, that
end near the saddles of small regions, take less than a hundredth of that time and say little about
their own atom; but each saddle belongs to all atoms that move in it, and the saddles that move an
atom's neighbours say how soft its surroundings are. What is known of a saddle is therefore given to
the atoms that move, and averaged around.

The pushes are random and depend on the structure, so that these inputs are invariant in
distribution alone: what two choices of them differ by is part of a prediction's error. They are
other ones than those of any search of `symgnn barriers`, so that no label is among the inputs.
"""

import os
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numba
import numpy as np
from ase import Atoms

from symgnn.barriers.protocol import Protocol, Status
from symgnn.descriptors.averages import averages
from symgnn.descriptors.potential import species_of, splines
from symgnn.errors import InputError
from symgnn.pieces import Done, unwatched
from symgnn.potentials import Potential
from symgnn.processes import watch
from symgnn.structures import check_searchable

RADIUS = 6.5  # Å, of the region that is free during a search; that of labels is larger
SEARCHES = 3  # an atom
# Barriers have to tell atoms apart and not to be exact: longer steps and a looser end, with the
# smaller region, take a third of the time that a label's search takes in its region, before it is
# confirmed (docs/accuracy.md).
PROTOCOL = Protocol(force_tolerance=0.2, push_step=0.5, climb_step=0.45)
SEED = 0
FIRST = -1_000_000  # number of an atom's first search here: below those that labels are made of
# Atoms whose searches a process makes at a time, and about the fewest where processes are many.
CHUNK, LEAST = 200, 25
ROWS = 128  # searches that advance together, of these small regions a tenth faster than 32
MOST_CHUNKS = 400  # of a structure: each chunk opens it anew
IDLE = 20  # s, after which processes end that have nothing to do, with their 200 MB each
LATE = "A worker stopped while some jobs were given to the executor"  # a warning of joblib's
MOVES = 0.2  # Å: an atom that goes this far counts half as a moving one, see `features`
SOFT = (0.25, 1.0)  # eV, barriers below which count as soft, by exp(-barrier / SOFT)
LEAST_LOG = 0.05  # eV, is added before a logarithm is taken
PRIOR = (
    0.1  # weight of the structure's mean beside an atom's own saddles, for those that hardly move
)
VERSION = 2  # of these numbers; a model trained on others is refused
AVERAGED_TO = tuple((r, split) for r in (3.6, 5.0, 5.5, 7.0, 9.0) for split in (False, True))


@dataclass(frozen=True)
class Saddles:
    """Saddles that searches found, and which atoms move on the way to them.

    Attributes:
        searches: made at each atom.
        barrier: (saddles,), eV, of the region.
        search: (saddles,), which of its atom's searches found it, from 0.
        saddle: (moves,), which saddle an atom moves in, ascending.
        atom: (moves,), which atom moves.
        square: (moves,), Å², of its displacement.
    """

    searches: int
    barrier: np.ndarray
    search: np.ndarray
    saddle: np.ndarray
    atom: np.ndarray
    square: np.ndarray

    def of(self, numbers: Collection[int]) -> "Saddles":
        """Those of the searches with these numbers, as these alone would have found them."""
        kept = np.isin(self.search, list(numbers))
        moves = kept[self.saddle]
        return Saddles(
            searches=len(numbers),
            barrier=self.barrier[kept],
            search=np.searchsorted(sorted(numbers), self.search[kept]),
            saddle=(np.cumsum(kept) - 1)[self.saddle[moves]],
            atom=self.atom[moves],
            square=self.square[moves],
        )

    @classmethod
    def joined(cls, parts: "Sequence[Saddles]") -> "Saddles":
        """Those of several parts of one structure's atoms, of as many searches at each."""
        first = np.cumsum([0, *(len(part.barrier) for part in parts)])
        return cls(
            searches=parts[0].searches,
            saddle=np.concatenate([part.saddle + k for part, k in zip(parts, first, strict=False)]),
            **{
                name: np.concatenate([getattr(part, name) for part in parts])
                for name in ("barrier", "search", "atom", "square")
            },
        )


def saddles_of(
    atoms: Atoms,
    potential: Potential,
    *,
    searches: int = SEARCHES,
    radius: float = RADIUS,
    protocol: Protocol = PROTOCOL,
    done: Done = unwatched,
) -> Saddles:
    """Search saddles at every atom, on as many processes as compiled loops may take threads.

    Args:
        atoms: a periodic structure, at a minimum of the energy.
        potential: an EAM potential.
        searches: at each atom; the first are the same however many there are.
        radius: Å, of the region that is free.
        protocol: the numbers that define a search.
        done: called after each part of the work with the number of its atoms.

    Raises:
        InputError: an element that the potential does not have, not an EAM potential, one atom, or
            no search.
    """
    from joblib import Parallel, delayed

    if searches < 1:
        raise InputError(f"searches: {searches}: must be at least 1")
    # or an error at once
    splines(potential), species_of(atoms, potential), check_searchable(atoms)
    bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
    number, processes = min(-(-len(atoms) // CHUNK), MOST_CHUNKS), numba.get_num_threads()
    number = max(number, min(processes, -(-len(atoms) // LEAST)))
    chunks = np.array_split(np.arange(len(atoms)), number)
    processes = min(processes, number)
    parent = os.getpid() if processes > 1 else None
    found: list[Saddles] = []
    how = radius, protocol, parent
    work = (delayed(_search)(bare, potential, chunk, searches, *how) for chunk in chunks)
    parallel = Parallel(processes, return_as="generator", idle_worker_timeout=IDLE)
    with warnings.catch_warnings():
        # Of a worker that has ended after `IDLE` just as work came: another one is started. It is
        # said in the thread that serves all of them, which would end where warnings are errors.
        # Filters are the process's: who sets them in other threads meanwhile may undo this.
        warnings.filterwarnings("ignore", LATE)
        for part, chunk in zip(parallel(work), chunks, strict=True):
            found.append(part)
            done(len(chunk))
    return Saddles.joined(found)


def _search(
    atoms: Atoms,
    potential: Potential,
    targets: np.ndarray,
    searches: int,
    radius: float,
    protocol: Protocol,
    parent: int | None,
) -> Saddles:
    """Those of some atoms, in the order of the atoms and their searches.

    Args:
        atoms: the structure.
        potential: its potential.
        targets: atoms to search at.
        searches: at each of them.
        radius: see `saddles_of`.
        protocol: see `saddles_of`.
        parent: the process whose worker this one is; None for itself.
    """
    if parent is not None:
        watch(parent)
    import torch

    from symgnn.barriers.eam_engine import RegionEngine
    from symgnn.barriers.searches import Searches

    tasks = [(int(target), FIRST - k) for target in targets for k in range(searches)]
    engine = RegionEngine(atoms, potential, radius=radius, batch=ROWS)
    runner = Searches(atoms, engine, protocol=protocol, seed=SEED, motion=True)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        events = {(event.atom, event.search): event for event in runner.run(tasks)}
    finally:
        torch.set_num_threads(threads)
    found = [events[task] for task in tasks]
    found = [event for event in found if event.status == Status.CONVERGED and event.barrier > 0.0]
    moved = [np.zeros(0, dtype=int), *(event.moved_atoms for event in found)]
    way = np.concatenate([np.zeros((0, 3)), *(event.saddle_displacement for event in found)])
    return Saddles(
        searches=searches,
        barrier=np.array([event.barrier for event in found]),
        search=np.array([FIRST - event.search for event in found], dtype=int),
        saddle=np.repeat(np.arange(len(found)), [len(atoms) for atoms in moved[1:]]),
        atom=np.concatenate(moved),
        square=(way**2).sum(1),
    )


def names() -> list[str]:
    """Names of an atom's own columns in `features`."""
    soft = [f"soft_{energy}" for energy in SOFT]
    known = ["barrier", "log_barrier", *soft, "log_participation", "distance"]
    return [
        name
        for weight in ("share", "moving")
        for name in (weight, *(f"{weight}_{value}" for value in known))
    ]


def size(elements: int) -> int:
    """Number of columns of `features` for so many elements."""
    return len(names()) * (1 + sum(elements if split else 1 for _, split in AVERAGED_TO))


def features(
    atoms: Atoms,
    potential: Potential,
    elements: Sequence[int],
    done: Done = unwatched,
    searches: int = SEARCHES,
) -> np.ndarray:
    """Per-atom inputs of a model, (atoms, size(len(elements))) float32.

    An atom's own come first, see `names`. It belongs to each saddle, if it moves by more than
    `event.MOVED`, by a weight: its share of the squared displacement d² of all that do; and again,
    d² / (d² + `MOVES`²), which counts those that move. Of each weight: its sum over the saddles;
    then the saddles' means by it, of the barrier b (eV), log(b + `LEAST_LOG`), exp(-b / energy) for
    each energy of `SOFT`, the logarithm of the participation number (Σ d²)² / Σ d⁴, and the
    distance (Σ d²)^½ from the start (Å). The structure's own means count in each with a weight of
    `PRIOR`. The same for the atoms around follow, see `AVERAGED_TO`. Where no saddle is found, all
    are zero.

    Args:
        atoms: a periodic structure, at a minimum of the energy.
        potential: an EAM potential.
        elements: atomic numbers, in the order of the columns.
        done: see `saddles_of`.
        searches: at each atom.

    Raises:
        InputError: see `saddles_of`.
    """
    found = saddles_of(atoms, potential, searches=searches, done=done)
    return columns_of(atoms, found, elements)


def columns_of(atoms: Atoms, found: Saddles, elements: Sequence[int]) -> np.ndarray:
    """The same from saddles that are known."""
    total = np.bincount(found.saddle, found.square, len(found.barrier))
    known = _known_of(found, total)
    weights = found.square / total[found.saddle], found.square / (found.square + MOVES**2)
    sums = np.empty((len(atoms), len(weights), 1 + len(known)))
    for k, weight in enumerate(weights):
        sums[:, k, 0] = np.bincount(found.atom, weight, len(atoms))
        for i, value in enumerate(known, 1):
            sums[:, k, i] = np.bincount(found.atom, weight * value[found.saddle], len(atoms))
    sums /= found.searches
    whole = sums[..., 1:].sum(0) / np.maximum(sums[..., :1].sum(0), PRIOR)
    own = sums.reshape(len(atoms), -1).astype(np.float32)
    columns = np.concatenate([own, averages(atoms, own, elements, AVERAGED_TO)], axis=1)
    parts = columns.reshape(len(atoms), -1, len(weights), 1 + len(known))  # a view
    parts[..., 1:] += (PRIOR * whole).astype(np.float32)
    parts[..., 1:] /= parts[..., :1] + np.float32(PRIOR)
    return columns


def _known_of(found: Saddles, total: np.ndarray) -> list[np.ndarray]:
    """Numbers of each saddle, each (saddles,), in the order of `names`.

    Args:
        found: the saddles.
        total: (saddles,), sum of the squared displacements of each, Å².
    """
    fourth = np.bincount(found.saddle, found.square**2, len(found.barrier))
    participation = total**2 / np.maximum(fourth, np.finfo(float).tiny)
    return [
        found.barrier,
        np.log(found.barrier + LEAST_LOG),
        *(np.exp(-found.barrier / energy) for energy in SOFT),
        np.log(np.maximum(participation, 1.0)),
        np.sqrt(total),
    ]
