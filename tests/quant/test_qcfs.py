"""QCFS against its equation, its gradient, and the integers in the loop against the integer network, bit for bit."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikeloom.quant import golden
from spikeloom.quant.conversion.integers import integer_network
from spikeloom.quant.conversion.rounding import FINE_THRESHOLD
from spikeloom.quant.frontends.layers import UnsupportedLayer
from spikeloom.quant.ir.ops import IF, NetworkError
from spikeloom.quant.methods.qcfs.algorithm import QCFS, calibrate, prepare
from spikeloom.quant.models import cnn, mlp, resnet
from spikeloom.quant.qat import firing
from spikeloom.quant.qat.integer_graph import IntegerGraph


def test_the_activation_is_the_equation() -> None:
    z = torch.linspace(-3, 6, 2001, dtype=torch.float64)
    qcfs = QCFS(4, 2.5).double()
    lam = float(qcfs.threshold.detach())
    want = [lam * min(max(math.floor(float(v) * 4 / lam + 0.5) / 4, 0), 1) for v in z]
    assert torch.allclose(qcfs(z), torch.tensor(want, dtype=torch.float64), atol=1e-12)
    # Half rounds up, unlike torch.round: z = lambda/2/L is the first that fires.
    half = QCFS(4, 1.0)(torch.tensor([0.125, 0.1249, 0.375, 0.875]))
    assert half.tolist() == [0.25, 0.0, 0.5, 1.0]


def test_the_gradient_is_that_of_the_clip() -> None:
    qcfs, z = QCFS(4, 2.0).double(), torch.tensor([-1.0, 0.7, 1.3, 5.0], dtype=torch.float64, requires_grad=True)
    qcfs(z).sum().backward()
    assert z.grad is not None and z.grad.tolist() == [0, 1, 1, 0]
    # d h / d lambda = level - z/lambda inside (the floor passes its gradient), 1 above; times lambda for the logarithm.
    levels = [math.floor(v * 4 / 2 + 0.5) / 4 for v in (0.7, 1.3)]
    want = sum(a - v / 2 for a, v in zip(levels, (0.7, 1.3), strict=True)) + 1
    assert qcfs.log_threshold.grad is not None and float(qcfs.log_threshold.grad) == pytest.approx(2.0 * want)


def test_the_threshold_stays_positive() -> None:
    qcfs = QCFS(4, 0.1)
    optimiser = torch.optim.SGD(qcfs.parameters(), lr=50.0)
    for _ in range(20):
        optimiser.zero_grad()
        (qcfs(torch.full((8,), 9.0)).sum()).backward()  # the larger lambda, the larger the loss
        optimiser.step()
    assert 0 < float(qcfs.threshold.detach()) < 0.1


@pytest.mark.parametrize(("levels", "threshold"), [(0, 1.0), (4, 0.0), (4, -1.0), (4, math.nan)])
def test_bad_settings(levels: int, threshold: float) -> None:
    with pytest.raises(ValueError, match=r"levels \(L\) must|threshold must be positive and finite"):
        QCFS(levels, threshold)


class Shared(nn.Module):
    """One ReLU module serving twice, and a function."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.d = (nn.Linear(3, 3) for _ in range(4))
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.d(F.relu(self.c(self.relu(self.b(self.relu(self.a(x)))))))


def test_every_relu_gets_a_threshold_of_its_own() -> None:
    torch.manual_seed(0)
    model = Shared()
    for parameter in model.parameters():  # no ReLU is dead
        parameter.data.abs_()
    prepared = prepare(model, 4)
    found = [m for m in prepared.modules() if isinstance(m, QCFS)]
    assert len(found) == 3 and not any(isinstance(m, nn.ReLU) for m in prepared.modules())
    assert isinstance(model.relu, nn.ReLU), "the model itself must stay as it was"
    # With many levels and a high lambda, QCFS is nearly a ReLU.
    fine, x = prepare(model, 1 << 20, threshold=50.0), torch.rand(9, 3)
    assert torch.allclose(fine(x), model(x), atol=1e-3) and not torch.allclose(prepared(x), model(x), atol=1e-3)


