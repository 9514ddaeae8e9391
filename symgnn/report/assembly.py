"""Which sections the page has, from the inputs that are given."""

from collections.abc import Sequence
from pathlib import Path

from symgnn.errors import InputError
from symgnn.report import barriers as barrier_section
from symgnn.report import glasses as glass_section
from symgnn.report import record
from symgnn.report.inputs import read_events, read_glass
from symgnn.report.page import Section
from symgnn.report.words import listing


def assemble(
    *,
    glasses: Sequence[Path] = (),
    events: Sequence[Path] = (),
    graphs: Path | None = None,
    runs: Sequence[Path] = (),
    table: Path | None = None,
    explanations: Sequence[Path] = (),
    benchmarks: Sequence[Path] = (),
) -> tuple[list[Section], list[str]]:
    """Read the inputs and make the sections of the page.

    Returns:
        the sections in order, and a sentence on the parts that are left out.

    Raises:
        InputError: nothing was given, or a file is bad.
    """
    sections, missing, origins = [], [], []
    read_glasses = [read_glass(path) for path in glasses]
    origins += [
        record.origin("glasses", glass.name, path, glass.atoms.info)
        for path, glass in zip(glasses, read_glasses, strict=True)
    ]
    if read_glasses:
        sections.append(glass_section.section(read_glasses))
    else:
        missing.append("glasses")
    searched = [read_events(path) for path in events]
    origins += [
        record.origin("barriers", one.name, path, one.attributes)
        for path, one in zip(events, searched, strict=True)
    ]
    if searched:
        sections.append(barrier_section.section(searched, read_glasses))
    else:
        missing.append("saddle searches")
    if not origins:
        raise InputError("report: no input is given: at least one file is needed")
    jobs = [job for path in benchmarks for job in record.read_jobs(path)]
    if not jobs:
        missing.append("run times")
    sections.append(record.section(origins, jobs))
    left_out = [f"Left out, as no input was given: {listing(missing)}."] if missing else []
    return sections, left_out
