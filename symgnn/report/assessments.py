"""Section on the tests of the explanations; its sentences follow from the numbers."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import plotly.graph_objects as go

from symgnn.errors import InputError
from symgnn.report.page import Figure, Section, Table, figure
from symgnn.report.style import INK, SERIES, SOFT_INK, empty_plot
from symgnn.report.words import count, decimal, listing

SIMPLE = ("random", "shortest first", "nearest first")
ENOUGH = 0.9  # precision at k that an explainer has to reach on the task with a known answer
FEWEST_ATOMS = 3  # over fewer no interval is drawn
CONTROLS = ("random", "same distance", "same distance and length")


def read_assessment(path: Path | str) -> dict:
    """What `symgnn assess` wrote.

    Raises:
        InputError: no such file, or not an assessment.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not an assessment ({error})") from None
    if not isinstance(found, dict) or found.get("format") != "symgnn-assessment":
        raise InputError(f"{path}: not an assessment (format is not 'symgnn-assessment')")
    return found


def section(files: Sequence[tuple[str, Mapping]]) -> Section:
    """Figures, tables and sentences on whether explanations stand up.

    Args:
        files: name of the glass and content of its assessment.json.
    """
    blocks, findings = [], []
    for glass, found in files:
        said = sentences(found)
        findings += said
        blocks += [
            f"{glass}: {count(found['explained'], 'atom')} explained by {found['method']}, of "
            f"which {found['judged']} were judged by removing edges and explained again.",
            " ".join(said),
            _curve_figure(glass, found),
            _gain_table(glass, found),
        ]
    return Section("assessment", "Do the explanations stand up?", blocks, findings)


def sentences(found: Mapping) -> list[str]:
    """What the numbers of an assessment support and what they do not, a sentence a test."""
    if found["judged"] < FEWEST_ATOMS:
        few = (
            f"Whether the explanations are faithful and stable is not said: only "
            f"{count(found['judged'], 'atom')} judged, and an interval needs {FEWEST_ATOMS}."
        )
        return [few, _known(found["known answer"])]
    said = [_faithfulness(found), _stability(found["stability"]), _known(found["known answer"])]
    said.append(_cycles(found["cycles"]))
    if "motion" in found:
        said.append(_motion(found["motion"]))
    return said