def test_pools_are_averaged_where_asked() -> None:
    model = cnn((1, 8, 8), 10, pool="max")
    kinds = [{type(m) for m in prepare(model, 4, average_pools=flag).modules()} for flag in (False, True)]
    assert nn.MaxPool2d in kinds[0] and nn.AvgPool2d not in kinds[0]
    assert nn.AvgPool2d in kinds[1] and nn.MaxPool2d not in kinds[1]


def test_calibration_takes_the_quantile_layer_by_layer() -> None:
    model: Any = prepare(nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1)), 4)
    for layer, weight in ((0, 2.0), (2, 3.0)):
        model.get_submodule(str(layer)).weight.data.fill_(weight)
        model.get_submodule(str(layer)).bias.data.zero_()
    calibrate(model, torch.cat((torch.arange(1.0, 101.0), torch.full((50,), -7.0)))[:, None], quantile=0.9)
    thresholds = [float(m.threshold.detach()) for m in model.modules() if isinstance(m, QCFS)]
    # The second layer sees the clipped output of the first: 3 * 180 is its largest value, taken by more than a tenth.
    assert thresholds == pytest.approx([180.0, 540.0]) and model.training


def trained_look(model: Any, seed: int, steps: int) -> Any:
    """Random statistics and thresholds, gains of both signs, one channel with gain zero."""
    torch.manual_seed(seed)
    model = prepare(model, steps)
    for module in cast("list[Any]", list(model.modules())):
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.05, 0.5)
            module.weight.data.normal_().add_(0.5)
            module.bias.data.uniform_(-0.3, 0.8)
            module.weight.data[-1] = 0
            module.bias.data[-1] = 0.6
        if isinstance(module, QCFS):
            module.log_threshold.data.uniform_(-0.5, 0.7)
    return model.eval()


class Own(nn.Module):
    """A user's network: a shortcut from the image, a depthwise convolution, a sum of three, a linear projection."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(2, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4)
        self.deep, self.point = nn.Conv2d(4, 4, 3, 1, 1, groups=4), nn.Conv2d(4, 4, 1, groups=2)
        self.image = nn.Conv2d(2, 4, 1, stride=2)
        self.pool, self.wide, self.side, self.fc = nn.MaxPool2d(2), nn.Linear(8, 6), nn.Linear(8, 6), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm(self.first(x)) + F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 1, 1)))
        z = F.relu(self.deep(y))
        z = F.relu(self.point(z) + y + self.image(x))
        z = self.pool(z).flatten(1)
        return self.fc(F.relu(self.wide(z) + self.side(z)))


MODELS = {
    "zeros": lambda: resnet((2, 7, 6), 5, depth=8, width=4),
    "projection": lambda: resnet((2, 7, 6), 5, depth=8, width=4, shortcut="projection"),
    "own": Own,
    "average": lambda: cnn((2, 7, 6), 5, channels=(4, 6), pool="average"),
    "max": lambda: cnn((2, 7, 6), 5, channels=(4, 6), pool="max"),
    "stride": lambda: cnn((2, 7, 6), 5, channels=(4, 6), pool="stride", kernel=5),
    "mlp": lambda: mlp((2, 7, 6), 5, hidden=(12, 9)),
    "linear": lambda: mlp((2, 7, 6), 5, hidden=()),
}


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("rule", ["lossless", "causal"])
@pytest.mark.parametrize("kind", MODELS)
def test_integers_in_the_loop_are_the_integer_network(
    kind: str, rule: str, bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The spikes of every layer and the logits, to the last bit."""
    for seed, steps in ((0, 4), (1, 3), (2, 1)):
        model = trained_look(MODELS[kind](), seed, steps)
        settings: dict[str, Any] = {"input_high": 15, "steps": steps, "weight_bits": bits, "shape": (2, 7, 6)}
        graph: Any = IntegerGraph(model, rule=rule, **settings).eval()
        network = integer_network(graph, shape=(2, 7, 6))
        x = np.random.default_rng(seed).integers(0, 16, (20, 2, 7, 6))
        result, seen = golden.run(network, x), []
        name = "trains" if rule == "causal" else "counts"
        fire = getattr(firing, name)
        with monkeypatch.context() as patch, golden.exact_math():
            patch.setattr(firing, name, lambda *a, fire=fire, seen=seen, **k: (seen.append(fire(*a, **k)), seen[-1])[1])
            logits = graph(torch.from_numpy(x)).numpy()
        neurons = [n for n in network if isinstance(n, IF)]
        assert len(seen) == len(neurons)
        for node, got in zip(neurons, (s[0] if rule == "causal" else s for s in seen), strict=True):
            want = result[node.name].swapaxes(0, 1) if rule == "causal" else result[node.name].sum(1)
            assert np.array_equal(got.numpy().reshape(want.shape), want), node.name
        value = logits.ravel() @ result.logits.ravel() / (result.logits.astype(float) ** 2).sum()
        assert np.allclose(logits, result.logits * value, rtol=1e-12, atol=0) and value > 0
        assert np.array_equal(logits.argmax(1), result.classes)


