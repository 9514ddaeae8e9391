"""Commands of the barriers stage."""

from pathlib import Path
from typing import Annotated

import typer


def barriers(
    structure: Annotated[Path, typer.Argument(help="Glass at a minimum: any file ASE reads.")],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="events.h5 to write; with --export, an XYZ file.", dir_okay=False
        ),
    ],
    potential: Annotated[
        str | None, typer.Option(help="Potential: name in the registry, or file.")
    ] = None,
    atoms: Annotated[
        str,
        typer.Option(
            help="all, a number N (seeded random choice) or a range i:j (a quench lists its atoms "
            "by element, so a range of them is mostly of one)."
        ),
    ] = "all",
    shard: Annotated[str, typer.Option(help="i/n: only part i (from 0) of the atoms.")] = "0/1",
    searches: Annotated[int, typer.Option(min=1, help="Searches an atom.")] = 20,
    region_searches: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Further searches an atom that end in the region, for label controlled; by "
            "default four for each of --searches. None with lammps, --no-check or --searches 1.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of atoms and pushes.")] = 0,
    engine: Annotated[
        str,
        typer.Option(
            help="cpu (compiled EAM), gpu (EAM in batches), lammps (any potential, all atoms), or "
            "auto: lammps if the potential is no EAM, else gpu if there is one, else cpu."
        ),
    ] = "auto",
    precision: Annotated[
        str, typer.Option(help="On a GPU: double, or mixed (pairs in float32).")
    ] = "double",
    memory: Annotated[
        float | None,
        typer.Option(min=0.0, help="On a GPU: most memory, GiB; most of the free by default."),
    ] = None,
    radius: Annotated[
        float, typer.Option(min=4.0, help="Radius of the free region, Å; not for lammps.")
    ] = 8.0,
    check: Annotated[
        bool,
        typer.Option(
            help="Find every saddle again with all atoms free, look for a second negative "
            "eigenvalue, and relax both sides."
        ),
    ] = True,
    label: Annotated[
        str,
        typer.Option(
            help="What barrier_mean is: controlled (the mean over all converged searches, made "
            "more exact by those that end in the region), or the plain mean over all, single, "
            "target or connected ones; or pushed: all, weighed by the pushed atoms' share of their "
            "motion."
        ),
    ] = "controlled",
    push_radius: Annotated[
        float, typer.Option(min=0.1, help="Atoms nearer to the target are pushed, Å.")
    ] = 3.6,
    push_step: Annotated[float, typer.Option(min=0.001, help="Norm of a push, Å.")] = 0.3,
    push_relaxations: Annotated[
        int, typer.Option(min=0, help="Perpendicular relaxation steps after a push.")
    ] = 4,
    activation: Annotated[
        float, typer.Option(max=0.0, help="Eigenvalue below which a search climbs, eV/Å².")
    ] = -0.5,
    climb_balance: Annotated[
        float,
        typer.Option(
            min=0.0,
            help="On the climb, relax until the force across is below this share of that along.",
        ),
    ] = 1.0,
    force_tolerance: Annotated[
        float, typer.Option(min=1e-6, help="Largest force at the saddle of a region, eV/Å.")
    ] = 0.05,
    full_tolerance: Annotated[
        float,
        typer.Option(min=1e-6, help="The same in larger regions and with all atoms free, eV/Å."),
    ] = 0.01,
    time_budget: Annotated[
        float | None, typer.Option(help="Stop after this time with exit code 75, s.")
    ] = None,
    export: Annotated[
        str | None,
        typer.Option(help="atom:search: write this event of --events as three frames instead."),
    ] = None,
    events: Annotated[Path | None, typer.Option(help="events.h5 to export from.")] = None,
) -> None:
    """Search saddle points around atoms of a glass (ARTn) and write their energy barriers.

    Each search pushes an atom and its neighbours in a random direction until the energy curves
    downwards and follows that direction to a saddle point. Only atoms near the target move at
    first (with LAMMPS all do); then every saddle is found again with all atoms free, and both its
    sides are relaxed. Further searches stop before that, at a small part of the cost, and make the
    mean over the others more exact.
    Finished searches stand in a journal beside the output: the same command goes on where it was
    stopped. Run it alone, under `mpiexec -n N` or under `srun`: the result is the same.

    Example: `symgnn barriers glass.xyz --potential Cu-Zr-2009 --atoms 60 --searches 5 -o events.h5`

    One event for OVITO: `symgnn barriers glass.xyz --events events.h5 --export 12:3 -o event.xyz`.
    Where the start is not one of the saddle's minima, the third frame is the further one. Only
    atoms that move by more than 0.1 Å are displaced in its frames: their own energies are some
    0.9 eV above the true ones, which stand beside them.
    """
    from symgnn.barriers.batched.engine import PRECISIONS
    from symgnn.barriers.export import export_event
    from symgnn.barriers.labels import LABELS
    from symgnn.barriers.protocol import Protocol
    from symgnn.barriers.stage import check_minimum, chosen_atoms, search_barriers, shard_of
    from symgnn.errors import InputError
    from symgnn.potentials import find_potential
    from symgnn.progress import TimeBudget
    from symgnn.structures import check_searchable, read_structure

    if export is not None:
        if events is None:
            raise InputError("export: needs --events with the events.h5 to export from")
        export_event(read_structure(structure), events, export, output)
        return
    if events is not None:
        raise InputError("events: are for --export atom:search, which is missing")
    if potential is None:
        raise InputError("potential: needs a name in the registry or a file")
    if label not in LABELS:
        raise InputError(f"label: {label!r}: must be one of {', '.join(LABELS)}")
    if precision not in PRECISIONS:
        raise InputError(f"precision: {precision!r}: must be one of {', '.join(PRECISIONS)}")
    glass, model = read_structure(structure), find_potential(potential)
    chosen = shard_of(chosen_atoms(atoms, len(glass), seed), shard)
    check_searchable(glass, structure)
    check_minimum(glass, model, structure)
    search_barriers(
        glass,
        model,
        output,
        chosen=chosen,
        searches=searches,
        region_searches=region_searches,
        seed=seed,
        protocol=Protocol(
            push_radius=push_radius,
            push_step=push_step,
            push_relaxations=push_relaxations,
            activation=activation,
            climb_balance=climb_balance,
            force_tolerance=force_tolerance,
            full_tolerance=full_tolerance,
        ),
        radius=radius,
        engine=engine,
        precision=precision,
        memory=memory,
        check=check,
        label=label,
        budget=TimeBudget(time_budget),
    )


def merge_events(
    shards: Annotated[list[Path], typer.Argument(help="events.h5 files of one structure.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="events.h5 to write.", dir_okay=False)
    ],
) -> None:
    """Put the shards of one structure's searches together.

    Example: `symgnn merge-events shard-0.h5 shard-1.h5 -o events.h5`
    """
    from symgnn.barriers.events import merge_events as merge

    merge(shards, output)
