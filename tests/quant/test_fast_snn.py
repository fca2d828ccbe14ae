"""Fast-SNN: activations and weights by their equations, integers that are exactly what was trained, signed neurons, and
layer-wise fine-tuning."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from own_model import Own, into_hardware, learn, look_trained, right, small_digits
from torch import Tensor, nn

from spikeloom.quant import golden
from spikeloom.quant.conversion.integers import integer_network
from spikeloom.quant.frontends.layers import UnsupportedLayer
from spikeloom.quant.ir.ops import IF, Conv2d, Linear, NetworkError
from spikeloom.quant.methods.fast_snn import algorithm as method
from spikeloom.quant.methods.fast_snn.apot import GridWeights, magnitudes
from spikeloom.quant.methods.layerwise import accuracy, spiking_copy
from spikeloom.quant.methods.qcfs.algorithm import calibrate
from spikeloom.quant.models import cnn, resnet
from spikeloom.quant.qat.integer_graph import IntegerGraph
from spikeloom.quant.qat.stage import QuantisedLayer
from spikeloom.quant.recipe import RecipeError, read
from spikeloom.quant.training.train import train

SHAPE = (2, 8, 8)


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_the_activation_is_the_equation(bits: int) -> None:
    z = torch.linspace(-2, 3.01, 2001, dtype=torch.float64, requires_grad=True)
    activation, most = method.FastQuant(method.steps_of(bits), 1.0).double(), 2**bits - 1
    alpha = activation.threshold
    q = torch.round(torch.clip(torch.relu(z) / alpha, 0, 1) * most) / most
    y = activation(z)
    assert torch.allclose(y, alpha * q, atol=1e-12)
    # d/dz is 1 up to alpha; d/dalpha = sum g * ([z > alpha] + (q - relu(z)/alpha) [z <= alpha]), times alpha.
    g = torch.linspace(0.1, 1, len(z), dtype=torch.float64)
    of_z, of_log = torch.autograd.grad((y * g).sum(), (z, activation.log_threshold))
    above = (z > alpha).double()
    want = (g * (above + (q - torch.relu(z) / alpha) * (1 - above))).sum() * alpha
    inside = ((z > 0) & (z < alpha)).double()
    assert torch.allclose(of_z, g * inside) and of_log.item() == pytest.approx(want.item(), rel=1e-6)
    # Half to even: 1/2 down, 3/2 up.
    assert activation(torch.tensor([0.5, 1.5], dtype=torch.float64) / most).tolist() == [0.0, 2 / most]


def test_the_magnitudes() -> None:
    """Sums of powers of two: 8 + 2, 4 + 2, 2 + 1 and single ones."""
    assert magnitudes(4) == (0, 1, 2, 3, 4, 6, 8, 10) and magnitudes(3) == (0, 1, 2, 4) and magnitudes(2) == (0, 1)
    assert magnitudes(4, "uniform") == tuple(range(8)) and magnitudes(2, "uniform") == (0, 1)
    for bits, grid, text in (
        (5, "apot", r"weight_bits must be in 2\.\.4 for grid 'apot', not 5"),
        (9, "uniform", r"weight_bits must be in 2\.\.8 for grid 'uniform', not 9"),
        (4, "log", "grid must be 'apot' or 'uniform', not 'log'"),
    ):
        with pytest.raises(ValueError, match=text):
            magnitudes(bits, grid)


@pytest.mark.parametrize(("bits", "grid"), [(4, "apot"), (3, "apot"), (2, "apot"), (4, "uniform")])
def test_the_weights_are_the_equation(bits: int, grid: str) -> None:
    torch.manual_seed(0)
    weight = (torch.randn(6, 5, 3, 3).double() * 0.3 + 0.05).requires_grad_()
    quantiser = GridWeights(bits, grid).double()
    top, values = magnitudes(bits, grid)[-1], sorted({s * m for m in magnitudes(bits, grid) for s in (1, -1)})
    got = quantiser(weight)
    mean, std = weight.detach().mean().item(), weight.detach().std().item()
    for w, q in zip(weight.flatten().tolist()[:60], got.flatten().tolist()[:60], strict=True):
        u = min(max((w - mean) / std / 3.0, -1), 1) * top
        assert q == pytest.approx(std * 3.0 / top * min(values, key=lambda v: abs(v - u)), abs=1e-6)
    assert set(quantiser.codes(weight).flatten().int().tolist()) <= set(values)
    # d/dalpha is that of alpha * clip(w/alpha) with the rounding passed: Q - u inside, the sign beyond.
    (of_log,) = torch.autograd.grad(got.sum(), quantiser.log_alpha)
    u, q = ((weight.detach() - mean) / std / 3.0), got.detach() / std / 3.0
    want = (torch.where(u.abs() < 1, q - u, u.sign()) * std * 3.0).sum()
    assert of_log.item() == pytest.approx(want.item(), rel=1e-4)


MODELS = {
    "resnet": lambda: resnet(SHAPE, 5, depth=8, width=4),
    "projection": lambda: resnet(SHAPE, 5, depth=8, width=4, shortcut="projection"),
    "own": lambda: Own(SHAPE, 5),
    "stride": lambda: cnn(SHAPE, 5, channels=(4, 6), pool="stride", hidden=(9,)),
}


def images(seed: int, count: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 16, (count, *SHAPE))).float()


def prepared(kind: str, bits: int, grid: str = "apot") -> Any:
    torch.manual_seed(0)
    model: Any = method.prepare(look_trained(MODELS[kind]()), bits, grid=grid, threshold=1.2).eval()
    for module in model.modules():  # batch norm of both signs, and a channel that is dead
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data[0] *= -1
            module.weight.data[-1] = 0
    return model


@pytest.mark.parametrize(("bits", "grid"), [(2, "apot"), (3, "apot"), (4, "apot"), (3, "uniform")])
@pytest.mark.parametrize("kind", MODELS)
def test_the_integers_are_what_was_trained(kind: str, bits: int, grid: str) -> None:
    """Codes as trained, their sign that of batch norm's gain; spikes and logits of every rule to the last bit."""
    model = prepared(kind, bits, grid)
    graph = method.integer_graph(model, input_high=15, shape=SHAPE).eval()
    assert graph.steps == 2**bits - 1
    pixels = images(0, 30)
    for rule in ("lossless", "signed"):
        spiking = spiking_copy(graph, rule, False)
        network: Any = integer_network(spiking, shape=SHAPE)
        nodes = [n for n in network if isinstance(n, Conv2d | Linear)]
        for node in nodes[1:-1]:
            module = model.get_submodule(node.name)
            quantiser = module.parametrizations.weight[0]
            taker = network.takers[node.name][0]
            if not isinstance(taker, IF) and taker.sources[-1] == node.name:
                continue  # a projection comes in the unit of the other layer
            codes = quantiser.codes(module.parametrizations.weight.original.detach()).int().numpy()
            channels = (-1, *[1] * (codes.ndim - 1))
            sign = np.sign((node.weight * codes).reshape(len(codes), -1).sum(1)).reshape(channels)
            assert np.array_equal(node.weight, codes * sign), node.name
            assert node.weight_bits == {(4, "apot"): 5, (3, "apot"): 4}.get((bits, grid), bits)
        assert [nodes[0].weight_bits, nodes[-1].weight_bits] == [8, 8]
        found = golden.run(network, pixels.numpy().astype(int))
        with golden.exact_math():
            logits = spiking(pixels).numpy()
        value = logits.ravel() @ found.logits.ravel() / (found.logits.astype(float) ** 2).sum()
        assert np.allclose(logits, found.logits * value, rtol=1e-12, atol=0) and value > 0
        if rule == "signed" and kind == "own" and bits < 4:
            assert any((found[n.name] < 0).any() for n in network if isinstance(n, IF)), "spikes are taken back"
            into_hardware(network, pixels[:1].numpy().astype(int))


