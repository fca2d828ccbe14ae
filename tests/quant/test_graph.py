"""Tracing: the chain computes what the model does, and what is no chain is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikeloom.quant.frontends.layers import (
    IMAGE,
    Activation,
    Flat,
    Layer,
    Pool,
    Shortcut,
    Sum,
    UnsupportedLayer,
    Weights,
)
from spikeloom.quant.frontends.torch_fx.graph import trace
from spikeloom.quant.methods.qcfs.algorithm import QCFS, prepare


def execute(layers: list[Layer], x: Tensor) -> Tensor:
    """What the layers compute, one after the other; every layer must stand behind its sources."""
    found = {IMAGE: x}
    for layer in layers:
        terms = [found[source] for source in layer.sources]
        x = found[layer.name] = sum(terms) if isinstance(layer, Sum) else apply(layer, terms[0])  # type: ignore[assignment]
    return x


def apply(layer: Layer, x: Tensor) -> Tensor:
    match layer:
        case Weights() if layer.weight.ndim == 2:
            return F.linear(x, layer.weight, layer.bias)
        case Weights():
            return F.conv2d(x, layer.weight, layer.bias, layer.stride, layer.padding, groups=layer.groups)
        case Activation():
            return layer.qcfs(x) if layer.qcfs else x.relu()
        case Pool():
            return (F.avg_pool2d if layer.kind == "average" else F.max_pool2d)(x, layer.kernel, layer.stride)
        case Shortcut():
            tail = (0, 0) * (x.ndim - 2)
            return F.pad(x[:, :, :: layer.stride, :: layer.stride] if tail else x, (*tail, layer.before, layer.after))
        case Flat():
            return x.flatten(1)
    raise AssertionError(layer)


def lively(model: nn.Module, seed: int = 0) -> nn.Module:
    """Batch norms with statistics and gains of both signs; float64, so that comparisons are sharp."""
    torch.manual_seed(seed)
    for module in cast("list[Any]", list(model.modules())):
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.3, 3)
            module.weight.data.normal_()
            module.bias.data.normal_()
    return model.double().eval()


class Functional(nn.Module):
    """The style of many tutorials: functions, a shared ReLU, a pool before the activation, log_softmax at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(2, 4, 3, padding="same"), nn.Conv2d(4, 3, (2, 2), stride=2, bias=False)
        self.norm, self.relu, self.drop = nn.BatchNorm2d(3), nn.ReLU(), nn.Dropout2d()
        self.fc1, self.fc2 = nn.Linear(12, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = self.relu(self.norm(self.conv2(x)))
        x = torch.flatten(self.drop(x), 1)
        x = F.dropout(self.relu(self.fc1(x)), training=self.training)
        return F.log_softmax(self.fc2(x), dim=1)


def test_a_functional_model() -> None:
    model, x = lively(Functional()), torch.randn(5, 2, 8, 8, dtype=torch.float64)
    layers = trace(model)
    assert [type(a).__name__ for a in layers] == [
        "Weights",
        "Activation",
        "Pool",
        "Weights",
        "Activation",
        "Flat",
        "Weights",
        "Activation",
        "Weights",
    ]
    assert [a.name for a in layers] == [
        "conv1",
        "relu",
        "max_pool2d",
        "conv2",
        "relu_",
        "flatten",
        "fc1",
        "relu__",
        "fc2",
    ]
    assert torch.allclose(execute(layers, x).log_softmax(1), model(x), atol=1e-12)


def test_a_sequential_model_with_every_module() -> None:
    model = lively(
        nn.Sequential(
            nn.Identity(),
            nn.Conv2d(1, 4, 3, padding=1, stride=2),
            nn.BatchNorm2d(4),
            QCFS(4, 2.0),
            nn.AvgPool2d(2, 1),
            nn.Conv2d(4, 3, 2),
            nn.BatchNorm2d(3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(),
            nn.Linear(3, 5),
            nn.BatchNorm1d(5),
            nn.ReLU(),
            nn.Linear(5, 4),
            nn.BatchNorm1d(4),
            nn.LogSoftmax(1),
        )
    )
    x = torch.randn(6, 1, 8, 8, dtype=torch.float64)
    layers = trace(model)
    assert torch.allclose(execute(layers, x).log_softmax(1), model(x), atol=1e-12)
    assert isinstance(layers[1], Activation) and layers[1].qcfs is model.get_submodule("3")
    assert all(not a.weight.requires_grad for a in layers if isinstance(a, Weights))


class Written(nn.Module):
    """A model with a convolution, a linear layer and ``write``, what its forward does with them."""

    def __init__(self, write: Callable[[Any, Tensor], Any]) -> None:
        super().__init__()
        self.write = write
        self.conv, self.conv2, self.relu, self.norm = (
            nn.Conv2d(2, 2, 1),
            nn.Conv2d(2, 2, 1),
            nn.ReLU(),
            nn.BatchNorm2d(2),
        )
        self.fc = nn.Linear(2 * 36, 3)

    def forward(self, x: Tensor) -> Any:
        return self.write(self, x)


def end(m: Any, x: Tensor) -> Tensor:
    return m.fc(x.flatten(1))


class Branches(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def block(name: str, *modules: nn.Module) -> nn.Module:
    """A model whose ``modules`` lie at layer3.``name``, layer3.``name``2, ..."""
    inner = nn.Sequential()
    for k, module in enumerate(modules):
        inner.add_module(name if not k else f"{name}{k + 1}", module)
    return nn.Sequential(nn.Sequential(), nn.Sequential(), nn.Sequential()).append(inner)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (block("conv", nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")), r"^3\.conv: padding_mode='reflect'"),
        (block("pool", nn.MaxPool2d(2, dilation=2)), r"^3\.pool: a max-pool with dilation=2 is not supported"),
        (block("pool", nn.AvgPool2d(3, 2, 1, count_include_pad=False)), r"^3\.pool: .* padding that does not count"),
        (block("pool", nn.AdaptiveAvgPool2d((None, 3))), r"^3\.pool: an adaptive pool to \(None, 3\) is not supported"),
        (block("pad", nn.ConstantPad2d(1, 2.0)), r"^3\.pad: padding with 2\.0 is not supported"),
        (block("pad", nn.ZeroPad2d(-1)), r"^3\.pad: a pad of \(-1, -1, -1, -1\) is not supported"),
        (block("pad", nn.ReflectionPad2d(1)), r"^3\.pad: ReflectionPad2d is not supported"),
        (block("act", nn.GLU()), r"^3\.act: GLU is not supported; supported: Conv2d, Linear, BatchNorm1d"),
        (
            block("norm", nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3, track_running_stats=False)),
            r"^3\.norm2: batch norm without",
        ),
        (block("flat", nn.Flatten(0)), r"^3\.flat: Flatten\(0, -1\) is not supported"),
        (block("soft", nn.Softmax(1), nn.Linear(3, 3)), r"^3\.soft: softmax inside the network"),
        (block("fc", nn.Conv2d(3, 3, 1)), r"^Sequential: gives maps \(3\.fc\), which no training"),
        (Branches(), r"^Branches: its forward cannot be traced"),
    ],
)
def test_refused_by_name(model: nn.Module, message: str) -> None:
    with pytest.raises(UnsupportedLayer, match=message):
        trace(model)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda m, x: end(m, m.relu(torch.add(m.conv(x), x, alpha=2))), r"^add: a sum with alpha=2 is not supported"),
        (lambda m, x: (m.relu(m.conv2(x)), end(m, m.relu(m.conv(x))))[1], r"^relu: a layer whose result nothing takes"),
        (lambda m, x: (end(m, x), x), r"^output: the image itself as a result is not supported; supported: results"),
        (lambda m, x: m.fc(x.view(x.size(0), 72, 1)), r"^view: a view is .*: x\.view\(x\.size\(0\), -1\)"),
        (lambda m, x: m.fc(x.view(x.size(1), -1)), r"^view: a view is not supported"),
        (lambda m, x: end(m, m.relu(m.conv(x) + x[:, :, ::2, ::3])), r"^getitem: stride=\(2, 3\) is not supported"),
        (lambda m, x: end(m, m.relu(m.conv(x[:, :, ::2, ::2]))), r"^conv: Weights directly behind getitem"),
        (lambda m, x: end(m, m.relu(m.conv(x) + F.pad(x, (0,) * 6, value=1.0))), r"^pad: pad"),
        (lambda m, x: end(m, m.relu(m.conv(x)) * x), r"^mul: a product of two results, or a quotient"),
        (lambda m, x: end(m, m.relu(m.conv(x)) / 0), r"^truediv: a division by 0 is not supported"),
        (lambda m, x: end(m, torch.cat([x, x], 2)), r"^cat: a concatenation along axis 2 is not .* along the channels"),
        (lambda m, x: end(m, x.chunk(2, 3)[0]), r"^chunk: parts along axis 3 is not supported"),
        (lambda m, x: end(m, x.transpose(2, 3)), r"^transpose: a transposition is not .*channel shuffle"),
        (lambda m, x: end(m, x.squeeze(0)), r"^squeeze: squeeze\(0\) is not supported"),
        (lambda m, x: end(m, x[:, :, 1:]), r"^getitem: the part \[.*supported: x\[:, :, ::s, ::s\] as a shortcut"),
        (lambda m, x: m.fc(x.mean(1)), r"^mean: mean over 1 is not supported; supported: mean\(\(2, 3\)\)"),
        (lambda m, x: m.fc(F.avg_pool2d(x, x.size(1)).flatten(1)), r"^avg_pool2d: kernel_size computed from size"),
    ],
)
def test_structures_refused_by_name(write, message: str) -> None:
    with pytest.raises(UnsupportedLayer, match=message):
        trace(Written(write))


