"""The operators of ONNX that become several layers, or are rewritten, against ONNX Runtime."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from spikeloom.quant.frontends.float_graph import FloatGraph
from spikeloom.quant.frontends.floats import results
from spikeloom.quant.frontends.layers import Pool, Shortcut, Weights
from spikeloom.quant.frontends.onnx import Onnx

onnx = pytest.importorskip("onnx", reason="the extra 'onnx' is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime, the oracle, is not installed")

from onnx_graphs import Built, runtime  # noqa: E402

RNG = np.random.default_rng(0)
SIDES = np.array([0, 0, 1, 2, 0, 0, 0, 1])


def conv(built: Built, x: str, co: int, ci: int, k: tuple[int, int] = (3, 3), **attributes: object) -> str:
    weight = RNG.normal(size=(co, ci, *k)) / np.sqrt(ci * k[0] * k[1])
    return built.op("Conv", x, weight, RNG.normal(size=co), **attributes)


def last(built: Built, x: str, channels: int) -> str:
    """Ten classes of a map."""
    x = built.op("Flatten", built.op("GlobalAveragePool", x))
    return built.op("Gemm", x, RNG.normal(size=(channels, 10)), RNG.normal(size=10))


def uneven(built: Built) -> str:
    """Kernels, strides, paddings and dilations that differ in both directions, or at the sides."""
    x = built.op("Relu", conv(built, "x", 4, 2, (3, 5), strides=[1, 2], pads=[1, 2, 0, 1]))
    x = built.op("Relu", conv(built, x, 4, 4, (2, 3), dilations=[2, 1], pads=[1, 1, 1, 1]))
    x = built.op("Relu", conv(built, built.op("Pad", x, SIDES), 5, 4, pads=[1, 0, 1, 0]))
    x = built.op("AveragePool", x, kernel_shape=[2, 3], strides=[1, 2], pads=[1, 1, 0, 1], count_include_pad=1)
    return last(built, x, 5)


def pools(built: Built) -> str:
    """Padding of max-pools, ceil_mode beyond the map, maps that are not square."""
    x = built.op("Relu", conv(built, "x", 4, 2, strides=[2, 1]))
    x = built.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    x = built.op("Relu", conv(built, x, 5, 4, pads=[1, 1, 1, 1]))
    x = built.op("MaxPool", x, kernel_shape=[3, 2], strides=[2, 3], ceil_mode=1)
    return last(built, built.op("Relu", conv(built, x, 6, 5, (1, 1))), 6)


def clamps(built: Built) -> str:
    """Other ends of Clip, slopes below 0, the same for all channels or one each."""
    x = built.op("Clip", conv(built, "x", 4, 2), np.float32(0), np.float32(6))
    x = built.op("LeakyRelu", conv(built, x, 4, 4), alpha=0.2)
    x = built.op("PRelu", conv(built, x, 4, 4), RNG.uniform(0, 1, (4, 1, 1)))
    x = built.op("Clip", conv(built, x, 4, 4), np.float32(-0.5), np.float32(0.75))
    return last(built, x, 4)


CURVES: dict[str, dict[str, float]] = {
    "Sigmoid": {}, "Tanh": {}, "HardSigmoid": {"alpha": 0.3, "beta": 0.4}, "HardSwish": {}, "Elu": {"alpha": 0.7},
    "Selu": {}, "Celu": {"alpha": 1.5}, "Softplus": {}, "Softsign": {}, "ThresholdedRelu": {"alpha": 0.4},
    "Shrink": {"lambd": 0.3, "bias": 0.1},
}  # fmt: skip


def curves(built: Built) -> str:
    """Every curve, and x * sigmoid(x)."""
    x = "x"
    for k, (curve, settings) in enumerate(CURVES.items()):
        x = built.op(curve, conv(built, x, 4, 2 if k == 0 else 4, (1, 1)), **settings)
    x = conv(built, x, 4, 4)
    return built.op("Sigmoid", last(built, built.op("Mul", x, built.op("Sigmoid", x)), 4))


def joined(built: Built) -> str:
    """Concatenations and splits of channels, differences, sums of three, batch norm behind an activation."""
    x = built.op("Relu", conv(built, "x", 6, 2))
    built.nodes.append(onnx.helper.make_node("Split", [x], ["one", "other"], "split", axis=1))
    y = built.op("Relu", conv(built, "one", 4, 3, (1, 1)))
    x = built.op("Concat", y, built.norm("other", 3, RNG, 1.0), axis=1)
    x = built.op("Slice", x, np.array([1]), np.array([6]), np.array([1]))
    x = one = built.op("Relu", conv(built, x, 4, 5, auto_pad="SAME_LOWER"))
    x = built.op("Sub", conv(built, one, 4, 4, pads=[1, 1, 1, 1]), built.op("Mul", y, np.float32(0.5)))
    x = built.op("Sum", x, built.op("Neg", y), built.op("Sub", np.float32(0.3), one))
    return last(built, built.op("Relu", x), 4)


def shortcuts(built: Built) -> str:
    """Every second pixel and channels of zeros, as He et al. have them."""
    x = one = built.op("Relu", conv(built, "x", 4, 2, pads=[1, 1, 1, 1]))
    for axis in (2, 3):
        one = built.op("Slice", one, np.array([0]), np.array([1 << 60]), np.array([axis]), np.array([2]))
    one = built.op("Pad", one, np.array([0, 1, 0, 0, 0, 1, 0, 0]))
    x = built.op("Add", conv(built, x, 6, 4, strides=[2, 2], pads=[1, 1, 1, 1]), one)
    return last(built, built.op("Relu", x), 6)


def normalised(built: Built) -> str:
    """A mean and a deviation for each channel, taken off in the file."""
    x = built.op("Sub", "x", np.array([0.4, 0.5]).reshape(1, 2, 1, 1))
    x = built.op("Div", x, np.array([0.2, 0.3]).reshape(1, 2, 1, 1))
    return last(built, built.op("Relu", conv(built, x, 4, 2, pads=[1, 1, 1, 1])), 4)


CASES = {"uneven": uneven, "pools": pools, "clamps": clamps, "curves": curves, "joined": joined,
         "shortcuts": shortcuts, "normalised": normalised}  # fmt: skip


def read(tmp_path: Path, build: Callable[[Built], str]) -> tuple[FloatGraph, Path]:
    built = Built("N", 2, 17, 22, opset=15)
    path = built.save(tmp_path, build(built))
    graph = Onnx().read(path)
    assert isinstance(graph, FloatGraph) and graph.shape == (2, 17, 22)
    return graph, path


@pytest.mark.parametrize("name", CASES)
def test_against_onnx_runtime(tmp_path: Path, name: str) -> None:
    graph, path = read(tmp_path, CASES[name])
    images = np.random.default_rng(1).uniform(0, 1, (5, 2, 17, 22)).astype(np.float32)
    x = torch.from_numpy(images)
    if graph.normalised is not None:
        mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in graph.normalised)
        x = (x - mean) / std
    *_, (_, logits) = results(graph.layers, x)
    logits = logits.sigmoid() if name == "curves" else logits
    wanted = runtime(path, images)
    assert wanted.std() > 1e-3
    np.testing.assert_allclose(logits.numpy(), wanted, rtol=1e-4, atol=1e-5)


def test_settings_go_into_the_layers(tmp_path: Path) -> None:
    """Not into others that compute the same."""
    layers = {layer.name: layer for layer in read(tmp_path, uneven)[0].layers}
    first, third, pool = layers["Conv0"], layers["Conv5"], layers["AveragePool7"]
    assert isinstance(first, Weights) and (first.stride, first.padding) == ((1, 2), (1, 0, 2, 1))
    assert isinstance(third, Weights) and third.padding == (2, 1, 2, 1), "those of the Pad with its own"
    assert isinstance(pool, Pool) and (pool.kernel, pool.padding) == ((2, 3), (1, 0, 1, 1))
    found = [layer for layer in read(tmp_path, shortcuts)[0].layers if isinstance(layer, Shortcut)]
    assert [(layer.stride, layer.before, layer.after) for layer in found] == [(2, 1, 1)]
    graph = read(tmp_path, normalised)[0]
    assert graph.normalised is not None
    np.testing.assert_allclose(graph.normalised, ((0.4, 0.5), (0.2, 0.3)), rtol=1e-6)


class Ordinary(nn.Module):
    """What PyTorch writes as several operators, and as others in its two exporters."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 8, (3, 5), stride=(1, 2), padding=(1, 2)), nn.BatchNorm2d(8)
        self.wide, self.narrow, self.slope = nn.Conv2d(4, 6, 3, padding=2, dilation=2), nn.Conv2d(4, 6, 1), nn.PReLU(12)
        self.pool, self.around = nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.ZeroPad2d((1, 0, 2, 1))
        self.third, self.behind, self.last = nn.Conv2d(12, 8, 3), nn.BatchNorm2d(8), nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu6(self.norm(self.first((x - 0.4) / 0.25)))
        one, other = x.chunk(2, 1)
        x = self.pool(self.slope(torch.cat([self.wide(one), F.silu(self.narrow(other))], 1)))
        x = F.leaky_relu(self.behind(F.hardswish(self.third(self.around(x)))), 0.1)
        return self.last(F.adaptive_avg_pool2d(x, 1).flatten(1))


@pytest.mark.parametrize("dynamo", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_what_pytorch_exports(tmp_path: Path, dynamo: bool) -> None:
    pytest.importorskip("onnxscript", reason="onnxscript, which PyTorch exports with, is not installed")
    torch.manual_seed(0)
    model = Ordinary().eval()
    for norm in (model.norm, model.behind):
        assert norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (torch.zeros(1, 3, 20, 22),), str(tmp_path / "net.onnx"), dynamo=dynamo, verbose=False)
    graph = Onnx().read(tmp_path / "net.onnx")
    assert isinstance(graph, FloatGraph) and graph.normalised is not None
    images = torch.rand(4, 3, 20, 22)
    mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in graph.normalised)
    *_, (_, logits) = results(graph.layers, (images - mean) / std)
    torch.testing.assert_close(logits, model(images), rtol=1e-4, atol=1e-5)
