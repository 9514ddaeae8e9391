"""The commands `symgnn train`, `symgnn evaluate` and `symgnn predict`."""

from pathlib import Path

import typer


def _use(device: str, threads: int) -> str:
    """Set the number of threads; the device that `auto` means."""
    import torch

    from symgnn.errors import InputError
    from symgnn.threads import use_threads

    if threads:
        torch.set_num_threads(threads)
        use_threads(threads)
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda"):
        raise InputError(f"--device: {device!r}: must be one of auto, cpu, cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device: cuda: this machine, or its build of torch, has no CUDA")
    return device


DEVICE = typer.Option("auto", help="auto, cpu or cuda.")
THREADS = typer.Option(0, min=0, help="CPU threads; 0 for all that the machine offers.")


def train(
    graphs: Path = typer.Argument(..., help="Graphs with labels and split (graphs.h5)."),
    model: str = typer.Option(
        "symgnn",
        help="symgnn, response (graphs with --inputs response and invariants), searched (our best: "
        "and --inputs searches), density, "
        "edge_length, no_symmetrization, augmentation, schnet, egnn, equivariant (needs e3nn), "
        "gcn, gcn_edges, mlp, or ridge (graphs with --inputs invariants_by_element).",
    ),
    seed: int = typer.Option(
        0, min=0, max=2**31 - 1, help="Of the start, the order of the glasses and the samples."
    ),
    output: Path = typer.Option(..., "--output", "-o", help="Folder of the run.", file_okay=False),
    epochs: int | None = typer.Option(
        None, help="Passes over the training glasses [200; response 30; searched 30]."
    ),
    learning_rate: float | None = typer.Option(
        None, help="Largest learning rate (AMSGrad) [0.003; response 0.002; searched 0.002]."
    ),
    batch_size: int = typer.Option(1, help="Glasses a step; 0 for all of them."),
    schedule: str = typer.Option("cosine", help="Learning rate over time: constant or cosine."),
    weight_decay: float = typer.Option(1e-4, help="Decoupled weight decay."),
    gradient_clip: float = typer.Option(1.0, help="Largest norm of the gradient; 0 for none."),
    averaging: float = typer.Option(0.98, help="Decay of the averaged weights a step; 0: none."),
    patience: int = typer.Option(
        0,
        help="Stop when the last evaluation is this many epochs, not evaluations, after the best "
        "one; 0: never.",
    ),
    evaluation_interval: int = typer.Option(
        1, help="Epochs between evaluations on the validation glasses, each a row of history.csv."
    ),
    label_noise: float = typer.Option(
        0.0,
        help="Spread of one atom's searches, eV (of controlled labels, what is left of it: "
        "barrier_mean_error times the root of counted): labels of more searches weigh more.",
    ),
    piece_atoms: int = typer.Option(
        0,
        help="Train on so many atoms of a glass at once, with a halo as deep as the network; a "
        "step takes --batch-size such pieces. 0: whole glasses.",
    ),
    precision: str = typer.Option(
        "float32", help="Of the products in training: float32, or bf16 (mixed precision)."
    ),
    compile: bool = typer.Option(
        False,
        help="Run training steps after torch.compile (needs a C++ compiler); a line says "
        "where a model is left as it is.",
    ),
    width: int | None = typer.Option(
        None, min=1, help="Features of nodes and edges [64; attention and egnn 32, equivariant 16]."
    ),
    dropout: float | None = typer.Option(
        None,
        min=0,
        max=0.9,
        help="Dropout in training: attention [0], density [0.1], response and searched [0.2].",
    ),
    distribution: str | None = typer.Option(
        None, help="symgnn: transformations are learned or haar (uniform) [learned]."
    ),
    aggregation: str | None = typer.Option(
        None, help="symgnn: edge_representations or predictions [edge_representations]."
    ),
    gaussians: int | None = typer.Option(
        None,
        min=0,
        help="symgnn, edge_length, no_symmetrization, augmentation: Gaussians of an edge's length "
        "as features; 0: none, as in the paper [20].",
    ),
    samples: int | None = typer.Option(
        None, min=1, help="symgnn: K, rotations (and non-rotations) a training step [4]."
    ),
    evaluation_samples: int | None = typer.Option(
        None, min=1, help="symgnn: K in evaluation, a fixed set [16]."
    ),
    checkpoint_interval: float = typer.Option(300.0, help="Time between resume points, s."),
    time_budget: float | None = typer.Option(
        None, help="Stop after this time, s, with exit code 75; run again to go on."
    ),
    tensorboard: bool = typer.Option(
        False, help="Also log to tensorboard/ in the output (needs the package tensorboard)."
    ),
    device: str = DEVICE,
    threads: int = THREADS,
) -> None:
    """Train a model on the training glasses and choose its best epoch on the validation glasses.

    Those help to choose the penalty of linear fits, too (response, searched, ridge); where no epoch
    is clearly better than the fit of response or searched alone, that is kept, as epoch 0.
    Labels are standardised on the training glasses. Unlabelled atoms pass messages and are not in
    the loss. The folder gets checkpoint.pt (the model), history.csv (a row an evaluation: an epoch,
    or --evaluation-interval of them), metrics.json, and predictions.h5 (all glasses); those of an
    earlier training are removed when one begins. A run that was stopped goes on from its resume.pt
    when the same command is given again, and ends with the same weights.

    The defaults are a short recipe. The paper's: `--learning-rate 1e-4 --epochs 20000
    --batch-size 0 --schedule constant --averaging 0 --weight-decay 0 --gradient-clip 0`, and
    `--gaussians 0` for the attention models.

    Example: `symgnn train graphs.h5 --model symgnn --seed 0 -o run/`
    """
    from symgnn.training.recipe import Recipe, own_recipe
    from symgnn.training.run import train_model

    given = {
        "width": width,
        "dropout": dropout,
        "distribution": distribution,
        "aggregation": aggregation,
        "gaussians": gaussians,
        "samples": samples,
        "evaluation_samples": evaluation_samples,
    }
    own = {"epochs": epochs, "learning_rate": learning_rate}
    recipe = Recipe(
        **own_recipe(model) | {name: value for name, value in own.items() if value is not None},
        batch_size=batch_size,
        schedule=schedule,
        weight_decay=weight_decay,
        gradient_clip=gradient_clip,
        averaging=averaging,
        patience=patience,
        evaluation_interval=evaluation_interval,
        label_noise=label_noise,
        piece_atoms=piece_atoms,
        precision=precision,
        compile=compile,
    )
    train_model(
        graphs,
        model=model,
        options={name: value for name, value in given.items() if value is not None},
        recipe=recipe,
        seed=seed,
        output=output,
        checkpoint_interval=checkpoint_interval,
        time_budget=time_budget,
        tensorboard=tensorboard,
        device=_use(device, threads),
    )


