"""Dual-phase: clip and noisy quantiser by their equations, ties, phase II, integers that are the calibrated graph."""

from __future__ import annotations

import copy
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from own_model import Own, into_hardware, learn, look_trained, right, small_digits
from torch import Tensor, nn

from spikeloom.quant import golden
from spikeloom.quant.conversion.integers import convert, integer_network
from spikeloom.quant.ir.ops import IF
from spikeloom.quant.methods.dual_phase import algorithm as method
from spikeloom.quant.methods.layerwise import accuracy, spiking_copy
from spikeloom.quant.methods.qcfs.algorithm import calibrate
from spikeloom.quant.models import cnn, resnet
from spikeloom.quant.qat import firing
from spikeloom.quant.qat.firing import over_channels
from spikeloom.quant.qat.integer_graph import IntegerGraph
from spikeloom.quant.qat.stage import QuantisedLayer
from spikeloom.quant.recipe import RecipeError, read
from spikeloom.quant.training.train import train

SHAPE = (2, 8, 8)


def test_the_clip_is_the_equation() -> None:
    z = torch.linspace(-3, 9, 1001, dtype=torch.float64, requires_grad=True)
    clip = method.TClamp(4, 2.5).double()
    y = clip(z)
    th = clip.threshold
    assert torch.allclose(y, th * torch.clip(z / th, 0, 1), atol=1e-12)
    mine = torch.autograd.grad(y.square().sum(), (z, clip.log_threshold))
    theirs = torch.autograd.grad((th * torch.clip(z / th, 0, 1)).square().sum(), (z, clip.log_threshold))
    assert torch.allclose(mine[0], theirs[0]) and torch.allclose(mine[1], theirs[1])


def test_the_noisy_quantiser_is_the_equation() -> None:
    quantiser, th, steps = method.NoisyQC(4, 1.0).double(), 1.0, 4
    z = torch.linspace(-0.5, 1.5, 4001, dtype=torch.float64)
    u = z / th * steps
    want = th * torch.clip(torch.round(u) / steps, 0, 1)
    assert torch.allclose(quantiser.eval()(z), want, atol=1e-12)
    # In training a share p stays as it is, and the rest is rounded.
    torch.manual_seed(0)
    quantiser.noise = 0.3
    y = quantiser.train()(z)
    plain = th * torch.clip(u / steps, 0, 1)
    differ = (want - plain).abs() > 1e-9
    assert ((y - want).abs().minimum((y - plain).abs()) < 1e-9).all()
    assert float(((y - plain).abs() < 1e-9)[differ].double().mean()) == pytest.approx(0.3, abs=0.03)
    # Half to even: 1/2 down, 3/2 up, 5/2 down.
    halves = quantiser.eval()(torch.tensor([0.125, 0.375, 0.625], dtype=torch.float64))
    assert halves.tolist() == [0.0, 0.5, 0.5]
    with pytest.raises(ValueError, match=r"noise \(p\) must be at least 0 and below 1, not 1"):
        method.quantised(method.prepare(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)), 4), noise=1)


@pytest.mark.parametrize("fold", [False, True])
def test_the_quantiser_takes_the_clips_thresholds(fold: bool) -> None:
    torch.manual_seed(0)
    model: Any = method.prepare(look_trained(Own(SHAPE, 5)), 64)
    for k, clip in enumerate(m for m in model.modules() if isinstance(m, method.TClamp)):
        clip.log_threshold.data.fill_(0.1 * k)
    x = torch.rand(20, *SHAPE)
    other = method.quantised(model.eval(), fold=fold)
    kinds = [type(m) for m in other.modules()]
    assert (nn.BatchNorm2d in kinds) is not fold and method.TClamp not in kinds
    assert [m.log_threshold.item() for m in other.modules() if isinstance(m, method.NoisyQC)] == pytest.approx(
        [0.0, 0.1, 0.2, 0.3]
    )
    assert torch.allclose(other.eval()(x), model(x), atol=0.05) and nn.BatchNorm2d in [type(m) for m in model.modules()]