def test_a_pool_over_the_whole_map_needs_its_size() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2)
    )
    with pytest.raises(UnsupportedLayer, match=r"^2: a pool over a whole map of unknown size .* the shape of the"):
        trace(model)
    assert next(a for a in trace(model, (1, 12, 9)) if isinstance(a, Pool)).kernel == (5, 4)
    assert next(a for a in trace(model, (1, 11, 12)) if isinstance(a, Pool)).kernel == 5


class Lambda(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Block(nn.Module):
    """A block as published code writes it; ``kind`` of the shortcut: "A" (zeros) or "B" (projection)."""

    def __init__(self, before: int, channels: int, stride: int, kind: str, groups: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut: nn.Module = nn.Sequential()
        if stride != 1 or before != channels:
            more = channels - before
            if kind == "A":
                self.shortcut = Lambda(
                    lambda x: F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, more // 4, more - more // 4), "constant", 0)
                )
            else:
                conv = nn.Conv2d(before, channels, 1, stride, bias=False)
                self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += self.shortcut(x)
        return F.relu(out)


ENDS = {
    "size": lambda x: F.avg_pool2d(x, x.size()[3]).view(x.size(0), -1),
    "shape": lambda x: F.avg_pool2d(x, x.shape[2:]).reshape(x.shape[0], -1),
    "adaptive": lambda x: torch.flatten(F.adaptive_avg_pool2d(x, (1, 1)), 1),
    "mean": lambda x: x.mean(dim=[-1, -2]),
    "keepdim": lambda x: torch.mean(x, (2, 3), keepdim=True).flatten(1),
}


class ResNet(nn.Module):
    def __init__(self, kind: str, groups: int, last: str) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.layer1 = nn.Sequential(Block(4, 4, 1, kind, groups), Block(4, 4, 1, kind, groups))
        self.layer2 = nn.Sequential(Block(4, 8, 2, kind, groups))
        self.linear, self.last = nn.Linear(8, 3), last

    def forward(self, x: Tensor) -> Tensor:
        out = self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x)))))
        return self.linear(ENDS[self.last](out))


