"""Energy barriers of metallic glasses, from melt-quench to explained predictions."""

__version__ = "0.1.0"


def load(checkpoint, device: str = "cpu", potential=None, searches=None):
    """Load a trained model; `symgnn.load(checkpoint).predict(atoms)` gives barriers in eV.

    Args:
        checkpoint: path of the checkpoint.pt of a training run, several paths for an ensemble, or
            the name of a model that comes with the program: `Cu64Zr36`, or `Cu64Zr36-searched`,
            more accurate and slower.
        device: `cpu` or `cuda`.
        potential: file of the potential of a model's per-atom inputs, for one that does not come
            with the program.
        searches: saddle searches at each atom, for the model `searched`: three where it is not
            given, as in its training; more take as much longer and leave less to chance.

    Returns:
        A `symgnn.training.prediction.Predictor`.

    Raises:
        symgnn.errors.InputError: not a checkpoint that this program can use.
    """
    from symgnn.training.prediction import load_predictor  # torch is slow to import

    return load_predictor(checkpoint, device, potential, searches)