def test_sums_beyond_float32_are_exact() -> None:
    """2,000 pixels of 255 and weights of 8 bits: float32 would round the sums that float64 does not."""
    torch.manual_seed(0)
    model: Any = prepare(mlp((2000, 1, 1), 3, hidden=(20,)), 4, threshold=0.4).eval()
    graph = IntegerGraph(model, input_high=255, steps=4, weight_bits=8).eval()
    network = integer_network(graph, shape=(2000, 1, 1))
    x = np.random.default_rng(0).integers(200, 256, (300, 2000, 1, 1))
    assert max(-s.low + s.high for s in network.signals.values()) * 8 > 1 << 24
    with golden.exact_math():
        logits = graph(torch.from_numpy(x)).numpy()
    want = golden.run(network, x).logits
    value = logits.ravel() @ want.ravel() / (want.astype(float) ** 2).sum()
    assert np.allclose(logits, want * value, rtol=1e-12, atol=0)


class Projected(nn.Module):
    """A 3x3 convolution of weights 0.7 and a 1x1 projection of weight ``size`` on the same spikes, lambda 2."""

    def __init__(self, size: float) -> None:
        super().__init__()
        self.a, self.fc = nn.Conv2d(1, 1, 1), nn.Linear(1, 2)
        self.small, self.large = nn.Conv2d(1, 1, 1, bias=False), nn.Conv2d(1, 1, 3, padding=1)
        self.act, self.act2 = QCFS(4, 2.0), QCFS(4, 2.8)
        for conv, weight in ((self.small, size), (self.large, 0.7)):
            conv.weight.data.fill_(weight)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.a(x))
        return self.fc(self.act2(self.small(x) + self.large(x)).flatten(1))


@pytest.mark.parametrize(
    ("size", "large", "small", "bits", "threshold"),
    [(0.07, 7, 1, 2, 14), (0.7, 7, 7, 4, 14), (3.0, 7, 30, 6, 14), (-12.7, 7, -127, 8, 14), (25.4, 4, 127, 8, 7)],
)
def test_a_projection_has_the_unit_of_what_it_is_added_to(
    size: float, large: int, small: int, bits: int, threshold: int
) -> None:
    """0.7 / 7 is the scale, times lambda 2 the unit; only a projection of more than 127 steps makes it coarser."""
    graph = IntegerGraph(Projected(size), input_high=1, steps=4, weight_bits=4)
    network: Any = integer_network(graph, shape=(1, 1, 1))
    assert network["large"].weight[0, 0, 0, 0] == large and network["large"].weight_bits == 4
    assert network["small"].weight.item() == small and network["small"].weight_bits == bits
    assert network["act2"].threshold.tolist() == [threshold] and network["add"].sources == ("large", "small")


