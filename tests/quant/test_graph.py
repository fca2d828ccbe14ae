"""Tracing: the chain computes what the model does, and what is no chain is refused by name."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikeloom.quant.graph import Activation, Flat, Layer, Pool, UnsupportedLayer, Weights, trace
from spikeloom.quant.methods.qcfs import QCFS


def execute(layers: list[Layer], x: Tensor) -> Tensor:
    for layer in layers:
        match layer:
            case Weights() if layer.weight.ndim == 2:
                x = F.linear(x, layer.weight, layer.bias)
            case Weights():
                x = F.conv2d(x, layer.weight, layer.bias, layer.stride, layer.padding)
            case Activation():
                x = layer.qcfs(x) if layer.qcfs else x.relu()
            case Pool():
                x = (F.avg_pool2d if layer.kind == "average" else F.max_pool2d)(x, layer.kernel, layer.stride)
            case Flat():
                x = x.flatten(1)
    return x


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


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv2d(1, 1, 1), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.conv(x) + x)


class Views(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.view(x.size(0), -1)


class Branches(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class Skips(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu, self.pool = nn.Conv2d(1, 1, 1), nn.ReLU(), nn.AvgPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.conv(x))
        return self.pool(x) if y is None else self.pool(x)


def block(name: str, *modules: nn.Module) -> nn.Module:
    """A model whose ``modules`` lie at layer3.``name``, layer3.``name``2, ..."""
    inner = nn.Sequential()
    for k, module in enumerate(modules):
        inner.add_module(name if not k else f"{name}{k + 1}", module)
    return nn.Sequential(nn.Sequential(), nn.Sequential(), nn.Sequential()).append(inner)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (block("conv", nn.Conv2d(4, 4, 3, groups=2)), r"^3\.conv: groups=2 is not supported; supported: groups=1"),
        (block("conv", nn.Conv2d(4, 4, 3, dilation=2)), r"^3\.conv: dilation=2 is not supported"),
        (block("conv", nn.Conv2d(4, 4, 3, stride=(1, 2))), r"^3\.conv: stride=\(1, 2\) is not .*both directions"),
        (block("conv", nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")), r"^3\.conv: padding_mode='reflect'"),
        (block("conv", nn.Conv2d(4, 4, 2, padding="same")), r"^3\.conv: padding='same' with an even kernel"),
        (block("pool", nn.MaxPool2d(2, padding=1)), r"^3\.pool: a pool with padding=1"),
        (
            block("pool", nn.AvgPool2d(3, 2, ceil_mode=True)),
            r"^3\.pool: a pool with padding=0, dilation=1, ceil_mode=True",
        ),
        (block("pool", nn.AdaptiveAvgPool2d(1)), r"^3\.pool: AdaptiveAvgPool2d .*supported: AvgPool2d with the size"),
        (block("act", nn.GELU()), r"^3\.act: GELU is not supported; supported: Conv2d, Linear, BatchNorm1d"),
        (block("norm", nn.BatchNorm2d(3)), r"^3\.norm: batch norm there is not supported"),
        (
            block("norm", nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3, track_running_stats=False)),
            r"^3\.norm2: batch norm without",
        ),
        (block("flat", nn.Flatten(0)), r"^3\.flat: Flatten\(0, -1\) is not supported"),
        (block("soft", nn.Softmax(1), nn.Linear(3, 3)), r"^3\.soft: softmax inside the network"),
        (block("act", nn.ReLU()), r"^3\.act: an activation that is not directly behind"),
        (block("fc", nn.Linear(3, 3), nn.Linear(3, 3)), r"^3\.fc2: Weights directly behind 3\.fc"),
        (block("fc", nn.Linear(3, 3), nn.ReLU()), r"^3\.fc2: the last layer must be a Linear"),
        (block("fc", nn.Conv2d(3, 3, 1)), r"^3\.fc: the last layer must be a Linear"),
        (nn.Sequential(nn.Conv2d(1, 1, 1), nn.AvgPool2d(2), nn.ReLU(), nn.Linear(1, 1)), r"^1: Pool directly behind 0"),
        (Residual(), r"^add: a residual addition is not supported; supported: a chain of layers"),
        (Views(), r"^size: size is not supported; supported: torch\.flatten\(x, 1\)"),
        (Branches(), r"^Branches: its forward cannot be traced"),
        (Skips(), r"^pool: takes x, but the layer before it is relu"),
    ],
)
def test_refused_by_name(model: nn.Module, message: str) -> None:
    with pytest.raises(UnsupportedLayer, match=message):
        trace(model)