class One(nn.Module):
    """A weight of one and an activation of threshold 1."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.relu, self.b = nn.Linear(1, 1, bias=False), nn.ReLU(), nn.Linear(1, 2)
        self.a.weight.data.fill_(1.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.relu(self.a(x.flatten(1))))


@pytest.mark.parametrize("rule", ["causal", "lossless"])
@pytest.mark.parametrize("high", [8, 7])
@pytest.mark.parametrize("bits", [4, 7])
def test_ties_go_the_stated_way(rule: Any, high: int, bits: int) -> None:
    """T * z / th = k + 1/2 exactly, where floor and ceil of fractions say what both tests do."""
    steps = 4
    model: Any = method.prepare(One(), steps, threshold=1.0).eval()
    pixels = np.arange(high + 1).reshape(-1, 1, 1, 1)
    for strict in (False, True):
        settings: Any = {"input_high": high, "steps": steps, "weight_bits": bits, "rule": rule, "strict": strict}
        network: Any = convert(model, shape=(1, 1, 1), **settings)
        node, weight = network["relu"], int(network["a"].weight[0, 0])
        counts = golden.run(network, pixels)["relu"].sum(1).ravel()
        for pixel, count in enumerate(counts):
            exact = Fraction(steps * pixel * weight, int(node.threshold[0])) + Fraction(1, 2)
            want = -((-exact) // 1) - 1 if strict else exact // 1
            assert count == min(max(want, 0), steps), f"{pixel}: {count} spikes, strict={strict}"
    if high == 8:  # a pixel of 1 is T/8 = 1/2, of 3 is 3/2: the even ones in floats, up with >=, down with >
        assert (model(torch.tensor([[1.0], [3.0]]) / 8) >= 0).shape == (2, 2)
        tie = {
            s: golden.run(convert(model, shape=(1, 1, 1), **settings | {"strict": s}), pixels)["relu"].sum(1).ravel()
            for s in (False, True)
        }
        assert tie[False][[1, 3, 5, 7]].tolist() == [1, 2, 3, 4] and tie[True][[1, 3, 5, 7]].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("strict", [False, True])
def test_half_of_an_odd_threshold_is_exact(strict: bool) -> None:
    """A threshold of 49 and currents of 24 and 25, on either side of 24.5: the second fires, whatever the test."""
    for current in (24, 25):
        model = One()
        model.a.bias = nn.Parameter(torch.tensor([current / 49]))
        settings: Any = {"input_high": 7, "steps": 1, "weight_bits": 4, "strict": strict}
        network: Any = convert(method.prepare(model, 1, threshold=1.0).eval(), shape=(1, 1, 1), **settings)
        assert network["relu"].threshold.tolist() == [49] and network["relu"].bias.tolist() == [current]
        spikes = golden.run(network, np.zeros((1, 1, 1, 1), int))["relu"]
        assert spikes.sum() == (current == 25)


def graph_of(model: Any, steps: int = 4, bits: int = 4) -> IntegerGraph:
    """The quantised network in integers, of a model prepared and looking trained."""
    prepared: Any = method.quantised(method.prepare(look_trained(model), steps, threshold=1.3).eval(), fold=True)
    return IntegerGraph(prepared, input_high=15, steps=steps, weight_bits=bits, shape=SHAPE).eval()


MODELS = {
    "resnet": lambda: resnet(SHAPE, 5, depth=8, width=4),
    "projection": lambda: resnet(SHAPE, 5, depth=8, width=4, shortcut="projection"),
    "own": lambda: Own(SHAPE, 5),
    "max": lambda: cnn(SHAPE, 5, channels=(4, 6), pool="max"),
}


@pytest.mark.parametrize("per", ["neuron", "channel"])
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("kind", MODELS)
def test_the_integers_are_the_calibrated_graph(kind: str, strict: bool, per: str) -> None:
    torch.manual_seed(0)
    graph = graph_of(MODELS[kind]())
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 16, (40, *SHAPE))).float()
    spiking = spiking_copy(graph, "causal", strict)
    method.calibrate_membranes(spiking, graph, pixels, per=per)
    network = integer_network(spiking, shape=SHAPE)
    shapes = {node.v0.ndim for node in network if isinstance(node, IF)}
    assert all(node.strict is strict and node.rule == "causal" for node in network if isinstance(node, IF))
    assert (3 in shapes) is (per == "neuron")
    found = golden.run(network, pixels.numpy().astype(int))
    with golden.exact_math():
        logits = spiking(pixels).numpy()
    value = logits.ravel() @ found.logits.ravel() / (found.logits.astype(float) ** 2).sum()
    assert np.allclose(logits, found.logits * value, rtol=1e-12, atol=0) and value > 0
    if kind == "own":
        into_hardware(network, pixels[:1].numpy().astype(int))


def counts_of(graph: IntegerGraph, pixels: Tensor) -> list[Tensor]:
    """Spikes of all hidden layers (N, ...)."""
    found, spikes, scales = {"": pixels}, dict[str, Tensor](), graph.scales()
    for layer in graph.order[:-1]:
        graph.step(layer, found, spikes, scales)
    return [found[layer.name] for layer in graph.order[:-1] if isinstance(layer, QuantisedLayer)]


def test_the_first_layer_loses_nothing() -> None:
    """Its current is constant, and L = T: the plain neuron gives the quantised network's count, ties included."""
    graph = graph_of(MODELS["own"]())
    pixels = torch.from_numpy(np.random.default_rng(1).integers(0, 16, (40, *SHAPE))).float()
    with torch.no_grad():
        want, got = counts_of(graph, pixels), counts_of(spiking_copy(graph, "causal", False), pixels)
    assert torch.equal(want[0], got[0]) and not torch.equal(want[-1], got[-1])


