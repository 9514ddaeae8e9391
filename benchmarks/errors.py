"""Is a prediction worse for some atoms than for others, and can that be foretold?

    python benchmarks/leave_one_group_out.py FOLDER -o study --seeds 2
    python benchmarks/errors.py study

Takes the left-out predictions of the first command. The first table has the error (root mean
square, eV, each glass's own mean error taken away) by fifths of the predicted barrier. The second
fits the logarithm of the squared error to what is known of an atom, on all groups but one, and
prints for the left-out group how much the stated errors then vary, how they correlate with those
made, and how much more likely (nats an atom) they make them than one number for all atoms does.
"""

import argparse
from pathlib import Path

import numpy as np
from leave_one_group_out import GROUPS, KIN, row

from symgnn.graphs.dataset import read_graphs
from symgnn.training.evaluation import read_run

FIFTHS = 5
SMALL = 1e-4  # eV², keeps the logarithm of a chance hit from weighing most
PENALTY = 100.0  # of the fit; columns have unit deviation
OWN = 39  # columns of `response` that are the atom's own


def left_out(study: Path, model: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Mean prediction of the seeds and error, (atoms,), eV, of each graph when it was left out."""
    found = {}
    for group in GROUPS:
        runs = [read_run(path) for path in sorted((study / model / group).glob("seed-*"))]
        for name in [group, *KIN.get(group, [])]:
            predicted = np.mean([run.predicted["test"][name] for run in runs], axis=0)
            found[name] = predicted, runs[0].computed["test"][name] - predicted
    return found


def print_fifths(errors: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """The error by fifths of the prediction."""
    print("| left out | lowest fifth |" + " |" * (FIFTHS - 2) + " highest |\n|" + "---|" * 6)
    for name, (predicted, error) in sorted(errors.items()):
        parts = np.array_split((error - error.mean())[np.argsort(predicted)], FIFTHS)
        print(row(name, [float(np.sqrt((part**2).mean())) for part in parts]))


def fit(columns: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Ridge fit of the logarithm of the squared error; the first column is one."""
    penalty = PENALTY * np.eye(columns.shape[1])
    penalty[0, 0] = 0.0
    return np.linalg.solve(columns.T @ columns + penalty, columns.T @ np.log(error**2 + SMALL))


def judge(
    known: dict[str, np.ndarray], errors: dict[str, tuple[np.ndarray, np.ndarray]]
) -> list[float]:
    """Spread, correlation and gain of likelihood of stated errors on left-out graphs, in the mean.

    Args:
        known: of each graph, (atoms, columns).
        errors: of each graph, from `left_out`.
    """
    rows = []
    for group in GROUPS:
        own = [group, *KIN.get(group, [])]
        others = [name for name in errors if name not in own]
        columns = np.vstack([known[name] for name in others])
        mean, deviation = columns.mean(0), columns.std(0) + 1e-12
        prepared = {
            name: np.hstack([np.ones((len(of), 1)), (of - mean) / deviation])
            for name, of in known.items()
        }
        error = np.concatenate([errors[name][1] for name in others])
        columns = np.vstack([prepared[name] for name in others])
        weight = fit(columns, error)
        scale = (error**2 / np.exp(columns @ weight)).mean()
        for name in own:
            made, constant = errors[name][1] ** 2, (error**2).mean()
            stated = scale * np.exp(prepared[name] @ weight)
            gain = 0.5 * (np.log(constant / stated) + made / constant - made / stated).mean()
            spread = np.sqrt(stated).std() / np.sqrt(stated).mean()
            rows.append([spread, np.corrcoef(stated, made)[0, 1], gain])
    return np.mean(rows, axis=0).tolist()


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path)
    parser.add_argument("--model", default="response")
    options = parser.parse_args()
    errors = left_out(options.study, options.model)
    print_fifths(errors)
    graphs = {graph.name: graph for graph in read_graphs(options.study / "graphs.h5").graphs}
    prediction = {name: predicted[:, None] for name, (predicted, _) in errors.items()}
    pushes = {name: graphs[name].inputs["response"].astype(float) for name in errors}
    print("\n| fitted to | relative spread | correlation | gain, nats |\n|---|---|---|---|")
    for title, known in (
        ("prediction", prediction),
        (
            "and the atom's own pushes",
            {n: np.hstack([prediction[n], pushes[n][:, :OWN]]) for n in errors},
        ),
        ("and their averages", {n: np.hstack([prediction[n], pushes[n]]) for n in errors}),
    ):
        print(row(title, judge(known, errors)))


if __name__ == "__main__":
    main()