def interval(estimate: Mapping, digits: int = 3) -> str:
    """An estimate with its 95 % interval: 0.12 [0.08, 0.15]."""
    value, low, high = (decimal(estimate[key], digits) for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def verdict(estimate: Mapping) -> int:
    """1 where the whole interval is above zero, -1 where it is below, 0 where it is undecided."""
    return int(estimate["low"] > 0) - int(estimate["high"] < 0)


def _faithfulness(found: Mapping) -> str:
    parts = []
    for kind in ("deletion", "insertion"):
        gains = found["curves"][f"{kind} gain"]
        better = [name for name in SIMPLE if verdict(gains[name]) > 0]
        rest = [name for name in SIMPLE if name not in better]
        if not better:
            parts.append(f"{kind} curves are not shown to be better than {listing(rest)} edges")
        elif rest:
            parts.append(f"{kind} curves beat {listing(better)} edges but not {listing(rest)}")
        else:
            parts.append(f"{kind} curves beat {listing(better)} edges")
    return f"Faithfulness of {found['method']}: {'; '.join(parts)}."


def _stability(found: Mapping) -> str:
    seeds, null = found["seeds"], found["null"]
    differ = "differ from" if null["high"] < seeds["low"] else "cannot be told from"
    return (
        f"Explained again with other seeds, importances keep their order at a rank correlation "
        f"of {interval(seeds, 2)}; with a model whose weights are shuffled it is "
        f"{interval(null, 2)}, so the explanations {differ} those of a model that knows nothing."
    )


def _known(found: Mapping) -> str:
    parts = []
    for name, one in found.items():
        word = "passes" if one["precision"] >= ENOUGH else "fails"
        parts.append(f"{name} {word} ({decimal(one['precision'])})")
    random = next(iter(found.values()))["random"]
    return (
        "On a task whose labels count chosen edges, the precision at k that is asked for is "
        f"{decimal(ENOUGH)}, and a random ranking has {decimal(random)}: {listing(parts)}."
    )


def _cycles(found: Mapping) -> str:
    plain = f"{interval(found['important'], 2)} against {interval(found['random'], 2)}"
    opening = f"Important edges lie on more cycles than random ones ({plain})"
    if verdict(found["less random"]) <= 0:
        return (
            f"Important edges are not shown to lie on more cycles than random ones ({plain}): "
            "the claim on cycles is not supported."
        )
    left = [name for name in CONTROLS[1:] if verdict(found[f"less {name}"]) <= 0]
    if left:
        return f"{opening}, but not than edges at the {left[-1]}: the claim does not survive it."
    beyond, plain = found[f"less {CONTROLS[-1]}"], found["less random"]
    return (
        f"{opening}, and than edges at the {CONTROLS[-1]}: the claim survives the control, which "
        f"leaves {interval(beyond, 2)} of a difference of {interval(plain, 2)}."
    )


def _motion(found: Mapping) -> str:
    beyond = found["within shells"]
    if beyond["atoms"] < FEWEST_ATOMS:
        return (
            "Whether important atoms move is not said: explained atoms with searches in which some "
            f"neighbours move and others stay: {beyond['atoms']}."
        )
    ranks = (
        f"ranking atoms by importance finds those that move with an area of "
        f"{interval(found['importance'], 2)} under the ROC curve, ranking them by nearness with "
        f"{interval(found['nearness'], 2)}"
    )
    words = {1: "knows more than distance does", 0: "is not shown to know more than distance"}
    words[-1] = "points away from the atoms that move"
    return (
        f"Over {count(beyond['atoms'], 'atom')} with saddle searches, {ranks}; among atoms at the "
        f"same distance importance {words[verdict(beyond)]} (percentile {interval(beyond, 2)})."
    )


def _curve_figure(glass: str, found: Mapping) -> Figure:
    curves, panels = found["curves"], []
    names = list(curves["deletion"])
    colours = {name: SERIES[k % len(SERIES)] for k, name in enumerate(names)}
    colours |= {"random": SOFT_INK, found["method"]: INK}
    for kind, title in (
        ("deletion", "change of the prediction, eV"),
        ("insertion", "missing of the prediction, eV"),
    ):
        panels.append(_curves(curves["counts"], curves[kind], colours, kind, title))
    caption = (
        f"{glass}: predictions when edges are removed from the whole in the order of a ranking "
        "(left: higher is better), and when only the first edges of a ranking are there (right: "
        f"lower is better). Means over {found['judged']} atoms; edges are truly taken out."
    )
    legend = [(name, colours[name]) for name in names]
    return figure(f"curves-{glass}", caption, *panels, legend=legend)


def _curves(
    counts: Sequence[int], curves: Mapping, colours: Mapping, kind: str, title: str
) -> go.Figure:
    word = "removed" if kind == "deletion" else "kept"
    labelled = [n for n in counts if n in (0, 10, 100, 1000, 10000)]
    ticks = {"tickvals": [n + 1 for n in labelled], "ticktext": [f"{n:,}" for n in labelled]}
    plot = empty_plot(f"edges {word}", title, xaxis={"type": "log", **ticks})
    for name, values in curves.items():
        line = {"color": colours[name], "width": 2}
        x = [n + 1 for n in counts]
        plot.add_scatter(x=x, y=list(values), mode="lines+markers", line=line, name=name)
    return plot


def _gain_table(glass: str, found: Mapping) -> Table:
    curves, rows = found["curves"], []
    for name in curves["deletion area"]:
        row = [name]
        for kind in ("deletion", "insertion"):
            row.append(interval(curves[f"{kind} area"][name]))
            gain = curves[f"{kind} gain"].get(name)
            row.append(interval(gain) if gain else "")
        rows.append(row)
    caption = (
        f"{glass}: mean height of the curves over the logarithm of the number of edges, eV, and "
        f"by how much {found['method']} is better, paired by atom (above zero: better); with "
        "95 % intervals of a bootstrap over atoms."
    )
    header = ("ranking", "deletion", "gain", "insertion", "gain")
    return Table(f"gains-{glass}", caption, header, rows)
