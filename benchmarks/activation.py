"""How barriers answer to strain, at two tolerances of the saddles that are found again.

    python benchmarks/activation.py glass.xyz --events events.h5 --saddles 60
    python benchmarks/activation.py train2 --published FOLDER --events train2.h5 --saddles 60

Of random saddles above the start: how many are found again, dE/d(ln V) (mean and standard
deviation, correlation with the barrier), processor seconds each, and how far the slopes of the
two tolerances are apart.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from labelled import add_structure, structure

from symgnn.barriers.activation import Saddles
from symgnn.barriers.events import read_events
from symgnn.potentials import find_potential

TOLERANCES = (0.01, 0.001)  # eV/Å


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_structure(parser)
    parser.add_argument("--events", type=Path, required=True)
    parser.add_argument("--potential", default="Cu-Zr-2009")
    parser.add_argument("--saddles", type=int, default=60)
    arguments = parser.parse_args()
    (atoms, _), potential = structure(arguments), find_potential(arguments.potential)
    every = [event for event in read_events(arguments.events) if event.barrier > 0.0]
    chosen = np.random.default_rng(0).choice(len(every), arguments.saddles, replace=False)
    events = [every[k] for k in chosen]
    barrier = np.array([event.barrier for event in events])
    slopes = []
    for tolerance in TOLERANCES:
        start = time.process_time()
        with Saddles(atoms, potential, tolerance) as saddles:
            found = np.array(list(saddles.strain_derivatives(events)))
        seconds = (time.process_time() - start) / len(events)
        slopes.append(np.trace(found, axis1=1, axis2=2) / 3)
        known = np.isfinite(slopes[-1])
        r = np.corrcoef(slopes[-1][known], barrier[known])[0, 1]
        mean, deviation = slopes[-1][known].mean(), slopes[-1][known].std()
        print(f"{tolerance} eV/Å: {known.sum()} of {len(events)} found again,", end=" ")
        print(f"dE/d(ln V) {mean:.2f} ± {deviation:.2f} eV, r with barriers {r:.2f},", end=" ")
        print(f"{seconds:.1f} core-s each")
    off = slopes[0] - slopes[1]
    off = off[np.isfinite(off)]
    print(f"apart by {np.sqrt((off**2).mean()):.2f} eV (root mean square),", end=" ")
    print(f"{np.median(abs(off)):.2f} in the median, of {len(off)} saddles")


if __name__ == "__main__":
    main()
