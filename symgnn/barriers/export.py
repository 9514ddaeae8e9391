"""One event as three structures for viewers: minimum, saddle point and final minimum."""

import re
import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import write

from symgnn import fields
from symgnn.barriers.event import MOVED
from symgnn.barriers.events import read_event
from symgnn.barriers.protocol import Status
from symgnn.errors import InputError
from symgnn.files import atomic_path, open_hdf5
from symgnn.structures import structure_hash


def export_event(atoms: Atoms, events: Path, choice: str, output: Path) -> None:
    """Write an event of events.h5 as an extended XYZ of three frames.

    Each frame has the displacement from the minimum (Å) of every atom that moves by more than
    `MOVED`, as events.h5 keeps these alone, and which atom is the target. The energy that stands
    beside it (above the minimum, eV) is that of the saddle with all displacements; the frame's
    own is higher, by 0.9 eV in the median of 58 saddles of a glass. Where the start is not one of
    the saddle's two minima, the third frame is the one of the two that is further from it, and is
    named so; where that is not known there is no third frame, which is told.

    Args:
        atoms: the structure that was searched.
        events: events.h5 of it.
        choice: `atom:search`, two numbers.
        output: the extended XYZ file to write.

    Raises:
        InputError: the events are of another structure, or there is no such saddle.
    """
    parts = re.fullmatch(r"(\d+):(\d+)", choice)
    if parts is None:
        raise InputError(f"export: {choice!r}: must be atom:search, such as 12:3")
    with open_hdf5(events, "events") as file:
        if file.attrs["structure_hash"] != structure_hash(atoms):
            raise InputError(f"{events}: structure_hash: of another structure than the one given")
    event = read_event(events, int(parts[1]), int(parts[2]))
    if event.status != Status.CONVERGED:
        raise InputError(f"export: {choice}: this search found no saddle point")
    names = ["minimum", "saddle point"]
    if np.isfinite(event.final_energy):
        names.append("final minimum" if event.connected else "further minimum, start not joined")
    else:
        print(f"symgnn: {choice}: no final minimum is known; two frames", file=sys.stderr)
    nothing = np.zeros_like(event.saddle_displacement)
    ways = [nothing, event.saddle_displacement, event.final_displacement]
    energies = [0.0, event.barrier, event.final_energy]
    frames = []
    for name, way, energy in zip(names, ways, energies, strict=False):
        frame = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        displacement = np.zeros_like(atoms.positions)
        displacement[event.moved_atoms] = way
        frame.positions += displacement
        frame.arrays["displacement"] = displacement
        frame.arrays["target"] = (np.arange(len(atoms)) == event.atom).astype(int)
        frame.info = {"frame": name, "energy_above_minimum": energy, fields.ATOM: event.atom}
        frame.info["displaced_beyond"] = MOVED  # Å
        frames.append(frame)
    with atomic_path(output) as path:
        write(path, frames, format="extxyz")
