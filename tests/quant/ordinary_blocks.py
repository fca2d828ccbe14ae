"""Ordinary modules: the blocks of well-known networks, small, written as their users write them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from ordinary_styles import ordinary
from torch import Tensor, nn


def unit(a: int, b: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    conv = nn.Conv2d(a, b, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(b), nn.ReLU(inplace=True))


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut, with a convolution of its own where sizes change."""

    def __init__(self, a: int, b: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b)
        self.relu = nn.ReLU(inplace=True)
        self.conv2, self.bn2 = nn.Conv2d(b, b, 3, padding=1, bias=False), nn.BatchNorm2d(b)
        self.downsample = None
        if stride != 1 or a != b:
            self.downsample = nn.Sequential(nn.Conv2d(a, b, 1, stride, bias=False), nn.BatchNorm2d(b))

    def forward(self, x: Tensor) -> Tensor:
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


@ordinary(3, 16, 16)
class ResidualV1(nn.Module):
    """Blocks with shortcuts, activations behind the sums."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.layer1, self.layer2 = unit(3, 8), BasicBlock(8, 8), BasicBlock(8, 12, 2)
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer2(self.layer1(self.stem(x)))
        return self.fc(torch.flatten(self.avgpool(x), 1))


@ordinary(3, 16, 16)
class ResidualV2(nn.Module):
    """Batch norm and activation in front of convolutions, nothing behind the sums."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn1, self.conv1 = nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.bn3, self.fc = nn.BatchNorm2d(8), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        out = self.conv1(F.relu(self.bn1(x)))
        out = self.conv2(F.relu(self.bn2(out)))
        x = torch.add(x, out)
        x = F.relu(self.bn3(x))
        x = F.avg_pool2d(x, x.size()[2:])
        return self.fc(x.view(x.shape[0], -1))


@ordinary(3, 16, 16)
class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1, groups in the middle (ResNeXt)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = unit(3, 8)
        self.body = nn.Sequential(unit(8, 8, 1), unit(8, 8, 3, 2, groups=4), nn.Conv2d(8, 16, 1), nn.BatchNorm2d(16))
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, 2), nn.Conv2d(8, 16, 1, bias=False), nn.BatchNorm2d(16))
        self.fc = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = F.relu(self.body(x) + self.shortcut(x))
        return self.fc(x.mean([-2, -1]))


@ordinary(3, 16, 16)
class ShortcutWithZeros(nn.Module):
    """The shortcut of ResNets for small images: every second pixel, and channels of zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body = unit(3, 8), nn.Sequential(unit(8, 12, 3, 2), nn.Conv2d(12, 12, 3, padding=1))
        self.fc = nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = F.relu(self.body(x) + F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2), "constant", 0))
        return self.fc(F.avg_pool2d(x, x.size(3)).view(x.size(0), -1))


@ordinary(3, 16, 16)
class MobileNetV1(nn.Module):
    """Depthwise and pointwise convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(
            unit(3, 8, 3, 2), unit(8, 8, 3, 1, groups=8), unit(8, 12, 1), unit(12, 12, 3, 2, groups=12),
            unit(12, 16, 1), nn.AdaptiveAvgPool2d(1),
        )  # fmt: skip
        self.fc = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.model(x)
        return self.fc(x.view(-1, 16))


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, and a projection without an activation."""

    def __init__(self, a: int, b: int, stride: int, expand: int = 3) -> None:
        super().__init__()
        wide, self.use_res_connect = a * expand, stride == 1 and a == b
        self.conv = nn.Sequential(
            nn.Conv2d(a, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6(inplace=True),
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.ReLU6(inplace=True),
            nn.Conv2d(wide, b, 1, bias=False), nn.BatchNorm2d(b),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


@ordinary(3, 16, 16)
class MobileNetV2(nn.Module):
    """Inverted residuals with linear bottlenecks."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(inplace=True))
        self.blocks = nn.Sequential(InvertedResidual(8, 8, 1), InvertedResidual(8, 12, 2), InvertedResidual(12, 12, 1))
        self.last, self.fc = nn.Sequential(nn.Conv2d(12, 16, 1), nn.BatchNorm2d(16), nn.ReLU6()), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.last(self.blocks(self.stem(x)))
        return self.fc(F.adaptive_avg_pool2d(x, 1).reshape(x.shape[0], -1))


class Fire(nn.Module):
    """A narrow layer, and two wide ones next to each other."""

    def __init__(self, a: int, narrow: int, wide: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(a, narrow, 1)
        self.expand1x1, self.expand3x3 = nn.Conv2d(narrow, wide, 1), nn.Conv2d(narrow, wide, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.expand1x1(x)), F.relu(self.expand3x3(x))], 1)


@ordinary(3, 17, 17)
class SqueezeNet(nn.Module):
    """Fire modules between pools that keep what fills no window."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), Fire(8, 4, 6), Fire(12, 4, 8)
        )
        self.classifier = nn.Sequential(nn.Dropout(), nn.Conv2d(16, 10, 1), nn.ReLU(), nn.AdaptiveAvgPool2d((1, 1)))

    def forward(self, x: Tensor) -> Tensor:
        return torch.flatten(self.classifier(self.features(x)), 1)


@ordinary(3, 16, 16)
class Inception(nn.Module):
    """Four branches, one of them a pool with padding."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.one = unit(3, 8, 3, 2), unit(8, 4, 1)
        self.three, self.five = nn.Sequential(unit(8, 4, 1), unit(4, 6)), nn.Sequential(unit(8, 2, 1), unit(2, 4, 5))
        self.pooled = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), unit(8, 4, 1))
        self.mix, self.fc = unit(18, 12, 1), nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.cat([branch(x) for branch in (self.one, self.three, self.five, self.pooled)], dim=1)
        return self.fc(self.mix(x).mean((2, 3)))


