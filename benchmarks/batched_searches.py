"""Batched searches beside the compiled engine: speed, where the time goes, and the same saddles.

    python benchmarks/batched_searches.py glass.xyz --searches 200
    python benchmarks/batched_searches.py train2 --published FOLDER --searches 2000 --no-check

Runs the same searches, from the same seeds, with the compiled engine on one core and with the
batch engine on `--device` (cuda where there is one), and prints saddles a second, microseconds a
force call and search, the share of what the device could do in arithmetic and in traffic, where
the time goes, how many searches end at the same saddle within 5 meV, and a two-sample
Kolmogorov-Smirnov test of the barriers. With `--no-peer` only the batch engine runs; with `--noise
1e-14 1e-12` the compiled engine alone, beside itself with noise added to its forces. The compiled
engine takes differences of forces for products with the Hessian, as the other one does, but with
`--hessians` and without noise, where it does what it does in a run. Numbers of the protocol follow
as name=value.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from labelled import add_structure, structure
from scipy.stats import ks_2samp
from searches import protocol

from symgnn.barriers.batched.engine import BatchedEngine
from symgnn.barriers.batches import Batch
from symgnn.barriers.eam_engine import RegionEngine
from symgnn.barriers.engines import Engine
from symgnn.barriers.event import Event
from symgnn.barriers.searches import Searches
from symgnn.potentials import Potential, find_potential

SAME = 0.005  # eV, between barriers of the same saddle
# Additions and multiplications of a pair that the densities reach and of one that they do not: its
# vector and distance (14), two or one cubics with slopes (12 each), their sums and the force (16).
NEAR_OPERATIONS, FAR_OPERATIONS = 54, 40
PAIR_BYTES = 4 + 32  # its index, and the place of its site


class Stopwatch:
    """Seconds that some methods take, each with what is under way on the device at its end."""

    def __init__(self, device: str):
        self.seconds: dict[str, float] = {}
        self._device = torch.device(device)

    def now(self) -> float:
        """Seconds, when the device has done all that it was told."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter() if self._device.type == "cuda" else time.process_time()

    def watch(self, label: str, owner: object, method: str) -> None:
        """Count the time of a method, which may return an iterator."""
        inner: Callable = getattr(owner, method)

        def timed(*arguments: object) -> object:
            start = self.now()
            found = inner(*arguments)
            found = list(found) if hasattr(found, "__next__") else found
            self.seconds[label] = self.seconds.get(label, 0.0) + self.now() - start
            return found

        setattr(owner, method, timed)


def shake(batch: Batch, deviation: float) -> None:
    """Add normal noise (eV/Å) to the forces of free atoms."""
    exact, generator = batch._forces.of, torch.Generator().manual_seed(0)

    def noisy(rows: torch.Tensor, trial: torch.Tensor) -> tuple[torch.Tensor, ...]:
        energy, force, inside = exact(rows, trial)
        noise = torch.randn(force.shape, generator=generator, dtype=force.dtype)
        return energy, force + deviation * noise * (force != 0.0), inside

    batch._forces.of = noisy


def run(
    name: str, engine: Engine, tasks: list, arguments: argparse.Namespace, noise: float = 0.0
) -> list[Event]:
    """Run the searches and print what they took."""
    searches = Searches(
        arguments.atoms,
        engine,
        protocol=protocol(arguments.numbers),
        seed=arguments.seed,
        check=not arguments.no_check,
    )
    watch, batch = Stopwatch(engine.device), searches.searching
    if noise:
        shake(batch, noise)
    watch.watch("forces", batch._forces, "of")
    watch.watch("moves (ARTn, Lanczos)", batch.artn, "receive")
    watch.watch("Lanczos with Hessians", batch.artn, "finish_lanczos")
    watch.watch("ended searches to the host", batch, "_read")
    watch.watch("regions, pushes, admission", searches, "_admit")
    if searches.confirm is not None:
        watch.watch("confirmation", searches, "confirm")
    start = watch.now()
    events = sorted(searches.run(tasks), key=lambda event: (event.atom, event.search))
    seconds = watch.now() - start
    converged = sum(event.status == 0 for event in events)
    calls = sum(event.force_evaluations for event in events)
    region = seconds - watch.seconds.get("confirmation", 0.0)
    print(f"{name}: {len(events)} searches, {converged} converged, in {seconds:.1f} s")
    print(f"  {converged / seconds:.1f} saddles a second; {calls / converged:.0f} calls a saddle")
    print(
        f"  {region / calls * 1e6:.1f} µs a force call, {region / len(events) * 1e6:.0f} a search"
    )
    for label, part in watch.seconds.items():
        print(f"  {label:<28} {part:8.1f} s {part / seconds:6.1%}")
    rest = seconds - sum(watch.seconds.values())
    print(f"  {'the rest':<28} {rest:8.1f} s {rest / seconds:6.1%}", flush=True)
    arguments.forces = watch.seconds["forces"] / calls
    return events


