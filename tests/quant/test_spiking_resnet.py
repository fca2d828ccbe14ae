"""Conversion without training: scales, shortcuts and factors by their definition, integers that are the spiking model,
and hardware."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from own_model import Own, into_hardware, learn, look_trained, small_digits
from torch import Tensor, nn

from spikeloom.quant import golden
from spikeloom.quant.conversion.integers import integer_network
from spikeloom.quant.data import digits
from spikeloom.quant.frontends.floats import results
from spikeloom.quant.frontends.layers import UnsupportedLayer
from spikeloom.quant.frontends.torch_fx.graph import trace
from spikeloom.quant.ir.ops import IF, SumPool
from spikeloom.quant.methods.qcfs.algorithm import prepare
from spikeloom.quant.methods.spiking_resnet import algorithm as method
from spikeloom.quant.models import cnn, resnet
from spikeloom.quant.qat.integer_graph import IntegerGraph
from spikeloom.quant.recipe import read
from spikeloom.quant.training.train import train

SHAPE = (2, 8, 8)


def ready(model: Any, steps: int, percentile: float = 99.9, **settings: Any) -> tuple[IntegerGraph, Any, Tensor]:
    """The spiking graph of ``model``, its float layers, and images (50, C, H, W), integers 0..15."""
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 16, (50, *SHAPE))).float()
    layers = method.pool_neurons(trace(model, SHAPE))
    scaled = method.normalised(layers, pixels / 15, percentile)
    settings = {"weight_bits": 8, **settings}
    return IntegerGraph(scaled, input_high=15, steps=steps, rule="causal", **settings).eval(), layers, pixels


def test_the_percentile_counts_zeros_too() -> None:
    x = torch.cat((torch.zeros(900), torch.arange(1.0, 101.0)))
    assert method.percentile_of(x, 99.9) == 99.0 and method.percentile_of(x, 100) == 100.0
    assert method.percentile_of(x, 90) == 0.0 and method.percentile_of(x.flip(0), 95) == 50.0


@pytest.mark.parametrize("shortcut", ["zeros", "projection"])
def test_layers_compute_what_the_model_does(shortcut: str) -> None:
    torch.manual_seed(0)
    model = look_trained(resnet(SHAPE, 5, depth=8, width=4, shortcut=shortcut))
    x = torch.rand(200, *SHAPE)  # more than a chunk
    for layers in (trace(model, SHAPE), method.pool_neurons(trace(model, SHAPE))):
        *_, (_, last) = results(layers, x)
        assert torch.allclose(last, model(x), atol=1e-4)


def reference(layers: Any, thresholds: dict[str, float], x: Tensor, steps: int) -> dict[str, Tensor]:
    """The paper's spiking network in float64, time step by time step: weights W * lambda_before / lambda, bias
    b / lambda, shortcuts lambda_in / lambda_out, threshold 1, from 0.5. Returns spike counts, by layer."""
    v: dict[str, Tensor] = {}
    totals: dict[str, Tensor] = {}
    for _ in range(steps):
        out: dict[str, Tensor] = {"": x.double()}
        worth = {"": 1.0}
        for layer in layers:
            a, unit = out[layer.sources[0]], worth.get(layer.sources[0], 1.0)
            match type(layer).__name__:
                case "Weights" if layer.weight.ndim == 4:
                    w, b = layer.weight.double() * unit, layer.bias.double()
                    now = F.conv2d(a, w, b, layer.stride, layer.padding, groups=layer.groups)
                case "Weights":
                    now = F.linear(a, layer.weight.double() * unit, layer.bias.double())
                case "Shortcut":
                    now = a[..., :: layer.stride, :: layer.stride] * unit
                    now = F.pad(now, (0, 0, 0, 0, layer.before, layer.after))
                case "Sum":
                    now = out[layer.sources[0]] + out[layer.sources[1]]
                case "Activation":
                    scale = thresholds[layer.name]
                    v[layer.name] = v.get(layer.name, torch.full_like(a, 0.5)) + a / scale
                    now = (v[layer.name] >= 1).double()
                    v[layer.name] = v[layer.name] - now
                    totals[layer.name] = totals.get(layer.name, torch.zeros_like(now)) + now
                    worth[layer.name] = scale
                case "Pool":
                    now = F.avg_pool2d(a, layer.kernel, layer.stride)
                case _:
                    now = a.flatten(1)
            out[layer.name] = now
            if type(layer).__name__ in ("Pool", "Flat"):
                worth[layer.name] = unit
        totals["logits"] = totals.get("logits", torch.zeros_like(now)) + now
    return totals


@pytest.mark.parametrize("shortcut", ["zeros", "projection"])
def test_the_float_form_is_the_papers(shortcut: str) -> None:
    """The integer network, its integers left unrounded, spikes as the normalised float network does."""
    torch.manual_seed(1)
    model = look_trained(resnet(SHAPE, 5, depth=8, width=4, shortcut=shortcut))
    graph, layers, pixels = ready(model, 12)
    network = integer_network(graph, shape=SHAPE)
    found = golden.run(network, pixels.numpy().astype(int))
    scales = {stage.name: stage.threshold.item() for stage in cast(Any, graph.stages)[:-1]}
    want = reference(layers, scales, pixels / 15, 12)
    for name in scales:
        counts = found[name].sum(1)
        exact = want[name].reshape(counts.shape).numpy()
        # 8-bit weights against floats: a spike more or less where a membrane was near its threshold.
        assert np.abs(counts - exact).mean() < 0.2 and np.corrcoef(counts.ravel(), exact.ravel())[0, 1] > 0.98
    assert (found.classes == want["logits"].argmax(1).numpy()).mean() > 0.9


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("kind", ["resnet", "projection", "own", "average"])
def test_the_integers_are_the_spiking_graph(kind: str, bits: int) -> None:
    torch.manual_seed(2)
    model = {
        "resnet": lambda: resnet(SHAPE, 5, depth=8, width=4),
        "projection": lambda: resnet(SHAPE, 5, depth=8, width=4, shortcut="projection"),
        "own": lambda: Own(SHAPE, 5),
        "average": lambda: cnn(SHAPE, 5, channels=(4, 6)),
    }[kind]()
    graph, layers, pixels = ready(look_trained(model), 6, weight_bits=bits)
    factors = method.compensate(graph, layers, pixels[:9], (1.0, 1.05, 1.1))
    network = integer_network(graph, shape=SHAPE)
    found = golden.run(network, pixels.numpy().astype(int))
    with golden.exact_math():
        logits = graph(pixels).numpy()
    value = logits.ravel() @ found.logits.ravel() / (found.logits.astype(float) ** 2).sum()
    assert np.allclose(logits, found.logits * value, rtol=1e-12, atol=0) and value > 0
    assert len(factors) == len([n for n in network if isinstance(n, IF)])
    if kind != "own":
        pool = next(n for n in network if isinstance(n, SumPool))
        assert isinstance(network[f"{pool.name}_neurons"], IF), "neurons behind the pool"
    into_hardware(network, pixels[:1].numpy().astype(int))


def test_the_shortcut_is_the_ratio_of_the_scales() -> None:
    torch.manual_seed(0)
    model = look_trained(resnet(SHAPE, 5, depth=8, width=4))
    graph, _, _ = ready(model, 9)
    network: Any = integer_network(graph, shape=SHAPE)
    stages: Any = {stage.name: stage for stage in graph.stages}
    block = stages["layer1.0.relu_"]
    before, after = stages["relu"].threshold.item(), block.threshold.item()
    gain, theta = network["layer1.0.add_shortcut"].gain, network["layer1.0.relu_"].threshold
    assert np.allclose(gain / theta, before / after, rtol=0.01)


def test_the_factor_is_the_best_of_the_grid() -> None:
    """Against a search that is written out: a layer of one neuron on a constant image."""
    model: Any = nn.Sequential(nn.Flatten(), nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 2)).eval()
    model[1].weight.data.fill_(1.0)
    model[1].bias.data.zero_()
    pixels = torch.tensor([1.0, 2.0, 3.0, 4.0, 10.0]).view(-1, 1, 1, 1)
    layers = trace(model, (1, 1, 1))
    steps, factors = 4, (1.0, 1.2, 1.4)
    graph = IntegerGraph(
        method.normalised(layers, pixels / 10, 100), input_high=10, steps=steps, weight_bits=8, rule="causal"
    )
    chosen = method.compensate(graph, layers, pixels, factors)

    def error(factor: float) -> float:
        """lambda is 1, so N = clip(floor(T * factor * x + 1/2), 0, T) for a constant current."""
        x = pixels.flatten().numpy() / 10
        return float(((np.clip(np.floor(steps * factor * x + 0.5), 0, steps) / steps - x) ** 2).mean())

    assert chosen == {"2": min(factors, key=error)} and error(1.4) != error(1.0)
    # What a spike is worth stays: only the threshold in front of it falls.
    one = integer_network(graph, shape=(1, 1, 1))
    graph.stages[0].boost = None
    assert np.array_equal(cast(Any, one["3"]).weight, cast(Any, integer_network(graph, shape=(1, 1, 1))["3"]).weight)


def test_ties_fire() -> None:
    """Two currents of exactly half a threshold make a spike with >=, none with >."""
    model: Any = nn.Sequential(nn.Flatten(), nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 2)).eval()
    model[1].weight.data.fill_(1.0)
    model[1].bias.data.zero_()
    images = np.array([4, 8]).reshape(-1, 1, 1, 1)
    for strict, count in ((False, 1), (True, 0)):
        network = method.convert(
            model, images, shape=(1, 1, 1), input_high=8, steps=1, strict=strict, compensation=0, percentile=100
        )
        assert golden.run(network, images)["2"].sum(1).ravel().tolist() == [count, 1]


def test_a_trained_network_stays_as_good() -> None:
    """Digits: the user's own residual network, trained with ReLUs, loses at most three points at T = 16."""
    model, data, good = small_digits()
    network = method.convert(model, data.train_x[:200], shape=data.shape, input_high=15, steps=16, compensation=20)
    assert good > 0.9 and golden.accuracy(network, data.test_x, data.test_y) > good - 0.03
    into_hardware(network, data.test_x[:1])


