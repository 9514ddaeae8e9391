"""Section on the saddle searches: their success, their cost and the barriers they found."""

from collections.abc import Sequence

import numpy as np

from symgnn import fields
from symgnn.barriers.labels import SINGLE, Means, label_means, reliability
from symgnn.barriers.protocol import Protocol, Status
from symgnn.report.barrier_figures import (
    barrier_figure,
    cost_figure,
    ended,
    found,
    status_figure,
    trend_figure,
)
from symgnn.report.inputs import Events, Glass
from symgnn.report.page import Section, Table
from symgnn.report.words import count, decimal, share

LABEL_MEANINGS = {
    "controlled": "all, made more exact by further ones in the region where there are enough",
    "all": "all",
    "pushed": "all, each by the share of its motion that the pushed atoms have",
    "single": f"those in which no atom goes further than {SINGLE} Å to the saddle",
    "target": "those that move their target",
    "connected": "those that also start from the glass, each saddle once",
}


def section(events: Sequence[Events], glasses: Sequence[Glass]) -> Section:
    """Figures, tables and findings of the searches of one or several glasses."""
    searches = sum(len(one.columns[fields.STATUS]) for one in events)
    saddles = sum(int(found(one).sum()) for one in events)
    targets = sum(len(np.unique(one.columns[fields.ATOM])) for one in events)
    cost = np.concatenate([one.columns[fields.FORCE_EVALUATIONS] for one in events])
    opening = (
        f"{count(searches, 'search', 'searches')} for saddle points around "
        f"{count(targets, 'atom')} of {count(len(events), 'glass', 'glasses')}: "
        f"{count(saddles, 'search', 'searches')} ({share(saddles, searches)}) reached a saddle. "
    )
    if searches:
        per_saddle = f", {cost.sum() / saddles:,.0f} for each saddle found" if saddles else ""
        opening += (
            f"A search took {cost.mean():,.0f} force evaluations in the mean "
            f"(median {np.median(cost):,.0f}){per_saddle}. {_cost_sentence(events)}"
            f"{_region_sentence(events)}"
        )
    blocks = [opening.strip(), _table(events), status_figure(events, glasses)]
    findings = [f"{share(saddles, searches)} of {searches:,} saddle searches converged."]
    if saddles:
        blocks += [barrier_figure(events, glasses), *_label_table(events), *_confirmation(events)]
        blocks += trend_figure(events, glasses)
        blocks.append(cost_figure(events))
        findings += _findings(events)
    facts = [(f"{searches:,}", "saddle searches"), (share(saddles, searches), "of them converged")]
    return Section("barriers", "Energy barriers", blocks, findings, facts)


def _cost_sentence(events: Sequence[Events]) -> str:
    """Where the force evaluations go, if the files tell."""
    keys = (fields.FORCE_EVALUATIONS, fields.LANCZOS_EVALUATIONS)
    if not all(key in one.columns for one in events for key in keys):
        return ""
    total, lanczos = (sum(int(one.columns[key].sum()) for one in events) for key in keys)
    return f"{share(lanczos, total)} of the force evaluations were spent on eigenvectors."


def _region_sentence(events: Sequence[Events]) -> str:
    """How many further searches ended in the region, and what they took."""
    status, calls = (
        np.concatenate([one.region[key] for one in events])
        for key in (fields.STATUS, fields.FORCE_EVALUATIONS)
    )
    if not len(status):
        return ""
    saddles = int((status == Status.CONVERGED).sum())
    return (
        f" {count(len(status), 'further search', 'further searches')} ended in the region around "
        f"the target, {share(saddles, len(status))} at a saddle, in {calls.mean():,.0f} force "
        "evaluations each; they make the label more exact."
    )


def _confirmation(events: Sequence[Events]) -> list[str]:
    """What the full periodic system changed, where the saddles were found again on it."""
    keys = fields.REGION_BARRIER, fields.GROWN_BARRIER
    if not all(key in one.columns for one in events for key in keys):
        return []
    barrier, before, grown, calls = (
        np.concatenate([one.columns[name][found(one)] for one in events])
        for name in (fields.BARRIER, *keys, fields.FULL_EVALUATIONS)
    )
    asked = calls > 0
    spent = sum(int(one.columns[fields.FULL_EVALUATIONS].sum()) for one in events)
    if not asked.any():
        return ["The saddles were not confirmed on the full periodic system."]
    change = 1000 * (barrier - before)[asked]
    grows = asked & (grown != before)
    budget = ""
    if grows.any():
        left = 1000 * np.abs(barrier - grown)[grows]
        budget = (
            f" Of {count(int(grows.sum()), 'saddle')} that larger regions had before, the barrier "
            f"in the largest was off by {np.median(left):.1f} meV in the median and "
            f"{np.percentile(left, 95):.0f} meV at the 95th percentile."
        )
    lost = sum(ended(one, "not_confirmed") for one in events)
    return [
        "Saddles are searched with the atoms far from the target frozen, and found again with all "
        f"atoms free, in {spent / asked.sum():.0f} further force evaluations for each that was "
        "confirmed, those spent on others included: "
        f"{count(int(asked.sum()), 'saddle')} confirmed to its force tolerance and with a "
        f"negative lowest eigenvalue, {lost:,} not. All barriers here are those of the full "
        f"periodic system. The frozen surroundings had changed them by "
        f"{np.median(np.abs(change)):.0f} meV in the median and "
        f"{np.percentile(np.abs(change), 95):.0f} meV at the 95th percentile "
        f"({-change.mean():+.0f} meV in the mean).{budget}{_index_and_sides(events)}"
    ]


