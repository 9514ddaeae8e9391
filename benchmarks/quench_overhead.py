"""Cost of `symgnn quench` over a bare LAMMPS input script with the same settings.

Runs the same melt both ways, in pairs whose order alternates, and prints the median of the pairs'
ratios of processor times, and what each thing that the package does on top takes by itself:

    python benchmarks/quench_overhead.py [atoms] [steps] [repeats]

The parts are timed over many repetitions, so that they hold on a busy machine too.
"""

import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median
from time import process_time

import mpi4py.MPI as MPI

from symgnn.glasses.dynamics import THERMO_STYLE, Stage, run_stages, thermo_row
from symgnn.glasses.quench import SKIN
from symgnn.glasses.restarts import Restarts
from symgnn.glasses.start import melt_density, random_start
from symgnn.lammps_interface import load_structure, set_potential, start_lammps
from symgnn.potentials import find_potential, species_counts
from symgnn.progress import TimeBudget

SYMBOLS = ("Cu", "Zr")
COUPLING = "0.1 iso 0 0 1.0 fixedpoint 0 0 0"
THERMO_INTERVAL, RESTART_INTERVAL = 200, 10_000
BARE = f"""
{THERMO_STYLE}
thermo {THERMO_INTERVAL}
restart {RESTART_INTERVAL} bare.restart
fix melt all npt temp 2000 2000 {COUPLING}
run STEPS
"""


def begin(atoms: int):
    """A LAMMPS with a melt that has lost its first heat."""
    counts = species_counts("Cu64Zr36", atoms)
    lmp = start_lammps()
    start = random_start(counts, melt_density(counts), 1)
    load_structure(lmp, start, SYMBOLS, tilted=False)
    set_potential(lmp, find_potential("Cu-Zr-2009"), SYMBOLS)
    lmp.commands_list([f"neighbor {SKIN} bin", "neigh_modify every 1 delay 0 check yes"])
    lmp.commands_list(["minimize 0 1.0 100 1000", "velocity all create 2000 1 dist gaussian"])
    lmp.commands_list([f"fix warm all npt temp 2000 2000 {COUPLING}", "run 300", "unfix warm"])
    lmp.command("reset_timestep 0")
    return lmp


def ours(atoms: int, steps: int, folder: Path) -> float:
    """Processor time of the package's loop, s."""
    with closing(begin(atoms)) as lmp:
        lmp.command(THERMO_STYLE)
        restarts = Restarts(folder / f"ours-{process_time()}.xyz", {}, MPI.COMM_SELF)
        stages = (Stage("melt", 0, steps, 2000, 2000),)
        intervals = (THERMO_INTERVAL, RESTART_INTERVAL)
        began = process_time()
        run_stages(
            lmp, stages, COUPLING, [], restarts, 0, *intervals, TimeBudget(None), lambda row: None
        )
        return process_time() - began


def bare(atoms: int, steps: int, folder: Path) -> float:
    """Processor time of LAMMPS's own `run`, s."""
    script = folder / "in.bare"
    script.write_text(
        BARE.replace("STEPS", str(steps)).replace("bare.restart", str(folder / "bare.restart"))
    )
    with closing(begin(atoms)) as lmp:
        began = process_time()
        lmp.file(str(script))
        return process_time() - began


def parts(atoms: int, folder: Path, repeats: int = 200) -> dict[str, float]:
    """Processor time of one of each of the things that happen between steps, s."""
    with closing(begin(atoms)) as lmp:
        lmp.commands_list([THERMO_STYLE, f"fix melt all npt temp 2000 2000 {COUPLING}", "run 100"])
        restarts = Restarts(folder / "parts.xyz", {}, MPI.COMM_SELF)
        step = lmp.extract_global("ntimestep")
        rows = [thermo_row(lmp, "melt", step) for _ in range(1000)]
        return {
            "a row of the record, and the next `run`": _each(
                lambda: (lmp.command("run 0 pre no post no"), thermo_row(lmp, "melt", step)),
                repeats,
            ),
            "a setup": _each(lambda: lmp.command("run 0 pre yes post no"), repeats),
            "a restart file with 1,000 rows": _each(lambda: restarts.save(lmp, 1, rows), repeats),
            "a bare restart file": _each(
                lambda: lmp.command(f'write_restart "{folder / "bare.restart"}"'), repeats
            ),
            "a step": _each(lambda: lmp.command("run 100 pre no post no"), repeats // 20) / 100,
        }


def _each(act: Callable[[], object], repeats: int) -> float:
    began = process_time()
    for _ in range(repeats):
        act()
    return (process_time() - began) / repeats


def main() -> None:
    """Time the parts, then both ways in pairs."""
    atoms, steps, repeats = (
        int(value) for value in (sys.argv[1:] + ["1000", "10000", "5"][len(sys.argv) - 1 :])
    )
    ratios, per_step = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name, seconds in parts(atoms, Path(folder)).items():
            print(f"{name}: {1000 * seconds:.3f} ms", flush=True)
        for number in range(repeats):
            times = {}
            for way in (bare, ours) if number % 2 else (ours, bare):
                times[way] = way(atoms, steps, Path(folder))
            ratios.append(times[ours] / times[bare])
            per_step.append(times[ours] / atoms / steps * 1e6)
            print(f"bare {times[bare]:.2f} s   ours {times[ours]:.2f} s", flush=True)
    print(f"{atoms} atoms, {steps} steps: ours / bare = {median(ratios):.3f}", end="")
    print(f" ({min(ratios):.3f} to {max(ratios):.3f}), {median(per_step):.2f} µs an atom and step")


if __name__ == "__main__":
    main()
