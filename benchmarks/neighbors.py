"""Pairs within a cutoff: our linked cells against matscipy's, time and memory.

    python benchmarks/neighbors.py --atoms 8000 96000 1000000

Random atoms at the density of the glasses. Each search runs in a process of its own, after one of
1,000 atoms that compiles or loads everything. Prints wall seconds, the growth of the process's peak
memory, bytes a directed pair, and how long matscipy takes for the same pairs.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np

DENSITY = 0.063  # atoms/Å³
PEERS = ("ours", "matscipy")


def search(peer: str, positions: np.ndarray, cell: np.ndarray, cutoff: float) -> int:
    """Find all pairs with their vectors; their number."""
    if peer == "ours":
        from symgnn.graphs.graph import edges

        return edges(positions, cell, cutoff)[0].shape[1]
    from matscipy.neighbours import neighbour_list

    first, *_ = neighbour_list("ijD", positions=positions, cell=cell, pbc=[True] * 3, cutoff=cutoff)
    return len(first)


def measure(peer: str, atoms: int, cutoff: float) -> dict[str, float]:
    """Time, memory and pairs of one search, in this process."""
    random = np.random.default_rng(0)

    def system(count: int) -> tuple[np.ndarray, np.ndarray]:
        side = (count / DENSITY) ** (1 / 3)
        return random.random((count, 3)) * side, np.eye(3) * side

    search(peer, *system(1000), cutoff)
    positions, cell = system(atoms)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    pairs = search(peer, positions, cell, cutoff)
    spent = time.perf_counter() - started
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"seconds": spent, "kilobytes": grown, "pairs": pairs}


def main() -> None:
    """Measure each peer on each size in a process of its own and print the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--atoms", type=int, nargs="+", default=[8000, 96000, 1000000])
    parser.add_argument("--cutoff", type=float, default=5.0)
    parser.add_argument("--one", choices=PEERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.atoms[0], options.cutoff)))
        return
    print("|   atoms | pairs | s | peak GB | bytes a pair | matscipy s | peak GB | times as fast |")
    print("|---|---|---|---|---|---|---|---|")
    for atoms in options.atoms:
        found = {}
        for peer in PEERS:
            words = ["--one", peer, "--atoms", str(atoms), "--cutoff", str(options.cutoff)]
            command = [sys.executable, __file__, *words]
            found[peer] = json.loads(subprocess.run(command, check=True, stdout=-1).stdout)
        ours, peer = (found[name] for name in PEERS)
        assert ours["pairs"] == peer["pairs"]
        print(
            f"| {atoms} | {ours['pairs']} | {ours['seconds']:.2f} | {ours['kilobytes'] / 1e6:.2f} "
            f"| {ours['kilobytes'] * 1000 / ours['pairs']:.0f} | {peer['seconds']:.2f} "
            f"| {peer['kilobytes'] / 1e6:.2f} | {peer['seconds'] / ours['seconds']:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
