"""A small made-up study, in the files that the stages write, and the page read back."""

import base64
import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import typer
from ase import Atoms
from ase.build import bulk
from typer.testing import CliRunner

from symgnn import fields
from symgnn.barriers.event import Event
from symgnn.barriers.events import region_columns_of, write_events
from symgnn.barriers.protocol import Status
from symgnn.explanations.storage import Explanation, Structure, write_explanations
from symgnn.files import create_hdf5
from symgnn.graphs.dataset import read_graphs, write_graphs
from symgnn.graphs.graph import edges, glass_graph
from symgnn.provenance import provenance
from symgnn.report.assembly import Inputs, assemble
from symgnn.report.command import report
from symgnn.report.page import render
from symgnn.structures import write_structure
from symgnn.training.evaluation import read_run, table, write_table

CUTOFF = 4.0  # Å
SPLITS = ("train", "train", "validation", "test")
RATES = (1e13, 1e14, 1e13, 1e14)


def make_glass(seed: int) -> Atoms:
    """54 disordered atoms, Cu and Zr, in a cell that is smaller than twice some distances."""
    atoms = bulk("CuZr", "cesiumchloride", a=3.26, cubic=True) * (3, 3, 3)
    atoms.rattle(0.2, seed=seed)
    rate = RATES[seed]
    atoms.info |= {
        "composition": "Cu50Zr50",
        "cooling_rate": rate,
        "seed": seed,
        "energy_per_atom": -4.5 + 0.01 * np.log10(rate / 1e13) + 0.001 * seed,
        "density": 0.06 + 0.001 * seed,
        "force_max": 1e-5 * (seed + 1),
        "pressure": 1e-4 * (seed - 2),
        **provenance(melt_temperature=2000.0, cooling_rate=rate, seed=seed),
    }
    return atoms


def write_thermo(path: Path) -> None:
    """A straight quench of 500 rows."""
    with open(path, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["stage", "step", "time", "temperature", "pressure", "density", "energy"])
        for k in range(500):
            temperature = 2000 - 4 * k
            row = (10 * k, 0.01 * k, temperature, 0.1, 0.06 - 1e-6 * temperature, -4.5 + 0.001 * k)
            writer.writerow(["quench", *row])


def make_events(seed: int, atoms: int) -> list[Event]:
    """Four searches at every third atom; every tenth search fails."""
    random = np.random.default_rng(seed)
    events = []
    for atom in range(0, atoms, 3):
        for search in range(4):
            failed = (atom + search) % 10 == 9
            number = float("nan") if failed else 1.0
            cost = int(random.integers(100, 900))
            barrier = number * (1.2 + 0.02 * atom + 0.1 * random.random())
            events.append(
                Event(
                    atom=atom,
                    search=search,
                    status=int(Status.NOT_CONVERGED if failed else Status.CONVERGED),
                    barrier=barrier,
                    region_barrier=barrier + 0.15,
                    grown_barrier=barrier + 0.004,
                    full_evaluations=0 if failed else 20,
                    curvature=-number,
                    force_max=0.04,
                    final_energy=0.5 * number,
                    connected=not failed,
                    displacement_max=number * random.random(),
                    target_displacement=number * (0.1 + 0.2 * search),
                    pushed_share=number * random.random(),
                    force_evaluations=cost,
                    saddle_evaluations=cost // 2,
                    lanczos_evaluations=cost // 4,
                    moved_atoms=np.zeros(0, dtype=int),
                    saddle_displacement=np.zeros((0, 3)),
                    final_displacement=np.zeros((0, 3)),
                )
            )
    return events


def make_explanation(structure: Structure, atom: int) -> Explanation:
    """The edges that end at an atom, important as they are short; the rest of no importance."""
    place = structure.position - structure.position[atom]
    fractional = place @ np.linalg.inv(structure.cell)
    place = (fractional - np.round(fractional)) @ structure.cell
    everything = np.arange(structure.edge_index.shape[1])
    length = np.linalg.norm(structure.edge_vector, axis=1)
    return Explanation(
        atom=atom,
        prediction=1.5 + 0.1 * atom,
        field_atom=np.arange(len(structure.species)),
        hop=np.ones(len(structure.species), dtype=int),
        relative_position=place,
        atom_importance=np.zeros(len(structure.species)),
        edge=everything,
        importance=np.where(structure.edge_index[1] == atom, 1 / length, 0.0),
    )


