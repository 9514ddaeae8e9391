"""Where the force calls and the time of saddle searches go, and how the barriers compare.

    python benchmarks/searches.py glass.xyz --atoms 32 --searches 3
    python benchmarks/searches.py train2 --published FOLDER --atoms 32 --searches 3

Prints the shares of the force calls by phase, processor seconds a search, a saddle and a force
call, nanoseconds a listed pair, and the same force call in LAMMPS on the full periodic structure.
With the published structures it adds the correlation and the means of barriers and labels.
Numbers of the protocol follow as name=value, e.g. activation=-0.5 push_step=0.2. With
`--no-sides` saddles are confirmed and their sides left out, which the barriers do not need.
"""

import argparse
import time
from collections import Counter
from collections.abc import Iterator

import numpy as np
import torch
from ase import Atoms
from labelled import add_structure, structure
from labels import print_comparison

from symgnn.barriers.artn import Phase
from symgnn.barriers.batches import Batch, Ended, places
from symgnn.barriers.confirmation import Descent, Unconfirmed
from symgnn.barriers.eam_engine import RegionEngine
from symgnn.barriers.event import Event, furthest, region_number
from symgnn.barriers.events import columns_of, region_columns_of
from symgnn.barriers.protocol import Protocol, Status
from symgnn.barriers.searches import Searches
from symgnn.lammps_interface import LammpsForces
from symgnn.potentials import Potential, find_potential


class PhaseCount:
    """Counts the force calls of a batch, and their processor seconds, by what they were for.

    A product with the Hessian counts as one.
    """

    def __init__(self, batch: Batch):
        self.calls: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        self.atoms = batch.artn.trial.shape[1] // 3
        self._artn, self._forces_of = batch.artn, batch._forces.of
        batch._forces.of = self._counted
        if batch._forces.hessians is not None:
            self._iterate = batch._forces.hessians.iterate
            batch._forces.hessians.iterate = self._iterated

    def _counted(self, rows: torch.Tensor, trial: torch.Tensor) -> tuple[torch.Tensor, ...]:
        start = time.process_time()
        found = self._forces_of(rows, trial)
        seconds = (time.process_time() - start) / len(rows)
        kinds = 2 * self._artn.phase[rows] + self._artn._climbs[rows]
        for kind, calls in enumerate(torch.bincount(kinds).tolist()):
            if calls:
                self._add(kind, calls, calls * seconds)
        return found

    def _iterated(self, row: int, *arguments: object) -> int:
        start = time.process_time()
        vectors = self._iterate(row, *arguments)
        seconds = time.process_time() - start
        self._add(int(2 * self._artn.phase[row] + self._artn._climbs[row]), vectors, seconds)
        return vectors

    def _add(self, kind: int, calls: int, seconds: float) -> None:
        name = Phase(kind // 2).name.lower()
        if name == "lanczos":
            name += " (climb)" if kind % 2 else " (push)"
        self.calls[name] += calls
        self.seconds[name] += seconds


class Confirmations:
    """What the confirmation of saddles takes, and how far they move on the way.

    Attributes:
        seconds: processor seconds.
        counts: force calls in each of the larger systems.
        moves: (atom, search): distance between the furthest atom's places at the saddle of the
            region and at that of the last larger system, Å.
    """

    def __init__(self, searches: Searches):
        self.seconds = 0.0
        self.moves: dict[tuple[int, int], float] = {}
        self._begun: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}
        self._confirm = searches.confirm
        self.counts = [PhaseCount(batch) for batch in self._confirm.batches]
        self._refined = self._confirm._refined
        self._confirm._refined, searches.confirm = self._compared, self._timed

    def _timed(self, *arguments: object) -> list[Event]:
        start = time.process_time()
        events = list(self._confirm(*arguments))
        self.seconds += time.process_time() - start
        return events

    def _compared(self, one: Unconfirmed, ended: Ended) -> Unconfirmed:
        key = (one.event.atom, one.event.search)
        atoms, saddle = self._begun.setdefault(key, (one.atoms, one.saddle))
        way = ended.saddle - ended.minimum
        way[places(atoms, ended.atoms)] -= saddle
        self.moves[key] = furthest(way)
        return self._refined(one, ended)


