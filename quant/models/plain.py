"""Networks without shortcuts: convolutions, batch norm, ReLU and pools, one behind the other.

VGG: Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015, table 1,
for small images: batch norm, and one linear layer in place of three unless ``hidden`` says otherwise. LeNet-5: LeCun et
al., "Gradient-based learning applied to document recognition", Proc. IEEE 86 (1998), with ReLU and batch norm.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

__all__ = ["lenet5", "perceptron", "vgg"]

DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


def perceptron(width: int, classes: int, hidden: Sequence[int], first: int) -> OrderedDict[str, nn.Module]:
    """The layers of a perceptron; those of batch norm and activation are numbered from ``first``."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for k, wide in enumerate(hidden):
        layers |= {
            f"linear{k + 1}": nn.Linear(width, wide, bias=False),
            f"norm{first + k}": nn.BatchNorm1d(wide),
            f"act{first + k}": nn.ReLU(),
        }
        width = wide
    layers["classes"] = nn.Linear(width, classes)
    return layers


def vgg(
    shape: tuple[int, int, int],
    classes: int,
    *,
    depth: int = 11,
    width: int = 64,
    blocks: Sequence[Sequence[int]] = (),
    pool: str = "max",
    hidden: Sequence[int] = (),
) -> nn.Sequential:
    """Blocks of 3x3 convolutions with padding, batch norm and ReLU, a 2x2 pool behind each; then linear layers.

    The blocks are VGG-11's, 13's, 16's or 19's (``depth``) with ``width`` channels in the first one and at most 8 times
    as many later, or ``blocks``, the channels of every convolution of every block. ``pool``: "max" or "average".
    Raises ValueError for others, and where the image is too small for its pools.
    """
    if pool not in ("average", "max"):
        raise ValueError(f"pool must be 'average' or 'max', not {pool!r}")
    if not blocks and depth not in DEPTHS:
        raise ValueError(f"depth must be {', '.join(map(str, DEPTHS))}, not {depth}")
    blocks = blocks or [[width * min(1 << k, 8)] * n for k, n in enumerate(DEPTHS[depth])]
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    wide, (height, breadth), conv = shape[0], shape[1:], 0
    for k, block in enumerate(blocks, 1):
        for outputs in block:
            conv += 1
            layers |= {
                f"conv{conv}": nn.Conv2d(wide, outputs, 3, padding=1, bias=False),
                f"norm{conv}": nn.BatchNorm2d(outputs),
                f"act{conv}": nn.ReLU(),
            }
            wide = outputs
        layers[f"pool{k}"] = nn.MaxPool2d(2) if pool == "max" else nn.AvgPool2d(2)
        height, breadth = height // 2, breadth // 2
        if not min(height, breadth):
            raise ValueError(f"pool{k}: nothing is left of an image of {shape[1]}x{shape[2]}; use fewer blocks")
    return nn.Sequential(layers | perceptron(wide * height * breadth, classes, hidden, conv + 1))


def lenet5(shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """Two 5x5 convolutions, 6 and 16 channels, each with an average pool, then linear 120, 84 and the classes.

    Images of 28x28 are padded to the 32x32 it was made for. Raises ValueError for images of less than 14x14.
    """
    padding = 2 if min(shape[1:]) < 32 else 0
    size = [((n + 2 * padding - 4) // 2 - 4) // 2 for n in shape[1:]]
    if min(size) < 1:
        raise ValueError(f"nothing is left of an image of {shape[1]}x{shape[2]} after two 5x5 convolutions and pools")
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(shape[0], 6, 5, padding=padding, bias=False),
        norm1=nn.BatchNorm2d(6),
        act1=nn.ReLU(),
        pool1=nn.AvgPool2d(2),
        conv2=nn.Conv2d(6, 16, 5, bias=False),
        norm2=nn.BatchNorm2d(16),
        act2=nn.ReLU(),
        pool2=nn.AvgPool2d(2),
    )
    return nn.Sequential(layers | perceptron(16 * math.prod(size), classes, (120, 84), 3))
