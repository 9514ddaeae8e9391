"""What a configuration asks for: its glasses, their splits, their shards."""

import hashlib
import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from symgnn.errors import InputError
from symgnn.models.inputs import MODEL_INPUTS
from symgnn.potentials import Potential, check_elements, parse_composition

THREADED = ("omp", "kk", "intel")  # suffixes of LAMMPS that use several threads a rank
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Glass:
    """One glass of the configuration.

    Attributes:
        name: composition_atoms_rate_sample.
        composition: as in the configuration.
        atoms: how many.
        cooling_rate: K/s.
        seed: of its random numbers; from the configured seed and the name.
    """

    name: str
    composition: str
    atoms: int
    cooling_rate: float
    seed: int


def list_glasses(ensembles: Iterable[Mapping], seed: int) -> dict[str, Glass]:
    """All glasses by name.

    A glass's seed depends on `seed` and its own name, so that a further ensemble, rate or
    sample leaves the others as they are.

    Raises:
        InputError: two ensembles hold the same glass.
    """
    found: dict[str, Glass] = {}
    for ensemble in ensembles:
        composition, atoms = ensemble["composition"], ensemble["atoms"]
        for rate in ensemble["cooling_rates"]:
            for sample in range(1, ensemble["samples"] + 1):
                name = f"{composition}_{atoms}_{rate_text(rate)}_s{sample}"
                if name in found:
                    raise InputError(f"config: glasses.ensembles: {name} is in two ensembles")
                found[name] = Glass(name, composition, atoms, rate, own_seed(seed, name))
    return found


def rate_text(cooling_rate: float) -> str:
    """A cooling rate, K/s, as it stands in names: 1e14."""
    mantissa, exponent = f"{cooling_rate:.6e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def own_seed(seed: int, name: str) -> int:
    """A seed of its own for each name, from 0 to 899999999 (LAMMPS takes no more)."""
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % 900_000_000 or 1


def list_splits(dataset: Mapping[str, Sequence[str]], names: Iterable[str]) -> dict[str, str]:
    """The split of each glass whose barriers are computed, by the glass's name.

    Raises:
        InputError: a pattern fits no glass, or a glass is in two splits.
    """
    split_of: dict[str, str] = {}
    for split in SPLITS:
        for name in match(dataset[split], names, f"dataset.{split}"):
            if split_of.setdefault(name, split) != split:
                raise InputError(f"config: dataset: {name} is in {split_of[name]} and in {split}")
    return split_of


def match(patterns: Iterable[str], names: Iterable[str], key: str) -> list[str]:
    """The names that fit one of the patterns, each once, in the order of the patterns.

    Raises:
        InputError: a pattern fits none; `key` says where it stands.
    """
    names, found = list(names), {}
    for pattern in patterns:
        fitting = [name for name in names if fnmatchcase(name, pattern)]
        if not fitting:
            raise InputError(f"config: {key}: {pattern!r} fits none of {_some(names)}")
        found.update(dict.fromkeys(fitting))
    return list(found)


def _some(names: Sequence[str], count: int = 4) -> str:
    return ", ".join(names[:count]) + (f" ... ({len(names)} names)" if len(names) > count else "")


def chosen_count(selection: str | int, atoms: int, key: str = "barriers.atoms") -> int:
    """How many atoms `all`, a number or a range first:last chooses of a glass.

    Raises:
        InputError: it chooses more than there are, or none.
    """
    if selection == "all":
        return atoms
    first, last = 0, selection
    if isinstance(selection, str):
        first, last = map(int, selection.split(":"))
    if not 0 <= first < last <= atoms:
        raise InputError(f"config: {key}: {selection!r} must lie within 0 to {atoms} atoms")
    return last - first


def shard_count(chosen: int, shard_size: int) -> int:
    """How many jobs search `chosen` atoms, at most `shard_size` each."""
    return math.ceil(chosen / shard_size)


def command_options(options: Mapping[str, object]) -> str:
    """Keywords of a configuration as options of a command in a shell: `--melt-time 1000.0`.

    An option is repeated for every item of a list.
    """
    words = []
    for key, value in options.items():
        flag = key.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            values = value if isinstance(value, list) else [value]
            words += [f"--{flag} {shlex.quote(str(one))}" for one in values]
    return " ".join(words)


