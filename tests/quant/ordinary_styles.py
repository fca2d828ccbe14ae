"""Ordinary modules in the many ways that users write the same few layers: functions, lists, helpers, heads."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]] = {}
"""What makes a module, and the shape of its image, by the module's name."""


def ordinary(*shape: int) -> Callable[[type[nn.Module]], type[nn.Module]]:
    """The decorated class is one of the modules, for images of ``shape``."""

    def known(kind: type[nn.Module]) -> type[nn.Module]:
        MODULES[kind.__name__] = kind, (shape[0], shape[1], shape[2])
        return kind

    return known


@ordinary(3, 32, 32)
class CifarTutorial(nn.Module):
    """One pool for both layers, three Linears."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(16 * 5 * 5, 60), nn.Linear(60, 42), nn.Linear(42, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        return self.fc3(F.relu(self.fc2(x)))


@ordinary(1, 14, 14)
class MnistExample(nn.Module):
    """The functions of torch.nn.functional for all that has no weights; log_softmax at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv2_drop = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 12, 3), nn.Dropout2d()
        self.fc1, self.fc2 = nn.Linear(300, 32), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv1(x), inplace=True)
        x = F.relu(F.max_pool2d(self.conv2_drop(self.conv2(x)), 2))
        x = x.view(-1, 300)
        x = F.dropout(F.relu(self.fc1(x)), training=self.training)
        return F.log_softmax(self.fc2(x), dim=1)


@ordinary(1, 16, 16)
class SequentialLeNet(nn.Sequential):
    """One Sequential, from the image to the probabilities."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.AvgPool2d(2),
            nn.Flatten(), nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 10), nn.Softmax(dim=1),
        )  # fmt: skip


@ordinary(1, 14, 14)
class Perceptron(nn.Module):
    """An image seen as a vector; batch norm of vectors; a list of layers."""

    def __init__(self, width: int = 24, depth: int = 3) -> None:
        super().__init__()
        sizes = [14 * 14] + [width] * depth
        self.layers = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in zip(sizes, sizes[1:], strict=False))
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(depth))
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = x.view(x.size(0), -1)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = torch.relu(norm(layer(x)))
        return self.head(x)


@ordinary(3, 16, 16)
class ConfiguredVgg(nn.Module):
    """Layers made from a list, a classifier with dropout, sizes asked for in forward."""

    def __init__(self, plan: tuple[Any, ...] = (8, "M", 12, 12, "M"), classes: int = 10) -> None:
        super().__init__()
        layers, channels = list[nn.Module](), 3
        for step in plan:
            if step == "M":
                layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
            else:
                layers += [nn.Conv2d(channels, step, 3, padding=1), nn.BatchNorm2d(step), nn.ReLU(inplace=True)]
                channels = step
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((3, 3))
        self.classifier = nn.Sequential(
            nn.Linear(channels * 9, 32), nn.ReLU(True), nn.Dropout(), nn.Linear(32, classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.features(x))
        return self.classifier(x.reshape(x.shape[0], -1))


@ordinary(3, 12, 12)
class OwnParameters(nn.Module):
    """Weights and statistics that the module holds itself, given to functions."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(8, 3, 3, 3) * 0.2)
        self.kernel_bias = nn.Parameter(torch.zeros(8))
        self.gamma, self.beta = nn.Parameter(torch.rand(8) + 0.5), nn.Parameter(torch.rand(8) - 0.3)
        self.register_buffer("mean", torch.rand(8) * 0.1)
        self.register_buffer("var", torch.rand(8) + 0.5)
        self.matrix, self.offset = nn.Parameter(torch.randn(10, 8 * 25) * 0.1), nn.Parameter(torch.zeros(10))

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv2d(x, self.kernel, self.kernel_bias, stride=1, padding=0)
        x = F.batch_norm(x, self.mean, self.var, self.gamma, self.beta, training=self.training)
        x = F.max_pool2d(F.relu(x), 2)
        return F.linear(torch.flatten(x, start_dim=1), self.matrix, self.offset)