def test_membranes_are_the_papers() -> None:
    """v0 of the first layer that differs: half a threshold plus T times the mean difference, one value a neuron."""
    graph = graph_of(MODELS["own"]())
    pixels = torch.from_numpy(np.random.default_rng(1).integers(0, 16, (60, *SHAPE))).float()
    spiking = spiking_copy(graph, "causal", False)
    with torch.no_grad():
        want, before = counts_of(graph, pixels), counts_of(spiking, pixels)
        method.calibrate_membranes(spiking, graph, pixels)
        after = counts_of(spiking, pixels)
    second: Any = spiking.stages[1]
    # The first layer is exact, so the second one's inputs are what they were.
    assert torch.allclose(spiking.stages[0].charge, torch.zeros(6, 8, 8))
    assert torch.allclose(second.charge, (want[1] - before[1]).mean(0), atol=1e-5)
    errors = [[float((a - b).mean(0).abs().mean()) for a, b in zip(want, x, strict=True)] for x in (before, after)]
    assert sum(errors[1]) < 0.5 * sum(errors[0])


@pytest.mark.parametrize("loss", ["kl", "mse"])
def test_weights_are_tuned_towards_the_target(loss: str) -> None:
    torch.manual_seed(0)
    graph = graph_of(MODELS["own"]())
    pixels = torch.from_numpy(np.random.default_rng(1).integers(0, 16, (200, *SHAPE))).float()
    spiking = spiking_copy(graph, "causal", False)
    with torch.no_grad():  # something that weights and biases can make good
        for stage in spiking.stages[1:-1]:
            stage.bias.add_(torch.randn_like(stage.bias) * 0.3)  # type: ignore[operator, arg-type]
    before = copy.deepcopy(spiking)
    method.calibrate_weights(spiking, graph, pixels, loss=loss, epochs=8, rate=2e-2, batch=30)
    fresh = torch.from_numpy(np.random.default_rng(2).integers(0, 16, (60, *SHAPE))).float()
    with torch.no_grad():
        want = counts_of(graph, fresh)
        errors = [
            sum(float((a - b).square().mean()) for a, b in zip(want, counts_of(g, fresh), strict=True))
            for g in (before, spiking)
        ]
    assert errors[1] < 0.6 * errors[0], f"{errors}"
    thresholds = [(a.log_threshold, b.log_threshold) for a, b in zip(before.stages, spiking.stages, strict=True)]
    assert all(a is None or torch.equal(a, b) for a, b in thresholds) and not spiking.through_time


