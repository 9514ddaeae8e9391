"""Cost of `symgnn quench` over a bare LAMMPS input script with the same settings.

Runs the same melt both ways in turn and prints the ratio of the processor times:

    python benchmarks/quench_overhead.py [atoms] [steps] [repeats]
"""

import sys
import tempfile
from contextlib import closing
from pathlib import Path
from time import process_time

import mpi4py.MPI as MPI

from symgnn.glasses.dynamics import THERMO_STYLE, Stage, run_stages
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


def main() -> None:
    """Time both in turn and print each pair and the ratio of the shortest."""
    atoms, steps, repeats = (
        int(value) for value in (sys.argv[1:] + ["1000", "3000", "3"][len(sys.argv) - 1 :])
    )
    times: dict[str, list[float]] = {"ours": [], "bare": []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats):
            times["bare"].append(bare(atoms, steps, Path(folder)))
            times["ours"].append(ours(atoms, steps, Path(folder)))
            print(f"bare {times['bare'][-1]:.2f} s   ours {times['ours'][-1]:.2f} s", flush=True)
    best = {name: min(values) for name, values in times.items()}
    per_step = best["ours"] / atoms / steps * 1e6
    print(f"{atoms} atoms, {steps} steps: ours / bare = {best['ours'] / best['bare']:.3f}", end="")
    print(f", {per_step:.2f} µs an atom and step")


if __name__ == "__main__":
    main()
