"""Measure the published structures as `symgnn analyse` measures ours: the table of the report.

    python docs/published_glasses.py FOLDER > resources/references/Cu64Zr36.yaml

FOLDER holds train0.pickle to train6.pickle of the authors' repository (haoyuli02/SymGNN).
"""

import sys

import yaml
from ase import Atoms

from symgnn import fields
from symgnn.analysis.figures import analyse
from symgnn.graphs.published import published_files, read_published
from symgnn.lammps_interface import LammpsForces
from symgnn.potentials import find_potential

HEAD = """\
# Glasses that others made, as they were measured here; docs/published_glasses.py makes this file.
# `rate` (K/s) is not stated with the structures: it is what their energies suggest, in steps of a
# decade from train4, whose energy is that of our own glasses of 1e13 K/s. `peaks`: position (Å)
# and height of the first peak of g(r). `coordination`: neighbours of the second element around the
# first. `icosahedra`, `crystalline`: shares of the atoms. Energy in eV, density in atoms/Å³.
"""
SOURCE = {
    "composition": "Cu64Zr36",
    "potential": "Cu-Zr-2009",
    "source": "github.com/haoyuli02/SymGNN, datasets/raw_data: structures published by the authors",
    "citation": (
        "Predicting and Interpreting Energy Barriers of Metallic Glasses with Graph Neural "
        "Networks, arXiv:2401.08627"
    ),
}
SUGGESTED_RATES = {"train4": 1e13, "train3": 1e12, "train2": 1e11, "train1": 1e10, "train0": 1e10}


def measure(glass: Atoms) -> dict[str, object]:
    """The figures of one structure, rounded to what they are good for."""
    with LammpsForces(glass, find_potential(SOURCE["potential"])) as engine:
        energy, _ = engine.energy_and_forces(glass.positions)
    found = analyse(glass)
    return {
        fields.ATOMS: len(glass),
        fields.ENERGY_PER_ATOM: round(energy / len(glass), 5),
        fields.DENSITY: round(found[fields.DENSITY], 5),
        "peaks": {
            pair: [round(curve["peak_position"], 3), round(curve["peak_height"], 2)]
            for pair, curve in found["radial"].items()
        },
        "coordination": {pair: round(n, 2) for pair, n in found["coordination"].items()},
        "icosahedra": round(found["icosahedra"]["all"], 4),
        "crystalline": round(found["crystalline_share"], 4),
    }


def main() -> None:
    """Print the table of every structure in the folder."""
    structures = {}
    for path in published_files(sys.argv[1]):
        graph = read_published(path, cutoff=3.0)
        glass = Atoms(graph.species, graph.position, cell=graph.cell, pbc=True)
        rate = SUGGESTED_RATES.get(path.stem)
        structures[path.stem] = ({"rate": rate} if rate else {}) | measure(glass)
    print(HEAD, end="")
    table = SOURCE | {"structures": structures}
    print(yaml.safe_dump(table, sort_keys=False, default_flow_style=None, width=100), end="")


if __name__ == "__main__":
    main()