def _index_and_sides(events: Sequence[Events]) -> str:
    """How many of the confirmed saddles have one negative eigenvalue, and join the glass."""
    keys = fields.SECOND_CURVATURE, fields.CONNECTED, fields.CHECK_EVALUATIONS
    if not all(key in one.columns for one in events for key in keys):
        return ""
    second, connected, calls, final = (
        np.concatenate([one.columns[name][found(one)] for one in events])
        for name in (*keys, fields.FINAL_ENERGY)
    )
    asked = np.isfinite(second)
    if not asked.any():
        return ""
    single = second[asked] >= Protocol().second_negative
    return (
        f" A second eigenvalue was looked for and both sides relaxed in {calls[asked].mean():.0f} "
        f"further force evaluations: {share(int(single.sum()), len(single))} of "
        "the saddles have no second negative one that was found, and "
        f"{share(int((connected[asked] == 1).sum()), int(asked.sum()))} have the glass as one of "
        f"their two minima, both below the saddle.{_lost_sides(int(np.isnan(final[asked]).sum()))}"
    )


def _lost_sides(number: int) -> str:
    """Of how many saddles the final minimum is not known."""
    if not number:
        return ""
    return (
        f" The final minimum of {count(number, 'saddle')} is not known: on the way down an atom "
        "went too far for the forces, or the relaxation did not end."
    )


def _findings(events: Sequence[Events]) -> list[str]:
    barrier = np.concatenate([one.columns[fields.BARRIER][found(one)] for one in events])
    sentences = [
        f"Barriers are {decimal(barrier.mean())} eV in the mean over {len(barrier):,} saddles, "
        f"with a standard deviation of {decimal(barrier.std())} eV."
    ]
    noise = noise_sentence(events)
    return [*sentences, noise] if noise else sentences


def noise_sentence(events: Sequence[Events]) -> str:
    """How much of the spread of the labels is real, and the correlation that it allows."""
    real = _reliability(events, [str(one.attributes.get("label", "all")) for one in events])
    if not np.isfinite(real):
        return ""
    sentence = (
        f"Of the variance of the labels {share(round(100 * real), 100)} is more than the "
        "scatter of single searches explains: a perfect model would correlate with them at about "
        f"{decimal(real**0.5)}."
    )
    controlled = all(one.attributes.get("label") == "controlled" for one in events)
    plain = _reliability(events, ["all"] * len(events))
    if not (controlled and plain != real and np.isfinite(plain)):
        return sentence
    return (
        f"{sentence} Without the further searches that ended in the region around their targets it "
        f"would be {share(round(100 * plain), 100)} of the variance and {decimal(plain**0.5)}."
    )


def _reliability(events: Sequence[Events], labels: Sequence[str]) -> float:
    """The reliability of the labels of several glasses together, each with its kind of label."""
    found = [_means(one, label) for one, label in zip(events, labels, strict=True)]
    mean, error = (np.concatenate([getattr(one, x) for one in found]) for x in ("mean", "error"))
    return reliability(mean, error)


def _means(events: Events, label: str) -> Means:
    return label_means(events.columns, events.region, len(events.atoms[fields.BARRIER_MEAN]), label)


def _table(events: Sequence[Events]) -> Table:
    rows = []
    for one in events:
        chosen, columns = found(one), one.columns
        barrier, cost = columns[fields.BARRIER][chosen], columns[fields.FORCE_EVALUATIONS]
        saddles = int(chosen.sum())
        rows.append(
            (
                one.name,
                f"{len(np.unique(columns[fields.ATOM])):,}",
                f"{len(chosen):,}",
                share(saddles, len(chosen)),
                decimal(barrier.mean() if saddles else np.nan),
                decimal(barrier.std() if saddles else np.nan),
                decimal(cost.mean() if len(cost) else np.nan, 0),
                decimal(cost.sum() / saddles if saddles else np.nan, 0),
            )
        )
    caption = (
        "The searches of each glass: how many converged, mean and standard deviation of their "
        "barriers, and their cost in force evaluations."
    )
    header = ("glass", "atoms", "searches", "converged", "mean, eV", "deviation, eV")
    return Table("searches", caption, (*header, "forces a search", "forces a saddle"), rows)


def _label_table(events: Sequence[Events]) -> list[Table]:
    """Mean barriers by which searches count, where the files hold them."""
    rows = []
    used = {str(one.attributes.get("label")) for one in events}
    for kind, meaning in LABEL_MEANINGS.items():
        name = f"{fields.BARRIER_MEAN}_{kind}"
        if not all(name in one.atoms for one in events):
            continue
        values = np.concatenate([one.atoms[name] for one in events])
        values = values[np.isfinite(values)]
        mean, deviation = (values.mean(), values.std()) if len(values) else (np.nan, np.nan)
        mark = "yes" if kind in used else ""
        rows.append((meaning, f"{len(values):,}", decimal(mean), decimal(deviation), mark))
    if not rows:
        return []
    caption = (
        "The mean barrier of an atom, by which of its converged searches count: number of atoms "
        "with such a mean, and mean and standard deviation over them. The marked one is the label."
    )
    header = ("searches that count", "atoms", "mean, eV", "deviation, eV", "label")
    return [Table("means", caption, header, rows)]
