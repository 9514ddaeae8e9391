"""What `symgnn explain` and `symgnn assess` do: read, work, write."""

import json
from pathlib import Path

from symgnn.errors import InputError
from symgnn.explanations.assessment import assess
from symgnn.explanations.running import (
    choose_atoms,
    clear_parts,
    explain_atoms,
    job_key,
    read_parts,
)
from symgnn.explanations.storage import Structure, read_explanations, write_explanations
from symgnn.explanations.views import global_view, local_view, write_view
from symgnn.files import atomic_path, open_hdf5, sha256
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
    views: Path | None,
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
        views: folder for the files of `views.write_view`; None for none.
        output: explanation.h5.
        options: of the method.

    Raises:
        InputError: the structure, the checkpoint, the selection or the method is wrong.
        TimeBudgetReached: the same call goes on from there.
    """
    budget = TimeBudget(time_budget)
    atoms = read_structure(path)
    trained = checkpoints.load(checkpoint)
    if trained.inputs:
        raise InputError(
            f"{checkpoint}: model {trained.name} has per-atom inputs, of which edges know nothing; "
            "explain a model of the graph alone, such as symgnn or density"
        )
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
    if views is not None:
        for one in read_parts(parts, chosen):
            write_view(views / f"{one.atom}-global", global_view(structure, one))
            write_view(views / f"{one.atom}-local", local_view(structure, one))
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


METHOD_OPTIONS = (
    "epochs",
    "learning_rate",
    "size_weight",
    "entropy_weight",
    "start",
    "steps",
    "reach",
)


def assess_file(
    path: Path,
    checkpoint: Path,
    *,
    events: Path | None,
    judged: int,
    seed: int,
    output: Path,
) -> None:
    """Test the explanations of a file and write assessment.json; see the command's help.

    Args:
        path: explanation.h5.
        checkpoint: the model that was explained.
        events: saddle searches on the same structure, or None.
        judged: explained atoms to make curves of and to explain again.
        seed: of the choice of these atoms and of all controls.
        output: the JSON file.

    Raises:
        InputError: a file is wrong, or the files do not belong together.
    """
    file = read_explanations(path)
    if sha256(checkpoint) != file.attributes["checkpoint_sha256"]:
        raise InputError(f"{checkpoint}: not the model that {path} explains")
    if events is not None:
        with open_hdf5(events, "events") as searches:
            if searches.attrs["structure_hash"] != file.attributes["structure_hash"]:
                raise InputError(f"{events}: not the structure that {path} explains")
    trained = checkpoints.load(checkpoint)
    protocol = json.loads(str(file.attributes["protocol"]))
    found = assess(
        trained.model.eval().requires_grad_(False),
        file,
        scale=trained.scaling.std,
        judged=judged,
        events=events,
        seed=seed,
        **{name: protocol[name] for name in METHOD_OPTIONS},
    )
    found |= {"format": "symgnn-assessment", **provenance(judged=judged, seed=seed)}
    with atomic_path(output) as temporary:
        temporary.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
