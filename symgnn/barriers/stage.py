"""The stage as a function: a structure in, events.h5 out, with journal, lock and ranks."""

import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from mpi4py import MPI

from symgnn.barriers import pool
from symgnn.barriers.batched.engine import GIB, BatchedEngine, usable_memory
from symgnn.barriers.eam_engine import RegionEngine
from symgnn.barriers.engines import Engine
from symgnn.barriers.event import Event, region_number
from symgnn.barriers.events import region_columns_of, write_events
from symgnn.barriers.journal import Journal
from symgnn.barriers.lammps_engine import LammpsEngine
from symgnn.barriers.protocol import REGION_SEARCHES, Protocol, Status
from symgnn.barriers.searches import Searches
from symgnn.errors import InputError
from symgnn.lammps_interface import LammpsForces
from symgnn.potentials import Potential
from symgnn.progress import Progress, TimeBudget
from symgnn.provenance import provenance, stage_hash
from symgnn.structures import structure_hash

# eV/Å; a structure with larger forces is no inherent structure. Many small forces hold energy,
# which all its barriers would lack: relaxed to 0.04 a glass of 8,000 atoms was 43 meV above its
# minimum, to 0.009 it was 7 meV.
START_FORCE = 0.01


def chosen_atoms(choice: str, atoms: int, seed: int) -> np.ndarray:
    """Indices of the atoms that `--atoms` names, in rising order.

    Args:
        choice: `all`, a number N (a seeded random choice of N atoms) or `i:j` (a range).
        atoms: how many the structure has.
        seed: of the random choice.

    Raises:
        InputError: the choice does not parse or names atoms that are not there.
    """
    if choice == "all":
        return np.arange(atoms)
    if re.fullmatch(r"\d+", choice):
        if not 0 < int(choice) <= atoms:
            raise InputError(f"atoms: {choice}: must be from 1 to {atoms}")
        order = np.random.default_rng(seed).permutation(atoms)
        return np.sort(order[: int(choice)])
    parts = re.fullmatch(r"(\d+):(\d+)", choice)
    if parts is None:
        raise InputError(f"atoms: {choice!r}: must be all, a number N or a range i:j")
    first, end = map(int, parts.groups())
    if not first < end <= atoms:
        raise InputError(f"atoms: {choice}: must be a range within 0:{atoms}")
    return np.arange(first, end)


def shard_of(atoms: np.ndarray, shard: str) -> np.ndarray:
    """The part `i/n` (i from 0) of the chosen atoms.

    Raises:
        InputError: the shard does not parse or is none of the n.
    """
    parts = re.fullmatch(r"(\d+)/(\d+)", shard)
    if parts is None or not int(parts[1]) < int(parts[2]):
        raise InputError(f"shard: {shard!r}: must be i/n with i from 0 to n - 1")
    return np.array_split(atoms, int(parts[2]))[int(parts[1])]


def check_minimum(atoms: Atoms, potential: Potential, name: Path | str) -> None:
    """Check that a structure is a minimum of the potential.

    Raises:
        InputError: the largest force is above `START_FORCE`.
    """
    with LammpsForces(atoms, potential) as forces:
        _, force = forces.energy_and_forces(atoms.positions)
    largest = np.linalg.norm(force, axis=1).max()
    if not largest <= START_FORCE:
        raise InputError(
            f"{name}: largest force {largest:.3g} eV/Å: must be at most {START_FORCE} eV/Å; "
            "relax the structure with this potential first"
        )


