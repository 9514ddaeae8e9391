"""Trained models that come with the program, by name."""

from functools import cache
from pathlib import Path

import yaml

from symgnn.errors import InputError
from symgnn.files import check_sha256
from symgnn.potentials import resources


@cache
def shipped_models() -> dict[str, dict]:
    """The models in `resources/models`, by name; see its registry.yaml."""
    return yaml.safe_load((resources() / "models" / "registry.yaml").read_text())


def find_checkpoints(name: Path | str) -> list[Path]:
    """The checkpoints of a model that comes with the program, or the given file.

    Args:
        name: in the registry, or path of a checkpoint.

    Raises:
        InputError: neither, or a file of the registry was altered.
    """
    entry = shipped_models().get(str(name))
    if entry is None:
        if not Path(name).is_file():
            raise InputError(
                f"{name}: no such file, and no model that comes with the program: "
                f"{', '.join(shipped_models())}"
            )
        return [Path(name)]
    paths = {resources() / "models" / file: expected for file, expected in entry["files"].items()}
    for path, expected in paths.items():
        check_sha256(path, f"model {name}", expected)
    return list(paths)
