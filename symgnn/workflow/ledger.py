"""The ledger: who made which file with what, where, in how long; and the files' checksums.

A folder with a JSON-lines file an output, so that two jobs never write to one file. A line holds
`started` (UTC), `seconds`, `user`, `host`, `slurm_job`, `ranks`, `symgnn` (its version),
`command`, `status` (exit code) and `outputs`: path, `sha256` and `bytes` of each. Paths are
relative to the results folder, which can be moved as a whole.
"""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from symgnn.files import sha256

FOLDER = "ledger"


def ledger_path(results: Path | str, output: Path | str) -> Path:
    """The ledger file of an output."""
    inside = Path(os.path.relpath(output, results))
    return Path(results) / FOLDER / f"{inside}.jsonl"


def describe_outputs(results: Path | str, outputs: Iterable[Path | str]) -> dict[str, dict]:
    """Checksum and size of files, by their path within `results`."""
    return {
        os.path.relpath(path, results): {"sha256": sha256(path), "bytes": Path(path).stat().st_size}
        for path in outputs
    }


def append_entry(path: Path | str, entry: dict) -> None:
    """Add a line; whole lines only, also when the file system is shared."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    line = (json.dumps(entry, sort_keys=True) + "\n").encode()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(handle, line)
    finally:
        os.close(handle)


def read_entries(results: Path | str) -> Iterator[dict]:
    """All entries, ledger file by ledger file, each in the order of time."""
    for path in sorted((Path(results) / FOLDER).rglob("*.jsonl")):
        for line in path.read_text().splitlines():
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue  # a line cut short by a full disk


def recorded_outputs(results: Path | str) -> dict[str, dict]:
    """The newest checksum and size of every file that a job finished, by its path."""
    newest: dict[str, dict] = {}
    for entry in read_entries(results):
        if entry["status"] == 0:
            newest.update(entry["outputs"])
    return newest


def find_damage(results: Path | str) -> dict[str, str]:
    """What is wrong with the recorded files that exist: path within `results` -> reason."""
    damage = {}
    for name, known in recorded_outputs(results).items():
        path = Path(results) / name
        if not path.is_file():
            continue
        if path.stat().st_size != known["bytes"]:
            damage[name] = f"{path.stat().st_size} bytes, recorded were {known['bytes']}"
        elif sha256(path) != known["sha256"]:
            damage[name] = "its checksum is not the recorded one"
    return damage
