"""What a configuration will cost: core-hours and GPU-hours by stage, from measured unit costs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from symgnn.barriers.protocol import REGION_SEARCHES
from symgnn.workflow.plan import Glass, chosen_count, training_options


@dataclass(frozen=True)
class StageCost:
    """Expected cost of one stage.

    Attributes:
        stage: name of the stage.
        jobs: how many jobs it has.
        core_hours: on processors, h.
        gpu_hours: on accelerators, h.
    """

    stage: str
    jobs: int
    core_hours: float = 0.0
    gpu_hours: float = 0.0


def quench_steps(cooling_rate: float, protocol: Mapping[str, float]) -> float:
    """Molecular-dynamics steps of a melt and quench.

    Args:
        cooling_rate: K/s.
        protocol: melt_temperature and final_temperature, K; melt_time, ps; timestep, fs.
    """
    drop = protocol["melt_temperature"] - protocol["final_temperature"]
    picoseconds = protocol["melt_time"] + drop / cooling_rate * 1e12
    return picoseconds * 1e3 / protocol["timestep"]


def quench_seconds(glass: Glass, config: Mapping) -> float:
    """Expected cost of a glass, core-s."""
    steps = quench_steps(glass.cooling_rate, config["glasses"]["protocol"])
    return config["execution"]["costs"]["quench"] * glass.atoms * steps


def shear_seconds(glass: Glass, config: Mapping) -> float:
    """Expected cost of the shear of a glass, core-s."""
    protocol = config["shear"]["protocol"]
    steps = protocol["strain"] / protocol["step"]
    return config["execution"]["costs"]["shear"] * glass.atoms * steps


def searches_on_gpu(config: Mapping) -> bool:
    """Whether the barriers are searched on GPUs for certain."""
    return config["barriers"]["protocol"].get("engine") == "gpu"


def search_seconds(glass: Glass, atoms: int, config: Mapping) -> float:
    """Expected cost of the searches at `atoms` atoms of a glass, s of a core or of a GPU."""
    unit = config["execution"]["costs"]
    protocol = config["barriers"]["protocol"]
    one = unit["barriers_gpu"] if searches_on_gpu(config) else unit["barriers"]
    check = unit["barriers_check"] + unit["barriers_check_atom"] * glass.atoms
    checked, searches = protocol.get("check", True), protocol["searches"]
    on_gpu = searches_on_gpu(config)
    seconds = one * searches
    if checked and not on_gpu:  # there it is part of the one number
        seconds += check * searches
    if checked and searches > 1 and protocol.get("engine") != "lammps":
        further = protocol.get("region_searches", REGION_SEARCHES * searches)
        without_check = unit["barriers"] / (unit["barriers"] + check) if on_gpu else 1.0
        seconds += one * without_check * further
    return seconds * atoms


def input_seconds(glasses: Iterable[Glass], config: Mapping) -> float:
    """Expected cost of the searches at every atom of some glasses that are inputs, core-s."""
    if "searches" not in config["graphs"].get("inputs", []):
        return 0.0
    return config["execution"]["costs"]["searches"] * sum(glass.atoms for glass in glasses)


def training_seconds(model: str, atoms: int, config: Mapping) -> float:
    """Expected time of one training on graphs of `atoms` atoms together, s of one device."""
    epochs = training_options(config["models"], model)["epochs"]
    return config["execution"]["costs"]["training"] * atoms * epochs


def explanation_seconds(glass: Glass, config: Mapping) -> float:
    """Expected cost of a glass's explanations, core-s."""
    chosen = chosen_count(config["explanations"]["atoms"], glass.atoms, "explanations.atoms")
    return config["execution"]["costs"]["explanations"] * chosen


def assessment_seconds(glass: Glass, config: Mapping) -> float:
    """Expected cost of testing a glass's explanations, core-s.

    A judged atom is explained three times more, and its curves take about as long.
    """
    chosen = chosen_count(config["explanations"]["atoms"], glass.atoms, "explanations.atoms")
    judged = min(chosen, config["explanations"]["assessment"]["judged"])
    return 6 * config["execution"]["costs"]["explanations"] * judged


def ranks_for(core_seconds: float, hours: float, most: int) -> int:
    """The smallest power of two of MPI ranks that ends within `hours`, at most `most`."""
    ranks = 1
    while ranks * 2 <= most and core_seconds > ranks * hours * 3600:
        ranks *= 2
    return ranks


def stage_costs(
    config: Mapping,
    glasses: Mapping[str, Glass],
    splits: Mapping[str, str],
    shards: Mapping[str, int],
    sheared: Iterable[str],
    explained: Iterable[str],
) -> list[StageCost]:
    """Expected jobs and costs of every stage of a configuration.

    Args:
        config: the checked configuration.
        glasses: all glasses by name.
        splits: split of each glass whose barriers are computed.
        shards: barrier jobs of each of those.
        sheared: names of the glasses that are sheared.
        explained: names of the glasses that are explained.
    """
    chosen = {
        name: chosen_count(config["barriers"]["atoms"], glasses[name].atoms) for name in splits
    }
    labelled = sum(glasses[name].atoms for name, split in splits.items() if split != "test")
    names, seeds = config["models"]["names"], len(config["models"]["seeds"])
    hours = "gpu_hours" if searches_on_gpu(config) else "core_hours"
    sheared, explained = list(sheared), list(explained)
    searching = sum(search_seconds(glasses[name], chosen[name], config) for name in splits)
    quenching = sum(quench_seconds(glass, config) for glass in glasses.values())
    shearing = sum(shear_seconds(glasses[name], config) for name in sheared)
    describing = input_seconds((glasses[name] for name in splits), config)
    training = seeds * sum(training_seconds(model, labelled, config) for model in names)
    explaining = sum(explanation_seconds(glasses[name], config) for name in explained)
    assessing = sum(assessment_seconds(glasses[name], config) for name in explained)
    return [
        StageCost("glasses", len(glasses), quenching / 3600),
        StageCost(
            "barriers",
            sum(shards.values()) + len(splits),
            **{hours: searching / 3600},
        ),
        StageCost("shear", len(sheared), shearing / 3600),
        StageCost("graphs", 1, describing / 3600),
        StageCost("models", len(names) * seeds + 1, gpu_hours=training / 3600),
        StageCost("explanations", 2 * len(explained), (explaining + assessing) / 3600),
        StageCost("report", 1),
    ]


def format_costs(costs: Iterable[StageCost]) -> str:
    """A table of the stages and their sum, for people."""
    costs = list(costs)
    total = StageCost(
        "all",
        sum(cost.jobs for cost in costs),
        sum(cost.core_hours for cost in costs),
        sum(cost.gpu_hours for cost in costs),
    )
    lines = [f"{'stage':<14}{'jobs':>7}{'core-hours':>14}{'GPU-hours':>12}"]
    lines += [
        f"{cost.stage:<14}{cost.jobs:>7}{cost.core_hours:>14.2f}{cost.gpu_hours:>12.2f}"
        for cost in [*costs, total]
    ]
    return "\n".join(lines)
