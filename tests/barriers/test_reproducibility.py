"""The same bits from code that was just compiled and from numba's cache."""

import os
import subprocess
import sys
from pathlib import Path

from ase import Atoms

from symgnn.structures import write_structure

SEARCHES = """
import sys
import numpy as np
from ase.io import read
from symgnn.barriers.protocol import Protocol
from symgnn.barriers.eam_engine import RegionEngine
from symgnn.barriers.searches import Searches
from symgnn.potentials import find_potential

atoms = read(sys.argv[1])
engine = RegionEngine(atoms, find_potential("Cu-Zr-2009"), radius=7.0)
for check, count in ((False, 16), (True, 2)):  # the second with second eigenvalues
    searches = Searches(atoms, engine, protocol=Protocol(), seed=0, check=check)
    for event in searches.run([(atom, 0) for atom in range(count)]):
        print(event.atom, event.force_evaluations, event.region_barrier.hex(), end=" ")
        print(event.check_evaluations, event.barrier.hex(), event.second_curvature.hex())
"""


def test_compiled_and_cached_code_find_the_same_saddles(relaxed: Atoms, tmp_path: Path) -> None:
    glass = tmp_path / "glass.xyz"
    write_structure(glass, relaxed)
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-c", SEARCHES, str(glass)]
    first, second = (
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    )
    assert len(first.splitlines()) == 18
    assert "nan" not in first.splitlines()[-1]
    assert first == second
