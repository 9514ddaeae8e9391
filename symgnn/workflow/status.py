"""What of a configuration is done, running, begun or to do; damage found by checksum."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from symgnn.errors import InputError
from symgnn.progress import last_progress
from symgnn.workflow import ledger, locks, plan

STATES = ("done", "running", "begun", "to do")


@dataclass(frozen=True)
class Item:
    """One file that the workflow makes.

    Attributes:
        stage: which stage makes it.
        path: where.
        state: one of STATES.
        remark: who works on it, or what is there of it.
    """

    stage: str
    path: Path
    state: str
    remark: str = ""


def expected_files(config: Mapping) -> list[tuple[str, str]]:
    """Stage and path, relative to the results folder, of every file of a configuration."""
    glasses = plan.list_glasses(config["glasses"]["ensembles"], config["glasses"]["seed"])
    splits = plan.list_splits(config["dataset"], glasses)
    shards = plan.list_shards(config["barriers"], [glasses[name] for name in splits])
    explained = plan.match(config["explanations"]["glasses"], splits, "explanations.glasses")
    sheared = plan.match(config["shear"]["glasses"], glasses, "shear.glasses")
    models = config["models"]
    files = [("glasses", f"glasses/{name}.xyz") for name in glasses]
    for name, count in shards.items():
        files += [("barriers", f"barriers/{name}/shard-{k}.h5") for k in range(count)]
        files.append(("barriers", f"barriers/{name}/events.h5"))
    files += [("shear", f"shear/{name}/shear.h5") for name in sheared]
    files.append(("graphs", "graphs/graphs.h5"))
    files += [
        ("models", f"models/{model}/seed-{seed}/checkpoint.pt")
        for model in models["names"]
        for seed in models["seeds"]
    ]
    files.append(("models", "models/table.csv"))
    files += [
        ("explanations", f"explanations/{name}/{file}")
        for name in explained
        for file in ("explanation.h5", "assessment.json")
    ]
    return [*files, ("report", "report.html")]


def list_items(config: Mapping, results: Path) -> list[Item]:
    """The state of every file of a configuration."""
    return [_item(stage, results, Path(name)) for stage, name in expected_files(config)]


def _progress(logs: Path, name: Path) -> str:
    """How far the job that makes a file says it is.

    Its log is named after the file, after folder and file, or after the folder.
    """
    stem = name.stem
    for log in (name.with_suffix(".log"), f"{name.parent}.{stem}.log", f"{name.parent}.log"):
        if (logs / log).is_file():
            found = last_progress(logs / log)
            return f"  {found}" if found else ""
    return ""


def _item(stage: str, results: Path, name: Path) -> Item:
    path, logs = results / name, results / "logs"
    holder = locks.read_lock(f"{path}.lock")
    if holder and not locks.is_dead_here(holder):
        job = f", Slurm job {holder['slurm_job']}" if holder.get("slurm_job") else ""
        who = f"{holder['user']}@{holder['host']}{job}"
        return Item(stage, path, "running", who + _progress(logs, name))
    if path.is_file():
        return Item(stage, path, "done", _size(path))
    traces = sorted(path.parent.glob(f"{path.name}.*")) + sorted(path.parent.glob(f"{path.stem}.*"))
    traces = [trace for trace in dict.fromkeys(traces) if trace.suffix != ".lock"]
    if stage == "models":
        traces = sorted(path.parent.glob("resume.pt"))
    if traces:
        there = ", ".join(trace.name for trace in traces)
        return Item(stage, path, "begun", there + _progress(logs, name))
    return Item(stage, path, "to do")


def _size(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.2f} MB"


def print_status(items: Iterable[Item], everything: bool) -> None:
    """Print a table of the stages, and the files that are not done (or all)."""
    items = list(items)
    print(f"{'stage':<14}" + "".join(f"{state:>9}" for state in STATES))
    for stage in dict.fromkeys(item.stage for item in items):
        counts = Counter(item.state for item in items if item.stage == stage)
        print(f"{stage:<14}" + "".join(f"{counts[state]:>9}" for state in STATES))
    for item in items:
        if everything or item.state in ("running", "begun"):
            print(f"{item.state:<8} {item.path}  {item.remark}".rstrip())


def print_ledger(results: Path) -> None:
    """Print the ledger as a table, oldest first."""
    print(f"{'started (UTC)':<20}{'s':>10}  {'ranks':>5} {'exit':>4}  by and where, version: files")
    for entry in sorted(ledger.read_entries(results), key=lambda entry: entry["started"]):
        job = f" job {entry['slurm_job']}" if entry["slurm_job"] else ""
        made = ", ".join(entry["outputs"]) or " ".join(entry["command"][:2]) + " failed"
        print(
            f"{entry['started'][:19]:<20}{entry['seconds']:>10.1f}  {entry['ranks']:>5} "
            f"{entry['status']:>4}  {entry['user']}@{entry['host']}{job}, "
            f"{entry['symgnn']}: {made}"
        )


def report_damage(results: Path, set_aside: bool) -> None:
    """Compare files with the ledger.

    Raises:
        InputError: some are damaged; they are named, and renamed to `.damaged` on request.
    """
    damage = ledger.find_damage(results)
    for name, reason in damage.items():
        print(f"damaged  {results / name}: {reason}")
        if set_aside:
            path = results / name
            path.replace(path.with_name(path.name + ".damaged"))
    if damage:
        advice = "--set-aside moves them away to be made again"
        if set_aside:
            paths = " ".join(f"{results.name}/{name}" for name in damage)
            advice = f"they are set aside, make them again: snakemake {paths}"
        raise InputError(f"{results}: {len(damage)} files are not as recorded; {advice}")
    print(f"{len(ledger.recorded_outputs(results))} recorded files, none damaged")
