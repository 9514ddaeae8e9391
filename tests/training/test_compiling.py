"""Training steps after torch.compile: the same mathematics, other code."""

import shutil

import numpy as np
import pytest
import torch
from ase.build import bulk
from torch import nn

from symgnn.errors import InputError, TimeBudgetReached
from symgnn.graphs.dataset import write_graphs
from symgnn.graphs.graph import glass_graph
from symgnn.models.registry import build_model
from symgnn.training import compiling
from symgnn.training.batches import label_scaling
from symgnn.training.checkpoint import load
from symgnn.training.loop import start, train
from symgnn.training.recipe import Recipe
from tests.training.test_pieces import RECIPE
from tests.training.test_runs import run

# torch looks at .grad where a compiled part begins, and means to hide its own warning of it
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")

SIZES = ((4, 4, 4), (5, 4, 4), (4, 4, 3))  # of the glasses, in cells of 4 atoms


class Traced:
    """A compiler that runs what torch has traced, and counts: torch's part without C++."""

    def __init__(self):
        self.graphs = self.runs = 0

    def __call__(self, module, example_inputs):
        self.graphs += 1

        def call(*inputs):
            self.runs += 1
            return module.forward(*inputs)

        return call


@pytest.fixture
def compiler(monkeypatch):
    torch.compiler.reset()
    found = Traced()
    monkeypatch.setattr(compiling, "COMPILER", {"backend": found})
    yield found
    torch.compiler.reset()


@pytest.fixture(scope="module")
def glasses():
    """Disordered glasses of 256, 320 and 192 atoms."""
    random, found = np.random.default_rng(0), []
    for k, cells in enumerate(SIZES):
        atoms = bulk("Cu", "fcc", a=4.0, cubic=True).repeat(cells)
        atoms.symbols = random.choice(["Cu", "Zr"], len(atoms))
        atoms.positions += random.normal(scale=0.2, size=atoms.positions.shape)
        graph = glass_graph(f"g{k}", atoms, cutoff=3.6, barrier=random.normal(size=len(atoms)))
        graph.split = "train"
        found.append(graph)
    return found


def trained(glasses, name, **changes):
    """The state after six steps, two on each glass."""
    recipe = Recipe(**RECIPE | {"averaging": 0.5} | changes)
    torch.manual_seed(0)
    state = start(build_model(name, elements=[29, 40], width=16), recipe)
    train(
        state,
        training=glasses,
        validation=[],
        scaling=label_scaling(glasses),
        recipe=recipe,
        device="cpu",
        after_epoch=lambda _: None,
    )
    return state


@pytest.mark.parametrize("name", ["schnet", "density", "mlp", "gcn_edges", "symgnn"])
def test_compiled_steps_are_those_of_the_model(name, glasses, compiler, monkeypatch):
    """Dropout and samples included, and the weights have the same names."""
    monkeypatch.setattr(compiling, "_reason_against", lambda *_: "")  # as on an accelerator
    plain = trained(glasses, name)
    assert compiler.graphs == 0
    found = trained(glasses, name, compile=True)
    assert compiler.runs >= 6
    assert list(found.model.state_dict()) == list(plain.model.state_dict())
    for row, expected in zip(found.history, plain.history, strict=True):
        assert row["loss"] == pytest.approx(expected["loss"], rel=1e-5)


@pytest.mark.parametrize(("name", "graphs"), [("schnet", 1), ("density", 4)])
def test_one_compilation_does_for_glasses_of_all_sizes(name, graphs, glasses, compiler):
    """Also where it is cut, since the number of neighbours decides on sizes."""
    trained(glasses, name, compile=True)
    assert compiler.graphs == graphs


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("edge_length", "attention on a processor has faster code of its own"),
        ("equivariant", "torch cannot compile this model"),
    ],
)
def test_some_models_are_left_as_they_are(name, reason, glasses, compiler, capsys):
    if name == "equivariant":
        pytest.importorskip("e3nn", reason="the package e3nn is optional")
    trained(glasses, name, compile=True)
    assert compiler.runs == 0
    assert capsys.readouterr().out == f"--compile: left out: {reason}\n"


def test_a_resumed_run_has_the_weights_of_an_unbroken_one(glasses, compiler, tmp_path):
    write_graphs(tmp_path / "graphs.h5", glasses, cutoff=3.6)
    command = ["train", tmp_path / "graphs.h5", "--model", "mlp", "--compile", "--epochs", "2"]
    command += ["--width", "8", "--threads", "1", "-o"]
    run(*command, tmp_path / "unbroken")
    torch.compiler.reset()
    with pytest.raises(TimeBudgetReached):
        run(*command, tmp_path / "resumed", "--time-budget", 0)
    torch.compiler.reset()  # as in a process of its own
    run(*command, tmp_path / "resumed")
    one, other = (
        load(tmp_path / name / "checkpoint.pt").model.state_dict()
        for name in ("unbroken", "resumed")
    )
    assert compiler.runs >= 12
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_machine_that_cannot_compile_is_told_before_training(glasses, monkeypatch, tmp_path):
    def broken(module, example_inputs):
        raise RuntimeError("No working C++ compiler found\nin a long text")

    monkeypatch.setattr(compiling, "COMPILER", {"backend": broken})
    write_graphs(tmp_path / "graphs.h5", glasses, cutoff=3.6)
    with pytest.raises(InputError) as caught:
        run("train", tmp_path / "graphs.h5", "--model=mlp", "--compile", "-o", tmp_path / "run")
    assert "--compile: torch cannot compile here (RuntimeError: No working C++" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_what_is_solved_for_needs_no_compiler(monkeypatch):
    def broken(module, example_inputs):
        raise RuntimeError("No working C++ compiler found")

    monkeypatch.setattr(compiling, "COMPILER", {"backend": broken})
    compiling.check_compiler(build_model("ridge", elements=[29, 40]), "cpu")
    with pytest.raises(InputError, match="cannot compile here"):
        compiling.check_compiler(build_model("mlp", elements=[29, 40]), "cpu")


class Small(nn.Module):
    """Few operations, so that compiling it takes seconds."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 4)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        return self.dropout(nn.functional.silu(self.linear(x))).sum(-1)


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_machine_code_gives_the_same_gradients():
    torch.compiler.reset()
    torch.manual_seed(0)
    model = Small()
    twin = compiling.compiled(model, "cpu")
    for rows in (50, 70):
        x, gradients = torch.randn(rows, 3), []
        for network in (model, twin):
            model.zero_grad()
            torch.manual_seed(1)
            network(x).square().sum().backward()
            gradients.append([parameter.grad for parameter in model.parameters()])
        torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-5)
