"""Run ARTn searches of one structure and return what they found, one record a search."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms
from ase.geometry import find_mic

from symgnn.barriers.artn import Artn, Protocol, Status
from symgnn.barriers.engines import Engine, OpenSearch
from symgnn.structures import structure_hash

MOVED = 0.1  # Å; atoms that go further from start to saddle or final minimum are kept


@dataclass(frozen=True)
class Event:
    """What one search found; the fields are those of events.h5 (see `symgnn.fields`)."""

    atom: int
    search: int
    status: int
    barrier: float
    curvature: float
    force_max: float
    final_energy: float
    connected: bool
    displacement_max: float
    target_displacement: float
    force_evaluations: int
    saddle_evaluations: int
    lanczos_evaluations: int
    moved_atoms: np.ndarray  # (moved,)
    saddle_displacement: np.ndarray  # (moved, 3), Å
    final_displacement: np.ndarray  # (moved, 3), Å


def push_generator(seed: int, structure: str, atom: int, search: int) -> np.random.Generator:
    """The random numbers of one search, which depend on these four and on nothing else."""
    key = hashlib.sha256(f"{seed}/{structure}/{atom}/{search}".encode()).digest()[:16]
    return np.random.Generator(np.random.Philox(key=np.frombuffer(key, dtype="<u8")))


class Searches:
    """Searches of one structure on one core.

    Args:
        atoms: periodic structure at a minimum of the energy.
        engine: where forces come from.
        protocol: the numbers that define a search.
        seed: of the pushes.
    """

    def __init__(self, atoms: Atoms, engine: Engine, *, protocol: Protocol, seed: int):
        self._atoms, self._engine, self._protocol, self._seed = atoms, engine, protocol, seed
        self._structure = structure_hash(atoms)
        self._artn = Artn(protocol, engine.batch, engine.capacity)
        self._open: dict[int, tuple[int, int, OpenSearch]] = {}

    def run(
        self,
        tasks: Iterable[tuple[int, int]],
        *,
        between: Callable[[], None] = lambda: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Event]:
        """Run searches, each given as (atom, number of the search); yield them as they end.

        `between` is called after every round of force calls. Where `stop` is true after one, the
        searches under way are dropped; as their numbers are theirs alone, a later run repeats
        them to the same end.
        """
        waiting = iter(tasks)
        self._admit(waiting, range(self._engine.batch))
        while self._open and not stop():
            self._round()
            between()
            idle = sorted(set(self._open) - set(self._artn.active().tolist()))
            for row in idle:
                yield self._event(row)
                del self._open[row]
            self._admit(waiting, idle)

    def _admit(self, waiting: Iterator[tuple[int, int]], rows: Iterable[int]) -> None:
        for row, (atom, search) in zip(rows, waiting, strict=False):
            forces = self._engine.open(atom)
            push = torch.from_numpy(self._push(forces, atom, search))
            self._artn.admit(row, torch.from_numpy(np.array(forces.position)), push)
            self._open[row] = (atom, search, forces)

    def _push(self, forces: OpenSearch, atom: int, search: int) -> np.ndarray:
        """Gaussian displacements of the target and its neighbours, nearest first."""
        center = forces.position[np.flatnonzero(forces.atoms == atom)[0]]
        _, distance = find_mic(forces.position - center, self._atoms.cell, pbc=True)
        near = np.flatnonzero(distance < self._protocol.push_radius)
        near = near[np.lexsort((forces.atoms[near], np.round(distance[near], 6)))]
        push = np.zeros_like(forces.position)
        generator = push_generator(self._seed, self._structure, atom, search)
        push[near] = generator.normal(size=(len(near), 3))
        if len(push) == len(self._atoms):
            push -= push.mean(axis=0)  # with no atom frozen, the structure would drift as a whole
        return push

    def _round(self) -> None:
        """One force call for each search that is under way."""
        rows = self._artn.active()
        trial = self._artn.trial.numpy()
        energy, inside = np.empty(len(rows)), np.empty(len(rows), dtype=bool)
        force = np.zeros((len(rows), trial.shape[1]))
        for k, row in enumerate(rows.tolist()):
            forces = self._open[row][2]
            length = 3 * len(forces.atoms)
            energy[k], found = forces(trial[row, :length].reshape(-1, 3))
            force[k, :length].reshape(-1, 3)[:] = found
            inside[k] = forces.inside
        self._artn.receive(rows, *map(torch.from_numpy, (energy, force, inside)))

    def _event(self, row: int) -> Event:
        atom, search, forces = self._open[row]
        artn, free = self._artn, len(forces.atoms)
        shape = (free, 3)

        def displacement(of: torch.Tensor) -> np.ndarray:
            return (of[row] - artn.minimum[row])[: 3 * free].view(shape).numpy().copy()

        status = Status(int(artn.status[row]))
        converged = status == Status.CONVERGED
        connected = converged and bool(artn.connected[row])
        saddle = displacement(artn.saddle) if converged else np.zeros(shape)
        final = displacement(artn.final) if connected else np.zeros(shape)
        way = np.linalg.norm(saddle, axis=1)
        moved = np.flatnonzero((way > MOVED) | (np.linalg.norm(final, axis=1) > MOVED))
        moved = moved[np.argsort(forces.atoms[moved])]
        nan = float("nan")
        return Event(
            atom=atom,
            search=search,
            status=int(status),
            barrier=float(artn.barrier[row]),
            curvature=float(artn.curvature[row]),
            force_max=float(artn.force_max[row]),
            final_energy=float(artn.final_energy[row]),
            connected=connected,
            displacement_max=float(way.max()) if converged else nan,
            target_displacement=float(way[forces.atoms == atom][0]) if converged else nan,
            force_evaluations=int(artn.evaluations[row]),
            saddle_evaluations=int(artn.saddle_evaluations[row]),
            lanczos_evaluations=int(artn.lanczos_evaluations[row]),
            moved_atoms=forces.atoms[moved],
            saddle_displacement=saddle[moved],
            final_displacement=final[moved],
        )