def test_the_gain_of_an_identity_shortcut_is_the_ratio_of_the_units() -> None:
    model: Any = prepare(resnet((1, 8, 8), 3, depth=8, width=2), 4).eval()
    for name, threshold in (("relu", 1.5), ("layer1_0_relu", 2.0), ("layer1_0_relu_", 3.0), ("layer2_0_relu", 1.0)):
        model.get_submodule(name).log_threshold.data.fill_(math.log(threshold))
    for norm, gains in (("layer1.0.bn2", [1.0, 2.0]), ("layer2.0.bn2", [1.0, -1.0, 0.5, 1e-9])):
        module = model.get_submodule(norm)
        module.weight.data, module.eps = torch.tensor(gains), 0.0
        conv = model.get_submodule(norm.replace("bn", "conv"))
        conv.weight.data = 0.7 * conv.weight / conv.weight.abs().flatten(1).amax(1).view(-1, 1, 1, 1)
    graph = IntegerGraph(model, input_high=15, steps=4, weight_bits=4, shape=(1, 8, 8))
    network: Any = integer_network(graph, shape=(1, 8, 8))
    # Scales 0.1 and 0.2 of spikes of 2.0: spikes of 1.5 are 7.5 (to even: 8) and 3.75 of these.
    assert network["layer1.0.add_shortcut"].gain.tolist() == [8, 4]
    assert network["layer1_0_relu_"].threshold.tolist() == [15, 8]
    gain = network["layer2.0.shortcut.getitem"]
    # One channel of zeros on either side; scales 0.1 of spikes of 1.0: spikes of 3.0 are 30 and, at gain 0.5, 60.
    assert gain.gain.tolist() == [0, 30, 60, 0] and (gain.stride, gain.offset) == (2, 1)
    assert network["layer2_0_relu_"].threshold.tolist()[3] == FINE_THRESHOLD


@pytest.mark.parametrize("rule", ["lossless", "causal"])
def test_training_computes_what_evaluation_does(rule: str) -> None:
    graph = IntegerGraph(trained_look(MODELS["average"](), 3, 4), input_high=15, steps=4, weight_bits=4, rule=rule)
    x = torch.from_numpy(np.random.default_rng(3).integers(0, 16, (20, 2, 7, 6)))
    assert torch.allclose(graph.train()(x).double(), graph.eval()(x).double(), rtol=1e-5)


@pytest.mark.parametrize("rule", ["lossless", "causal"])
def test_the_gradient_is_that_of_the_float_model(rule: str) -> None:
    """At 8 bits and many levels rounding is slight, so the straight-through gradient is nearly the model's own."""
    torch.manual_seed(0)
    model: Any = prepare(mlp((4, 1, 1), 3, hidden=(8,)), 64, threshold=1.5).eval()
    graph: Any = IntegerGraph(model, input_high=255, steps=64, weight_bits=8, rule=rule)
    x = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (64, 4, 1, 1))).float()
    y = torch.arange(64) % 3
    F.cross_entropy(graph.train()(x), y).backward()
    F.cross_entropy(model(x / 255), y).backward()
    for mine, theirs in (
        (graph.stages[1].synapses[0].weight, model.get_submodule("classes").weight),
        (graph.stages[1].bias, model.get_submodule("classes").bias),
        (graph.stages[0].log_threshold, model.get_submodule("act1").log_threshold),
    ):
        assert mine.grad is not None and theirs.grad is not None
        assert torch.allclose(mine.grad, theirs.grad, rtol=0.1, atol=2e-3)
    gain = (model.get_submodule("norm1").running_var + 1e-5).rsqrt()[:, None]
    theirs = model.get_submodule("linear1").weight.grad
    assert torch.allclose(graph.stages[0].synapses[0].weight.grad * gain, theirs, rtol=0.1, atol=2e-3)


def test_what_cannot_be_made_integers_is_named() -> None:
    settings: dict[str, Any] = {"input_high": 15, "steps": 4, "weight_bits": 4}
    with pytest.raises(UnsupportedLayer, match=r"act1: a ReLU has no threshold; supported: QCFS"):
        IntegerGraph(MODELS["mlp"](), **settings)
    model: Any = prepare(MODELS["mlp"](), 4)
    with pytest.raises(NetworkError, match=r"linear1: weight_bits must be in 2\.\.8, not 9"):
        IntegerGraph(model, **settings | {"weight_bits": 9})
    with pytest.raises(NetworkError, match=r"input_high must be in 1\.\.255 and steps in 1\.\.64, not 256 and 4"):
        IntegerGraph(model, **settings | {"input_high": 256})
    model.get_submodule("act2").log_threshold.data.fill_(-1000.0)
    with pytest.raises(NetworkError, match=r"act2: threshold is 0\.0; it must be positive and finite"):
        IntegerGraph(model, **settings)
    model = prepare(MODELS["mlp"](), 4)
    model.get_submodule("linear2").weight.data[1, 2] = math.nan
    with pytest.raises(NetworkError, match=r"linear2: weight holds NaN or infinity"):
        IntegerGraph(model, **settings)
