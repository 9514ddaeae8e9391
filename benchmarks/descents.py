"""How the two sides of saddles are relaxed: our quasi-Newton steps beside ASE's optimisers.

    python benchmarks/descents.py train2 --published FOLDER --atoms 14 --searches 3

Finds saddles with all atoms free and relaxes both sides of each: by our steps, by the same without
the stiffness that is added to their Hessian, and by ASE's FIRE and LBFGS, all on the same compiled
forces of the full system. Prints force calls, the share that ends in another minimum than FIRE,
and how often the events, whose sides are relaxed in a region first, agree with FIRE on whether the
start is one of the sides and how high the far side is.
"""

import argparse
from collections import deque
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch
from ase import Atoms
from ase.optimize import FIRE, LBFGS
from counted import Counted
from labelled import add_structure, structure

from symgnn.barriers.confirmation import CHECK_EVALUATIONS, Confirmation, Unconfirmed
from symgnn.barriers.eam_engine import RegionEngine
from symgnn.barriers.event import Event, Sides, furthest
from symgnn.barriers.protocol import Protocol, Status
from symgnn.barriers.searches import Searches
from symgnn.potentials import find_potential


class Relaxations:
    """Relaxes sides with all atoms free; each returns calls, energy (eV) and way (atoms, 3), Å."""

    def __init__(self, atoms: Atoms, engine: RegionEngine, protocol: Protocol):
        self._atoms, self._engine, self._protocol = atoms, engine, protocol
        self._last = len(engine.confirming) - 1

    def ours(self, ways: list[np.ndarray], **numbers: float) -> list[tuple]:
        """By the program's own steps, with some numbers of the protocol replaced."""
        protocol = replace(self._protocol, **numbers)
        batch = Confirmation(self._atoms, self._engine, protocol).batches[-1]

        def begin(k: int) -> int:
            search = self._engine.open_larger(0, self._last)
            row = batch.take(search)
            start = search.position
            batch.artn.admit_minimum(row, *batch.on_device(start, start + ways[k]))
            return row

        found = {}
        tasks = deque(range(len(ways)))
        for k, ended in batch.follow(tasks, begin, lambda: None, lambda: False):
            way = ended.ahead - ended.minimum
            found[k] = (ended.evaluations, ended.ahead_energy, way)
        return [found[k] for k in range(len(ways))]

    def by_ase(self, ways: list[np.ndarray], optimizer: type) -> list[tuple]:
        """By an optimiser of ASE, with its own defaults but our longest step.

        LBFGS takes it for the longest way of an atom, as we do, FIRE for the norm of all ways.
        """
        search = self._engine.open_larger(0, self._last)
        found = []
        for way in ways:
            moved = self._atoms.copy()
            moved.positions = search.position + way
            moved.calc = Counted(search)
            steps = optimizer(moved, logfile=None, maxstep=self._protocol.largest_move)
            ended = steps.run(fmax=self._protocol.minimum_tolerance, steps=3 * CHECK_EVALUATIONS)
            energy = moved.get_potential_energy() if ended else float("nan")
            found.append((moved.calc.calls, energy, moved.positions - search.position))
        return found


def saddles(searches: Searches, tasks: Iterable) -> list[tuple[Unconfirmed, Event]]:
    """Saddles of the full system and their events."""
    confirm, kept = searches.confirm, {}
    relax_sides = confirm._relax_sides

    def keep(found: list[Unconfirmed], *rest: object):
        kept.update({(one.event.atom, one.event.search): one for one in found})
        return relax_sides(found, *rest)

    confirm._relax_sides = keep
    events = [event for event in searches.run(tasks) if event.status == Status.CONVERGED]
    return [(kept[event.atom, event.search], event) for event in events]


def print_events(
    found: list[tuple[Unconfirmed, Event]], reference: list[tuple], same_minimum: float
) -> None:
    """How events agree with both sides relaxed with all atoms free."""
    agree, change = [], {True: [], False: []}
    for k, (_, event) in enumerate(found):
        pair = reference[2 * k : 2 * k + 2]
        energies, ways = (np.array([side[n] for side in pair]) for n in (1, 2))
        sides = Sides.of(event.barrier, energies, ways, same_minimum)
        agree.append(sides.connected == event.connected)
        if agree[-1]:
            change[event.connected].append(event.final_energy - sides.energy)
    print(f"events: `connected` as by FIRE for {np.mean(agree):.0%} of {len(found)};", end=" ")
    print("of these final_energy is above FIRE's by")
    for connected, differences in change.items():
        if differences:
            low, middle, high = 1e3 * np.percentile(differences, [5, 50, 95])
            kind = "connected" if connected else "not connected"
            print(f"  {middle:.1f} meV in the median ({low:.1f} to {high:.1f}), {kind}")


def main() -> None:
    """Find saddles, relax their sides in each way and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_structure(parser)
    parser.add_argument("--potential", default="Cu-Zr-2009")
    parser.add_argument("--atoms", type=int, default=14)
    parser.add_argument("--searches", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    atoms, _ = structure(arguments)
    protocol = Protocol()
    engine = RegionEngine(atoms, find_potential(arguments.potential), radius=8.0, batch=32)
    searches = Searches(atoms, engine, protocol=protocol, seed=0, check=True)
    targets = np.random.default_rng(1).choice(len(atoms), arguments.atoms, replace=False)
    tasks = [(int(atom), k) for atom in targets for k in range(arguments.searches)]
    found = saddles(searches, tasks)
    ways = [
        one.saddle + sign * protocol.departure * one.mode for one, _ in found for sign in (1, -1)
    ]
    relax = Relaxations(atoms, engine, protocol)
    reference = relax.by_ase(ways, FIRE)
    print(f"{len(ways)} sides of {len(found)} saddles, {len(atoms)} atoms")
    for name, sides in (
        ("ASE's FIRE", reference),
        ("ASE's LBFGS", relax.by_ase(ways, LBFGS)),
        ("ours", relax.ours(ways)),
        ("ours, no added stiffness", relax.ours(ways, descent_stiffness=0.0)),
    ):
        calls = np.mean([side[0] for side in sides])
        apart = [furthest(side[2] - other[2]) for side, other in zip(sides, reference, strict=True)]
        other = np.mean(np.array(apart) > protocol.same_minimum)
        print(f"  {name:<26} {calls:5.0f} calls, {other:.1%} in another minimum", flush=True)
    print_events(found, reference, protocol.same_minimum)


if __name__ == "__main__":
    main()
