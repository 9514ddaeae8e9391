"""The attention in blocks against the same by torch-geometric's messages, gradients included."""

import pytest
import torch

from symgnn.models import attention_kernel, encoding_kernel, products
from symgnn.models.egat import EdgeAttentionLayer, PredictionModule
from symgnn.models.registry import build_model
from tests.models.structures import with_an_atom_alone
from tests.models.test_products import has_onednn

ELEMENTS = [29, 40]


@pytest.fixture
def graph():
    return with_an_atom_alone(3, 60, 11.0)


def watch(model):
    """Hooks on the messages, as who looks at them has: the layers must then make them."""
    seen = []
    for module in model.modules():
        if hasattr(module, "register_message_forward_hook"):
            module.register_message_forward_hook(lambda layer, given, made: seen.append(made))
    return seen


def losses_and_gradients(model, leaves, call):
    """A scalar that weighs all outputs differently, and its gradients by parameters and leaves."""
    torch.manual_seed(7)
    found = call()
    loss = sum((out * torch.randn_like(out)).sum() for out in found)
    wanted = [*model.parameters(), *leaves]
    return loss.detach(), torch.autograd.grad(loss, wanted, allow_unused=True)


def assert_same(fast, tolerance, slow, layer):
    """Equal within the tolerance times the largest number of all, which sums round to."""
    slow = (slow[0], *slow[1], *layer.state_dict().values())
    largest = max(t.abs().max().item() for t in slow if t is not None)
    for one, other in zip(fast, slow, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, atol=tolerance * largest, rtol=0)


class Dropped(torch.nn.Module):
    """Dropout that drops the same numbers each time."""

    p = 0.3

    def forward(self, x):
        generator = torch.Generator().manual_seed(5)
        return x * (torch.rand(x.shape, generator=generator) > self.p) / (1 - self.p)


@pytest.mark.parametrize("heads", [1, 2, 8])
@pytest.mark.parametrize(
    ("last", "dropout", "running"),
    [(False, False, False), (True, False, False), (False, True, False), (False, True, True)],
)
@pytest.mark.parametrize(
    ("dtype", "onednn"),
    [(torch.float32, False), (torch.float32, True), (torch.float64, False)],
)
def test_layer_in_blocks_equals_messages(
    graph, heads, last, dropout, running, dtype, onednn, monkeypatch
):
    """With dropout, by both libraries, and with the running numbers of the normalisations."""
    if onednn and not has_onednn(monkeypatch):
        pytest.skip("this torch has no oneDNN")
    monkeypatch.setattr(products, "_by_onednn", lambda: onednn)
    monkeypatch.setattr(attention_kernel, "BLOCK_NUMBERS", 300)  # several blocks
    _, index, _ = graph
    torch.manual_seed(1)
    layer = EdgeAttentionLayer(6, heads, dropout=0.0, last=last).to(dtype)
    node = torch.randn(60, 6, dtype=dtype, requires_grad=True)
    edge = (torch.randn(index.shape[1], 6, dtype=dtype) * 2 + 1).requires_grad_()
    assert layer.attention.can_be_fast(index, edge)
    with torch.no_grad():  # so that the normalisations are neither fresh nor those of this batch
        layer(node * 2 + 1, index, edge * 0.5 - 1)
    if dropout:
        layer.dropout = Dropped()
    if running:
        layer.norm_nodes.eval()
        layer.norm_edges.eval()
    state = {key: value.clone() for key, value in layer.state_dict().items()}
    fast = losses_and_gradients(layer, [node, edge], lambda: layer(node, index, edge))
    after = {key: value.clone() for key, value in layer.state_dict().items()}
    layer.load_state_dict(state)
    seen = watch(layer)
    slow = losses_and_gradients(layer, [node, edge], lambda: layer(node, index, edge))
    assert len(seen) == 1
    tolerance = 1e-5 if dtype == torch.float32 else 1e-13
    assert_same((fast[0], *fast[1], *after.values()), tolerance, slow, layer)


@pytest.mark.parametrize("name", ["symgnn", "no_symmetrization", "edge_length"])
def test_models_in_blocks_equal_messages(graph, name, monkeypatch):
    """Encoder, attention and decoder; the gradient by the edges' vectors as well."""
    monkeypatch.setattr(attention_kernel, "BLOCK_NUMBERS", 2000)
    monkeypatch.setattr(encoding_kernel, "BLOCK_ROWS", 200)
    species, index, vector = graph
    vector = vector.double().requires_grad_()
    torch.manual_seed(2)
    model = build_model(name, elements=ELEMENTS, width=8).double()
    model(species, index, vector)
    model.eval()  # transformations that repeat
    fast = losses_and_gradients(model, [vector], lambda: [model(species, index, vector)])
    watch(model)
    monkeypatch.setattr(encoding_kernel, "BLOCK_ROWS", 10**9)
    slow = losses_and_gradients(model, [vector], lambda: [model(species, index, vector)])
    torch.testing.assert_close(fast, slow, atol=1e-10, rtol=1e-8)


def test_dropout_is_unbiased_in_blocks(graph):
    """The mean of many draws of the dropped update is the update without dropout."""
    _, index, _ = graph
    torch.manual_seed(4)
    layer = EdgeAttentionLayer(4, 2, dropout=0.25, last=False)
    node, edge = torch.randn(60, 4), torch.randn(index.shape[1], 4)
    layer(node, index, edge)
    whole = layer.eval()(node, index, edge)[1] - edge
    layer.train()
    layer.norm_edges.eval()
    drawn = torch.stack([layer(node, index, edge)[1] - edge for _ in range(400)])
    assert (drawn == 0).float().mean().item() == pytest.approx(0.25, abs=0.005)
    deviation = whole.abs() * (0.25 / 0.75 / 400) ** 0.5
    assert ((drawn.mean(0) - whole).abs() <= 6 * deviation + 1e-6).all()


def test_edges_out_of_order_and_half_precision_go_by_messages(graph):
    _, index, _ = graph
    attention = PredictionModule(ELEMENTS, width=4, heads=(2,), dropout=0.0).layers[0].attention
    edge = torch.randn(index.shape[1], 4)
    assert attention.can_be_fast(index, edge)
    assert not attention.can_be_fast(index.flip(1), edge)
    assert not attention.can_be_fast(index, edge.bfloat16())
    with torch.autocast("cpu", torch.bfloat16):
        assert not attention.can_be_fast(index, edge)
    attention.explain = True
    assert not attention.can_be_fast(index, edge)


def test_a_graph_without_edges_leaves_the_running_numbers_alone():
    layer = EdgeAttentionLayer(4, 2, dropout=0.0, last=False)
    index, before = torch.empty(2, 0, dtype=torch.long), layer.norm_edges.running_var.clone()
    node, edge = layer(torch.randn(60, 4), index, torch.empty(0, 4))
    (node.sum() + edge.sum()).backward()
    assert torch.equal(layer.norm_edges.running_var, before)
    assert all(t.grad is None or torch.isfinite(t.grad).all() for t in layer.parameters())


@pytest.mark.parametrize("atom", [-1, 60])
def test_edges_of_atoms_that_are_not_there_are_refused(graph, atom):
    _, index, _ = graph
    layer = EdgeAttentionLayer(4, 2, dropout=0.0, last=True)
    for end, place in ((0, 0), (1, 0 if atom < 0 else -1)):
        wrong = index.clone()
        wrong[end, place] = atom
        with pytest.raises(IndexError, match="0 to 59"):
            layer(torch.randn(60, 4), wrong, torch.randn(index.shape[1], 4))