@ordinary(3, 12, 12)
class HelperMethods(nn.Module):
    """Features and head as methods; an argument with a default; an attribute that says which activation."""

    def __init__(self, act: str = "relu") -> None:
        super().__init__()
        self.act = getattr(F, act)
        self.stem, self.bn = nn.Conv2d(3, 8, 3, padding="same", bias=False), nn.BatchNorm2d(8)
        self.deep = nn.Conv2d(8, 12, 3, padding="valid")
        self.head = nn.Linear(12, 10)

    def forward_features(self, x: Tensor) -> Tensor:
        x = self.act(self.bn(self.stem(x)))
        return self._block(F.avg_pool2d(x, 2))

    def _block(self, x: Tensor) -> Tensor:
        return self.act(self.deep(x))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = x.mean(dim=(2, 3))
        return x if pre_logits else self.head(x)

    def forward(self, x: Tensor, features_only: bool = False, scale: float | None = None) -> Tensor:
        x = self.forward_features(x)
        if features_only:
            return x
        if scale is not None:
            x = x * scale
        return self.forward_head(x)


@ordinary(3, 12, 12)
class NormalisedInside(nn.Module):
    """Mean and deviation of the image as buffers, subtracted and divided in forward."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))
        self.net = nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 8, 3), act=nn.ReLU(), pool=nn.AdaptiveAvgPool2d(2)))
        self.fc = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = (x - self.mean) / self.std
        return self.fc(self.net(x).flatten(start_dim=1))


@ordinary(3, 12, 12)
class ScaledLogits(nn.Module):
    """A learned scale and offset of maps, a temperature, several labels at once."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 3, stride=2), nn.Linear(8 * 25, 10)
        self.scale, self.offset = nn.Parameter(torch.rand(1, 8, 1, 1) + 0.5), nn.Parameter(torch.rand(8, 1, 1) - 0.5)
        self.temperature = 4.0

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).mul(self.scale).add(self.offset).relu()
        return torch.sigmoid(self.fc(x.contiguous().view(x.size()[0], -1)) / self.temperature)


@ordinary(3, 12, 12)
class GlobalMaximum(nn.Module):
    """The largest of all pixels, by a view and max, of a copy."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 16, 3, bias=False)
        self.fc = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x).clamp(min=0)
        x = F.relu(self.conv2(x.clone())).detach()
        x = x.view(x.size(0), x.size(1), -1)
        values, _ = torch.max(x, dim=2)
        return self.fc(values)


@ordinary(3, 12, 12)
class MeanOfPixels(nn.Module):
    """The mean over pixels seen as one axis, and batch norm of the vector."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1)
        self.norm, self.fc = nn.BatchNorm1d(16), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        batch, _, _, _ = x.shape
        x = torch.relu_(self.conv1(x))
        x = F.max_pool2d(x, kernel_size=2)
        x = torch.relu(self.conv2(x))
        x = x.view(batch, 16, -1).mean(dim=-1)
        return self.fc(self.norm(x))


