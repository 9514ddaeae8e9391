"""What the important edges of many atoms have in common, against edges at equal distance."""

from collections.abc import Sequence

import numpy as np
from ase.data import chemical_symbols

from symgnn.explanations.bootstrap import (
    Estimate,
    bootstrap,
    bootstrap_mean,
    bootstrap_ratio,
    bootstrap_spearman,
    matched_controls,
    stratified_difference,
)
from symgnn.explanations.geometry import (
    EdgeGeometry,
    angles_at_shared_atoms,
    edge_geometry,
    nearest_atoms,
    ranked_edges,
)
from symgnn.explanations.storage import Explanation, Structure

TOP = 50  # edges, as in the paper's figure 2
NEAREST = 10  # atoms, as in the paper's figure 3
SHELL = 1.0  # Å
STRATUM = 0.5  # Å, edges this close in distance count as equally far away
RANGES = {"near": (0.0, 3.0), "middle": (3.0, 7.0), "far": (7.0, np.inf)}  # Å
CONTROL_SETS = 10


def chosen_edges(explanation: Explanation, top: int = TOP) -> np.ndarray:
    """(edges,) bool, the `top` most important edges of an atom, at most half of its edges."""
    top = min(top, len(explanation.edge) // 2)
    chosen = np.zeros(len(explanation.edge), dtype=bool)
    chosen[ranked_edges(explanation.importance)[:top]] = True
    return chosen


def edge_properties(geometry: EdgeGeometry) -> dict[str, np.ndarray]:
    """Properties of edges to compare: name and unit -> (edges,)."""
    properties = {
        "length, Å": geometry.length,
        "length against the atom's other edges, standard deviations": geometry.relative_length,
    }
    for pair in np.unique(geometry.pair, axis=0):
        name = "-".join(chemical_symbols[number] for number in pair)
        properties[f"share of {name}"] = (geometry.pair == pair).all(axis=1).astype(float)
    return properties


def strata(distance: np.ndarray) -> np.ndarray:
    """(edges,) int64, number of the thin shell that each edge lies in."""
    return (distance / STRATUM).astype(np.int64)


def property_differences(
    structure: Structure, explanations: Sequence[Explanation], top: int = TOP
) -> dict[str, dict[str, Estimate]]:
    """Important edges less others, over atoms: plainly, and against edges at equal distance.

    Returns:
        property -> {"plain": Estimate, "matched": Estimate}.
    """
    rows: dict[str, list[tuple[float, float]]] = {}
    for explanation in explanations:
        geometry = edge_geometry(structure, explanation)
        chosen = chosen_edges(explanation, top)
        stratum = strata(geometry.distance)
        for name, value in edge_properties(geometry).items():
            plain = float(value[chosen].mean() - value[~chosen].mean())
            matched = stratified_difference(value, chosen, stratum)
            rows.setdefault(name, []).append((plain, matched))
    return {
        name: {
            "plain": bootstrap_mean(np.array(pairs)[:, 0]),
            "matched": bootstrap_mean(np.array(pairs)[:, 1]),
        }
        for name, pairs in rows.items()
    }


def angle_differences(
    structure: Structure, explanations: Sequence[Explanation], top: int = TOP, seed: int = 0
) -> dict[str, Estimate]:
    """Angles between important edges less those between control edges at equal distance.

    Returns:
        "mean angle, degrees" and "spread of angles, degrees" -> Estimate.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for explanation in explanations:
        geometry = edge_geometry(structure, explanation)
        chosen, stratum = chosen_edges(explanation, top), strata(geometry.distance)
        ends = structure.edge_index[:, explanation.edge].T
        found = _angle_moments(ends[chosen], geometry.vector[chosen])
        controls = []
        for _ in range(CONTROL_SETS):
            rows_of_set = matched_controls(chosen, stratum, rng)
            controls.append(_angle_moments(ends[rows_of_set], geometry.vector[rows_of_set]))
        controls = np.array(controls)
        complete = controls[np.isfinite(controls).all(axis=1)]
        rows.append(found - complete.mean(axis=0) if len(complete) else np.full(2, np.nan))
    rows = np.array(rows)
    return {
        "mean angle, degrees": bootstrap_mean(rows[:, 0]),
        "spread of angles, degrees": bootstrap_mean(rows[:, 1]),
    }


def _angle_moments(ends: np.ndarray, vector: np.ndarray) -> np.ndarray:
    angles = angles_at_shared_atoms(ends, vector)
    return np.array([angles.mean(), angles.std()]) if len(angles) >= 2 else np.full(2, np.nan)


def distance_profile(
    structure: Structure, explanations: Sequence[Explanation], top: int = TOP
) -> list[tuple[float, Estimate]]:
    """How much likelier than a random edge one in a shell is to be among the important ones.

    Returns:
        (outer radius of the shell in Å, ratio of the shell's share of the important edges to its
        share of all edges), a shell after the other.
    """
    largest, counted = 0, []
    for explanation in explanations:
        shell = (edge_geometry(structure, explanation).distance / SHELL).astype(np.int64)
        counted.append((shell, chosen_edges(explanation, top)))
        largest = max(largest, int(shell.max()) + 1)
    share = np.array([np.bincount(s[c], minlength=largest) / c.sum() for s, c in counted])
    every = np.array([np.bincount(s, minlength=largest) / len(s) for s, _ in counted])
    return [
        ((shell + 1) * SHELL, bootstrap_ratio(share[:, shell], every[:, shell]))
        for shell in range(largest)
        if every[:, shell].any()
    ]


def range_comparison(
    structure: Structure, explanations: Sequence[Explanation], top: int = TOP
) -> dict[str, Estimate]:
    """Rates at which edges at near, middle and far range are important.

    Returns:
        `near`, `middle`, `far`: ratio of the range's share of the important edges to its share of
        all edges; `middle less near`: difference of these ratios; `in nearest`: important edges
        among the ten nearest atoms and the atom, of `top`; `in nearest, at random`: as many as
        randomly chosen edges would give.
    """
    shares, every, inside = [], [], []
    for explanation in explanations:
        distance = edge_geometry(structure, explanation).distance
        chosen = chosen_edges(explanation, top)
        within = [(distance >= low) & (distance < high) for low, high in RANGES.values()]
        shares.append([part[chosen].mean() for part in within])
        every.append([part.mean() for part in within])
        close = explanation.field_atom[nearest_atoms(explanation, NEAREST)]
        local = np.isin(structure.edge_index[:, explanation.edge], close).all(axis=0)
        inside.append([(local & chosen).sum(), chosen.sum() * local.mean()])
    shares, every, inside = np.array(shares), np.array(every), np.array(inside, dtype=float)
    found = {name: bootstrap_ratio(shares[:, k], every[:, k]) for k, name in enumerate(RANGES)}

    def middle_less_near(rows: np.ndarray) -> np.ndarray:
        near, middle, near_all, middle_all = rows.sum(axis=1).T
        return middle / middle_all - near / near_all

    both = np.column_stack([shares[:, :2], every[:, :2]])
    found["middle less near"] = bootstrap(middle_less_near, both)
    found["in nearest"] = bootstrap_mean(inside[:, 0])
    found["in nearest, at random"] = bootstrap_mean(inside[:, 1])
    return found


def barrier_correlations(
    structure: Structure, explanations: Sequence[Explanation], top: int = TOP
) -> dict[str, Estimate]:
    """Rank correlation, over atoms, of the predicted barrier with where importance lies.

    Returns:
        quantity -> Spearman correlation: `distance` (median of the important edges, Å), `focus`
        (share of the total importance that the important edges hold), `own edges` (share of the
        important edges that touch the explained atom).
    """
    barrier = np.array([one.prediction for one in explanations])
    rows = []
    for one in explanations:
        chosen, size = chosen_edges(one, top), np.abs(np.nan_to_num(one.importance))
        own = (structure.edge_index[:, one.edge] == one.atom).any(axis=0)
        distance = edge_geometry(structure, one).distance
        total = size.sum()
        focus = size[chosen].sum() / total if total else np.nan
        rows.append((np.median(distance[chosen]), focus, own[chosen].mean()))
    names = ("distance", "focus", "own edges")
    columns = zip(names, np.array(rows).T, strict=True)
    return {name: bootstrap_spearman(barrier, column) for name, column in columns}