def make_engine(
    name: str,
    atoms: Atoms,
    potential: Potential,
    *,
    radius: float,
    precision: str = "double",
    memory: float | None = None,
    searches: int | None = None,
    check: bool = True,
    rank: int = 0,
    ranks: int = 1,
) -> Engine:
    """The source of forces.

    Args:
        name: `cpu` (compiled EAM around the target), `gpu` (the same in batches on a GPU), `lammps`
            (the full periodic system) or `auto`: gpu where torch sees one, else cpu, and lammps
            where the potential is of no EAM form.
        atoms: periodic structure.
        potential: from `potentials.find_potential`.
        radius: of the region, Å.
        precision: on a GPU, double or mixed.
        memory: on a GPU, most memory of the batches, GiB; None for most of what is free.
        searches: how many are wanted of this engine.
        check: whether their saddles will be confirmed.
        rank: which of several processes; they take turns at the GPUs that torch sees.
        ranks: how many processes there are; those at one GPU share its free memory.

    Raises:
        InputError: there is no such engine, or no GPU for it.
    """
    if name == "auto":
        eam = potential.is_eam
        name = ("gpu" if torch.cuda.is_available() else "cpu") if eam else "lammps"
    if name == "cpu":
        return RegionEngine(atoms, potential, radius=radius)
    if name == "gpu":
        if not torch.cuda.is_available():
            raise InputError("engine: gpu: torch sees no CUDA device here; use cpu or auto")
        devices = torch.cuda.device_count()
        device = f"cuda:{rank % devices}"
        if memory is None:
            memory = usable_memory(device) / GIB / -(-ranks // devices)
        return BatchedEngine(
            atoms,
            potential,
            radius=radius,
            device=device,
            precision=precision,
            memory=memory,
            searches=searches,
            check=check,
        )
    if name == "lammps":
        return LammpsEngine(atoms, potential)
    raise InputError(f"engine: {name!r}: must be auto, cpu, gpu or lammps")


def search_barriers(
    atoms: Atoms,
    potential: Potential,
    output: Path,
    *,
    chosen: np.ndarray,
    searches: int,
    region_searches: int | None = None,
    seed: int,
    protocol: Protocol,
    radius: float,
    engine: str,
    precision: str = "double",
    memory: float | None = None,
    check: bool,
    label: str,
    budget: TimeBudget,
    communicator: MPI.Comm = MPI.COMM_WORLD,
) -> None:
    """Search saddles around the chosen atoms and write events.h5.

    Finished searches stand in the journal `<output>.journal`, from which a later call goes on.
    Every rank of the communicator calls this with the same arguments.

    Args:
        atoms: periodic structure at a minimum.
        potential: its potential.
        output: events.h5.
        chosen: atoms to search at.
        searches: number of searches an atom.
        region_searches: further ones that end in the region, None for `REGION_SEARCHES` times as
            many. There are none where all atoms are free from the beginning, where no saddle is
            confirmed, or with one search an atom: nothing can be learned from them then.
        seed: of the pushes.
        protocol: the numbers that define a search.
        radius: of the free region, Å; without meaning for engine lammps.
        engine: auto, cpu, gpu or lammps; see `make_engine`.
        precision: on a GPU, double or mixed.
        memory: on a GPU, most memory of the batches, GiB.
        check: confirm every saddle on the full periodic system.
        label: which mean `barrier_mean` is.
        budget: stop in time.
        communicator: the MPI ranks.

    Raises:
        TimeBudgetReached: the budget ended; the journal holds what is done.
        InputError: another process works on the same journal.
    """
    torch.set_num_threads(1)
    further = REGION_SEARCHES * searches if region_searches is None else region_searches
    if not check or searches < 2:
        further = 0
    source = make_engine(
        engine,
        atoms,
        potential,
        radius=radius,
        precision=precision,
        memory=memory,
        searches=-(-len(chosen) * (searches + further) // communicator.size),
        check=check,
        rank=communicator.rank,
        ranks=communicator.size,
    )
    if isinstance(source, BatchedEngine) and communicator.rank == 0:
        print(f"symgnn: batches on {source.device}: {source.plan}", file=sys.stderr)
    runner = Searches(atoms, source, protocol=protocol, seed=seed, check=check)
    if communicator.rank > 0:
        pool.run(runner, [], record=_nowhere, stop=budget.exhausted, communicator=communicator)
        return
    work = {
        "structure": structure_hash(atoms),
        "potential": potential.sha256,
        "seed": seed,
        "engine": source.name,
        "radius": radius,
        "check": check,
        "protocol": vars(protocol),
        "code": stage_hash("barriers", without=("events.py", "labels.py")),
    }
    if source.capacity == len(atoms):
        further = 0
    numbers = [*range(searches), *map(region_number, range(further))]
    wanted = [(int(atom), number) for atom in chosen for number in numbers]
    with Journal(output.with_name(output.name + ".journal"), work) as journal:
        _complete(runner, journal, wanted, budget, communicator)
        missing = [key for key in wanted if key not in journal.events]
        if missing:
            # By this clock or that of another rank, which may have ended a moment earlier.
            budget.stop(f"{len(wanted) - len(missing)} of {len(wanted)} searches")
        events = [journal.events[key] for key in wanted]
        write_events(
            output,
            [event for event in events if event.search >= 0],
            region_columns_of(event for event in events if event.search < 0),
            atoms=len(atoms),
            label=label,
            attributes={
                "seed": seed,
                "structure_hash": work["structure"],
                "potential_sha256": potential.sha256,
                **provenance(
                    engine=work["engine"],
                    radius=radius,
                    searches=searches,
                    region_searches=further,
                    potential=potential.name,
                    check=check,
                    **vars(protocol),
                ),
            },
        )


def _complete(
    runner: Searches,
    journal: Journal,
    wanted: list[tuple[int, int]],
    budget: TimeBudget,
    communicator: MPI.Comm,
) -> None:
    """Run the searches that the journal does not hold yet."""
    missing = [key for key in wanted if key not in journal.events]
    left = Counter(atom for atom, _ in missing)
    converged, atoms = 0, len({atom for atom, _ in wanted})
    with Progress("searches", len(wanted), done=len(wanted) - len(missing)) as progress:

        def record(event: Event) -> None:
            nonlocal converged
            journal.add(event)
            converged += event.status == Status.CONVERGED
            left[event.atom] -= 1
            if not left[event.atom]:
                del left[event.atom]
            done = 1 + progress.done_now
            progress.advance(
                atoms=f"{atoms - len(left)}/{atoms}",
                converged=f"{converged / done:.0%}",
                rate=f"{progress.rate(done):.2f}/s",
            )

        pool.run(runner, missing, record=record, stop=budget.exhausted, communicator=communicator)


def _nowhere(event: Event) -> None:
    raise AssertionError("events are recorded on rank 0")