def test_the_lossless_network_is_the_quantised_one() -> None:
    """Against the float model: the same but for the 8 bits of first and last layer and of biases and thresholds."""
    model = prepared("stride", 3)
    graph = method.integer_graph(model, input_high=15, shape=SHAPE).eval()
    pixels = images(3, 200)
    with torch.no_grad():
        want, got = model(pixels / 15), graph(pixels).float()
    assert torch.corrcoef(torch.stack((want.flatten(), got.flatten())))[0, 1] > 0.99


def reference(current: np.ndarray, alpha: int, v0: int) -> np.ndarray:
    """The authors' neuron on integer currents (T,), bias included."""
    v, count, out = v0, 0, []
    for z in current:
        v += z
        s = int(v >= alpha)
        v -= s * alpha
        count += s
        i = int(v <= -1e-3 and count > 0)
        v += i * alpha
        count -= i
        out.append(s - i)
    return np.array(out)


def test_signed_neurons_are_the_authors() -> None:
    model = prepared("own", 3)
    graph = spiking_copy(method.integer_graph(model, input_high=15, shape=SHAPE), "signed", False)
    network: Any = integer_network(graph, shape=SHAPE)
    pixels = images(1, 6)
    found = golden.run(network, pixels.numpy().astype(int))
    taken = 0
    for node in (n for n in network if isinstance(n, IF)):
        current = found[node.source]
        current = current if network.signals[node.source].timed else np.repeat(current[:, None], 7, 1)
        for n, c in np.ndindex(2, current.shape[2]):
            for y, x in np.ndindex(*current.shape[3:]):
                want = reference(current[n, :, c, y, x] + node.bias[c], int(node.threshold[c]), int(node.v0[c]))
                assert np.array_equal(found[node.name][n, :, c, y, x], want)
                taken += int((want < 0).sum())
    assert taken > 0