@pytest.mark.parametrize("last", ENDS)
@pytest.mark.parametrize(("kind", "groups"), [("A", 1), ("B", 1), ("A", 4), ("B", 2)])
def test_a_residual_network(kind: str, groups: int, last: str) -> None:
    model, x = lively(ResNet(kind, groups, last)), torch.randn(5, 2, 8, 8, dtype=torch.float64)
    layers = trace(model, (2, 8, 8))
    assert torch.allclose(execute(layers, x), model(x), atol=1e-12)
    sums = [a for a in layers if isinstance(a, Sum)]
    assert [a.name for a in sums] == ["layer1.0.add", "layer1.1.add", "layer2.0.add"]
    assert sums[0].sources == ("layer1.0.conv2", "layer1.0.add_shortcut")
    zeros = [(a.stride, a.before, a.after) for a in layers if isinstance(a, Shortcut)]
    assert zeros == [(1, 0, 0), (1, 0, 0)] + ([(2, 1, 3)] if kind == "A" else [])


@pytest.mark.parametrize("flavour", ["module", "qcfs"])
def test_sums_of_many_kinds(flavour: str) -> None:
    """Three ways to add; a max-pool between sum and activation; the image and a pool's output as branches."""

    class Many(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c, self.d = (nn.Conv2d(2, 2, 3, padding=1) for _ in range(4))
            self.fc, self.fc2, self.pool = nn.Linear(8, 8), nn.Linear(8, 3), nn.AvgPool2d(2)

        def forward(self, x: Tensor) -> Tensor:
            y = F.relu(torch.add(self.a(x), x))
            y = F.relu(F.max_pool2d(self.b(y).add(self.c(x)) + y, 2))
            z = self.pool(y)
            z = F.relu(z + self.d(z)).flatten(1)
            return self.fc2(F.relu(self.fc(z) + z))

    model = lively(Many())
    model = prepare(model, 4, threshold=2.0).double().eval() if flavour == "qcfs" else model
    x = torch.randn(5, 2, 8, 8, dtype=torch.float64)
    layers = trace(model)
    assert torch.allclose(execute(layers, x), model(x), atol=1e-12)
    assert sum(isinstance(a, Sum) for a in layers) == 5 and sum(isinstance(a, Shortcut) for a in layers) == 4


def test_prepared_models_keep_the_names_of_their_modules() -> None:
    layers = trace(prepare(ResNet("A", 1, "mean"), 4), (2, 8, 8))
    names = [a.name for a in layers]
    assert {"layer1.0.add", "layer1_0_relu", "layer1_0_relu_", "layer2_0_relu"} <= set(names)
    assert [a.name for a in layers if isinstance(a, Activation) and a.qcfs is None] == []
