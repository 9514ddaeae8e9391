"""Section on how the numbers came about: times, seeds, protocols, versions and input files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from symgnn.errors import InputError
from symgnn.files import sha256
from symgnn.report.inputs import read_json, read_rows
from symgnn.report.page import Section, Table
from symgnn.report.words import MISSING, count, duration, memory, setting

UNITS = {  # of settings that have one; named as in the commands
    "activation": "eV/Å²",
    "aside_step": "Å",
    "barostat_damping": "ps",
    "climb_step": "Å",
    "cooling_rate": "K/s",
    "cutoff": "Å",
    "departure": "Å",
    "descent_stiffness": "eV/Å²",
    "final_temperature": "K",
    "force_tolerance": "eV/Å",
    "full_tolerance": "eV/Å",
    "lanczos_resolution": "eV/Å²",
    "lanczos_step": "Å",
    "largest_aside": "Å",
    "largest_move": "Å",
    "melt_temperature": "K",
    "melt_time": "ps",
    "minimum_tolerance": "eV/Å",
    "pressure": "GPa",
    "pressure_tolerance": "GPa",
    "push_radius": "Å",
    "push_step": "Å",
    "radius": "Å",
    "relaxation_step": "Å²/eV",
    "restart_interval": "steps",
    "same_minimum": "Å",
    "second_negative": "eV/Å²",
    "second_resolution": "eV/Å²",
    "second_step": "Å",
    "second_valley_step": "Å",
    "soft_curvature": "eV/Å²",
    "start_density": "atoms/Å³",
    "thermo_interval": "steps",
    "thermostat_damping": "ps",
    "timestep": "fs",
    "valley_step": "Å",
}
SHOWN_DIGITS = 16  # of a hash
SHOWN_VALUES = 6  # of a key of the protocol that differs between inputs


@dataclass(frozen=True)
class Job:
    """One row of a Snakemake benchmark file."""

    rule: str
    seconds: float
    cpu_seconds: float
    memory: float  # MB, largest resident set


@dataclass(frozen=True)
class Origin:
    """What an input says about itself.

    Attributes:
        stage: which part of the pipeline made it.
        name: what it is about.
        path: the file.
        protocol: its keywords and their values.
        versions: of the packages that made it.
    """

    stage: str
    name: str
    path: Path
    protocol: Mapping[str, object]
    versions: Mapping[str, str]


def origin(stage: str, name: str, path: Path | str, attributes: Mapping[str, object]) -> Origin:
    """The origin that the attributes `protocol` and `versions` (JSON) of a file tell."""
    protocol, versions = (
        read_json(attributes.get("protocol")),
        read_json(attributes.get("versions")),
    )
    if "seed" in attributes and "seed" not in protocol:
        protocol = {**protocol, "seed": attributes["seed"]}
    return Origin(stage, name, Path(path), protocol, versions)


def read_jobs(path: Path | str) -> list[Job]:
    """Jobs of a Snakemake benchmark file; the folder (or the stem) names the rule.

    Raises:
        InputError: the file has no column `s`, or a value that is no number.
    """
    path, jobs = Path(path), []
    for row in read_rows(path, "s"):
        rule = row.get("rule_name") or _rule(path)
        jobs.append(Job(rule, *(_cell(path, row, key) for key in ("s", "cpu_time", "max_rss"))))
    return jobs


def _rule(path: Path) -> str:
    """benchmarks/<rule>/<job>.tsv or benchmarks/<rule>.tsv."""
    folder = path.resolve().parts[:-1]
    if "benchmarks" in folder[:-1]:
        return folder[len(folder) - folder[::-1].index("benchmarks")]
    return path.name.split(".")[0]


def _cell(path: Path, row: Mapping[str, str], key: str) -> float:
    text = row.get(key) or "nan"
    try:
        return float("nan") if text in ("-", "NA") else float(text)
    except ValueError:
        raise InputError(f"{path}: {key}: {text!r}, a number") from None


def section(origins: Sequence[Origin], jobs: Sequence[Job]) -> Section:
    """Tables of times, seeds, protocols, versions and files."""
    blocks: list[str | Table] = []
    facts = []
    if jobs:
        total = sum(job.seconds for job in jobs)
        blocks += [
            f"{count(len(jobs), 'job')} of the workflow ran for {duration(total)} in all, counted "
            "one after the other.",
            _times(jobs),
        ]
        facts.append((duration(total), "run time of all jobs"))
    blocks += [_versions(origins), _protocols(origins), _files(origins)]
    return Section("record", "How it was made", blocks, facts=facts)


def _times(jobs: Sequence[Job]) -> Table:
    rows = []
    for rule in dict.fromkeys(job.rule for job in jobs):
        chosen = [job for job in jobs if job.rule == rule]
        seconds = [job.seconds for job in chosen]
        row = (rule, f"{len(chosen):,}", duration(sum(seconds)), duration(max(seconds)))
        cpu, largest = sum(job.cpu_seconds for job in chosen), max(job.memory for job in chosen)
        rows.append((*row, duration(cpu), memory(largest)))
    caption = (
        "Time and memory of the jobs by stage, from Snakemake's benchmark files: sum of the wall "
        "times, longest job, sum of the processor times, largest memory of a job."
    )
    return Table(
        "times", caption, ("stage", "jobs", "time", "longest", "processor", "memory"), rows
    )


def _versions(origins: Sequence[Origin]) -> Table:
    found: dict[str, dict[str, list[str]]] = {}
    for one in origins:
        for package, version in one.versions.items():
            stages = found.setdefault(package, {}).setdefault(str(version), [])
            if one.stage not in stages:
                stages.append(one.stage)
    rows = [
        (package, version, ", ".join(stages))
        for package in sorted(found)
        for version, stages in found[package].items()
    ]
    caption = "Versions of the packages, as the inputs of this page record them."
    return Table("versions", caption, ("package", "version", "used by"), rows, words=(0, 1, 2))


def _protocols(origins: Sequence[Origin]) -> Table:
    values: dict[tuple[str, str], list[str]] = {}
    for one in origins:
        for key, value in one.protocol.items():
            text = setting(value)
            if key.endswith(("sha256", "hash")):
                text = text[:SHOWN_DIGITS]
            known = values.setdefault((one.stage, key), [])
            if text not in known:
                known.append(text)
    rows, above = [], ""
    for (stage, key), texts in values.items():
        name = key.replace("_", " ") + (f", {UNITS[key]}" if key in UNITS else "")
        rows.append(("" if stage == above else stage, name, _shortened(texts)))
        above = stage
    caption = (
        "The protocol: every setting that the inputs record, seeds included; where inputs differ, "
        "the values that occur."
    )
    return Table("protocol", caption, ("stage", "setting", "value"), rows, words=(0, 1, 2))


def _shortened(texts: Sequence[str]) -> str:
    if not texts:
        return MISSING
    shown = ", ".join(texts[:SHOWN_VALUES])
    more = len(texts) - SHOWN_VALUES
    return f"{shown} and {more} more" if more > 0 else shown


def _files(origins: Sequence[Origin]) -> Table:
    rows = []
    for one in origins:
        own = one.path.name.startswith(one.name)
        name = one.path.name if own else f"{one.name}/{one.path.name}"
        seed = str(one.protocol.get("seed", MISSING))
        rows.append((one.stage, name, seed, sha256(one.path)[:SHOWN_DIGITS]))
    caption = "The files that this page was made of, their seeds and the start of their SHA-256."
    header = ("stage", "file", "seed", "SHA-256")
    return Table("files", caption, header, rows, words=(0, 1, 2, 3))
