"""A few small models, written as anyone would write them in PyTorch: what ``train`` knows by name."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, get_args, get_origin, get_type_hints

from torch import nn

from ..files.texts import near, shown
from .own import check_logits, is_own, own_model
from .plain import lenet5, perceptron, vgg
from .resnet import resnet
from .weights import load_weights

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


MOST_LAYERS, WIDEST = 256, 1 << 16
"""Entries of a list, and channels or neurons of a layer, that an argument of a model may ask for."""

MODELS: dict[str, Callable[..., nn.Module]] = {
    "cnn": cnn,
    "lenet5": lenet5,
    "mlp": mlp,
    "mnist_c": mnist_c,
    "resnet": resnet,
    "vgg": vgg,
}


def build(name: str, shape: tuple[int, int, int], classes: int, **args: object) -> nn.Module:
    """The model ``name`` for images of ``shape`` (C, H, W). Raises ValueError for an unknown name or argument, for one
    of a wrong type, and for sizes that no layer has.

    ``file.py:NAME`` or ``package.module:NAME`` is a model of the user's own, which gets ``args`` and, where it has such
    parameters, ``shape`` and ``classes`` or ``num_classes``; see ``quant.models.own``.
    """
    if is_own(name):
        own = own_model(name, args, offered={"shape": shape, "classes": classes, "num_classes": classes})
        check_logits(name, own, shape, classes)
        return own
    if name not in MODELS:
        known = ", ".join(MODELS)
        raise ValueError(
            f"Model {name!r} is unknown{near(name, MODELS)}; supported: {known}, or your own, file.py:NAME"
        )
    model = MODELS[name]
    hints = {key: hint for key, hint in get_type_hints(model).items() if key not in ("shape", "classes", "return")}
    for key, value in args.items():
        if key not in hints:
            known = f"its arguments: {', '.join(hints)}" if hints else "it has none"
            raise ValueError(f"Model {name!r} has no argument {key!r}{near(key, hints)}; {known}")
        if not _is(value, hints[key]):
            raise ValueError(f"Model {name!r}: {key} must be {_name(hints[key])}, not {shown(value)}")
    try:
        return model(shape, classes, **args)
    except RuntimeError as error:  # PyTorch's own words for sizes that are too large
        raise ValueError(f"Model {name!r}: {str(error).splitlines()[0]}") from None


def _is(value: object, hint: Any) -> bool:
    if get_origin(hint) is Sequence:
        (item,) = get_args(hint)
        return isinstance(value, list | tuple) and len(value) <= MOST_LAYERS and all(_is(v, item) for v in value)
    return type(value) is hint and (not isinstance(value, int) or 1 <= value <= WIDEST)


def _name(hint: Any) -> str:
    if get_origin(hint) is Sequence:
        return f"a list of up to {MOST_LAYERS}, each {_name(*get_args(hint))}"
    return {int: f"an integer in 1..{WIDEST}", str: "a string"}[hint]
