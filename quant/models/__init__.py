"""A few small models, written as anyone would write them in PyTorch: what ``train`` knows by name."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence

from torch import nn

from .plain import lenet5, perceptron, vgg
from .resnet import load_weights, resnet

__all__ = ["MODELS", "build", "cnn", "lenet5", "load_weights", "mlp", "mnist_c", "resnet", "vgg"]


def mlp(shape: tuple[int, int, int], classes: int, *, hidden: Sequence[int] = (32,)) -> nn.Sequential:
    """Linear, batch norm and ReLU for every width in ``hidden``, and a last Linear."""
    return nn.Sequential(perceptron(math.prod(shape), classes, hidden, 1))


def cnn(
    shape: tuple[int, int, int],
    classes: int,
    *,
    channels: Sequence[int] = (8, 16),
    kernel: int = 3,
    pool: str = "average",
    hidden: Sequence[int] = (),
) -> nn.Sequential:
    """For every width in ``channels`` a convolution with padding, batch norm, ReLU and a 2x2 pool; then an :func:`mlp`.

    ``pool`` is "average", "max", or "stride" for no pool and convolutions of stride 2 from the second one on.
    Raises ValueError where the image is too small for its pools.
    """
    if pool not in ("average", "max", "stride"):
        raise ValueError(f"pool must be 'average', 'max' or 'stride', not {pool!r}")
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    wide, size = shape[0], list(shape[1:])
    for k, outputs in enumerate(channels, 1):
        stride = 2 if pool == "stride" and k > 1 else 1
        layers |= {
            f"conv{k}": nn.Conv2d(wide, outputs, kernel, stride=stride, padding=kernel // 2, bias=False),
            f"norm{k}": nn.BatchNorm2d(outputs),
            f"act{k}": nn.ReLU(),
        }
        size = [(n + 2 * (kernel // 2) - kernel) // stride + 1 for n in size]
        if pool != "stride":
            layers[f"pool{k}"] = nn.AvgPool2d(2) if pool == "average" else nn.MaxPool2d(2)
            size = [n // 2 for n in size]
        if min(size) < 1:
            raise ValueError(
                f"conv{k}: nothing is left of an image of {shape[1]}x{shape[2]} after {k} pools; use "
                f"fewer entries in channels"
            )
        wide = outputs
    return nn.Sequential(layers | perceptron(wide * math.prod(size), classes, hidden, len(channels) + 1))


def mnist_c(shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """Three times a 3x3 convolution to 16 channels and a 2x2 max-pool, then linear 128 and the classes (for MNIST)."""
    return cnn(shape, classes, channels=(16, 16, 16), pool="max", hidden=(128,))


MODELS: dict[str, Callable[..., nn.Module]] = {
    "cnn": cnn,
    "lenet5": lenet5,
    "mlp": mlp,
    "mnist_c": mnist_c,
    "resnet": resnet,
    "vgg": vgg,
}


def build(name: str, shape: tuple[int, int, int], classes: int, **args: object) -> nn.Module:
    """The model ``name`` for images of ``shape`` (C, H, W). Raises ValueError for an unknown name or argument."""
    if name not in MODELS:
        raise ValueError(f"Model {name!r} is unknown; supported: {', '.join(MODELS)}")
    try:
        return MODELS[name](shape, classes, **args)
    except TypeError as error:
        raise ValueError(f"Model {name!r}: {error}") from None
