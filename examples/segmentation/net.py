"""A small U-Net: an encoder of three levels, a decoder that upsamples and takes what the encoder had at each."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["UNet"]


def block(inputs: int, outputs: int) -> nn.Sequential:
    """Convolution of 3 x 3, batch norm, ReLU."""
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


class UNet(nn.Module):
    """Images (N, 1, H, W) of 0..1, H and W multiples of 4, to scores of ``classes`` for each pixel, (N, classes, H, W).
    The first level has ``width`` channels, the next ones twice and three times as many."""

    def __init__(self, width: int = 8, classes: int = 3) -> None:
        super().__init__()
        self.enc1, self.enc2 = block(1, width), block(width, 2 * width)
        self.middle = nn.Sequential(block(2 * width, 3 * width), block(3 * width, 3 * width))
        self.dec2, self.dec1 = block(5 * width, 2 * width), block(3 * width, width)
        self.head = nn.Conv2d(width, classes, 1)
        self.pool, self.up = nn.MaxPool2d(2), nn.Upsample(scale_factor=2, mode="nearest")

    def forward(self, x: Tensor) -> Tensor:
        """The scores."""
        one = self.enc1(x)
        two = self.enc2(self.pool(one))
        x = self.up(self.middle(self.pool(two)))
        x = self.up(self.dec2(torch.cat((x, two), 1)))
        return self.head(self.dec1(torch.cat((x, one), 1)))
