"""Energy barriers of metallic glasses, from melt-quench to explained predictions."""

__version__ = "0.1.0"


def load(checkpoint, device: str = "cpu"):
    """Load a trained model; `symgnn.load(checkpoint).predict(atoms)` gives barriers in eV.

    Args:
        checkpoint: path of the checkpoint.pt of a training run, or several paths: an ensemble.
        device: `cpu` or `cuda`.

    Returns:
        A `symgnn.training.prediction.Predictor`.

    Raises:
        symgnn.errors.InputError: not a checkpoint that this program can use.
    """
    from symgnn.training.prediction import load_predictor  # torch is slow to import

    return load_predictor(checkpoint, device)