def test_the_first_layer_loses_nothing() -> None:
    graph = method.integer_graph(prepared("own", 2), input_high=15, shape=SHAPE).eval()
    pixels = images(1, 50)
    with torch.no_grad():
        want = counts_of(graph, pixels)[0]
        got = counts_of(spiking_copy(graph, "signed", False), pixels)[0]
    assert torch.equal(want, got) and float(want.max()) == 3


def counts_of(graph: IntegerGraph, pixels: Tensor) -> list[Tensor]:
    """Spikes of all hidden layers (N, ...)."""
    found, spikes, scales = {"": pixels}, dict[str, Tensor](), graph.scales()
    for layer in graph.order[:-1]:
        graph.step(layer, found, spikes, scales)
    return [found[layer.name] for layer in graph.order[:-1] if isinstance(layer, QuantisedLayer)]


def test_fewer_bits_keep_what_was_learned() -> None:
    model = prepared("own", 4)
    before = copy.deepcopy(model.state_dict())
    method.narrow(model, 2, weight_bits=3)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert {m.levels for m in model.modules() if isinstance(m, method.FastQuant)} == {3}
    assert {int(m.grid[-1]) for m in model.modules() if isinstance(m, GridWeights)} == {4}
    for bits in (1, 5, 32):
        with pytest.raises(ValueError, match=rf"Activations have 4, 3 or 2 bits \(T = 15, 7, 3\), not {bits}"):
            method.narrow(model, bits)


def errors(target: IntegerGraph, spiking: IntegerGraph, pixels: Tensor) -> float:
    """Mean squared difference in spikes, over all hidden layers."""
    pairs = zip(counts_of(target, pixels), counts_of(spiking, pixels), strict=True)
    return sum((b - a).square().mean().item() for a, b in pairs)


def test_fine_tuning_keeps_what_does_not_harm() -> None:
    torch.manual_seed(0)
    graph = method.integer_graph(prepared("own", 2), input_high=15, shape=SHAPE).eval()
    with torch.no_grad():
        held = images(4, 100)
        labels = graph(held).argmax(1)
    spiking = spiking_copy(graph, "signed", False)
    with torch.no_grad():  # something that can be made good
        for stage in spiking.stages[1:-1]:
            stage.bias.add_(torch.randn_like(stage.bias) * 0.3)  # type: ignore[operator, arg-type]
    worse, fresh = copy.deepcopy(spiking), images(5, 100)
    log = method.tune_layers(
        spiking, graph, images(2, 200), held, labels, epochs=8, rate=0.1, batch=20, force=True, weight_decay=0.0
    )
    assert [name for name, _, _ in log] == [s.name for s in graph.stages][1:-1] and all(kept for _, _, kept in log)
    with torch.no_grad():
        assert errors(graph, spiking, fresh) < 0.7 * errors(graph, worse, fresh)
    codes = [set(np.unique(n.weight)) for n in integer_network(spiking, shape=SHAPE) if isinstance(n, Conv2d | Linear)]
    assert codes[1] <= {-1, 0, 1}, "weights stay ternary"