def test_what_is_not_supported_is_named() -> None:
    model = look_trained(resnet(SHAPE, 5, depth=8, width=4))
    with pytest.raises(UnsupportedLayer, match=r"relu: QCFS is not supported by the training-free .*; supported: ReLU"):
        ready(prepare(model, 4).eval(), 9)
    dead: Any = nn.Sequential(nn.Flatten(), nn.Linear(128, 3), nn.ReLU(), nn.Linear(3, 2)).eval()
    dead[1].bias.data.fill_(-100.0)
    with pytest.raises(UnsupportedLayer, match=r"2: its activations have a 99\.9 % percentile of 0\.0; supported"):
        ready(dead, 9)


def test_the_recipe_goes_through(tmp_path: Path) -> None:
    """From a file of weights to the network, with membranes calibrated, and again from the checkpoint."""
    torch.manual_seed(0)
    model = resnet((1, 8, 8), 10, depth=8, width=4)
    data = digits()
    learn(model, torch.from_numpy(data.train_x).float() / 15, torch.from_numpy(data.train_y), 6)
    torch.save(model.state_dict(), tmp_path / "w.pth")
    path = tmp_path / "r.toml"
    path.write_text(f"""data = "digits"\nmodel = "resnet"\nmethod = "spiking_resnet"\nsteps = 12\nimages = 200
        model_args = {{depth = 8, width = 4}}\ncompensation = 40\nfactors = [1.0, 1.05]\nmembranes = "channel"
        [start]\nfile = "{tmp_path / "w.pth"}" """)
    trained = train(read(path), checkpoint=tmp_path / "c.ckpt")
    accuracy = trained.report.accuracy
    assert list(accuracy) == ["float", "causal"] and accuracy["causal"] > accuracy["float"] - 0.1
    assert train(read(path), checkpoint=tmp_path / "c.ckpt").network.hash == trained.network.hash
    plain = tmp_path / "p.toml"
    plain.write_text(path.read_text().replace('"channel"', '"half"'))
    other = train(read(plain)).report.accuracy["causal"]
    assert other <= accuracy["causal"], "membranes help where T is small"
