"""Explain atoms of a structure in batches, in a way that can be stopped and gone on with."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import ase.geometry
import h5py
import numpy as np
import torch

from symgnn.errors import InputError
from symgnn.explanations.methods import SIGNED, Importance, explain
from symgnn.explanations.receptive_field import Fields, Graph, receptive_fields
from symgnn.explanations.storage import (
    Explanation,
    Structure,
    read_explanation,
    write_explanation,
)
from symgnn.explanations.trimmed import predictor
from symgnn.files import atomic_path
from symgnn.models.reach import reach
from symgnn.progress import Progress, TimeBudget

LOCALITY = 1e-3  # standardised barrier; float32 sums in another order differ by 1e-5


def choose_atoms(selection: str, count: int, seed: int) -> list[int]:
    """Indices of the atoms that a selection means, sorted.

    Args:
        selection: `all`, a number of randomly chosen atoms, a range `first:last` (last excluded)
            or indices with commas (`7,` is atom 7).
        count: atoms of the structure.
        seed: of the random choice.

    Raises:
        InputError: the selection does not parse or leaves the structure.
    """
    try:
        if selection == "all":
            chosen = list(range(count))
        elif "," in selection:
            chosen = sorted({int(word) for word in selection.split(",") if word.strip()})
        elif ":" in selection:
            first, last = (int(word) for word in selection.split(":"))
            chosen = list(range(first, last))
        else:
            number = int(selection)
            if not 0 < number <= count:
                raise InputError(f"--atoms {selection}: must be 1 to {count} atoms")
            chosen = np.sort(np.random.default_rng(seed).permutation(count)[:number]).tolist()
    except ValueError:
        raise InputError(
            f"--atoms {selection}: must be all, a number, first:last or indices with commas"
        ) from None
    if not chosen or chosen[0] < 0 or chosen[-1] >= count:
        raise InputError(f"--atoms {selection}: must be indices from 0 to {count - 1}")
    return chosen


def job_key(**question: object) -> str:
    """A name for what is asked, so that parts of another question are never taken up."""
    return hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:16]


def explain_atoms(
    model: torch.nn.Module,
    structure: Structure,
    atoms: list[int],
    *,
    mean: float,
    scale: float,
    method: str,
    seed: int,
    batch: int,
    parts: Path,
    budget: TimeBudget,
    **options: object,
) -> None:
    """Explain atoms, a few at a time, and keep each in `parts` as soon as it is done.

    Args:
        model: in evaluation mode.
        structure: with the model's edges.
        atoms: indices to explain.
        mean: of the standardised barrier, eV.
        scale: of the standardised barrier, eV; signed importances are multiplied by it.
        method: see `methods.explain`.
        seed: with an atom's index it gives the seed of its first mask.
        batch: receptive fields side by side.
        parts: folder that holds one file for each atom that is done.
        budget: checked after each batch.
        options: of the method.

    Raises:
        InputError: the prediction of a receptive field is not that of the whole structure.
        TimeBudgetReached: what is done is in `parts`.
    """
    graph = model_graph(structure)
    with torch.no_grad():
        whole = model(graph.species, graph.edge_index, graph.edge_vector)
    left = [atom for atom in atoms if not _part(parts, atom).is_file()]
    steps = reach(model)
    with Progress("atoms explained", len(atoms), len(atoms) - len(left)) as progress:
        for start in range(0, len(left), batch):
            chunk = left[start : start + batch]
            fields = receptive_fields(graph, chunk, steps)
            _check_locality(model, fields, whole[chunk], chunk)
            seeds = [atom_seed(seed, atom) for atom in chunk]
            found = explain(model, fields, method=method, seeds=seeds, **options)
            if method in SIGNED:
                found = Importance(found.edges * scale, found.atoms * scale)
            for row, atom in enumerate(chunk):
                prediction = mean + scale * float(whole[atom])
                part = split_field(fields, found, row, structure, atom, prediction)
                with atomic_path(_part(parts, atom)) as path, h5py.File(path, "w") as file:
                    write_explanation(file, part)
            progress.advance(len(chunk))
            if start + batch < len(left):
                budget.check(f"{len(atoms) - len(left) + start + batch} of {len(atoms)} atoms")


def read_parts(parts: Path, atoms: list[int]) -> Iterator[Explanation]:
    """The explanations that `explain_atoms` left in a folder."""
    for atom in atoms:
        with h5py.File(_part(parts, atom), "r") as file:
            yield read_explanation(file)


def atom_seed(seed: int, atom: int) -> int:
    """Seed of one atom's first mask; it does not depend on the other atoms."""
    return int(np.random.SeedSequence([seed, atom]).generate_state(1)[0])


def model_graph(structure: Structure) -> Graph:
    """A structure as tensors."""
    return Graph(
        species=torch.from_numpy(structure.species),
        edge_index=torch.from_numpy(structure.edge_index),
        edge_vector=torch.from_numpy(structure.edge_vector).float(),
    )


def clear_parts(parts: Path) -> None:
    """Remove the folder that held the parts of a job now whole."""
    shutil.rmtree(parts, ignore_errors=True)


def _part(parts: Path, atom: int) -> Path:
    return parts / f"{atom}.h5"


def _check_locality(
    model: torch.nn.Module, fields: Fields, whole: torch.Tensor, atoms: list[int]
) -> None:
    with torch.no_grad():
        error = (predictor(model, fields)(None) - whole).abs()
    worst = int(error.argmax())
    if not error[worst] < LOCALITY:
        raise InputError(
            f"atom {atoms[worst]}: its receptive field of {fields.layers} steps does not give the "
            f"prediction of the whole structure (standardised difference {error[worst]:.2g}); "
            "the model is not local"
        )


def split_field(
    fields: Fields,
    found: Importance,
    row: int,
    structure: Structure,
    atom: int,
    prediction: float,
) -> Explanation:
    """One atom's explanation out of those of a batch.

    Args:
        fields: the batch.
        found: importances of its edges and atoms.
        row: the atom's field in the batch.
        structure: what is explained.
        atom: index in the structure.
        prediction: eV.
    """
    own, edges = fields.atom_field == row, fields.edge_field == row
    field_atom = fields.atom[own].numpy()
    apart = structure.position[field_atom] - structure.position[atom]
    nearest, _ = ase.geometry.find_mic(apart, structure.cell, pbc=True)
    return Explanation(
        atom=atom,
        prediction=prediction,
        field_atom=field_atom,
        hop=fields.hop[own].numpy(),
        relative_position=nearest,
        atom_importance=found.atoms[own].numpy(),
        edge=fields.edge[edges].numpy(),
        importance=found.edges[edges].numpy(),
    )