def test_the_gradient_goes_through_time() -> None:
    """Against a membrane written out, with the surrogate 2.5/2 / cosh^2(2.5 (v - th)/th) / th for a spike's."""
    current = torch.tensor([[[0.4]], [[1.7]], [[-0.3]], [[0.9]]], dtype=torch.float64, requires_grad=True)
    theta, v0 = torch.tensor([2.0], dtype=torch.float64), torch.tensor([0.9], dtype=torch.float64, requires_grad=True)
    drive = firing.Drive(None, [current])
    spikes = firing.through_time(drive, theta, torch.zeros(1, dtype=torch.float64), v0, 4, torch.float64)
    assert spikes.flatten().tolist() == [0, 1, 0, 0]
    got = torch.autograd.grad(spikes.sum(), (current, v0))
    slopes, v = [], 0.9
    for t in range(4):
        v += current[t, 0, 0].item()
        slopes.append(1.25 / np.cosh(2.5 * (v / 2 - 1)) ** 2 / 2)
        v -= 2.0 * spikes[t, 0, 0].item()
    want = []
    for start in range(4):  # dv_t/dI = 1 - th * the spikes' slopes before
        dv, total = 1.0, 0.0
        for t in range(start, 4):
            total += dv * slopes[t]
            dv -= 2.0 * dv * slopes[t]
        want.append(total)
    assert np.allclose(got[0].flatten(), want) and got[1].item() == pytest.approx(want[0])


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("shape", [(3,), (3, 4, 4)])
def test_the_gradient_through_time_of_all_that_a_membrane_takes(
    shape: tuple[int, ...], strict: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Currents, of every step and of each, shortcuts' spikes and gains, thresholds, biases, initial membranes: against
    PyTorch's own gradient of the membrane written out, ties included, with images in more than one block."""
    monkeypatch.setattr(firing, "BLOCK", 3 * 4 * 4 * 2)
    generator = torch.Generator().manual_seed(0)

    def whole(low: int, high: int, *size: int) -> torch.Tensor:
        return torch.randint(low, high, size, generator=generator).double().requires_grad_()

    theta, bias, v0, gain = whole(6, 9, 3), whole(-2, 3, 3), whole(0, 5, *shape), whole(1, 4, 3)
    steady, timed, skip = whole(-3, 4, 5, 3, 4, 4), whole(-6, 7, 4, 5, 3, 4, 4), whole(0, 2, 4, 5, 3, 4, 4)
    leaves = (steady, timed, skip, gain, theta, bias, v0)
    weight = torch.rand(4, 5, 3, 4, 4, dtype=torch.float64, generator=generator)

    def written_out() -> torch.Tensor:
        v, found = over_channels(v0, steady), []
        for t in range(4):
            v = v + steady + over_channels(bias, steady) + timed[t] + skip[t] * over_channels(gain, steady)
            over = v / over_channels(theta, steady) - 1
            spikes = ((over > 0) if strict else (over >= 0)).double()
            surrogate = torch.tanh(firing.SLOPE * over) / 2
            found.append(surrogate + (spikes - surrogate).detach())
            v = v - found[-1] * over_channels(theta, steady)
        return torch.stack(found)

    want = written_out()
    drive = firing.Drive(steady, [timed], [(skip, gain)])
    got = firing.through_time(drive, theta, bias, v0, 4, torch.float64, strict=strict)
    assert torch.allclose(got, want) and 0.2 < got.mean() < 0.8
    with torch.no_grad():
        again, counts = firing.trains(drive, theta, bias, v0, 4, torch.float64, strict=strict)
    assert torch.equal(got, again) and torch.equal(counts, got.sum(0))
    gradients = [torch.autograd.grad((spikes * weight).sum(), leaves) for spikes in (got, want)]
    for a, b in zip(*gradients, strict=True):
        assert a.shape == b.shape and torch.allclose(a, b)


@pytest.mark.parametrize("shape", [(3,), (3, 4, 4)])
def test_the_gradient_of_initial_membranes(shape: tuple[int, ...]) -> None:
    """That of clip((total + v0) / theta, 0, T) inside 0..T thresholds, summed over images and, per channel, places."""
    torch.manual_seed(0)
    theta = torch.tensor([2.0, 3.0, 5.0], dtype=torch.float64)
    total = torch.randint(-8, 30, (6, 3, 4, 4)).double().requires_grad_()
    v0 = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
    weight = torch.rand(6, 3, 4, 4, dtype=torch.float64)
    (got,) = torch.autograd.grad((firing.counts(total, theta, 4, v0) * weight).sum(), v0)
    line = (total + firing.over_channels(v0, total)) / theta.view(-1, 1, 1)
    inside = (line.detach() == line.detach().clamp(0, 4)).double()
    (want,) = torch.autograd.grad((line * inside * weight).sum(), v0)
    assert got.shape == shape and torch.allclose(got, want)


def test_phase_two_on_digits() -> None:
    """The user's own network: phase I and II on the digits, integers, and none of the test split in what is chosen."""
    model, data, _ = small_digits()
    torch.manual_seed(0)
    x, y = torch.from_numpy(data.train_x).float(), torch.from_numpy(data.train_y)
    clipped: Any = method.prepare(model, 4)
    calibrate(clipped, x[:500] / 15, quantile=0.99)
    learn(clipped, x[:1200] / 15, y[:1200], 4, 2e-3)
    noisy: Any = method.quantised(clipped)
    learn(noisy, x[:1200] / 15, y[:1200], 2, 1e-3)
    graph = IntegerGraph(noisy, input_high=15, steps=4, weight_bits=4, shape=data.shape).eval()
    spiking, found = method.phase_two(graph, x[:200], x[1200:], y[1200:], epochs=3, rate=1e-3)
    assert list(found) == ["none", "membranes", "weights 1", "membranes after 1"]
    assert accuracy(spiking, x[1200:], y[1200:]) == max(found.values())
    torch.manual_seed(0)
    _, more = method.phase_two(graph, x[:100], x[1200:], y[1200:], epochs=1, rounds=2)
    assert list(more) == [*found, "weights 2", "membranes after 2"]
    shown: list[tuple[str, float, dict[str, float]]] = []
    _, none = method.phase_two(
        graph, x[:200], x[1200:], y[1200:], rounds=0, progress=lambda *done: shown.append(copy.deepcopy(done))
    )
    shares = [share for _, share, _ in shown]
    assert shares == sorted(shares) and (shares[0], shares[-1]) == (0, 1) and len(shares) == len(graph.order)
    assert {name for name, _, _ in shown} == {"membranes"} and list(shown[0][2].values()) == [found["none"]]
    assert none == {name: found[name] for name in ("none", "membranes")}
    network = integer_network(spiking, shape=data.shape)
    good = right(noisy, torch.from_numpy(data.test_x).float() / 15, torch.from_numpy(data.test_y))
    assert good > 0.9 and golden.accuracy(network, data.test_x, data.test_y) > good - 0.08
    # The integers are the graph, and what was chosen is the best of what was seen.
    assert golden.accuracy(network, data.train_x[1200:], data.train_y[1200:]) == pytest.approx(max(found.values()))


def test_bad_settings() -> None:
    graph, pixels = graph_of(MODELS["max"]()), torch.zeros(4, *SHAPE)
    with pytest.raises(ValueError, match="calibrated per 'neuron' or per 'channel', not 'map'"):
        method.calibrate_membranes(graph, graph, pixels, per="map")
    with pytest.raises(ValueError, match="loss must be 'kl' or 'mse', not 'l1'"):
        method.calibrate_weights(graph, graph, pixels, loss="l1")


def test_the_recipe_goes_through(tmp_path: Path) -> None:
    """Phases, checkpoint included: what is continued gives the same network."""
    path = tmp_path / "r.toml"
    path.write_text("""data = "digits"\nmodel = "cnn"\nmethod = "dual_phase"\nsteps = 3\nweight_bits = 4\nbatch = 100
        quantile = 0.99
        model_args = {channels = [4, 6]}\noptimiser = "adamw"\n[epochs]\nclip = 4\nnoisy = 2\nintegers = 1
        [rates]\nclip = 0.02\n[calibration]\nimages = 100\nheld_out = 100\nepochs = 1\nbatch = 50""")
    recipe = read(path)
    trained = train(recipe, checkpoint=tmp_path / "c.ckpt")
    names = ["clip", "noisy", "converted", "integers", "not calibrated", "causal", "lossless"]
    assert list(trained.report.accuracy) == names and trained.report.accuracy["causal"] > 0.5
    assert trained.network.meta["rule"] == "causal" and list(trained.report.seconds)[-1] == "calibration"
    assert train(recipe, checkpoint=tmp_path / "c.ckpt").network.hash == trained.network.hash
    assert any(n.v0.ndim == 3 for n in trained.network if isinstance(n, IF)) or "calibration" in trained.report.seconds
    path.write_text(path.read_text().replace("images = 100", 'images = 100\nper = "map"'))
    with pytest.raises(RecipeError, match="calibration must be per 'neuron' or 'channel'"):
        read(path)
