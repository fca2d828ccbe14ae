"""Currents that several layers take are computed once for each: the same network to the last bit, or a refusal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from own_model import into_hardware
from torch import Tensor, nn

from spikeloom import api
from spikeloom.quant import golden
from spikeloom.quant.conversion.integers import integer_network
from spikeloom.quant.frontends.layers import Currents, Layer, Sum, UnsupportedLayer, Weights
from spikeloom.quant.frontends.repeat import repeated
from spikeloom.quant.frontends.torch_fx.faithful import check_repeated
from spikeloom.quant.frontends.torch_fx.graph import trace
from spikeloom.quant.ir.ops import IF, Conv2d
from spikeloom.quant.methods.dual_phase import algorithm as dual_phase
from spikeloom.quant.methods.fast_snn import algorithm as fast_snn
from spikeloom.quant.methods.integernet import algorithm as integernet
from spikeloom.quant.methods.layerwise import accuracy
from spikeloom.quant.methods.qcfs.algorithm import prepare
from spikeloom.quant.methods.spiking_resnet import algorithm as spiking_resnet
from spikeloom.quant.qat.integer_graph import IntegerGraph

SHAPE = (2, 4, 4)


class PreActivation(nn.Module):
    """A residual network of the second version: sums go to an activation and, before it, to the next sum. ``first``:
    an activation behind the first layer, before the ways part."""

    def __init__(self, blocks: int = 2, first: bool = True, norm: bool = False) -> None:
        super().__init__()
        self.first, self.stem = first, nn.Conv2d(2, 3, 3, padding=1)
        self.left = nn.ModuleList(nn.Conv2d(3, 3, 3, padding=1, bias=k % 2 == 0) for k in range(blocks))
        self.right = nn.ModuleList(nn.Conv2d(3, 3, 3, padding=1) for _ in range(blocks))
        self.norms = nn.ModuleList(nn.BatchNorm2d(3) if norm else nn.Identity() for _ in range(blocks))
        self.fc = nn.Linear(48, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.stem(x)) if self.first else self.stem(x)
        for k, (left, right) in enumerate(zip(self.left, self.right, strict=True)):
            y = F.relu(left(h if self.first and not k else F.relu(h)))
            h = h + self.norms[k](right(y))
        return self.fc(F.relu(h).flatten(1))


def whole(model: Any) -> Any:
    """Weights and biases that conversion to 8 bits does not round, with thresholds of 1 and pixels of 1/128."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            weight = torch.randint(-60, 60, layer.weight.shape).float()
            weight.flatten(1)[:, 0] = 127
            layer.weight.data = weight / 128
            if layer.bias is not None:
                layer.bias.data = torch.randint(-64, 64, layer.bias.shape).float() / 128
    return model


def images(count: int, high: int = 128) -> np.ndarray:
    return np.random.default_rng(0).integers(0, high + 1, (count, *SHAPE))


def origins(layers: list[Layer]) -> dict[str, str]:
    return {layer.name: layer.repeats for layer in layers if layer.repeats}


@pytest.mark.parametrize("rule", ["lossless", pytest.param("causal", marks=pytest.mark.slow)])
def test_the_integers_are_those_of_the_model(rule: Any, tmp_path: Path) -> None:
    """Lossless: the very logits of the QCFS model, run as it is written; both rules: the cores and the Verilog."""
    torch.manual_seed(0)
    model = prepare(whole(PreActivation()), 4, threshold=1.0).eval()
    network = api.convert(model, shape=SHAPE, input_high=128, steps=4, weight_bits=8, rule=rule)
    names = [node.name for node in network.nodes]
    assert {"add_shortcut", "right.0", "add", "add_shortcut (2)", "right.0 (2)", "add (2)", "add_1"} <= set(names)
    pixels = images(20)
    found = golden.run(network, pixels)
    if rule == "lossless":
        with torch.no_grad():
            want = model(torch.from_numpy(pixels).float() / 128).double().numpy()
        at = np.unravel_index(np.abs(want).argmax(), want.shape)
        assert np.allclose(found.logits * (want[at] / found.logits[at]), want, rtol=0, atol=1e-5)
        into_hardware(network, pixels[:2])
    else:
        api.generate(network, tmp_path, cycles=2000)
        assert api.verify(tmp_path, pixels[:2]).passed


