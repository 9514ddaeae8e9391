"""The options and the command of the stage's tests."""

import sys
from pathlib import Path

OPTIONS = (
    "--potential",
    "Cu-Zr-2009",
    "--atoms",
    "3",
    "--searches",
    "2",
    "--region-searches",
    "1",
    "--radius",
    "8",
    "--seed",
    "2",
    "--activation",  # of the protocol with which this seed finds an event of each kind
    "-0.2",
    "--climb-balance",
    "0.6",
)


def command(glass: Path, output: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "symgnn.cli", "barriers", str(glass), *options, "-o", str(output)]
