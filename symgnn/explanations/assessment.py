"""Put explanations to the test: faithfulness, stability, the null, cycles, and moving atoms."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from torch import nn

from symgnn.explanations import faithfulness, synthetic
from symgnn.explanations.bootstrap import Estimate, bootstrap_mean
from symgnn.explanations.geometry import edge_geometry
from symgnn.explanations.methods import explain
from symgnn.explanations.motion import mean_displacements, motion_overlap
from symgnn.explanations.receptive_field import Fields, receptive_fields
from symgnn.explanations.running import atom_seed, model_graph
from symgnn.explanations.statistics import TOP
from symgnn.explanations.storage import Explanation, ExplanationFile
from symgnn.explanations.topology import cycle_comparison
from symgnn.models.reach import reach
from symgnn.progress import Progress

OTHER = "integrated-gradients"  # a second explainer to hold against; it takes little time


def curve_comparison(
    model: nn.Module,
    file: ExplanationFile,
    explanations: Sequence[Explanation],
    *,
    scale: float,
    seed: int = 0,
) -> dict[str, object]:
    """Deletion and insertion curves of the stored explanations against simpler rankings.

    Args:
        model: in evaluation mode.
        file: where the explanations come from.
        explanations: those to judge; a prediction is made for each point of each curve.
        scale: of the standardised barrier, eV.
        seed: of the random ranking.

    Returns:
        `counts`: edges removed or kept; `deletion` and `insertion`: ranking -> mean curve, eV;
        `deletion area` and `insertion area`: ranking -> Estimate over atoms, eV, of the mean height
        over the logarithm of the count; `deletion gain`, `insertion gain`: ranking -> Estimate of
        how much better the stored explanations are, paired by atom.
    """
    method = str(file.attributes["method"])
    graph, steps = model_graph(file.structure), reach(model)
    counts = faithfulness.edge_counts(min(len(one.edge) for one in explanations))
    curves: dict[str, dict[str, list[np.ndarray]]] = {"deletion": {}, "insertion": {}}
    with Progress("curves", len(explanations)) as progress:
        for one in explanations:
            fields = receptive_fields(graph, [one.atom], steps)
            importance = {method: one.importance}
            if method != OTHER:
                importance[OTHER] = _importance(model, fields, OTHER, [0])
            geometry = edge_geometry(file.structure, one)
            for name, order in faithfulness.rankings(importance, geometry, seed).items():
                gone = faithfulness.deletion_curve(model, fields, order, counts)
                kept = faithfulness.insertion_curve(model, fields, order, counts)
                curves["deletion"].setdefault(name, []).append(scale * gone)
                curves["insertion"].setdefault(name, []).append(scale * kept)
            progress.advance()
    found: dict[str, object] = {"counts": counts}
    for kind, better in (("deletion", 1), ("insertion", -1)):
        areas = {
            name: np.array([faithfulness.area(counts, curve) for curve in several])
            for name, several in curves[kind].items()
        }
        found[kind] = {
            name: np.mean(several, axis=0).tolist() for name, several in curves[kind].items()
        }
        found[f"{kind} area"] = {name: _plain(bootstrap_mean(v)) for name, v in areas.items()}
        found[f"{kind} gain"] = {
            name: _plain(bootstrap_mean(better * (areas[method] - other)))
            for name, other in areas.items()
            if name != method
        }
    return found


def _importance(
    model: nn.Module, fields: Fields, method: str, seeds: list[int], **options: object
) -> np.ndarray:
    return explain(model, fields, method=method, seeds=seeds, **options).edges.numpy()


def _plain(estimate: Estimate) -> dict[str, float]:
    return asdict(estimate)


def stability(
    model: nn.Module,
    file: ExplanationFile,
    explanations: Sequence[Explanation],
    *,
    seeds: Sequence[int] = (101, 102),
    **options: object,
) -> dict[str, dict[str, float]]:
    """Explanations again with other seeds, and for a model with shuffled weights.

    Args:
        model: in evaluation mode.
        file: where the explanations come from.
        explanations: those to make again.
        seeds: of the new explanations; the first also shuffles the null's weights.
        options: of the method.

    Returns:
        `seeds` and `null`: Spearman correlation with the stored importances; `seeds, top` and
        `null, top`: share of the 50 most important edges in common; Estimates over atoms.
    """
    method = str(file.attributes["method"])
    graph, steps = model_graph(file.structure), reach(model)
    null = faithfulness.randomised(model, seeds[0])
    rows = []
    with Progress("explained again", len(explanations)) as progress:
        for one in explanations:
            fields = receptive_fields(graph, [one.atom], steps)
            again = [
                _importance(model, fields, method, [atom_seed(seed, one.atom)], **options)
                for seed in seeds
            ]
            other = _importance(null, fields, method, [atom_seed(seeds[0], one.atom)], **options)
            pairs = [*((one.importance, found) for found in again), (one.importance, other)]
            ranks = [faithfulness.rank_correlation(*pair) for pair in pairs]
            shared = [faithfulness.shared_top(*pair, TOP) for pair in pairs]
            rows.append((np.mean(ranks[:-1]), ranks[-1], np.mean(shared[:-1]), shared[-1]))
            progress.advance()
    names = ("seeds", "null", "seeds, top", "null, top")
    columns = zip(names, np.array(rows).T, strict=True)
    return {name: _plain(bootstrap_mean(column)) for name, column in columns}


def known_answer(task: synthetic.Task, method: str, **options: object) -> dict[str, float]:
    """Look for the edges that made the labels of a task.

    Args:
        task: a network that has learned it.
        method: the explainer to test.
        options: of the method.

    Returns:
        `correlation` of predictions and labels on a structure not trained on, and `precision`
        at k over its atoms, `random`: what a random ranking would reach.
    """
    fields = receptive_fields(task.graph, task.atoms, reach(task.model))
    truth = task.chosen[fields.edge] & (fields.edge_hop == 0)
    found = explain(
        task.model, fields, method=method, seeds=list(range(len(fields))), **options
    ).edges.nan_to_num()
    precision = synthetic.precision_at_k(found, truth, fields)
    return {
        "correlation": task.correlation,
        "precision": float(np.nanmean(precision)),
        "random": float(truth.float().mean()),
    }


def assess(
    model: nn.Module,
    file: ExplanationFile,
    *,
    scale: float,
    judged: int,
    events: Path | None,
    seed: int = 0,
    **options: object,
) -> dict[str, object]:
    """All tests of a file of explanations.

    Args:
        model: the one that was explained, in evaluation mode.
        file: the explanations.
        scale: of the standardised barrier, eV.
        judged: explanations to judge by curves and to make again (they take most of the time).
        events: the structure's saddle searches; None leaves the moving atoms out.
        seed: of the choice of the judged ones and of all controls.
        options: of the method that made the explanations.
    """
    method = str(file.attributes["method"])
    order = np.random.default_rng(seed).permutation(len(file.explanations))[:judged]
    chosen = [file.explanations[k] for k in sorted(order)]
    task = synthetic.solved_task(seed)
    found: dict[str, object] = {
        "method": method,
        "explained": len(file.explanations),
        "judged": len(chosen),
        "curves": curve_comparison(model, file, chosen, scale=scale, seed=seed),
        "stability": stability(model, file, chosen, **options),
        "known answer": {
            name: known_answer(task, name, **(options if name == method else {}))
            for name in dict.fromkeys((method, OTHER, "removal"))
        },
    }
    cycles = cycle_comparison(file.structure, file.explanations, seed=seed)
    found["cycles"] = {name: _plain(one) for name, one in cycles.items()}
    if events is not None:
        overlap = motion_overlap(file.explanations, mean_displacements(events))
        found["motion"] = {name: _plain(one) for name, one in overlap.items()}
    return found