def search_options(protocol: Mapping[str, object], potential: Potential) -> str:
    """Options of `symgnn barriers`, with engine `auto` resolved: a job must not find out by itself.

    A GPU is used where the configuration asks for one, as its jobs have a rule of their own; shards
    of one glass must not differ with the nodes they run on.
    """
    chosen = dict(protocol)
    if chosen.get("engine", "auto") == "auto":
        chosen["engine"] = "cpu" if potential.is_eam else "lammps"
    return command_options(chosen)


def training_options(models: Mapping[str, Mapping], model: str) -> dict[str, object]:
    """Options of `symgnn train` for one model: those of all models, its own instead of some.

    Sorted, so that a value that is moved from one place to the other reruns nothing.

    Args:
        models: `training` of all of them, and `options` by model, which override it.
        model: its name.
    """
    return dict(sorted({**models["training"], **models["options"].get(model, {})}.items()))


def list_shards(barriers: Mapping, glasses: Iterable[Glass]) -> dict[str, int]:
    """The number of barrier jobs of each glass, by its name.

    Args:
        barriers: `atoms` (all, a number or first:last) and `shard_size`.
        glasses: those whose barriers are computed.
    """
    selection, size = barriers["atoms"], barriers["shard_size"]
    return {
        glass.name: shard_count(chosen_count(selection, glass.atoms), size) for glass in glasses
    }


def check_inputs(config: Mapping, potential: Potential) -> None:
    """Check that the graphs get the per-atom inputs that the chosen models need.

    Raises:
        InputError: a model's input is not in graphs.inputs, or such a model is to be explained, or
            inputs cannot be computed with this potential.
    """
    explained = config.get("explanations", {}).get("model", "")
    if explained in MODEL_INPUTS:
        raise InputError(
            f"config: explanations.model: {explained}: it has per-atom inputs, of which edges know "
            "nothing"
        )
    given = config["graphs"].get("inputs", [])
    if given and not potential.is_eam:
        raise InputError(
            f"config: graphs.inputs: {given}: need an EAM potential; {potential.name} is of style "
            f"{potential.style}"
        )
    for model in config["models"]["names"]:
        for name in MODEL_INPUTS.get(model, ()):
            if name not in given:
                raise InputError(
                    f"config: graphs.inputs: {given}: model {model} needs {name!r}; add it to the "
                    "list"
                )


def check_explained(config: Mapping, glasses: Iterable[Glass]) -> None:
    """Check that every glass has the atoms that are to be explained.

    Raises:
        InputError: there are fewer.
    """
    for glass in glasses:
        chosen_count(config["explanations"]["atoms"], glass.atoms, "explanations.atoms")


def check_compositions(glasses: Iterable[Glass], potential: Potential) -> None:
    """Check that compositions add up and that a potential knows their elements.

    Raises:
        InputError: with the first that does not.
    """
    for composition in dict.fromkeys(glass.composition for glass in glasses):
        try:
            check_elements(potential, tuple(parse_composition(composition)))
        except InputError as error:
            raise InputError(f"config: glasses.ensembles: {composition}: {error}") from None


def check_threads(config: Mapping) -> None:
    """Check that LAMMPS has use for the threads that its ranks are given.

    Raises:
        InputError: the suffix of a protocol runs on one thread.
    """
    threads = config["execution"]["lammps_threads"]
    stages = ("glasses", "shear") if config["shear"]["glasses"] else ("glasses",)
    for stage in stages:
        suffix = config[stage]["protocol"].get("suffix", "opt")
        if threads > 1 and suffix not in THREADED:
            raise InputError(
                f"config: execution.lammps_threads: {threads}: needs {stage}.protocol.suffix "
                f"to be one of {', '.join(THREADED)}, not {suffix!r}"
            )


def quench_keywords(glass: Glass) -> dict[str, object]:
    """The options of `symgnn quench` that say which glass it makes."""
    return {
        "composition": glass.composition,
        "atoms": glass.atoms,
        "cooling_rate": rate_text(glass.cooling_rate),
        "seed": glass.seed,
    }
