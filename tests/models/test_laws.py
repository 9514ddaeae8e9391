"""What every model must obey: permutation, translation, lattice images, batches; rotation."""

import numpy as np
import pytest
import torch
from scipy.stats import special_ortho_group

from symgnn.descriptors.registry import input_size
from symgnn.errors import InputError
from symgnn.models.mlp import NearestNeighboursMLP
from symgnn.models.registry import MODELS, build_model, model_inputs
from symgnn.training.batches import Batch, join
from tests.models.structures import random_structure, tensors

ELEMENTS = [29, 40]
# Of outputs of order one after four layers: some hundred units of rounding.
SAME = {torch.float32: 2e-5, torch.float64: 1e-13}
INVARIANT = {
    "density", "edge_length", "egnn", "equivariant", "gcn", "response", "ridge", "schnet",
    "searched",
}  # fmt: skip


def assert_same(found, expected):
    tolerance = SAME[found.dtype]
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=tolerance)


@pytest.fixture
def graph():
    """species, edge_index, edge_vector of 40 atoms."""
    return tensors(*random_structure())


class Told(torch.nn.Module):
    """A model with per-atom inputs, fed with as many radial densities of the graph."""

    def __init__(self, name, model):
        super().__init__()
        self.model = model
        count = sum(input_size(one, len(ELEMENTS)) for one in model_inputs(name))
        self.register_buffer("centres", torch.linspace(1.0, 4.0, 40))
        self.count = count

    def forward(self, species, index, vector):
        length = vector.norm(dim=-1, keepdim=True)
        shares = torch.exp(-((length - self.centres) ** 2)) * (4.0 - length).clamp(min=0)
        own = shares.new_zeros(len(species), len(self.centres)).index_add(0, index[1], shares)
        inputs = own.repeat(1, self.count // 40 + 1)[:, : self.count]
        return self.model(species, index, vector, inputs)


def new_model(name, **options):
    model = build_model(name, elements=ELEMENTS, **options)
    if model_inputs(name):
        model.linear.weight += torch.linspace(-1, 1, len(model.linear.weight))
    if hasattr(model, "linear") and hasattr(model, "decoder"):  # its network begins as zero
        torch.nn.init.normal_(model.decoder[-1].weight, std=0.1)
    return Told(name, model) if model_inputs(name) else model


def trained_like(name, dtype=torch.float32, **options):
    """A model in evaluation mode whose normalisations have seen a graph."""
    torch.manual_seed(0)
    model = new_model(name, **options)
    with torch.no_grad():
        for seed in range(5):
            model(*tensors(*random_structure(seed)))
    if dtype == torch.float64:  # single is what it is in, but for a linear part that stays double
        model = model.double()
    return model.eval()


@pytest.fixture(params=[torch.float32, torch.float64], ids=["single", "double"])
def dtype(request):
    return request.param


@pytest.fixture(params=list(MODELS))
def model(request, dtype):
    return trained_like(request.param, dtype)


@torch.no_grad()
def test_permutation_of_atoms_permutes_predictions(model, dtype):
    positions, cell, species = random_structure(9)
    order = np.random.default_rng(1).permutation(len(species))
    before = model(*tensors(positions, cell, species, dtype=dtype))
    after = model(*tensors(positions[order], cell, species[order], dtype=dtype))
    assert_same(after, before[order])


@torch.no_grad()
def test_translation_and_lattice_images_change_nothing(model, dtype):
    positions, cell, species = random_structure(9)
    before = model(*tensors(positions, cell, species, dtype=dtype))
    shift = np.random.default_rng(2).integers(-2, 3, positions.shape) @ cell
    after = model(*tensors(positions + shift + [0.3, -0.7, 2.1], cell, species, dtype=dtype))
    assert_same(after, before)


@torch.no_grad()
def test_supercell_repeats_predictions(model, dtype):
    positions, cell, species = random_structure(9)
    before = model(*tensors(positions, cell, species, dtype=dtype))
    double = np.concatenate([positions, positions + cell[0]])
    after = model(*tensors(double, np.diag([2, 1, 1]) @ cell, np.tile(species, 2), dtype=dtype))
    assert_same(after, before.repeat(2))


@torch.no_grad()
def test_an_atom_that_neighbours_its_own_images_is_the_same_in_a_supercell(model, dtype):
    """A cell shorter than the cutoff: edges from atoms to themselves, and several to one."""
    if isinstance(model, NearestNeighboursMLP):
        pytest.skip("its order of neighbours is by distance, and images come in equal pairs")
    positions, cell, species = random_structure(3, atoms=3, side=3.6)
    _, index, _ = graph = tensors(positions, cell, species, dtype=dtype)
    assert (index[0] == index[1]).any()
    double = np.concatenate([positions, positions + cell[1]])
    after = model(*tensors(double, np.diag([1, 2, 1]) @ cell, np.tile(species, 2), dtype=dtype))
    assert_same(after, model(*graph).repeat(2))


@torch.no_grad()
def test_batch_equals_single(model, dtype):
    graphs = [tensors(*random_structure(seed), dtype=dtype) for seed in (5, 6)]
    empty = torch.empty(0, dtype=torch.int64)
    batches = [Batch(s, i, v, torch.zeros(len(s)), empty, torch.ones(len(s))) for s, i, v in graphs]
    joined = join(batches)
    together = model(joined.species, joined.edge_index, joined.edge_vector)
    alone = torch.cat([model(*graph) for graph in graphs])
    assert_same(together, alone)


@torch.no_grad()
def test_large_structures_in_blocks_give_the_same(model, dtype, monkeypatch):
    """Of the models that have blocks: attention and density; the others run as ever."""
    graph = tensors(*random_structure(7, atoms=300, side=18.0), dtype=dtype)
    whole = model(*graph)
    for name in ("blocks.EDGES_AT_ONCE", "encoding_kernel.BLOCK_ROWS"):
        monkeypatch.setattr(f"symgnn.models.{name}", 500)
    assert_same(model(*graph), whole)


@torch.no_grad()
def test_atom_order_in_the_graph_needs_no_sorted_edges(model, dtype):
    species, index, vector = tensors(*random_structure(9), dtype=dtype)
    order = torch.randperm(index.shape[1])
    shuffled = model(species, index[:, order], vector[order])
    assert_same(shuffled, model(species, index, vector))


def orthogonal(seed):
    matrix = special_ortho_group.rvs(3, random_state=seed)
    return torch.tensor(matrix * (-1) ** seed)


def invariance_error(model, graph):
    """Largest change of a prediction over some orthogonal transformations, in their spread."""
    species, index, vector = graph
    with torch.no_grad():
        before = model(species, index, vector)
        changes = [
            model(species, index, vector @ orthogonal(s).to(vector)) - before for s in range(4)
        ]
    return (torch.stack(changes).abs().max() / before.std()).item()


@pytest.mark.parametrize("name", sorted(INVARIANT))
def test_invariant_models_do_not_see_orientation(name, dtype):
    graph = tensors(*random_structure(), dtype=dtype)
    # e3nn's coupling coefficients are of single precision, and in double alike
    allowed = {torch.float32: 1e-4, torch.float64: 1e-9 if name == "equivariant" else 1e-12}
    assert invariance_error(trained_like(name, dtype), graph) < allowed[dtype]


@pytest.mark.parametrize("name", ["no_symmetrization", "gcn_edges"])
def test_models_on_plain_vectors_do_see_it(name, graph):
    assert invariance_error(trained_like(name), graph) > 1e-2


@pytest.mark.parametrize("aggregation", ["edge_representations", "predictions"])
def test_uniform_average_becomes_invariant_with_more_samples(aggregation, graph):
    options = {"distribution": "haar", "aggregation": aggregation, "width": 8, "heads": (2, 1)}
    few, many = (
        invariance_error(trained_like("symgnn", evaluation_samples=k, **options), graph)
        for k in (2, 128)
    )
    assert many < few / 5  # 64 times the samples; random ones alone would give 8


@pytest.mark.parametrize("aggregation", ["edge_representations", "predictions"])
def test_average_over_a_learned_distribution_stays_short_of_invariance(aggregation, graph):
    """However many samples: a distribution that is not uniform has directions of its own."""
    options = {"aggregation": aggregation, "width": 8, "heads": (2, 1), "evaluation_samples": 128}
    learned, uniform = (
        invariance_error(trained_like("symgnn", distribution=one, **options), graph)
        for one in ("learned", "haar")
    )
    assert learned > 5 * uniform


@torch.no_grad()
def test_the_ablation_lacks_symmetrization_and_nothing_else(graph):
    """With the same weights it is SymGNN whose only transformation is none."""
    model, without = trained_like("symgnn"), trained_like("no_symmetrization")
    missing = without.load_state_dict(model.state_dict(), strict=False)
    assert missing.missing_keys == []
    assert {key.partition(".")[0] for key in missing.unexpected_keys} == {"symmetrization"}
    model.symmetrization.forward = lambda: torch.eye(3).unsqueeze(0)
    assert torch.equal(model(*graph), without(*graph))


@torch.no_grad()
def test_augmentation_turns_graphs_in_training_only(graph):
    model, plain = trained_like("augmentation"), trained_like("no_symmetrization")
    plain.load_state_dict(model.state_dict())
    assert torch.equal(model(*graph), plain(*graph))
    model.train(), plain.train()
    torch.manual_seed(3)
    first, second = model(*graph), model(*graph)
    unturned = plain(*graph)
    for one, other in ((first, second), (first, unturned), (second, unturned)):
        assert (one - other).abs().max() > 1e-2 * unturned.std()
    torch.manual_seed(3)
    assert torch.equal(model(*graph), first)


def test_average_of_edge_representations_keeps_lengths_only(graph):
    """Turning each edge by itself destroys all angles and changes nothing; predictions see it."""
    species, index, vector = graph
    torch.manual_seed(8)
    direction = torch.nn.functional.normalize(torch.randn(len(vector), 3), dim=-1)
    scrambled = direction * vector.norm(dim=-1, keepdim=True)
    options = {"distribution": "haar", "width": 8, "heads": (2, 1)}
    change = {}
    for aggregation, samples in (("edge_representations", 1000), ("predictions", 50)):
        options["evaluation_samples"] = samples
        model = trained_like("symgnn", aggregation=aggregation, **options)
        with torch.no_grad():
            moved = model(species, index, scrambled) - model(species, index, vector)
        change[aggregation] = moved.abs().max().item()
    assert change["edge_representations"] < change["predictions"] / 5


def test_every_parameter_learns(graph):
    """After a step, as last layers may start at zero; but a bias before a batch norm, which takes
    it away.
    """
    for name in MODELS:
        torch.manual_seed(0)
        if name == "ridge":
            continue  # it is solved for
        model = new_model(name)
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
        for _ in range(2):
            optimizer.zero_grad()
            (model(*graph) - 1).square().mean().backward()
            optimizer.step()
        without = [
            key
            for key, p in model.named_parameters()
            if p.requires_grad
            and (p.grad is None or not (p.grad.any() or key.endswith("mix_edges.bias")))
        ]
        assert without == [], name


@torch.no_grad()
@pytest.mark.parametrize("name", ["response", "searched"])
def test_a_network_that_is_as_it_began_takes_no_time(name, graph):
    """It says zero: the linear part alone is what is left of training, too."""
    model = trained_like(name, dropout=0.0)
    last, asked = model.model.decoder[-1], []
    model.model.layers[0].register_forward_hook(lambda *_: asked.append(1))
    model(*graph)
    assert len(asked) == 1
    torch.nn.init.zeros_(last.weight)
    alone = model(*graph)
    assert len(asked) == 1
    assert torch.equal(model.train()(*graph), alone)
    assert len(asked) == 2
    torch.nn.init.ones_(last.bias)
    assert_same(model.eval()(*graph), alone + 1)


def test_edge_masks_of_explainers_act_on_symgnn(graph):
    """An edge mask of zeros leaves an atom with what it is itself: no messages."""
    from torch_geometric.explain.algorithm.utils import set_masks

    species, index, vector = graph
    for aggregation in ("edge_representations", "predictions"):
        model = trained_like("symgnn", aggregation=aggregation, evaluation_samples=2)
        mask = torch.nn.Parameter(torch.zeros(index.shape[1]))
        set_masks(model, mask, index, apply_sigmoid=False)
        alone = model(species, index, vector).detach()
        for element in ELEMENTS:
            same = alone[species == element]
            assert_same(same, same[:1].expand_as(same))


def test_bad_models_and_options_are_refused():
    with pytest.raises(InputError, match="must be one of"):
        build_model("transformer", elements=ELEMENTS)
    with pytest.raises(InputError, match=r"--samples: gcn has only --width$"):
        build_model("gcn", elements=ELEMENTS, samples=3)
    with pytest.raises(InputError, match="--evaluation-samples: ridge has no options"):
        build_model("ridge", elements=ELEMENTS, evaluation_samples=3)
    with pytest.raises(InputError, match="aggregation is 'sum'"):
        build_model("symgnn", elements=ELEMENTS, aggregation="sum")
