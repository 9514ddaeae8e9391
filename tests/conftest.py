"""Fixtures that all tests share."""

import os
from pathlib import Path

import pytest
import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read where Triton is imported, by whatever package

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder that holds Snakefile, config.yaml and resources."""
    return ROOT


@pytest.fixture(scope="session")
def potential() -> Path:
    """The bundled Cu-Zr potential of 2009."""
    return ROOT / "resources" / "potentials" / "Cu-Zr_2.eam.fs"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of published structures; tests that need it are skipped without it."""
    folder = ROOT.parent / "shared"
    if not (folder / "published").is_dir():
        pytest.skip("the published structures are not at hand")
    return folder
