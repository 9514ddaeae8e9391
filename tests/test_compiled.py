"""Compiled code is made again when what it calls has changed."""

import os
import subprocess
import sys
from pathlib import Path

INNER = """
from symgnn.compiled import njit

@njit()
def inner(x):
    return x + {step}
"""
OUTER = """
from inner import inner
from symgnn.compiled import njit

@njit()
def outer(x):
    return 10 * inner(x)

print(outer(1), outer.stats.cache_hits)
"""


def run(folder: Path, **environment: str) -> list[str]:
    """What `outer` makes of 1, and how often it was found in the cache."""
    command = [sys.executable, "outer.py"]
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"} | {
        "PYTHONPATH": str(Path(__file__).parents[1]),
        **environment,
    }
    words = {"cwd": folder, "env": environment, "capture_output": True, "text": True}
    return subprocess.run(command, check=True, **words).stdout.split()


def test_a_change_in_another_file_is_seen(tmp_path: Path) -> None:
    (tmp_path / "outer.py").write_text(OUTER)
    (tmp_path / "inner.py").write_text(INNER.format(step=1))
    assert run(tmp_path) == ["20", "Counter()"]
    assert run(tmp_path)[0] == "20"
    (tmp_path / "inner.py").write_text(INNER.format(step=2))
    assert run(tmp_path)[0] == "30"


def test_the_cache_lies_where_it_is_told_to(tmp_path: Path) -> None:
    (tmp_path / "outer.py").write_text(OUTER)
    (tmp_path / "inner.py").write_text(INNER.format(step=1))
    cache = tmp_path / "cache"
    assert run(tmp_path, NUMBA_CACHE_DIR=str(cache)) == ["20", "Counter()"]
    assert list(cache.rglob("outer.outer*.nbc"))
    assert "({" in "".join(run(tmp_path, NUMBA_CACHE_DIR=str(cache)))  # found there
    assert not list((tmp_path / "__pycache__").rglob("*.nbc"))
