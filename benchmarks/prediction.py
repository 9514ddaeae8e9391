"""How long predictions take, what memory they need, and whether size changes the answer.

    python benchmarks/prediction.py glass.xyz --checkpoint run/checkpoint.pt --repeat 1,1,1 5,5,5

Repeats a glass (any file that `symgnn predict` reads) along its lattice vectors and predicts each
supercell, after one prediction of the glass itself that loads and compiles everything. Prints
atoms, wall and processor seconds, the process's peak memory so far, and the largest difference of
an atom's barrier from that of the same atom in the glass (eV), which is the law of supercells; for
a model with per-atom inputs also the processor time of each input, ms an atom.
"""

import argparse
import resource
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from ase import Atoms

from symgnn.descriptors.registry import describe
from symgnn.lammps_files import read_any_structure
from symgnn.potentials import find_potential
from symgnn.threads import use_threads
from symgnn.training.prediction import Predictor, load_predictor


def time_inputs(predictor: Predictor, atoms: Atoms) -> None:
    """Print how long each per-atom input takes."""
    inputs = predictor.members[0].inputs
    for name in inputs.get("names", ()):
        started = time.process_time()
        describe(name, atoms, find_potential(inputs["potential"]), inputs["elements"])
        spent = (time.process_time() - started) / len(atoms) * 1e3
        print(f"inputs {name}: {spent:.2f} processor ms an atom")


def main() -> None:
    """Predict each supercell and print a row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("structure", type=Path)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--repeat", nargs="+", default=["1,1,1"])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    use_threads(options.threads)
    predictor = load_predictor(options.checkpoint)
    glass = read_any_structure(options.structure, [])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of glasses outside the training ones
        expected = predictor.predict(glass)
        time_inputs(predictor, glass)
        print("|  atoms | wall s | processor s | peak GB | largest difference, eV |")
        print("|---|---|---|---|---|")
        for word in options.repeat:
            times = tuple(int(count) for count in word.split(","))
            atoms = glass.repeat(times)
            started, spent = time.perf_counter(), time.process_time()
            found = predictor.predict(atoms)
            wall, spent = time.perf_counter() - started, time.process_time() - spent
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
            difference = np.abs(found - np.tile(expected, np.prod(times))).max()
            print(
                f"| {len(atoms)} | {wall:.1f} | {spent:.1f} | {peak:.2f} | {difference:.1e} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
