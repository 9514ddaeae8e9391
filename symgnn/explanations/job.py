"""What `symgnn explain` does: read, explain, write."""

from pathlib import Path

from symgnn.errors import InputError
from symgnn.explanations.running import (
    choose_atoms,
    clear_parts,
    explain_atoms,
    job_key,
    read_parts,
)
from symgnn.explanations.storage import Structure, write_explanations
from symgnn.files import sha256
from symgnn.graphs.graph import edges
from symgnn.progress import TimeBudget
from symgnn.provenance import provenance, stage_hash
from symgnn.structures import read_structure, structure_hash
from symgnn.training import checkpoint as checkpoints


def explain_structure(
    path: Path,
    checkpoint: Path,
    *,
    selection: str,
    method: str,
    seed: int,
    batch: int,
    time_budget: float | None,
    output: Path,
    **options: float,
) -> None:
    """Explain atoms of a structure file with a trained model; see the command's help.

    Args:
        path: the structure.
        checkpoint: the trained model.
        selection: which atoms, see `running.choose_atoms`.
        method: see `methods.explain`.
        seed: of the random choice and of the first masks.
        batch: receptive fields side by side; it does not change the result.
        time_budget: s; None for no limit.
        output: explanation.h5.
        options: of the method.

    Raises:
        InputError: the structure, the checkpoint, the selection or the method is wrong.
        TimeBudgetReached: the same call goes on from there.
    """
    budget = TimeBudget(time_budget)
    atoms = read_structure(path)
    trained = checkpoints.load(checkpoint)
    unknown = sorted(set(atoms.numbers.tolist()) - set(trained.elements))
    if unknown:
        raise InputError(f"{path}: atomic numbers {unknown} are unknown to {checkpoint}")
    chosen = choose_atoms(selection, len(atoms), seed)
    edge_index, edge_vector = edges(atoms.positions, atoms.cell.array, trained.cutoff)
    structure = Structure(
        atoms.positions, atoms.cell.array, atoms.numbers.astype("int64"), edge_index, edge_vector
    )
    question = {
        "structure_hash": structure_hash(atoms),
        "checkpoint_sha256": sha256(checkpoint),
        "method": method,
        "seed": seed,
        **options,
    }
    folder = output.with_name(f"{output.name}.parts")
    parts = folder / job_key(code=stage_hash("explanations"), **question)
    explain_atoms(
        trained.model.eval(),
        structure,
        chosen,
        mean=trained.scaling.mean,
        scale=trained.scaling.std,
        method=method,
        seed=seed,
        batch=batch,
        parts=parts,
        budget=budget,
        **options,
    )
    write_explanations(
        output,
        structure,
        read_parts(parts, chosen),
        method=method,
        cutoff=trained.cutoff,
        structure_hash=question["structure_hash"],
        checkpoint_sha256=question["checkpoint_sha256"],
        **provenance(**question),
    )
    clear_parts(folder)