def test_a_layer_is_kept_if_it_does_no_harm() -> None:
    graph = method.integer_graph(prepared("own", 3), input_high=15, shape=SHAPE).eval()
    with torch.no_grad():
        held = images(4, 100)
        labels = graph(held).argmax(1)
    good = accuracy(spiking_copy(graph, "signed", False), held, labels)
    spiking, log = method.fine_tune(graph, images(2, 60), held, labels, epochs=2, rate=1.0, batch=20)
    best = good
    for _, found, kept in log:
        assert kept is (found >= best)
        best = found if kept else best
    assert accuracy(spiking, held, labels) == best >= good


def test_progressive_bits_on_digits() -> None:
    """The user's own network, 4 bits, then 3, then signed neurons with T = 7 and tuning."""
    model, data, _ = small_digits()
    torch.manual_seed(0)
    x, y = torch.from_numpy(data.train_x).float(), torch.from_numpy(data.train_y)
    quantised: Any = method.prepare(model, 4)
    calibrate(quantised, x[:500] / 15, quantile=0.99)
    learn(quantised, x[:1200] / 15, y[:1200], 4, 2e-3)
    method.narrow(quantised, 3, weight_bits=4)
    learn(quantised, x[:1200] / 15, y[:1200], 4, 2e-3)
    graph = method.integer_graph(quantised, input_high=15, shape=data.shape)
    spiking, log = method.fine_tune(graph, x[:200], x[1200:], y[1200:])
    network = integer_network(spiking, shape=data.shape)
    good = right(quantised, torch.from_numpy(data.test_x).float() / 15, torch.from_numpy(data.test_y))
    found = golden.accuracy(network, data.test_x, data.test_y)
    of_graph = accuracy(spiking, torch.from_numpy(data.test_x).float(), torch.from_numpy(data.test_y))
    assert found == pytest.approx(of_graph, abs=1e-9) and good > 0.9 and found > good - 0.06
    assert len(log) == 3 and network.steps == 7


def test_what_is_not_supported_is_named() -> None:
    with pytest.raises(UnsupportedLayer, match="GraphModule: 1 layers with weights are not supported by Fast-SNN"):
        method.prepare(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)))
    with pytest.raises(UnsupportedLayer, match=r"no FastQuant activation; supported: a model of prepare\(\)"):
        method.integer_graph(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), input_high=15, shape=(1, 2, 2))
    model: Any = method.prepare(look_trained(cnn(SHAPE, 5, channels=(4, 6), pool="max")), 3).eval()
    graph = spiking_copy(method.integer_graph(model, input_high=15, shape=SHAPE), "signed", False)
    with pytest.raises(NetworkError, match=r"pool1: MaxPool on spikes takes single spikes, 0 or 1, but act1 gives -1"):
        integer_network(graph, shape=SHAPE)


def test_the_recipe_goes_through(tmp_path: Path) -> None:
    """Rounds, tuning, and the same network from the checkpoint."""
    path = tmp_path / "r.toml"
    path.write_text("""data = "digits"\nmodel = "cnn"\nmethod = "fast_snn"\nbits = [4, 3]\nepochs = [2, 2]\nbatch = 100
        rates = [0.01, 0.01]\nfloat_epochs = 4\nfloat_rate = 0.02\noptimiser = "adamw"\nquantile = 0.99
        model_args = {channels = [4, 6]}\ninteger_epochs = 1\nsigned_epochs = 1
        [tuning]\nimages = 100\nheld_out = 100\nbatch = 50""")
    recipe = read(path)
    trained = train(recipe, checkpoint=tmp_path / "c.ckpt")
    names = ["float", "4 bits", "3 bits", "converted", "integers", "signed epochs", "not tuned", "signed", "lossless"]
    assert list(trained.report.accuracy) == names and trained.report.accuracy["signed"] > 0.5
    assert trained.network.meta["rule"] == "signed" and trained.network.steps == 7
    assert train(recipe, checkpoint=tmp_path / "c.ckpt").network.hash == trained.network.hash
    for old, new, text in (
        ("bits = [4, 3]", "bits = [3, 4]", r"bits must be a falling list of 4, 3 and 2, not \[3, 4\]"),
        ("epochs = [2, 2]", "epochs = [2]", r"epochs must be a list of 2, one for each of bits, not \[2\]"),
    ):
        other = tmp_path / "o.toml"
        other.write_text(path.read_text().replace(old, new))
        with pytest.raises(RecipeError, match=text):
            read(other)
