"""What models say in other words is rewritten: the same result, and layers that the conversion knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from rewritten_models import AB, MODELS, POOL, SHAPE, A, Forward, Net, conv, two
from torch import Tensor, nn
from torch.nn import BatchNorm2d, Linear

from spikeloom.quant import golden
from spikeloom.quant.conversion.integers import convert
from spikeloom.quant.frontends.float_graph import FloatGraph
from spikeloom.quant.frontends.floats import results
from spikeloom.quant.frontends.layers import Activation, Layer, Sum, UnsupportedLayer, Weights
from spikeloom.quant.frontends.torch_fx.graph import read, trace
from spikeloom.quant.ir.network import NetworkError
from spikeloom.quant.methods import qcfs
from spikeloom.quant.models import mlp, resnet
from spikeloom.quant.qat.integer_graph import IntegerGraph


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("name", MODELS)
def test_the_same_result(name: str) -> None:
    forward, modules = MODELS[name]
    model = Net(forward, **modules).double().eval()
    graph = read(model, SHAPE)
    x = torch.rand(4, *SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    *_, (last, found) = results(graph.layers, x)
    with torch.no_grad():
        want = model(x)
    assert want.abs().max() > 0.01 and (want[0] - want[1]).abs().max() > 0, "a model that gives nothing tests nothing"
    assert torch.allclose(found, want, rtol=0, atol=1e-9 * want.abs().max().item() + 1e-12)
    assert last is graph.layers[-1] and {type(layer).__name__ for layer in graph.layers} <= {
        "Weights", "Sum", "Shortcut", "Activation", "Pool", "Flat"}  # fmt: skip


def test_a_forward_that_normalises_the_image_says_so() -> None:
    mean, std = torch.tensor([0.4, 0.5]).view(1, 2, 1, 1), torch.tensor([0.2, 0.3]).view(1, 2, 1, 1)
    modules = {"a": conv(2, 3, 3, padding=1), "fc": Linear(192, 5)}
    model = Net(lambda m, x: m.fc(F.relu(m.a((x - mean) / std)).flatten(1)), **modules)
    graph = read(model.eval(), SHAPE)
    assert graph.normalised is not None
    assert np.allclose(graph.normalised, [[0.4, 0.5], [0.2, 0.3]])
    x = torch.rand(3, *SHAPE)
    *_, (_, found) = results(graph.layers, (x - mean) / std)
    assert torch.allclose(found, model(x).detach(), atol=1e-5)
    with pytest.raises(UnsupportedLayer, match="^Net: normalises the image in its forward"):
        trace(model, SHAPE)


@pytest.mark.parametrize("model", [mlp((2, 8, 8), 3), resnet((2, 8, 8), 10)])
def test_what_needs_no_rewriting_stays_as_it_is(model: nn.Module) -> None:
    names = {name for name, _ in model.named_modules()}
    weights = [layer.name for layer in read(model.eval(), SHAPE).layers if isinstance(layer, Weights)]
    assert len(weights) > 1 and set(weights) <= names


def test_lines_are_maps_of_one_row() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        h = F.max_pool1d(F.relu(m.n(m.a(x))), 2)
        h = m.p(F.relu(torch.cat([m.b(h), h], 1)))
        return m.fc(h.mean(-1))

    modules = {
        "a": nn.Conv1d(2, 4, 5, stride=2, padding=2),
        "n": nn.BatchNorm1d(4),
        "b": nn.Conv1d(4, 3, 3, padding="same"),
        "p": nn.AvgPool1d(3, 2, 1),
        "fc": Linear(7, 5),
    }
    model = Net(forward, **modules).double().eval()
    graph = read(model, (2, 1, 32))
    x = torch.rand(4, 2, 32, dtype=torch.float64)
    *_, (_, found) = results(graph.layers, x[:, :, None])
    assert torch.allclose(found, model(x).detach(), rtol=0, atol=1e-9)
    with pytest.raises(UnsupportedLayer, match=r"^Net: takes lines \(N, C, L\), .* supported: \(C, 1, L\)"):
        read(model, (2, 4, 8))
    with pytest.raises(UnsupportedLayer, match="^mean: a pool over a whole map of unknown size"):
        read(model)


def test_a_sum_of_values_has_weights() -> None:
    forward, modules = MODELS["a sum of values"]
    layers = read(Net(forward, **modules).eval(), SHAPE).layers
    kinds = {layer.name: layer for layer in layers}
    terms = [type(kinds[source]).__name__ for layer in layers if isinstance(layer, Sum) for source in layer.sources]
    assert sorted(terms) == ["Shortcut", "Weights"]


def test_batch_norm_of_what_many_take_is_computed_once() -> None:
    """Up to twice the weights currents are computed for each taker, beyond that values with a sign are."""
    def blocks(m: Any, x: Tensor) -> Tensor:
        h = m.a(x)
        for block in m.blocks:
            h = h + block(h)
        return m.fc(h.mean((2, 3)))

    def numbers(count: int) -> tuple[int, int]:
        rows = [nn.Sequential(BatchNorm2d(3), nn.ReLU(), conv(3, 3, 3, padding=1)) for _ in range(count)]
        model = Net(blocks, a=conv(2, 3, 3), blocks=nn.ModuleList(rows), fc=Linear(3, 5)).double().eval()
        layers = read(model, SHAPE).layers
        x = torch.rand(4, *SHAPE, dtype=torch.float64)
        *_, (_, found) = results(layers, x)
        assert torch.allclose(found, model(x).detach(), rtol=0, atol=1e-9)
        size = sum(layer.weight.numel() for layer in layers if isinstance(layer, Weights))
        return size, sum(isinstance(layer, Activation) and layer.signed for layer in layers)

    (few, none), (many, some) = numbers(1), numbers(6)
    assert none == 1 and few < 2 * 200, "a mean is taken of a sum with a sign"
    assert some > 1 and many < 2 * 1.1 * (54 + 6 * 81 + 15)


@pytest.mark.parametrize(
    ("forward", "modules", "message"),
    [
        (lambda m, x: m.fc(m.p(F.relu(m.a(x))).mean((2, 3))), A | {"p": POOL(4), "fc": Linear(3, 5)},
         r"^p: an adaptive pool to 4x4 of a map of 6x6 .*directly before Flatten and Linear"),
        (lambda m, x: m.fc(F.max_pool2d(F.pad(m.a(x), (1, 1)), 2).flatten(1)), A | {"fc": Linear(36, 5)},
         r"^pad: a pad before a max-pool of numbers with a sign \(max_pool2d\)"),
        (lambda m, x: m.fc(F.pad(F.relu(m.a(x)), (1, 1)).flatten(1)), A | {"fc": Linear(144, 5)},
         r"^pad: a pad before Flat \(flatten\)"),
        (lambda m, x: m.fc(F.avg_pool2d(F.relu(m.a(x)), 4, 3, ceil_mode=True).flatten(1)),
         {"a": AB["a"], "fc": Linear(27, 5)}, r"^avg_pool2d: an average pool with ceil_mode whose last windows"),
        (lambda m, x: m.fc(F.relu(m.a(x)).squeeze()), A | {"fc": Linear(108, 5)},
         r"^squeeze: a choice of one pixel, or of none, of a map of 6x6"),
        (lambda m, x: m.fc(F.relu(m.a(x)).view(-1, 54)), A | {"fc": Linear(54, 5)},
         r"^view: makes vectors of 54, but relu"),
        (lambda m, x: m.fc(F.relu(m.g(two(m, x))).flatten(1)), AB | {"b": conv(2, 5, 1), "g": conv(8, 4, 1, groups=2),
         "fc": Linear(256, 5)}, r"^g: Weights of a concatenation"),
    ],
)  # fmt: skip
def test_refused_by_name(forward: Forward, modules: Mapping[str, nn.Module], message: str) -> None:
    with pytest.raises((UnsupportedLayer, NetworkError), match=message):
        read(Net(forward, **modules).eval(), SHAPE)


def test_a_wrong_rewriting_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    forward, modules = MODELS["two Linears"]
    model = Net(forward, **modules).eval()
    right = Weights.value

    def wrong(self: Weights, x: Any) -> Tensor:
        return right(self, x) * (1.01 if self.name == "fc" and self.weight.shape == (5, 108) else 1)

    monkeypatch.setattr(Weights, "value", wrong)
    with pytest.raises(UnsupportedLayer, match="^fc: gives .* in the model and .* rewritten"):
        read(model, SHAPE)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("rule", ["causal", "lossless"])
@pytest.mark.parametrize(
    "name",
    ["a Linear over a concatenation", "a sum with a concatenation", "dense", "half of the channels", "pre-activation",
     "batch norm behind a pool", "a head of a mean", "adaptive, of a concatenation"],
)  # fmt: skip
def test_a_network_that_is_trained_is_the_integer_network(name: str, rule: str) -> None:
    forward, modules = MODELS[name]
    model = qcfs.prepare(Net(forward, **modules), 4, threshold=2.0, shape=SHAPE)
    settings: dict[str, Any] = {"input_high": 255, "steps": 4, "weight_bits": 6, "rule": rule, "shape": SHAPE}
    network = convert(model, **settings)
    pixels = np.random.default_rng(0).integers(0, 256, (5, *SHAPE))
    logits = golden.run(network, pixels)[network.nodes[-1].name].astype(float)
    with torch.no_grad():
        trained = IntegerGraph(model, **settings).eval()(torch.from_numpy(pixels)).double().numpy()
    worth = (trained * logits).sum() / (logits * logits).sum()
    assert np.allclose(trained, worth * logits, rtol=1e-9, atol=0) and logits.std(0).max() > 0


def test_without_a_shape_sizes_that_fit_stand_in() -> None:
    forward, modules = MODELS["a convolution over a concatenation"]
    model = Net(forward, **modules).eval()
    sized, free = read(model, SHAPE), read(model)
    assert [layer.name for layer in sized.layers] == [layer.name for layer in free.layers] and free.shape is None
    layers: list[Layer] = list(free.layers)
    assert FloatGraph.of(layers, layers[-1].name).layers[-1].name == layers[-1].name
    assert any(isinstance(layer, Activation) for layer in layers)
