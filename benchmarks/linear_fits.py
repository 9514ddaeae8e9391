"""What each part of the per-atom inputs is worth: linear fits on the published graphs.

    python benchmarks/linear_fits.py FOLDER -o study

FOLDER holds train0.pickle ... train6.pickle; study/graphs.h5, with the inputs, is made where
`benchmarks/leave_one_group_out.py` has not made it. Prints Pearson's correlation of the linear part
of the model `response` on each left-out graph and its mean, for several sets of inputs; where the
graphs have those of `searched` (`--models searched` there), for sets with them, too.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from leave_one_group_out import GROUPS, KIN, all_graphs

from symgnn.descriptors import response
from symgnn.descriptors.registry import input_size
from symgnn.graphs.dataset import read_graphs
from symgnn.graphs.graph import Graph
from symgnn.models.density import ResponseNetwork
from symgnn.models.inputs import MODEL_INPUTS
from symgnn.models.ridge import LinearFit
from symgnn.training.batches import Batch, Scaling, as_batch, label_scaling
from symgnn.training.metrics import pearson

ELEMENTS = (29, 40)
INPUTS = MODEL_INPUTS["searched"]


def columns(names: Sequence[str]) -> dict[str, list[int]]:
    """Which columns of these inputs each set has; the response's come first, then the invariants.

    See `response.features` and `searches.features`.
    """
    own = response.names()
    pushes = [k for k, name in enumerate(own) if "force" in name or "log_energy" in name]
    harmonic = [k for k in range(len(own)) if k not in pushes]
    answers = list(range(response.size(len(ELEMENTS))))
    averages, column = {}, len(own)
    for radius, split in response.AVERAGED_TO:
        width = len(own) * (len(ELEMENTS) if split else 1)
        averages[radius, split] = list(range(column, column + width))
        column += width
    over_all = [k for (_, split), found in averages.items() if not split for k in found]
    sizes = [input_size(name, len(ELEMENTS)) for name in names]
    of_response = sum(sizes[:2])
    invariants, searched = (
        list(range(first, end))
        for first, end in ((len(answers), of_response), (of_response, sum(sizes)))
    )
    of_searches = {
        "searches": searched,
        "answers and searches": answers + searched,
        "searches and invariants": invariants + searched,
        "all (`searched`'s linear part)": answers + invariants + searched,
    }
    return {
        "invariants": invariants,
        "invariants, energy, stress and compliance": harmonic + invariants,
        "invariants and all answers of the atom itself": list(range(len(own))) + invariants,
        "answers alone, of the atom itself": list(range(len(own))),
        "answers alone, with all averages": answers,
        "both, averages over all atoms": list(range(len(own))) + over_all + invariants,
        "both, all averages (`response`'s linear part)": answers + invariants,
    } | (of_searches if searched else {})


def correlations(graphs: list[Graph], chosen: list[int]) -> dict[str, float]:
    """Pearson's r of each left-out graph."""
    level = ResponseNetwork(ELEMENTS).linear.level
    found = {}
    for group in GROUPS:
        held_out = [group, *KIN.get(group, [])]
        training = [graph for graph in graphs if graph.name not in held_out]
        scaling = label_scaling(training)
        linear = LinearFit(len(chosen), level)
        linear.solve([batch_of(graph, scaling, chosen) for graph in training])
        for graph in graphs:
            if graph.name in held_out:
                predicted = linear(batch_of(graph, scaling, chosen).inputs).detach().numpy()
                found[graph.name] = pearson(graph.barrier, predicted)
    return found


def batch_of(graph: Graph, scaling: Scaling, chosen: list[int]) -> Batch:
    """A graph with some of its inputs."""
    batch = as_batch(graph, scaling, inputs=[name for name in INPUTS if name in graph.inputs])
    return replace(batch, inputs=batch.inputs[:, chosen])


def main() -> None:
    """Print a row a set of inputs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    graphs = read_graphs(all_graphs(options.folder, options.output)).graphs
    names = sorted(graph.name for graph in graphs)
    print("| inputs | columns | mean | " + " | ".join(names) + " |")
    print("|---|---|---|" + "---|" * len(names))
    for name, chosen in columns([name for name in INPUTS if name in graphs[0].inputs]).items():
        found = correlations(graphs, chosen)
        cells = " | ".join(f"{found[graph]:.3f}" for graph in names)
        mean = np.mean(list(found.values()))
        print(f"| {name} | {len(chosen)} | {mean:.3f} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
