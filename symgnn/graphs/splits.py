"""Which glasses train, which choose the epoch, which test: by glass and never by atom."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import numpy as np
from ase import Atoms

from symgnn.errors import InputError
from symgnn.graphs.kinship import crossings, groups, kinships, stated_groups

# The paper's proportions: six glasses train, one validates, two test.
VALIDATION_SHARE = 1 / 9
TEST_SHARE = 2 / 9


def choose_split(
    structures: Mapping[str, Atoms], patterns: dict[str, Sequence[str]], seed: int
) -> tuple[dict[str, str], list[str]]:
    """The split of some glasses: as named, or automatic, with copies of each other together.

    Args:
        structures: glasses by their names, in the order of these.
        patterns: as in `named_split`; all empty for automatic.
        seed: of the automatic split.

    Returns:
        The split of each name, and a line for each two glasses of a group that the patterns part.
    """
    found = kinships(structures)
    group = groups(stated_groups(structures), found)
    if any(patterns.values()):
        split = named_split(list(structures), patterns)
        return split, crossings({name: split[name] for name in structures}, group, found)
    infos = [atoms.info for atoms in structures.values()]
    strata = [(info.get("composition"), info.get("cooling_rate")) for info in infos]
    return automatic_split(list(group), strata=strata, groups=list(group.values()), seed=seed), []


def automatic_split(
    names: Sequence[str], *, strata: Sequence[object], groups: Sequence[str], seed: int
) -> dict[str, str]:
    """A seeded choice, even over the strata, that keeps the glasses of a group together.

    Validation and test glasses are taken one group at a time from the stratum that has most
    groups left to train on; one glass trains, two train and validate, three or more do all.

    Args:
        names: names of the glasses.
        strata: what to be even over, one a glass (the cooling rate).
        groups: glasses that are not independent of each other carry the same group.
        seed: of the choice.

    Returns:
        The split of each name.
    """
    random = np.random.default_rng(seed)
    members, stratum_of = defaultdict(list), {}
    for name, stratum, group in sorted(zip(names, strata, groups, strict=True), key=str):
        members[group].append(name)
        stratum_of[group] = str(stratum)
    left = defaultdict(list)
    for group in sorted(members):
        left[stratum_of[group]].append(group)
    for stratum in sorted(left):
        random.shuffle(left[stratum])
    order = list(random.permutation(sorted(left)))
    count = len(members)
    wanted = {
        "test": max(1, round(count * TEST_SHARE)) if count > 2 else 0,
        "validation": max(1, round(count * VALIDATION_SHARE)) if count > 1 else 0,
    }
    split = dict.fromkeys(names, "train")
    for part, number in wanted.items():
        for _ in range(number):
            fullest = max(order, key=lambda stratum: len(left[stratum]))
            order.append(order.pop(order.index(fullest)))  # ties go to the other strata next
            for name in members[left[fullest].pop()]:
                split[name] = part
    return split


def named_split(names: Sequence[str], patterns: dict[str, Sequence[str]]) -> dict[str, str]:
    """The split from names or shell patterns; what no pattern names trains.

    Args:
        names: names of the glasses.
        patterns: for train, validation, test: names or patterns such as `*_1e10_*`.

    Raises:
        InputError: a pattern matches no glass, or a glass is in two parts.
    """
    split: dict[str, str] = {}
    for part, wanted in patterns.items():
        for pattern in wanted:
            found = [name for name in names if fnmatchcase(name, pattern)]
            if not found:
                raise InputError(f"--{part}: {pattern}: no glass has this name")
            for name in found:
                if split.setdefault(name, part) != part:
                    raise InputError(f"--{part}: {name}: it is in {split[name]} already")
    rest = [name for name in names if name not in split]
    if rest and patterns.get("train"):
        raise InputError(f"--train: {rest[0]}: in none of train, validation and test")
    return split | dict.fromkeys(rest, "train")
