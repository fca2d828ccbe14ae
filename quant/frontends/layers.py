"""The layers that a model is traced to, and how PyTorch's modules become them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import torch
from torch import Tensor, fx, nn

from .activations import QCFS

__all__ = [
    "CURRENTS",
    "IMAGE",
    "Activation",
    "Flat",
    "Layer",
    "Pool",
    "Shortcut",
    "Sum",
    "UnsupportedLayer",
    "Weights",
]

IMAGE = ""
"""The image, where the name of a source is asked for."""


class UnsupportedLayer(ValueError):
    """A part of a model without an integer counterpart; the message names module, rule and what is supported."""


def refuse(name: str, what: str, instead: str) -> NoReturn:
    """Raise UnsupportedLayer."""
    raise UnsupportedLayer(f"{name}: {what} is not supported; supported: {instead}")


@dataclass(frozen=True)
class Layer:
    """A layer of the graph; ``name`` is the path of the module it came from, ``sources`` are the layers it takes the
    results of, :data:`IMAGE` for the image; ``repeats``, the layer that it computes once more
    (``quant.frontends.repeat``)."""

    name: str
    sources: tuple[str, ...]
    repeats: str = field(default="", kw_only=True)

    @property
    def origin(self) -> str:
        """The name of the layer as the model has it."""
        return self.repeats or self.name


@dataclass(frozen=True)
class Weights(Layer):
    """A convolution or linear layer, batch norm folded in.

    ``weight`` (Co, Ci / groups, Ky, Kx) or (out, in) and ``bias`` (Co,), detached copies in the type of the model;
    ``stride``, ``padding`` and ``groups`` of a convolution.
    """

    weight: Tensor
    bias: Tensor
    stride: int = 1
    padding: int = 0
    groups: int = 1


@dataclass(frozen=True)
class Shortcut(Layer):
    """x[:, :, ::stride, ::stride] with ``before`` and ``after`` channels of zeros around its own."""

    stride: int
    before: int
    after: int


@dataclass(frozen=True)
class Sum(Layer):
    """The sum of two branches, each a :class:`Weights`, a :class:`Shortcut` or another sum."""


@dataclass(frozen=True)
class Activation(Layer):
    """A ReLU (``qcfs`` is None) or the QCFS module itself."""

    qcfs: QCFS | None


@dataclass(frozen=True)
class Pool(Layer):
    """Pooling over ``kernel`` x ``kernel`` windows (0: the whole map); ``kind`` is "average" or "max".

    ``divisor`` is what the sum of a window is divided by where that is not its area, else 0.
    """

    kind: str
    kernel: int
    stride: int
    divisor: int = 0

    @property
    def parts(self) -> int:
        """How many values of the pool are worth one that it takes."""
        return 1 if self.kind == "max" else self.divisor or self.kernel**2


@dataclass(frozen=True)
class Flat(Layer):
    """(N, C, H, W) to (N, C*H*W)."""


CURRENTS = Weights | Shortcut | Sum
"""What gives currents: results before their activation."""


def one_number(name: str, what: str, value: Any) -> int:
    """A setting that must be the same in both directions."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(set(value)) != 1:
            refuse(name, f"{what}={tuple(value)}", f"the same {what} in both directions")
        value = value[0]
    if isinstance(value, fx.Node):
        refuse(name, f"{what} computed from {value.name}", f"a number for {what}")
    return int(value)


def pooled(
    name: str, source: str, kind: str, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool
) -> Pool:
    """A pool without padding, dilation and windows that reach beyond the map."""
    if one_number(name, "padding", padding) or one_number(name, "dilation", dilation) != 1 or ceil:
        refuse(name, f"a pool with padding={padding}, dilation={dilation}, ceil_mode={ceil}", "pools without them")
    return Pool(name, (source,), kind, one_number(name, "kernel_size", kernel), one_number(name, "stride", stride))


def divided_by(name: str, override: Any) -> int:
    """The divisor of a pool, 0 where it is its area."""
    if override is None:
        return 0
    if not isinstance(override, int) or override < 1:
        refuse(name, f"divisor_override={override!r}", "a divisor of 1 or more, a number")
    return override


def from_linear(name: str, source: str, module: nn.Linear) -> Weights:
    """A linear layer as it is."""
    return Weights(name, (source,), module.weight.detach().clone(), _bias(module.bias, module.weight))


def from_conv(name: str, source: str, module: nn.Conv2d) -> Weights:
    """A convolution, grouped or not, with zeros around the map."""
    if (dilation := one_number(name, "dilation", module.dilation)) != 1:
        refuse(name, f"dilation={dilation}", "dilation=1")
    padding = module.padding
    if isinstance(padding, str):
        if padding == "same" and any(k % 2 == 0 for k in module.kernel_size):
            refuse(name, "padding='same' with an even kernel", "a number, or 'same' with an odd kernel")
        padding = 0 if padding == "valid" else tuple(k // 2 for k in module.kernel_size)
    padding = one_number(name, "padding", padding)
    if module.padding_mode != "zeros" and padding:
        refuse(name, f"padding_mode={module.padding_mode!r}", "padding_mode='zeros'")
    weight = module.weight.detach().clone()
    stride = one_number(name, "stride", module.stride)
    return Weights(name, (source,), weight, _bias(module.bias, weight), stride, padding, module.groups)


def _bias(bias: Tensor | None, weight: Tensor) -> Tensor:
    return torch.zeros(len(weight), dtype=weight.dtype) if bias is None else bias.detach().clone()


def folded(name: str, layer: Weights, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> Weights:
    """y = gamma * (W x + b - mean) / sqrt(var + eps) + beta, written as one layer; computed in float64."""
    if norm.running_mean is None or norm.running_var is None:
        refuse(name, "batch norm without running statistics", "track_running_stats=True")
    if norm.num_features != len(layer.weight):
        refuse(name, f"batch norm over {norm.num_features} channels behind {len(layer.weight)}", "equal numbers")
    mean, var = norm.running_mean.double(), norm.running_var.double()
    gain = (var + norm.eps).rsqrt()
    gain = gain if norm.weight is None else gain * norm.weight.detach().double()
    beta = 0.0 if norm.bias is None else norm.bias.detach().double()
    weight = layer.weight.double() * gain.view(-1, *[1] * (layer.weight.ndim - 1))
    bias = gain * (layer.bias.double() - mean) + beta
    return replace(layer, weight=weight.to(layer.weight.dtype), bias=bias.to(layer.weight.dtype))