def test_floats_are_those_of_the_model() -> None:
    """Without an activation before the ways part, the first layer is computed for every block; with batch norm."""
    torch.manual_seed(0)
    model = PreActivation(first=False, norm=True)
    x = torch.rand(5, *SHAPE)
    model(x)
    layers = trace(model)
    assert origins(layers) == {"stem (2)": "stem", "stem (3)": "stem", "right.0 (2)": "right.0", "add (2)": "add"}
    taken = [source for layer in layers for source in layer.sources]
    assert all(taken.count(layer.name) == 1 for layer in layers[:-1] if isinstance(layer, Currents))
    *_, (_, logits) = spiking_resnet.results(layers, x)
    assert torch.allclose(logits, model.eval()(x), atol=1e-5)


class Written(nn.Module):
    def __init__(self, write: Any, **names: nn.Module) -> None:
        super().__init__()
        self.a, self.b, self.fc, self.write = nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1), nn.Linear(32, 3), write
        for name, module in names.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.relu(self.write(self, x)).flatten(1))


def doubled(times: int) -> Any:
    def write(m: Any, x: Tensor) -> Tensor:
        t = F.relu(m.a(x))
        for _ in range(times):
            t = t + t
        return m.b(F.relu(m.a(x))) + t

    return write


def test_names_of_a_user_are_left_alone() -> None:
    model = Written(
        lambda m, x: (y := m.get_submodule("a (2)")(F.relu(m.a(x)))) + m.b(F.relu(y)), **{"a (2)": nn.Conv2d(2, 2, 1)}
    )
    assert origins(trace(model)) == {"a (2) (2)": "a (2)"}
    names = {"a (2)": nn.Conv2d(2, 2, 1)}
    model = Written(lambda m, x: (y := m.a(x)) + m.get_submodule("a (2)")(F.relu(y)), **names)
    assert origins(trace(model)) == {"a (3)": "a"}


def test_one_result_twice_in_one_sum() -> None:
    model = Written(doubled(3))
    x = torch.rand(4, *SHAPE)
    layers = trace(model)
    *_, (_, logits) = spiking_resnet.results(layers, x)
    assert torch.allclose(logits, model(x), atol=1e-5) and sum(isinstance(a, Sum) for a in layers) == 8


def test_too_many_are_refused_by_name() -> None:
    rule = r"^add: a result before its activation that relu_2 and add_1 take is computed once for each, which makes "
    with pytest.raises(UnsupportedLayer, match=rf"{rule}\d+ weights instead of \d+, more than 2 times .* an activ"):
        trace(PreActivation(9))
    for times in (7, 200):
        with pytest.raises(UnsupportedLayer, match=r"^add: .* add_1 take .* more than \d+ times( as many)?; sup"):
            trace(Written(doubled(times)))
    assert len(origins(trace(PreActivation(3)))) == 8


def test_every_repeated_layer_is_compared() -> None:
    layers = trace(PreActivation())
    once, x = [layer for layer in layers if not layer.repeats], torch.rand(2, *SHAPE)
    once = [replace(a, sources=tuple(s.removesuffix(" (2)") for s in a.sources)) for a in once]
    assert [(a.name, a.sources, a.repeats) for a in repeated(once)] == [(a.name, a.sources, a.repeats) for a in layers]
    check_repeated(once, layers, x)
    for k, layer in enumerate(layers):
        if isinstance(layer, Weights):
            wrong = [*layers[:k], replace(layer, bias=layer.bias + 1), *layers[k + 1 :]]
            with pytest.raises(UnsupportedLayer, match=rf"^{layer.origin}.*: gives .* where it is repeated"):
                check_repeated(once, wrong, x)


