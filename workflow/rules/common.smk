"""What all stages share: the checked configuration, names, paths and how commands are started."""

import os
import sys

from symgnn.workflow import costs, plan
from symgnn.workflow.configuration import check_configuration
from symgnn.errors import EXIT_BAD_INPUT, InputError
from symgnn.potentials import find_potential
from symgnn.provenance import stage_hash

SCHEMA = f"{workflow.basedir}/workflow/schemas/config.schema.yaml"

try:
    config = check_configuration(config, SCHEMA, workflow.configfiles)
    GLASSES = plan.list_glasses(config["glasses"]["ensembles"], config["glasses"]["seed"])
    SPLITS = plan.list_splits(config["dataset"], GLASSES)
    EXPLAINED = plan.match(config["explanations"]["glasses"], SPLITS, "explanations.glasses")
    SHEARED = plan.match(config["shear"]["glasses"], GLASSES, "shear.glasses")
    SHARDS = plan.list_shards(config["barriers"], [GLASSES[glass] for glass in SPLITS])
    plan.check_threads(config)
    plan.check_explained(config, [GLASSES[glass] for glass in EXPLAINED])
    POTENTIAL = find_potential(config["potential"])
    plan.check_inputs(config, POTENTIAL)
    plan.check_compositions(GLASSES.values(), POTENTIAL)
except InputError as error:
    print(f"symgnn: error: {error}", file=sys.stderr)
    sys.exit(EXIT_BAD_INPUT)

RESULTS = config["results"]
LOGS, BENCHMARKS = f"{RESULTS}/logs", f"{RESULTS}/benchmarks"


wildcard_constraints:
    glass=r"[A-Za-z0-9.]+_\d+_[0-9.]+e\d+_s\d+",
    shard=r"\d+",
    model=r"[a-z0-9_-]+",
    seed=r"\d+",


# Where a conda environment installs the package from, after its dependencies.
os.environ.update(SYMGNN_SOURCE=workflow.basedir)

# Commands run as jobs: locked, recorded, on their ranks. See `symgnn job --help`.
shell.prefix(
    f"set -euo pipefail; export SYMGNN_RESULTS={RESULTS}"
    f' PATH="$PATH:{os.path.dirname(sys.executable)}"; '
)


def minutes(core_seconds, attempt, ranks=1):
    """Runtime to ask for, min: twice the expected, a quarter of an hour to the longest walltime."""
    wished = round(core_seconds / ranks / 60 * 2) * attempt
    return min(max(15 * attempt, wished), round(config["execution"]["walltime_hours"] * 60))


LAMMPS_THREADS = config["execution"]["lammps_threads"]


def lammps_cores(core_seconds):
    """Cores of a LAMMPS run, ranks times threads, that let it end within the wished hours."""
    limits = config["execution"]
    hours = limits["job_hours"] * LAMMPS_THREADS
    return costs.ranks_for(core_seconds, hours, limits["ranks_max"]) * LAMMPS_THREADS


def lammps_ranks(wildcards, threads):
    """MPI ranks of a LAMMPS run on `threads` cores."""
    return max(1, threads // LAMMPS_THREADS)


def quench_cores(wildcards):
    """Cores of a quench."""
    return lammps_cores(costs.quench_seconds(GLASSES[wildcards.glass], config))


def quench_minutes(wildcards, threads, attempt):
    """Runtime of a quench, min."""
    return minutes(costs.quench_seconds(GLASSES[wildcards.glass], config), attempt, threads)


def shear_cores(wildcards):
    """Cores of a shear deformation."""
    return lammps_cores(costs.shear_seconds(GLASSES[wildcards.glass], config))


def shear_minutes(wildcards, threads, attempt):
    """Runtime of a shear deformation, min."""
    return minutes(costs.shear_seconds(GLASSES[wildcards.glass], config), attempt, threads)


def search_minutes(wildcards, threads, attempt):
    """Runtime of a barrier shard, min."""
    glass, atoms = GLASSES[wildcards.glass], config["barriers"]["shard_size"]
    seconds = costs.search_seconds(glass, atoms, config)
    return minutes(seconds, attempt, threads)


GRAPH_SECONDS = costs.input_seconds((GLASSES[name] for name in SPLITS), config)
GRAPH_CORES = costs.ranks_for(
    GRAPH_SECONDS, config["execution"]["job_hours"], config["execution"]["node_cores"]
)


def graph_minutes(wildcards, threads, attempt):
    """Runtime of the graphs, whose inputs may be searches, min."""
    return max(30 * attempt, minutes(GRAPH_SECONDS, attempt, threads))


def training_minutes(wildcards, attempt):
    """Runtime of a training of one model, min."""
    atoms = sum(GLASSES[glass].atoms for glass, split in SPLITS.items() if split != "test")
    return minutes(costs.training_seconds(wildcards.model, atoms, config), attempt)


def explanation_minutes(wildcards, attempt):
    """Runtime of a glass's explanations, min."""
    return minutes(costs.explanation_seconds(GLASSES[wildcards.glass], config), attempt)


def assessment_minutes(wildcards, attempt):
    """Runtime of the tests of a glass's explanations, min."""
    return minutes(costs.assessment_seconds(GLASSES[wildcards.glass], config), attempt)


def repeat_option(option, values):
    """An option once before each of its values."""
    return " ".join(f"{option} {value}" for value in values)


# A dry run says what the whole of the configuration is expected to cost.
if workflow.output_settings.dryrun:
    table = costs.stage_costs(config, GLASSES, SPLITS, SHARDS, SHEARED, EXPLAINED)
    print("Expected, all jobs:", costs.format_costs(table), sep="\n", file=sys.stderr)