def unknown_sides(found: list[Unconfirmed], *_: object) -> Iterator[Descent]:
    """Sides of saddles that nobody relaxed."""
    for one in found:
        nothing = np.zeros((2, *one.saddle.shape))
        yield Descent(one, np.full(2, np.nan), nothing, 0, np.zeros(2, dtype=bool))


def print_costs(events: list[Event], calls: Counter[str], seconds: float) -> None:
    """Force calls by phase, and seconds a search."""
    total, converged = sum(calls.values()), sum(event.status == 0 for event in events)
    to_saddle = sum(e.saddle_evaluations if e.status == 0 else e.force_evaluations for e in events)
    print(f"searches {len(events)}, converged {converged / len(events):.1%}")
    if not converged:
        raise SystemExit("no search converged: nothing to measure")
    for name, count in calls.most_common():
        print(f"  {name:<16} {count / len(events):7.1f} calls a search  {count / total:6.1%}")
    print(f"force calls a converged saddle: {to_saddle / converged:.0f}")
    print(f"core-seconds: {seconds / len(events):.3f} a search, {seconds / converged:.3f} a saddle")
    print(f"microseconds a force call, all included: {seconds / total * 1e6:.0f}")
    barriers = np.array([event.region_barrier for event in events if event.status == 0])
    error = barriers.std() / np.sqrt(converged)
    print(f"barriers of the region: {barriers.mean():.3f} ± {error:.3f} eV on average")


def print_checks(checks: Confirmations, searches: int) -> None:
    """Force calls of the larger systems by phase, and the time of the checks."""
    print(f"core-seconds of the checks: {checks.seconds / searches:.3f} a search; force calls in")
    for count in checks.counts:
        print(f"  regions of up to {count.atoms} atoms")
        for name, calls in count.calls.most_common():
            each = count.seconds[name] / calls
            print(
                f"    {name:<16} {calls / searches:7.1f} calls a search, {1e6 * each:6.0f} µs each"
            )


def print_changes(events: list[Event], moves: dict[tuple[int, int], float]) -> None:
    """What the rest of the structure changes at the saddles of the regions."""
    found = [event for event in events if event.status == 0]
    lost = sum(event.status == Status.NOT_CONFIRMED for event in events)
    change = np.array([event.barrier - event.region_barrier for event in found])
    calls = sum(event.full_evaluations for event in events) / len(found)
    print(f"full system: {calls:.0f} calls a saddle, {lost} not confirmed; barriers change by")
    print(f"  {1e3 * change.mean():.0f} meV on average,", end=" ")
    print(f"{1e3 * np.median(abs(change)):.0f} in the median,", end=" ")
    print(f"{1e3 * np.percentile(abs(change), 95):.0f} at the 95th percentile")
    grown = np.array([event.barrier - event.grown_barrier for event in found])
    print(
        f"  after the largest region by {1e3 * np.median(abs(grown)):.1f} meV in the median,",
        end=" ",
    )
    print(f"{1e3 * np.percentile(abs(grown), 95):.0f} at the 95th percentile")
    second = np.array([event.second_curvature for event in found])
    negative = sum(second < Protocol().second_negative)
    print(f"second eigenvalue: {negative} of {len(found)} negative,", end=" ")
    print(f"the lowest {second.min():.3f} eV/Å²;", end=" ")
    print(f"{sum(event.connected for event in found)} connected;", end=" ")
    print(f"{np.mean([event.check_evaluations for event in found]):.0f} calls a saddle for both")
    moved = [moves[event.atom, event.search] for event in found]
    print(f"  an atom moves by {np.median(moved):.2f} Å in the median,", end=" ")
    print(f"{np.percentile(moved, 95):.2f} at the 95th percentile, {max(moved):.2f} at most")


