"""What searches that are inputs of `searched` tell for their time, made exactly or made cheaply.

    python benchmarks/leave_one_group_out.py FOLDER -o study
    python benchmarks/input_searches.py study/graphs.h5 --graph train4 --searches 3

Takes the graphs of the first command. Makes searches at every atom of one glass in several ways and
fits their columns, beside the inputs of `response`, to its labels, in five slabs of which each is
predicted by the others. Prints for each way the processor milliseconds of a search, the share that
found a saddle, the saddles' mean barrier (eV), and Pearson's r with one search at each atom, two
and so on; first r without any. One thread; all ways advance as many searches together.

A way is a radius (Å) and numbers of the protocol, such as `radius=8,push_step=0.3`; numbers that it
does not name are those of the inputs.
"""

import argparse
import time
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import torch

from symgnn.barriers.protocol import Protocol
from symgnn.descriptors import searches
from symgnn.descriptors.searches import columns_of, saddles_of
from symgnn.graphs.dataset import read_graphs
from symgnn.graphs.graph import Graph
from symgnn.models.inputs import MODEL_INPUTS
from symgnn.models.ridge import LinearFit
from symgnn.potentials import find_potential
from symgnn.progress import Progress
from symgnn.threads import use_threads
from symgnn.training.batches import as_batch, label_scaling
from symgnn.training.metrics import pearson

POTENTIAL = "Cu-Zr-2009"
ELEMENTS = (29, 40)
SLABS = 5
EXACT = Protocol()
NUMBERS = ("force_tolerance", "push_step", "climb_step")
AS_LABELS = ",".join(f"{name}={getattr(EXACT, name)}" for name in NUMBERS)
WAYS = (f"radius=8,{AS_LABELS}", "radius=8", "radius=6.5", "radius=5.5")


@torch.no_grad()
def correlation(graph: Graph, columns: np.ndarray) -> float:
    """Pearson's r of the labels with what the other slabs predict from inputs and columns."""
    batch = as_batch(graph, label_scaling([graph]), inputs=MODEL_INPUTS["response"])
    batch = replace(batch, inputs=torch.cat([batch.inputs, torch.from_numpy(columns)], dim=1))
    slab = (graph.atoms.get_scaled_positions()[:, 2] * SLABS).astype(int) % SLABS
    predicted = np.empty(len(slab))
    for one in range(SLABS):
        here = torch.from_numpy(slab == one)
        linear = LinearFit(batch.inputs.shape[1])
        linear.solve([replace(batch, labelled=batch.labelled[~here[batch.labelled]])])
        predicted[here.numpy()] = linear(batch.inputs[here]).numpy()
    labelled = batch.labelled.numpy()
    return pearson(graph.barrier[labelled], predicted[labelled])


def way_of(text: str) -> tuple[float, Protocol]:
    """Radius and protocol of `radius=8,push_step=0.3`.

    Raises:
        argparse.ArgumentTypeError: no such number.
    """
    radius, numbers = searches.RADIUS, {}
    types = {field.name: type(getattr(EXACT, field.name)) for field in fields(Protocol)}
    for part in text.split(","):
        name, _, value = part.partition("=")
        try:
            if name == "radius":
                radius = float(value)
            else:
                numbers[name] = types[name](value)
        except (KeyError, ValueError):
            raise argparse.ArgumentTypeError(
                f"{part}: must be radius or a protocol's number"
            ) from None
    return radius, replace(searches.PROTOCOL, **numbers)


def main() -> None:
    """Print a row a way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("graphs", type=Path)
    parser.add_argument("--graph", default="train4")
    parser.add_argument("--searches", type=int, default=3, help="most of them at each atom")
    parser.add_argument("--ways", nargs="+", default=WAYS, metavar="WAY")
    options = parser.parse_args()
    try:
        ways = {text: way_of(text) for text in options.ways}
    except argparse.ArgumentTypeError as error:
        parser.error(f"--ways: {error}")
    if options.searches < 1:
        parser.error(f"--searches: {options.searches}: must be at least 1")
    use_threads(1)
    graphs = {one.name: one for one in read_graphs(options.graphs).graphs}
    if options.graph not in graphs:
        parser.error(f"--graph: {options.graph}: not in {options.graphs}")
    graph = graphs[options.graph]
    potential, atoms = find_potential(POTENTIAL), graph.atoms
    print(f"without searches: {correlation(graph, np.zeros((len(atoms), 0), np.float32)):.3f}\n")
    numbers = range(1, options.searches + 1)
    columns = ["core-ms a search", "found", "mean barrier, eV", *(f"r with {k}" for k in numbers)]
    print("| way |", " | ".join(columns), "|")
    print("|---" * (4 + len(numbers)) + "|")
    for text, (radius, protocol) in ways.items():
        start = time.process_time()
        with Progress("atoms", len(atoms)) as progress:
            found = saddles_of(
                atoms,
                potential,
                searches=options.searches,
                radius=radius,
                protocol=protocol,
                done=progress.add,
            )
        spent = time.process_time() - start
        made = len(atoms) * options.searches
        r = [correlation(graph, columns_of(atoms, found.of(range(k)), ELEMENTS)) for k in numbers]
        known = [f"{1e3 * spent / made:.1f}", f"{len(found.barrier) / made:.3f}"]
        cells = [text, *known, f"{found.barrier.mean():.2f}", *(f"{one:.3f}" for one in r)]
        print("|", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
