"""Which sections the page has, from the inputs that are given."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from symgnn import fields
from symgnn.errors import InputError
from symgnn.explanations.storage import read_explanations
from symgnn.graphs.dataset import read_graphs
from symgnn.report import assessments, barriers, data, explanations, glasses, models, record, shear
from symgnn.report.inputs import (
    Glass,
    read_attributes,
    read_events,
    read_glass,
    read_history,
    read_rows,
    source_name,
)
from symgnn.report.page import Section
from symgnn.report.words import listing
from symgnn.shear.storage import read_shear
from symgnn.training.evaluation import read_run


@dataclass(frozen=True)
class Inputs:
    """The files that a page is made of, by kind; each kind may be empty."""

    glasses: Sequence[Path] = ()
    events: Sequence[Path] = ()
    graphs: Sequence[Path] = ()
    runs: Sequence[Path] = ()
    tables: Sequence[Path] = ()
    explanations: Sequence[Path] = ()
    assessments: Sequence[Path] = ()
    benchmarks: Sequence[Path] = ()
    shears: Sequence[Path] = ()


@dataclass
class Assembly:
    """Sections so far, the origins of what was read, and what is missing."""

    sections: list[Section] = field(default_factory=list)
    origins: list[record.Origin] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def assemble(inputs: Inputs) -> tuple[list[Section], list[str]]:
    """Read the inputs and make the sections of the page.

    Returns:
        the sections in order, and a sentence on the parts that are left out.

    Raises:
        InputError: nothing was given, or a file is bad.
    """
    page = Assembly()
    read = _add_glasses(page, inputs.glasses)
    _add_barriers(page, inputs.events, read)
    _add_shears(page, inputs.shears, inputs.events)
    _add_data(page, inputs.graphs)
    _add_models(page, inputs.runs, inputs.tables)
    _add_explanations(page, inputs.explanations)
    _add_assessments(page, inputs.assessments)
    jobs = [job for path in inputs.benchmarks for job in record.read_jobs(path)]
    if not (page.sections or jobs):
        raise InputError("report: no input: at least one file is needed, see symgnn report --help")
    if not jobs:
        page.missing.append("run times")
    page.sections.append(record.section(page.origins, jobs))
    if not page.missing:
        return page.sections, []
    return page.sections, [f"Not in this page, as no input was given: {listing(page.missing)}."]


def _add_glasses(page: Assembly, paths: Sequence[Path]) -> list[Glass]:
    read = [read_glass(path) for path in paths]
    names = [glass.name for glass in read]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"report: two glasses are named {name}: names must differ")
    page.origins += [
        record.origin("glasses", glass.name, path, glass.atoms.info)
        for path, glass in zip(paths, read, strict=True)
    ]
    if read:
        page.sections.append(glasses.section(read))
    else:
        page.missing.append("glasses")
    return read


def _add_barriers(page: Assembly, paths: Sequence[Path], read: Sequence[Glass]) -> None:
    if not paths:
        page.missing.append("saddle searches")
        return
    searched = [read_events(path) for path in paths]
    page.origins += [
        record.origin("barriers", one.name, path, one.attributes)
        for path, one in zip(paths, searched, strict=True)
    ]
    page.sections.append(barriers.section(searched, read))


def _add_shears(page: Assembly, paths: Sequence[Path], events: Sequence[Path]) -> None:
    if not paths:
        return  # few studies shear: nobody misses the section
    curves = {source_name(path): read_shear(path) for path in paths}
    searched = [read_events(path) for path in events]
    means = {one.name: one.atoms[fields.BARRIER_MEAN] for one in searched}
    page.origins += [
        record.origin("shear", source_name(path), path, read_attributes(path, "shear"))
        for path in paths
    ]
    page.sections.append(shear.section(curves, means))


def _add_data(page: Assembly, paths: Sequence[Path]) -> None:
    if not paths:
        page.missing.append("graphs")
    for path in paths:
        dataset = read_graphs(path)
        page.origins.append(record.origin("graphs", path.stem, path, dataset.attributes))
        page.sections.append(data.section(dataset))


def _add_models(page: Assembly, runs: Sequence[Path], tables: Sequence[Path]) -> None:
    if not runs and not tables:
        page.missing.append("models")
        return
    trainings = []
    for folder in runs:
        name = f"{folder.resolve().parent.name}/{folder.resolve().name}"
        history = read_history(folder / "history.csv")
        trainings.append(models.Training(name, read_run(folder), history))
        predictions = folder / "predictions.h5"
        attributes = read_attributes(predictions, "predictions")
        page.origins.append(record.origin("models", name, predictions, attributes))
    rows = [row for path in tables for row in read_rows(path, "model")]
    page.sections.append(models.section(trainings, rows))


def _add_explanations(page: Assembly, paths: Sequence[Path]) -> None:
    if not paths:
        page.missing.append("explanations")
        return
    found = []
    for path in paths:
        content = read_explanations(path)
        name = source_name(path)
        found.append((name, content))
        page.origins.append(record.origin("explanations", name, path, content.attributes))
    page.sections.append(explanations.section(found))


def _add_assessments(page: Assembly, paths: Sequence[Path]) -> None:
    if not paths:
        return  # they take long and are asked for by name
    found = [(source_name(path), assessments.read_assessment(path)) for path in paths]
    page.origins += [
        record.origin("assessments", name, path, content)
        for path, (name, content) in zip(paths, found, strict=True)
    ]
    page.sections.append(assessments.section(found))