@dataclass(frozen=True)
class Study:
    """The folder of a made-up study and its files by kind."""

    folder: Path
    inputs: Inputs
    names: tuple[str, ...]


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Four glasses, searches in all, a data set, two models with two seeds, two explained atoms."""
    folder = tmp_path_factory.mktemp("study")
    names = tuple(f"Cu50Zr50_54_{RATES[k]:.0e}_s{k}".replace("e+", "e") for k in range(4))
    structures, graphs = [], []
    for seed, name in enumerate(names):
        atoms = make_glass(seed)
        structures.append(atoms)
        write_structure(folder / "glasses" / f"{name}.xyz", atoms)
        write_thermo(folder / "glasses" / f"{name}.thermo.csv")
        path = folder / "barriers" / name / "events.h5"
        attributes = provenance(searches=4, force_tolerance=0.05) | {"seed": 7}
        events = make_events(seed, len(atoms))
        write_events(
            path,
            events,
            region_columns_of([]),
            atoms=len(atoms),
            label="target",
            attributes=attributes,
        )
        label = np.full(len(atoms), np.nan)
        label[::3] = 1.2 + 0.02 * np.arange(0, len(atoms), 3) + 0.01 * seed
        graph = glass_graph(name, atoms, cutoff=CUTOFF, barrier=label)
        graph.split = SPLITS[seed]
        graphs.append(graph)
        bench = folder / "benchmarks" / "barriers" / name
        bench.mkdir(parents=True)
        (bench / "merge.tsv").write_text("s\th:m:s\tmax_rss\tcpu_time\n60.5\t0:01:00\t256.0\t50\n")
    write_graphs(folder / "graphs.h5", graphs, cutoff=CUTOFF, label="barrier_mean", **provenance())
    runs = [_run(folder, model, seed) for model in ("gcn", "symgnn") for seed in (0, 1)]
    write_table(folder / "table.csv", table([read_run(run) for run in runs]))
    explained = folder / "explanations" / names[0] / "explanation.h5"
    edge_index, edge_vector = edges(structures[0].positions, structures[0].cell.array, CUTOFF)
    structure = Structure(
        structures[0].positions,
        structures[0].cell.array,
        structures[0].numbers.astype("int64"),
        edge_index,
        edge_vector,
    )
    found = (make_explanation(structure, atom) for atom in (3, 10))
    write_explanations(explained, structure, found, method="gnnexplainer", **provenance(seed=0))
    inputs = Inputs(
        glasses=[folder / "glasses" / f"{name}.xyz" for name in names],
        events=[folder / "barriers" / name / "events.h5" for name in names],
        graphs=[folder / "graphs.h5"],
        runs=runs,
        tables=[folder / "table.csv"],
        explanations=[explained],
        benchmarks=[folder / "benchmarks" / "barriers" / name / "merge.tsv" for name in names],
    )
    return Study(folder, inputs, names)


def _run(folder: Path, model: str, seed: int) -> Path:
    random = np.random.default_rng(seed)
    run = folder / "models" / model / f"seed-{seed}"
    run.mkdir(parents=True)
    (run / "checkpoint.pt").touch()
    noise = 0.05 if model == "symgnn" else 0.3
    with create_hdf5(run / "predictions.h5", "predictions") as file:
        file.attrs.update(provenance(epochs=30, learning_rate=1e-4))
        file.attrs.update({"model": model, "options": "{}", "seed": seed, "epoch": 20 + seed})
        file.attrs[fields.DATA_HASH] = "of the same graphs"
        for graph in read_graphs(folder / "graphs.h5").graphs:
            group = file.create_group(graph.name)
            group.attrs[fields.SPLIT] = graph.split
            group[fields.BARRIER] = graph.barrier
            known = np.nan_to_num(graph.barrier, nan=1.5)
            group[fields.PREDICTED] = known + noise * random.normal(size=len(known))
    with open(run / "history.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["epoch", "loss", "validation_mae", "validation_pearson"])
        for epoch in range(10, 31, 10):
            writer.writerow([epoch, 1 / epoch, 2 / epoch, "" if epoch == 10 else epoch / 40])
    return run


def run_report(*arguments: object) -> None:
    """Run the command with these arguments; what it raises is raised."""
    application = typer.Typer()
    application.command()(report)
    result = CliRunner().invoke(application, list(map(str, arguments)))
    if result.exception is not None:
        raise result.exception


class PageReader(HTMLParser):
    """What a page holds: sections, text, tables, figures and all attributes of its tags."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.sections: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.figures: dict[str, list[dict]] = {}
        self.captions: dict[str, str] = {}
        self.findings: list[str] = []
        self.text = ""
        self.scripts: list[str] = []
        self._open: list[str] = []
        self._figure = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        known = dict(attributes)
        self.tags.append((tag, known))
        if tag not in ("meta", "br", "link"):
            self._open.append(tag)
        if tag == "section":
            self.sections.append(known["id"])
        elif tag == "figure":
            self._figure = known["id"]
        elif tag == "table":
            self.tables[self._figure] = []
        elif tag == "tr":
            self.tables[self._figure].append([])
        elif tag in ("td", "th"):
            self.tables[self._figure][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        here = self._open[-1] if self._open else ""
        self.text += "" if here in ("script", "style") else data
        if "td" in self._open or "th" in self._open:
            self.tables[self._figure][-1][-1] += data
        elif "figcaption" in self._open:
            self.captions[self._figure] = self.captions.get(self._figure, "") + data
        elif here == "script":
            self.scripts.append(data)
            if self._figure and "figure" in self._open:
                self.figures[self._figure] = json.loads(data)
        elif here == "li" and "nav" not in self._open:
            self.findings.append(data)

    def rows(self, name: str) -> list[dict[str, str]]:
        """Rows of a table by their headings."""
        header, *rows = self.tables[f"table-{name}"]
        return [dict(zip(header, row, strict=True)) for row in rows]

    def traces(self, name: str, panel: int = 0, choice: int = 0) -> list[dict]:
        """Traces of a panel of a figure, arrays decoded."""
        drawn = self.figures[f"figure-{name}"][choice]["panels"][panel]["data"]
        return [{key: _decoded(value) for key, value in trace.items()} for trace in drawn]


def _decoded(value: object) -> object:
    """A typed array of plotly as numpy; anything else as it is."""
    if isinstance(value, dict) and "bdata" in value:
        return np.frombuffer(base64.b64decode(value["bdata"]), dtype=value["dtype"])
    return value


@pytest.fixture(scope="session")
def read_page() -> Callable[[Inputs], PageReader]:
    """Make the page of some inputs and read it back."""

    def read(inputs: Inputs) -> PageReader:
        return PageReader(render("Title", *assemble(inputs)))

    return read


@pytest.fixture(scope="session")
def page(study: Study, read_page: Callable[[Inputs], PageReader]) -> PageReader:
    """The page of the whole study."""
    return read_page(study.inputs)
