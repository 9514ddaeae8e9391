"""The same saddle searches by other means, and how their cost grows with the structure.

    python benchmarks/engines.py glass.xyz --searches 4

Prints processor seconds of the same searches (atoms and pushes) with the compiled forces of a
region, with LAMMPS on the full periodic structure, and by ASE's dimer method (doi:10.1063/1.480097)
with LAMMPS's forces; then microseconds a force call and nanoseconds a listed pair, and the cost of
eight times as many of the region's searches in the glass, and in the glass repeated to 8 and 27
times its size, as far as that is no more than 30,000 atoms. The region multiplies with its Hessian
where LAMMPS takes differences of forces; `--differences` has the region take them too.
"""

import argparse
import io
import time

import numpy as np
import torch
from ase import Atoms
from ase.mep import DimerControl, MinModeAtoms, MinModeTranslate
from counted import Counted
from searches import print_forces

from symgnn.barriers.eam_engine import RegionEngine
from symgnn.barriers.engines import Engine
from symgnn.barriers.event import Event
from symgnn.barriers.lammps_engine import LammpsEngine
from symgnn.barriers.protocol import Protocol
from symgnn.barriers.searches import Searches, push_generator
from symgnn.lammps_interface import LammpsForces
from symgnn.potentials import Potential, find_potential
from symgnn.structures import read_structure, structure_hash

DIMER_CALLS = 2000
LARGEST = 30_000  # atoms
SEED = 0  # of the pushes


def search(atoms: Atoms, engine: Engine, tasks: list[tuple[int, int]]) -> tuple[list[Event], float]:
    """Events and processor seconds of searches without a look at larger systems."""
    torch.set_num_threads(1)
    searches = Searches(atoms, engine, protocol=Protocol(), seed=SEED, check=False)
    start = time.process_time()
    events = list(searches.run(tasks))
    return events, time.process_time() - start


def report(name: str, events: list[Event], seconds: float) -> float:
    """Print the cost of searches; returns processor seconds of a saddle."""
    calls = sum(event.force_evaluations for event in events)
    return tell(name, len(events), sum(event.status == 0 for event in events), calls, seconds)


def tell(name: str, searches: int, converged: int, calls: int, seconds: float) -> float:
    """Print the cost of searches; returns processor seconds of a saddle, inf without one."""
    saddle = seconds / converged if converged else np.inf
    print(
        f"{name}: {searches} searches, {converged} converged, {calls / searches:.0f} calls", end=""
    )
    print(f" and {seconds / searches:.3f} core-s each, {saddle:.3f} core-s a saddle,", end=" ")
    print(f"{1e6 * seconds / calls:.0f} µs a call")
    return saddle


def dimer(atoms: Atoms, potential: Potential, tasks: list[tuple[int, int]]) -> float:
    """Processor seconds of a saddle by ASE's dimer method on the full structure."""
    seconds, calls, converged = 0.0, 0, 0
    name = structure_hash(atoms)
    with LammpsForces(atoms, potential) as forces:
        for atom, number in tasks:
            structure = atoms.copy()
            structure.calc = calculator = Counted(forces.energy_and_forces)
            distance = structure.get_distances(atom, range(len(atoms)), mic=True)
            mask = distance < Protocol().push_radius
            near = np.flatnonzero(mask)
            near = near[np.lexsort((near, np.round(distance[near], 6)))]
            push = np.zeros_like(structure.positions)
            generator = push_generator(SEED, name, atom, number)
            push[near] = generator.normal(scale=0.1, size=(len(near), 3))
            start = time.process_time()
            with DimerControl(logfile=None, eigenmode_logfile=None, mask=list(mask)) as control:
                mode = MinModeAtoms(structure, control)
                mode.displace(displacement_vector=push, method="vector")
                with MinModeTranslate(mode, logfile=io.StringIO()) as translation:
                    for done in translation.irun(fmax=0.05):
                        if done or calculator.calls > DIMER_CALLS:
                            break
            converged += bool(done)
            calls += calculator.calls
            seconds += time.process_time() - start
    place = f"ASE's dimer on LAMMPS, all {len(atoms)} atoms"
    return tell(place, len(tasks), converged, calls, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("glass", help="a structure file")
    parser.add_argument("--potential", default="Cu-Zr-2009")
    parser.add_argument("--searches", type=int, default=4)
    parser.add_argument("--radius", type=float, default=8.0)
    parser.add_argument("--differences", action="store_true")
    options = parser.parse_args()
    atoms, potential = read_structure(options.glass), find_potential(options.potential)
    targets = np.random.default_rng(1).choice(len(atoms), 8 * options.searches, replace=False)
    tasks = [(int(atom), 0) for atom in targets]
    few = tasks[: options.searches]

    def region(structure: Atoms) -> RegionEngine:
        hessians = not options.differences
        return RegionEngine(structure, potential, radius=options.radius, hessians=hessians)

    search(atoms, region(atoms), tasks[:1])  # the compiled code is loaded
    ours = report(f"region, {len(atoms)} atoms", *search(atoms, region(atoms), few))
    theirs = report(
        f"LAMMPS, all {len(atoms)} atoms", *search(atoms, LammpsEngine(atoms, potential), few)
    )
    print(f"  a saddle costs {theirs / ours:.0f} times as much")
    print(f"  a saddle costs {dimer(atoms, potential, few) / ours:.0f} times as much")
    print_forces(atoms, potential, options.radius)
    for repeat in (1, 2, 3):
        if repeat > 1 and len(atoms) * repeat**3 > LARGEST:
            break
        large = atoms.repeat(repeat)
        report(f"region, {len(large)} atoms", *search(large, region(large), tasks))


if __name__ == "__main__":
    main()
