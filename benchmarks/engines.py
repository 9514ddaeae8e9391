"""The same saddle searches by other means, and how their cost grows with the structure.

    python benchmarks/engines.py glass.xyz --searches 4

Prints processor seconds of the same searches with the compiled forces of a region and with LAMMPS
on the full periodic structure, of ASE's dimer method (doi:10.1063/1.480097) with LAMMPS's forces
from pushes of its own, and of the region's searches in the glass repeated to 8 and 27 times its
size, as far as that is no more than 30,000 atoms. Ratios to LAMMPS are of means over the searches
that each made.
"""

import argparse
import io
import time

import numpy as np
import torch
from ase import Atoms
from ase.mep import DimerControl, MinModeAtoms, MinModeTranslate
from counted import Counted

from symgnn.barriers.eam_engine import RegionEngine
from symgnn.barriers.engines import Engine
from symgnn.barriers.event import Event
from symgnn.barriers.lammps_engine import LammpsEngine
from symgnn.barriers.protocol import Protocol
from symgnn.barriers.searches import Searches
from symgnn.lammps_interface import LammpsForces
from symgnn.potentials import Potential, find_potential
from symgnn.structures import read_structure

DIMER_CALLS = 2000
LARGEST = 30_000  # atoms


def search(atoms: Atoms, engine: Engine, tasks: list[tuple[int, int]]) -> tuple[list[Event], float]:
    """Events and processor seconds of searches without a look at larger systems."""
    torch.set_num_threads(1)
    searches = Searches(atoms, engine, protocol=Protocol(), seed=0, check=False)
    start = time.process_time()
    events = list(searches.run(tasks))
    return events, time.process_time() - start


def report(name: str, events: list[Event], seconds: float) -> float:
    """Print the cost of searches; returns processor seconds of a force call."""
    calls = sum(event.force_evaluations for event in events)
    converged = sum(event.status == 0 for event in events)
    print(f"{name}: {len(events)} searches, {converged} converged,", end=" ")
    print(f"{calls / len(events):.0f} calls and {seconds / len(events):.3f} core-s each,", end=" ")
    print(f"{1e6 * seconds / calls:.0f} µs a call")
    return seconds / calls


def dimer(atoms: Atoms, potential: Potential, tasks: list[tuple[int, int]]) -> None:
    """Saddle searches by ASE's dimer method on the full structure."""
    seconds, calls, converged = 0.0, 0, 0
    with LammpsForces(atoms, potential) as forces:
        for atom, number in tasks:
            structure = atoms.copy()
            structure.calc = calculator = Counted(forces.energy_and_forces)
            near = structure.get_distances(atom, range(len(atoms)), mic=True) < 3.6
            push = np.zeros_like(structure.positions)
            generator = np.random.default_rng([atom, number])
            push[near] = generator.normal(scale=0.1, size=(near.sum(), 3))
            start = time.process_time()
            with DimerControl(logfile=None, eigenmode_logfile=None, mask=list(near)) as control:
                mode = MinModeAtoms(structure, control)
                mode.displace(displacement_vector=push, method="vector")
                with MinModeTranslate(mode, logfile=io.StringIO()) as translation:
                    for done in translation.irun(fmax=0.05):
                        if done or calculator.calls > DIMER_CALLS:
                            break
            converged += bool(done)
            calls += calculator.calls
            seconds += time.process_time() - start
    print(f"ASE's dimer on LAMMPS, all {len(atoms)} atoms: {len(tasks)} searches,", end=" ")
    print(f"{converged} converged, {calls / len(tasks):.0f} calls", end=" ")
    print(f"and {seconds / len(tasks):.1f} core-s each")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("glass", help="a structure file")
    parser.add_argument("--potential", default="Cu-Zr-2009")
    parser.add_argument("--searches", type=int, default=4)
    parser.add_argument("--radius", type=float, default=8.0)
    arguments = parser.parse_args()
    atoms, potential = read_structure(arguments.glass), find_potential(arguments.potential)
    targets = np.random.default_rng(1).choice(len(atoms), 8 * arguments.searches, replace=False)
    tasks = [(int(atom), 0) for atom in targets]
    few, ours, own, large = tasks[: arguments.searches], 0.0, 0.0, atoms
    for repeat in (1, 2, 3):
        if repeat > 1 and len(atoms) * repeat**3 > LARGEST:
            break
        large = atoms.repeat(repeat)
        engine = RegionEngine(large, potential, radius=arguments.radius)
        events, seconds = search(large, engine, tasks)
        ours = report(f"region, {len(large)} atoms", events, seconds)
        own = own or seconds / len(tasks)
    events, seconds = search(atoms, LammpsEngine(atoms, potential), few)
    theirs = report(f"LAMMPS, all {len(atoms)} atoms", events, seconds)
    print(f"  a call costs {theirs / ours:.0f} times as much,", end=" ")
    print(f"a search {seconds / len(few) / own:.0f} times")
    with LammpsForces(large, potential) as forces:
        start = time.process_time()
        for step in range(5):
            forces.energy_and_forces(large.positions + 0.001 * step)
        call = (time.process_time() - start) / 5
    print(f"LAMMPS, all {len(large)} atoms: {1e6 * call:.0f} µs a call,", end=" ")
    print(f"{call / ours:.0f} times as much")
    dimer(atoms, potential, few)


if __name__ == "__main__":
    main()
