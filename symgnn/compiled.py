"""numba's compiler, with a cache that sees changes in all of our compiled code.

numba keeps what it has compiled until the file of the function changes. What that function calls
from other files is part of the machine code and may have changed as well. So the cache lies in a
folder that is named after the sources: of the function's package, and those beside this module.
"""

import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numba
from numba.core import config

ROOT = Path(__file__).parent


def njit(**options: object) -> Callable[[Callable], Callable]:
    """`numba.njit`, cached."""

    def compile_later(function: Callable) -> Callable:
        kept = config.CACHE_DIR
        config.CACHE_DIR = str(cache_folder(Path(function.__code__.co_filename).parent))
        try:
            return numba.njit(cache=True, **options)(function)
        finally:
            config.CACHE_DIR = kept

    return compile_later


@cache
def cache_folder(package: Path) -> Path:
    """Where the compiled functions of a package lie.

    In `NUMBA_CACHE_DIR` if that is set, else beside the sources, or, where nothing may be written
    there, in the user's cache.
    """
    name = f"symgnn-{sources_hash(package)}"
    if config.CACHE_DIR:
        return Path(config.CACHE_DIR) / name
    if os.access(package, os.W_OK):
        return package / "__pycache__" / name
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "symgnn" / name


def sources_hash(package: Path) -> str:
    """Hash of the sources that code compiled in a package is made of."""
    found = hashlib.sha256()
    for folder in sorted({ROOT, package}):
        for path in sorted(folder.glob("*.py")):
            text = path.read_bytes()
            if b"numba" in text or b"symgnn.compiled" in text:
                found.update(path.name.encode() + b"\0" + text)
    return found.hexdigest()[:16]