def print_floors(engine: BatchedEngine, arguments: argparse.Namespace) -> None:
    """A force call against what the device does in products of matrices and in copies."""
    kind = {"double": torch.float64, "mixed": torch.float32}[arguments.precision]
    size = 4096 if arguments.device != "cpu" else 768
    a = torch.rand(size, size, dtype=kind, device=arguments.device)
    memory = torch.empty(1 << 26, dtype=torch.float64, device=arguments.device)
    watch = Stopwatch(arguments.device)

    def seconds(function: Callable[[], object]) -> float:
        function()
        start = watch.now()
        for _ in range(5):
            function()
        return (watch.now() - start) / 5

    rate = 2.0 * size**3 / seconds(lambda: a @ a)
    traffic = 16.0 * len(memory) / seconds(memory.clone)
    near, far = engine.listed_pairs(int(arguments.targets[0]))
    operations = near * NEAR_OPERATIONS + far * FAR_OPERATIONS
    arithmetic, bandwidth = operations / rate, (near + far) * PAIR_BYTES / traffic
    print(f"floors of a force call ({near} + {far} pairs, {operations / 1e6:.2f} MFLOP):")
    for name, floor, top in (
        ("arithmetic", arithmetic, f"{rate / 1e12:.3g} TFLOP/s in products of matrices"),
        ("traffic", bandwidth, f"{traffic / 1e9:.3g} GB/s in copies"),
    ):
        share = floor / arguments.forces
        print(f"  {name:<11} {floor * 1e6:7.2f} µs ({top}), {share:.1%} of the time of the forces")


def compare(peer: list[Event], batched: list[Event]) -> None:
    """Whether the two engines find the same."""
    found = [(a, b) for a, b in zip(peer, batched, strict=True) if a.status == 0 or b.status == 0]
    difference = np.array([abs(a.barrier - b.barrier) for a, b in found])  # NaN where one failed
    equal = np.mean([a.status == b.status for a, b in zip(peer, batched, strict=True)])
    print(f"the same saddle within {SAME * 1e3:.0f} meV: {np.mean(difference < SAME):.1%}", end=" ")
    print(f"of {len(found)} searches with a saddle; within 1 meV {np.mean(difference < 1e-3):.1%},")
    print(f"  within 20 meV {np.mean(difference < 0.02):.1%}; the same status {equal:.1%}")
    for name in ("barrier", "saddle_evaluations"):
        one, other = (
            np.array([getattr(event, name) for event in events if event.status == 0])
            for events in (peer, batched)
        )
        test = ks_2samp(one, other)
        print(f"{name}: means {one.mean():.3f} and {other.mean():.3f};", end=" ")
        print(f"Kolmogorov-Smirnov {test.statistic:.4f}, p = {test.pvalue:.2f}")


def compare_noise(tasks: list, potential: Potential, arguments: argparse.Namespace) -> None:
    """The compiled engine against itself with each noise added to its forces."""
    exact: list[Event] = []
    for noise in (0.0, *arguments.noise):
        engine = RegionEngine(arguments.atoms, potential, radius=arguments.radius, hessians=False)
        events = run(f"compiled engine, noise {noise:g} eV/Å", engine, tasks, arguments, noise)
        if noise:
            compare(exact, events)
        else:
            exact = events


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_structure(parser)
    parser.add_argument("--potential", default="Cu-Zr-2009")
    parser.add_argument("--searches", type=int, default=200, help="in all")
    parser.add_argument("--each", type=int, default=2, help="searches an atom")
    parser.add_argument("--radius", type=float, default=8.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", choices=("double", "mixed"), default="double")
    parser.add_argument("--memory", type=float, help="most memory of the batches, GiB")
    parser.add_argument("--no-check", action="store_true", help="leave out the full system")
    parser.add_argument(
        "--hessians", action="store_true", help="give the compiled engine its Hessians"
    )
    parser.add_argument("--no-peer", action="store_true", help="leave out the compiled engine")
    parser.add_argument(
        "--noise", type=float, nargs="+", help="eV/Å: the compiled engine with and without it"
    )
    parser.add_argument("numbers", nargs="*", help="name=value of the protocol")
    arguments = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    arguments.atoms, _ = structure(arguments)
    potential = find_potential(arguments.potential)
    number = -(-arguments.searches // arguments.each)
    order = np.random.default_rng(1).permutation(len(arguments.atoms))
    arguments.targets = order[:number]
    tasks = [(int(atom), k) for atom in arguments.targets for k in range(arguments.each)]
    if arguments.noise:
        compare_noise(tasks, potential, arguments)
        return
    engine = BatchedEngine(
        arguments.atoms,
        potential,
        radius=arguments.radius,
        device=arguments.device,
        precision=arguments.precision,
        memory=arguments.memory,
        searches=len(tasks),
        check=not arguments.no_check,
    )
    print(f"{len(arguments.atoms)} atoms, radius {arguments.radius} Å; {engine.plan}")
    batched = run(
        f"batch engine, {arguments.device}, {arguments.precision}", engine, tasks, arguments
    )
    print_floors(engine, arguments)
    if not arguments.no_peer:
        peer = RegionEngine(
            arguments.atoms, potential, radius=arguments.radius, hessians=arguments.hessians
        )
        compare(run("compiled engine, one core", peer, tasks, arguments), batched)


if __name__ == "__main__":
    main()
