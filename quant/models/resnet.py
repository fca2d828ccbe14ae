"""Residual networks for CIFAR images (He et al., "Deep residual learning for image recognition", CVPR 2016, 4.2).

A 3x3 convolution to 16 channels, three stages of n blocks with 16, 32 and 64 channels, the average over the map and a
linear layer: 6n + 2 layers. A block is two 3x3 convolutions with batch norm; its input is added before the second
ReLU. Where the map is halved, the shortcut takes every second pixel and fills up with channels of zeros (option A), or
is a 1x1 convolution with batch norm (option B); it may be one in every block, as IntegerNet wants it. Modules have the
names that published weights use.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["ResNet", "resnet"]


class _ZeroPadded(nn.Module):
    """Every second pixel, with ``channels`` of zeros on either side."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.channels, self.channels))


class _Block(nn.Module):
    def __init__(self, before: int, channels: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut: nn.Module = nn.Identity()
        if before != channels and shortcut == "zeros":
            self.shortcut = _ZeroPadded((channels - before) // 2)
        elif before != channels or shortcut == "convolution":
            conv = nn.Conv2d(before, channels, 1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """The network of the head of this file; ``blocks`` is n. Images (N, C, H, W) to logits (N, classes)."""

    def __init__(self, shape: tuple[int, int, int], classes: int, blocks: int, width: int, shortcut: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(shape[0], width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = self._stage(width, width, blocks, shortcut)
        self.layer2 = self._stage(width, 2 * width, blocks, shortcut)
        self.layer3 = self._stage(2 * width, 4 * width, blocks, shortcut)
        self.linear = nn.Linear(4 * width, classes)

    @staticmethod
    def _stage(before: int, channels: int, blocks: int, shortcut: str) -> nn.Sequential:
        first = _Block(before, channels, 1 if before == channels else 2, shortcut)
        return nn.Sequential(first, *(_Block(channels, channels, 1, shortcut) for _ in range(blocks - 1)))

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(F.adaptive_avg_pool2d(x, 1).flatten(1))


def resnet(
    shape: tuple[int, int, int], classes: int, *, depth: int = 20, width: int = 16, shortcut: str = "zeros"
) -> ResNet:
    """A residual network of ``depth`` layers (20, 32, 44, 56, ...) with ``width`` channels in its first stage.

    ``shortcut``, where the map is halved: "zeros" (option A) or "projection" (option B); or "convolution", a projection
    in every block. Raises ValueError for others.
    """
    if not 8 <= depth <= 1202 or (depth - 2) % 6:
        raise ValueError(f"depth must be 6n + 2 with n >= 1 (20, 32, 44, 56), at most 1202, not {depth}")
    if shortcut not in ("zeros", "projection", "convolution"):
        raise ValueError(f"shortcut must be 'zeros', 'projection' or 'convolution', not {shortcut!r}")
    return ResNet(shape, classes, (depth - 2) // 6, width, shortcut)