@ordinary(3, 16, 16)
class DenseNet(nn.Module):
    """Every layer takes all those before it, through batch norm and an activation; a transition with a pool."""

    def __init__(self, growth: int = 4, depth: int = 3) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(8 + k * growth) for k in range(depth))
        self.convs = nn.ModuleList(
            nn.Conv2d(8 + k * growth, growth, 3, padding=1, bias=False) for k in range(depth)
        )
        width = 8 + depth * growth
        self.norm, self.transition, self.norm5 = nn.BatchNorm2d(width), nn.Conv2d(width, 10, 1), nn.BatchNorm2d(10)
        self.classifier = nn.Linear(10, 10)

    def forward(self, x: Tensor) -> Tensor:
        features = [self.conv0(x)]
        for norm, conv in zip(self.norms, self.convs, strict=True):
            features.append(conv(F.relu(norm(torch.cat(features, 1)))))
        x = self.transition(F.relu(self.norm(torch.cat(features, 1))))
        x = F.relu(self.norm5(F.avg_pool2d(x, 2)), inplace=True)
        return self.classifier(torch.flatten(F.adaptive_avg_pool2d(x, (1, 1)), 1))


@ordinary(3, 16, 16)
class ShuffleNet(nn.Module):
    """Half of the channels passes, the other half is computed, and both are mixed."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = unit(3, 8, 3, 2)
        self.branch = nn.Sequential(
            unit(4, 4, 1), nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.BatchNorm2d(4), unit(4, 4, 1)
        )
        self.last, self.fc = unit(8, 12, 1), nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for _ in range(2):
            one, two = x.chunk(2, dim=1)
            x = torch.cat((one, self.branch(two)), dim=1)
            b, c, h, w = x.size()
            x = x.view(b, 2, c // 2, h, w).transpose(1, 2).contiguous().view(b, c, h, w)
        return self.fc(self.last(x).mean([2, 3]))


@ordinary(3, 16, 16)
class RepVgg(nn.Module):
    """Three branches with batch norm, one of them the input itself."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = unit(3, 8)
        self.dense = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8))
        self.point, self.identity = nn.Sequential(nn.Conv2d(8, 8, 1, bias=False), nn.BatchNorm2d(8)), nn.BatchNorm2d(8)
        self.pool, self.linear = nn.AdaptiveAvgPool2d(output_size=1), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = F.relu(self.dense(x) + self.point(x) + self.identity(x))
        return self.linear(self.pool(x).flatten(1))


@ordinary(3, 16, 16)
class SplitStages(nn.Module):
    """Cross-stage partial: part of the channels goes around the block; an average of two branches; a difference."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.block1, self.block2, self.skip = unit(3, 8, 3, 2), unit(5, 6), unit(6, 6), unit(5, 6, 1)
        self.mix, self.fc = unit(9, 12, 1), nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        around, through = torch.split(self.stem(x), [3, 5], dim=1)
        deep = self.block2(self.block1(through))
        both = F.relu((deep + self.skip(through)) / 2 - 0.25 * deep)
        return self.fc(self.mix(torch.cat([around, both], dim=1)).mean((2, 3)))


@ordinary(3, 20, 20)
class DilatedContext(nn.Module):
    """Kernels with holes."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=2, dilation=2), nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=4, dilation=4), nn.ReLU(),
        )  # fmt: skip
        self.fc = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.body(x).mean((2, 3)))


@ordinary(1, 24, 12)
class Spectrogram(nn.Module):
    """Time and frequency are two things: kernels, strides and pools of two sizes, a map that is no square."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, (5, 3), stride=(2, 1), padding=(2, 1))
        self.conv2a, self.conv2b = nn.Conv2d(8, 8, (1, 3), padding=(0, 1)), nn.Conv2d(8, 8, (3, 1), padding=(1, 0))
        self.pool, self.fc = nn.MaxPool2d((2, 1)), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.relu(self.conv1(x)))
        x = F.relu(self.conv2b(F.relu(self.conv2a(x))))
        return self.fc(F.adaptive_max_pool2d(x, 1).flatten(1))


@ordinary(3, 24, 24)
class ImageNetStem(nn.Module):
    """A large kernel, a pool with padding, and averages that are no part of a map."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8)
        self.relu, self.maxpool = nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        self.layer1, self.avgpool, self.fc = BasicBlock(8, 8), nn.AdaptiveAvgPool2d((4, 4)), nn.Linear(8 * 16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.fc(self.avgpool(self.layer1(x)).flatten(1))


@ordinary(3, 16, 16)
class BothSigns(nn.Module):
    """Positive and negative parts next to each other, weights that are standardised in forward, an optional head."""

    def __init__(self, head: bool = True) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(12, 8, 3)
        self.fc = nn.Linear(8, 10) if head else nn.Identity()

    def standard(self, conv: nn.Conv2d) -> Tensor:
        """The weights with mean 0 and deviation 1."""
        w = conv.weight
        mean, std = w.mean(dim=(1, 2, 3), keepdim=True), w.flatten(1).std(dim=1).view(-1, 1, 1, 1)
        return (w - mean) / (std + 1e-5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv2d(x, self.standard(self.conv1), self.conv1.bias, padding=1)
        x = F.relu(torch.cat((x, -x), dim=1))
        x = F.relu(F.conv2d(x, self.standard(self.conv2), self.conv2.bias, self.conv2.stride))
        return self.fc(x.amax(dim=(2, 3)))