@ordinary(3, 12, 12)
class WeightNormed(nn.Module):
    """Weights that are computed in every forward."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = weight_norm(nn.Conv2d(3, 8, 3))
        self.conv2 = weight_norm(nn.Conv2d(8, 8, 3, groups=2))
        self.fc = weight_norm(nn.Linear(8, 10))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2(self.conv1(x).relu()).relu()
        return self.fc(F.adaptive_avg_pool2d(x, (1, 1)).squeeze(-1).squeeze(-1))


@ordinary(3, 16, 16)
class NetworkInNetwork(nn.Module):
    """Convolutions to the end: the logits are means of maps, one map a class."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 12, 5, padding=2), nn.ReLU(inplace=True), nn.Conv2d(12, 8, 1), nn.ReLU(inplace=True),
            nn.AvgPool2d(2), nn.Dropout(0.5), nn.Conv2d(8, 12, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(12, 10, 1), nn.ReLU(inplace=True), nn.AvgPool2d(kernel_size=8, stride=1, padding=0),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        return x.view(x.size(0), 10)


@ordinary(3, 16, 16)
class AllConvolutional(nn.Module):
    """Strides in place of pools, a convolution as the head, one axis after the other in the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 8, 3, 1, 1), nn.Conv2d(8, 8, 3, 2, 1)
        self.conv3, self.class_conv = nn.Conv2d(8, 12, 3, 2, 1), nn.Conv2d(12, 10, 1)

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.conv1, self.conv2, self.conv3):
            x = F.relu(layer(x))
        return self.class_conv(x).mean(3).mean(2)


@ordinary(3, 12, 12)
class TwoHeads(nn.Module):
    """Two Linears of the same features, and a third of another map, joined in the result."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.deep = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3)
        self.kind, self.place, self.size = nn.Linear(8, 6), nn.Linear(8, 2), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        early = F.relu(self.stem(x))
        late = F.relu(self.deep(early)).mean((2, 3))
        return torch.cat((self.kind(late), self.place(late), self.size(early.mean((2, 3)))), dim=1)


@ordinary(3, 12, 12)
class HardTanh(nn.Module):
    """Activations with two ends, as a module and as a function."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.act, self.conv2 = nn.Conv2d(3, 8, 3), nn.Hardtanh(), nn.Conv2d(8, 8, 3)
        self.fc = nn.Linear(8 * 16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.conv1(x))
        x = F.hardtanh(F.avg_pool2d(self.conv2(x), 2), -2.0, 2.0)
        return self.fc(torch.flatten(x, 1, -1))


@ordinary(3, 16, 16)
class SmallDarknet(nn.Module):
    """LeakyReLU behind every batch norm, and max-pools behind these."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.LeakyReLU(0.1, inplace=True))
            for a, b in ((3, 8), (8, 12))
        )
        self.pool, self.head = nn.MaxPool2d(2), nn.Conv2d(12, 10, 1)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = self.pool(layer(x))
        return torch.flatten(F.adaptive_avg_pool2d(self.head(x), 1), 1)


@ordinary(3, 12, 12)
class LearnedSlopes(nn.Module):
    """PReLU, one slope for all channels and one each, and F.leaky_relu."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.act1 = nn.Conv2d(3, 8, 3), nn.PReLU()
        self.conv2, self.act2 = nn.Conv2d(8, 8, 3), nn.PReLU(8)
        self.fc1, self.fc2 = nn.Linear(8 * 16, 16), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.avg_pool2d(self.act2(self.conv2(self.act1(self.conv1(x)))), 2)
        x = x.flatten(1)
        return self.fc2(F.leaky_relu(self.fc1(x), negative_slope=0.05))


@ordinary(3, 12, 12)
class ZeroPadded(nn.Module):
    """Padding as a layer and as a function, in front of convolutions without any."""

    def __init__(self) -> None:
        super().__init__()
        self.pad, self.conv1, self.conv2 = nn.ZeroPad2d(1), nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 5)
        self.fc = nn.Linear(8 * 36, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv1(self.pad(x)))
        x = F.max_pool2d(F.relu(self.conv2(F.pad(x, (2, 2, 2, 2)))), 2)
        return self.fc(x.flatten(1))


@ordinary(4, 1, 32)
class KeywordSpotting(nn.Module):
    """Convolutions over time alone."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1, self.pool1 = nn.Conv1d(4, 8, 5, stride=2, padding=2), nn.BatchNorm1d(8), nn.MaxPool1d(2)
        self.conv2, self.fc = nn.Conv1d(8, 12, 3), nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool1(F.relu(self.bn1(self.conv1(x))))
        x = F.relu(self.conv2(x))
        return self.fc(F.avg_pool1d(x, x.shape[-1]).squeeze(-1))


@ordinary(1, 16, 16)
class LeNet5(nn.Module):
    """The activation of 1998."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.act1, self.pool = nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2)
        self.fc = nn.Linear(384, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.pool(self.act1(self.conv1(x))).flatten(1))