@pytest.mark.parametrize("rule", ["lossless", "causal"])
def test_trained_on_integers_they_are_layers_of_their_own(rule: Any) -> None:
    """Each has weights of its own then, and the integer network is what was trained."""
    torch.manual_seed(0)
    model = prepare(PreActivation(), 4, threshold=1.0)
    graph = IntegerGraph(
        model, input_high=15, steps=4, weight_bits=4, first_bits=8, shortcut_bits=8, rule=rule, shape=SHAPE
    )
    optimiser = torch.optim.Adam(graph.parameters(), 0.05)
    pixels = torch.from_numpy(images(20, 15)).float()
    for _ in range(3):
        optimiser.zero_grad()
        F.cross_entropy(graph.train()(pixels), torch.arange(20) % 3).backward()
        optimiser.step()
    parts = {part.name: part for stage in graph.stages for part in stage.parts}  # type: ignore[attr-defined]
    assert parts["right.0 (2)"].origin == "right.0"
    assert not torch.equal(parts["right.0"].weight, parts["right.0 (2)"].weight)
    with golden.exact_math():
        want = graph.eval()(pixels).numpy()
    got = golden.run(integer_network(graph, shape=SHAPE), pixels.numpy().astype(int)).logits
    value = want.ravel() @ got.ravel() / (got.astype(float) ** 2).sum()
    assert np.allclose(got * value, want, rtol=1e-12, atol=0) and value > 0


def test_the_bits_of_the_first_layer() -> None:
    model = prepare(PreActivation(first=False), 4, threshold=1.0)
    graph = IntegerGraph(model, input_high=15, steps=4, weight_bits=3, first_bits=7, shortcut_bits=5, shape=SHAPE)
    bits = {part.name: part.bits for stage in graph.stages for part in stage.parts}  # type: ignore[attr-defined]
    assert [bits[name] for name in ("stem", "stem (2)", "stem (3)", "left.0")] == [7, 7, 7, 3]


def test_every_method() -> None:
    """Fast-SNN keeps the weights that were trained; dual-phase, the training-free method and IntegerNet: the network is
    the graph."""
    torch.manual_seed(0)
    pixels, labels = torch.from_numpy(images(30, 15)).float(), torch.arange(30) % 3
    model = fast_snn.prepare(PreActivation(), 3, threshold=1.2, shape=SHAPE).eval()
    graph = fast_snn.integer_graph(model, input_high=15, shape=SHAPE)
    tuned, log = fast_snn.fine_tune(graph, pixels, pixels, labels)
    network: Any = integer_network(graph, shape=SHAPE)
    weights: Any = model.get_submodule("right.0").parametrizations.weight  # type: ignore[union-attr]
    codes = weights[0].codes(weights.original.detach()).int().numpy()
    for name in ("right.0", "right.0 (2)"):
        node = next(n for n in network if n.name == name and isinstance(n, Conv2d))
        assert name == "right.0 (2)" or np.array_equal(node.weight, codes)
    assert len(log) == sum(isinstance(n, IF) for n in network) - 1
    graphs = [tuned]
    qcfs = dual_phase.prepare(PreActivation(norm=True), 4, threshold=1.2, shape=SHAPE).eval()
    started = IntegerGraph(dual_phase.quantised(qcfs), input_high=15, steps=4, weight_bits=8, shape=SHAPE)
    graphs.append(dual_phase.phase_two(started, pixels, pixels, labels, epochs=1)[0])
    for found in graphs:
        network = integer_network(found, shape=SHAPE)
        right = (golden.run(network, pixels.numpy().astype(int)).classes == labels.numpy()).mean()
        assert right == accuracy(found, pixels, labels)
    free = spiking_resnet.convert(PreActivation(), images(30, 15), shape=SHAPE, input_high=15, steps=4)
    assert "right.0 (2)" in [node.name for node in free.nodes]
    net = integernet.prepare(PreActivation(), 4, SHAPE)
    net.train()(pixels)
    values = integernet.convert(net.eval(), shape=SHAPE, input_high=15)
    assert np.array_equal(golden.run(values, pixels.numpy().astype(int)).logits, net(pixels).detach().numpy())