def print_forces(atoms: Atoms, potential: Potential, radius: float) -> None:
    """One force call of the region and of LAMMPS on everything, in one process."""
    search = RegionEngine(atoms, potential, radius=radius).open(0)
    generator = np.random.default_rng(0)
    trials = [search.position + generator.normal(scale=0.01, size=search.position.shape)] * 200
    with LammpsForces(atoms, potential) as full:
        everything = [atoms.positions + 0.001 * k for k in range(20)]
        ours = seconds_a_call(search, trials)
        theirs = seconds_a_call(full.energy_and_forces, everything)
    pairs = search._forces.listed_pairs
    print(f"force call: {ours * 1e6:.0f} µs for {len(search.atoms)} free atoms,", end=" ")
    print(f"{ours / pairs * 1e9:.1f} ns a pair; LAMMPS on all {len(atoms)}:", end=" ")
    print(f"{theirs * 1e6:.0f} µs, {theirs / ours:.0f} times as much")


def seconds_a_call(function, arguments: list) -> float:
    """Processor seconds of a call, the mean over the arguments after one that is not counted."""
    function(arguments[0])
    start = time.process_time()
    for argument in arguments:
        function(argument)
    return (time.process_time() - start) / len(arguments)


def protocol(words: list[str]) -> Protocol:
    """The default protocol with some of its numbers replaced."""
    defaults = vars(Protocol())
    pairs = [word.partition("=")[::2] for word in words]
    try:
        return Protocol(**{name: type(defaults[name])(value) for name, value in pairs})
    except (KeyError, ValueError) as error:
        raise SystemExit(f"error: {' '.join(words)}: {error}: must be name=value") from None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_structure(parser)
    parser.add_argument("--potential", default="Cu-Zr-2009")
    parser.add_argument("--atoms", type=int, default=32)
    parser.add_argument("--searches", type=int, default=3)
    parser.add_argument(
        "--region-searches", type=int, default=0, help="further ones, for the controlled label"
    )
    parser.add_argument("--radius", type=float, default=8.0)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument(
        "--no-check", action="store_true", help="leave out the full system, and both sides"
    )
    parser.add_argument("--no-sides", action="store_true", help="of saddles that are confirmed")
    parser.add_argument(
        "--differences",
        action="store_true",
        help="of forces, for products with the Hessian in Lanczos iterations",
    )
    parser.add_argument("numbers", nargs="*", help="name=value of the protocol")
    arguments = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    atoms, labels = structure(arguments)
    potential = find_potential(arguments.potential)
    engine = RegionEngine(
        atoms,
        potential,
        radius=arguments.radius,
        batch=arguments.batch,
        hessians=not arguments.differences,
    )
    searches = Searches(atoms, engine, protocol=protocol(arguments.numbers), seed=0)
    count, checks = PhaseCount(searches.searching), None
    if arguments.no_check:
        searches.confirm = lambda found, *_: [one.event for one in found]
    else:
        if arguments.no_sides:
            searches.confirm._relax_sides = unknown_sides
        checks = Confirmations(searches)
    targets = np.random.default_rng(1).choice(len(atoms), arguments.atoms, replace=False)
    start = time.process_time()
    events = list(
        searches.run([(int(atom), k) for atom in targets for k in range(arguments.searches)])
    )
    further = [region_number(k) for k in range(arguments.region_searches)]
    seconds = time.process_time() - start
    calls = count.calls.copy()
    region = list(searches.run([(int(atom), k) for atom in targets for k in further]))
    of_region = time.process_time() - start - seconds
    print_costs(events, calls, seconds - (checks.seconds if checks else 0.0))
    if region:
        print(f"core-seconds: {of_region / len(region):.3f} a search that ends in the region")
    if checks:
        print_checks(checks, len(events))
        print_changes(events, checks.moves)
    print_forces(atoms, potential, arguments.radius)
    if labels is not None:
        print_comparison(columns_of(events), region_columns_of(region), labels)


if __name__ == "__main__":
    main()