def evaluate(
    runs: list[Path] = typer.Argument(..., help="Folders of finished training runs."),
    output: Path = typer.Option(..., "--output", "-o", help="Table to write, CSV.", dir_okay=False),
) -> None:
    """Make the table of models from their runs: mean and standard deviation over seeds.

    A row a model, with Pearson and Spearman correlation, mean absolute error (eV) and the area
    under the curve for the softest 5 % of atoms, on train, validation and test glasses, pooled
    and per glass, and of the mean of the seeds' predictions. Epochs were chosen on the validation
    glasses when the models were trained.

    Runs of several splits of the same glasses are a cross-validation: every seed of every model
    needs each split, and each test glass is judged by the run that has not seen it.

    Example: `symgnn evaluate models/*/seed-* -o table.csv`
    """
    from symgnn.training.evaluation import as_text, read_run, table, write_table

    rows = table([read_run(folder) for folder in runs])
    write_table(output, rows)
    typer.echo(as_text(rows))


def predict(
    structures: list[Path] = typer.Argument(
        ...,
        help="Periodic structures: any format that ASE reads, LAMMPS data and dump included; of a "
        "trajectory its last frame.",
    ),
    checkpoint: list[Path] = typer.Option(
        ...,
        help="checkpoint.pt of a training run, several for an ensemble, or a model that comes with "
        "the program: Cu64Zr36, or Cu64Zr36-searched, more accurate and slower.",
    ),
    output: Path = typer.Option(
        ..., "--output", "-o", help="Extended XYZ to write; a folder for several structures."
    ),
    elements: str = typer.Option(
        "", help="Elements of LAMMPS types where the file has none, e.g. Cu,Zr."
    ),
    potential: str = typer.Option(
        "",
        help="Name or file of the potential: of the model's per-atom inputs, where it was a file; "
        "for other models to warn of structures off their minimum.",
    ),
    searches: int | None = typer.Option(
        None,
        min=1,
        help="searched: saddle searches at each atom; more of them take as much longer and leave "
        "less to chance, fewer more; barrier_error remains that of three [3, as in training].",
    ),
    device: str = DEVICE,
    threads: int = THREADS,
) -> None:
    """Predict the mean energy barrier of every atom of some structures.

    Writes each structure with a per-atom column `barrier` (eV), and `barrier_error` (eV), from
    the error that the mean of the models made on the validation glasses. With several checkpoints
    the barrier is their mean, and a column `barrier_spread` (eV) their standard deviation. A
    warning says when a structure is outside of what the model was trained on: in composition or
    density, or off its minimum by the potential of the inputs or of --potential. All structures
    are read and checked before the first is predicted. Models take milliseconds of a core an atom,
    `searched` takes 70 for three saddle searches at it.

    Example: `symgnn predict glass.xyz --checkpoint Cu64Zr36 -o predicted.xyz`
    """
    from symgnn.training.prediction import load_predictor
    from symgnn.training.prediction_files import output_files, predict_files, read_structures

    targets = output_files(structures, output)
    predictor = load_predictor(checkpoint, _use(device, threads), potential, searches)
    symbols = [symbol.strip() for symbol in elements.split(",") if symbol.strip()]
    found = read_structures(predictor, structures, symbols)
    for path, (_, warnings) in zip(structures, found, strict=True):
        for warning in warnings:
            typer.echo(f"{path}: warning: {warning}", err=True)
    predict_files(predictor, found, targets)
