"""Layers with weights: convolutions and linear layers, batch norm folded in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...ir.ops import Conv2d, Linear, NetworkError
from ...ir.windows import Pair, Sides, Windows, alike, each_side, each_way
from ..torch_fx.registry import reads
from .base import Currents, Shape
from .norm import Norm

if TYPE_CHECKING:
    from ..torch_fx.call import Call

__all__ = ["Convolution", "Weights", "padded"]


@dataclass(frozen=True)
class Convolution:
    """How weights are applied: (Co, Ci / groups, Ky, Kx) as kernels that move over a map, (out, in) to a vector.

    What takes float graphs applies weights of its own, rounded or trained, by this alone.
    """

    stride: Pair = 1
    padding: Sides = 0
    groups: int = 1
    dilation: Pair = 1

    def __call__(
        self, x: Tensor, weight: Tensor, bias: Tensor | None = None, by: Callable[..., Tensor] = F.conv2d
    ) -> Tensor:
        """The currents (N, Co, H, W) or (N, out) of ``x``; ``by`` convolves as ``F.conv2d`` does."""
        if weight.ndim == 2:
            return F.linear(x, weight, bias)
        if isinstance(self.padding, tuple) and len(self.padding) == 4:
            return self.unpadded(self.padded(x), weight, bias, by)
        settings = {"stride": self.stride, "padding": self.padding, "groups": self.groups}
        return by(x, weight, bias, **settings, dilation=self.dilation)

    def windows(self, kernel: Sequence[int]) -> Windows:
        """The windows of ``kernel`` (Ky, Kx)."""
        ky, kx = kernel
        return Windows((ky, kx), each_way(self.stride), each_side(self.padding), each_way(self.dilation))

    @property
    def pads(self) -> bool:
        """Whether windows reach beyond the map, where they see zeros."""
        return self.padding != 0

    @property
    def moves(self) -> bool:
        """Whether its result is not a number for every one of the map."""
        return self.stride != 1 or self.pads

    def padded(self, x: Tensor, value: float = 0.0) -> Tensor:
        """Maps (N, C, H, W) with all that windows see around them."""
        return padded(x, self.padding, value)

    def unpadded(
        self, x: Tensor, weight: Tensor, bias: Tensor | None = None, by: Callable[..., Tensor] = F.conv2d
    ) -> Tensor:
        """The currents of :meth:`padded` maps."""
        return replace(self, padding=0)(x, weight, bias, by)

    def columns(self, x: Tensor, kernel: tuple[int, ...]) -> Tensor:
        """What windows of ``kernel`` (Ky, Kx) see of maps: (N, C * Ky * Kx, windows)."""
        return F.unfold(self.padded(x), kernel, dilation=self.dilation, stride=self.stride)

    def node(self, fields: dict[str, Any], weight: np.ndarray, bits: int) -> Conv2d | Linear:
        """The node of the integer network."""
        if weight.ndim == 2:
            return Linear(**fields, weight=weight, weight_bits=bits)
        moved = {"stride": self.stride, "padding": self.padding, "groups": self.groups, "dilation": self.dilation}
        return Conv2d(**fields, weight=weight, weight_bits=bits, **moved)


def padded(x: Tensor, padding: Sides, value: float = 0.0) -> Tensor:
    """Maps (N, C, H, W) with ``padding`` around them."""
    if padding == 0:
        return x
    (top, bottom), (left, right) = each_side(padding)
    return F.pad(x, [left, right, top, bottom], value=value)


@dataclass(frozen=True)
class Weights(Currents):
    """A convolution or linear layer, batch norm folded in.

    ``weight`` (Co, Ci / groups, Ky, Kx) or (out, in) and ``bias`` (Co,), detached copies in the type of the model;
    ``stride``, ``padding``, ``groups`` and ``dilation`` of a convolution, as a node has them (``ir.ops.Conv2d``).
    """

    weight: Tensor
    bias: Tensor
    stride: Pair = 1
    padding: Sides = 0
    groups: int = 1
    dilation: Pair = 1

    @property
    def convolution(self) -> Convolution:
        """How its weights are applied."""
        return Convolution(self.stride, self.padding, self.groups, self.dilation)

    def value(self, x: Sequence[Tensor]) -> Tensor:
        return self.convolution(x[0], self.weight, self.bias)

    def scaled(self, gain: Tensor, beta: Tensor, mean: Tensor) -> Weights:
        """The layer that gives gain * (y - mean) + beta where this one gives y, (Co,) each and double."""
        weight = self.weight.double() * gain.view(-1, *[1] * (self.weight.ndim - 1))
        bias = gain * (self.bias.double() - mean) + beta
        return replace(self, weight=weight.to(self.weight.dtype), bias=bias.to(self.weight.dtype))

    def magnitude(self, x: Sequence[Tensor]) -> Tensor:
        return self.convolution(x[0].abs(), self.weight.abs(), self.bias.abs())

    def shape(self, before: Sequence[Shape]) -> Shape:
        (c, h, w), source = before[0], self.source_name()
        if self.weight.ndim == 2:
            if (h, w) != (1, 1):
                raise NetworkError(
                    f"{self.name}: Linear takes a vector, but {source} gives {c}x{h}x{w}; put a Flatten before it"
                )
            if self.weight.shape[1] != c:
                raise NetworkError(
                    f"{self.name}: its weights have {self.weight.shape[1]} inputs, but {source} gives {c}"
                )
            return len(self.weight), 1, 1
        if self.weight.shape[1] * self.groups != c:
            of_groups = f" in {self.groups} groups" if self.groups > 1 else ""
            raise NetworkError(
                f"{self.name}: its kernels have {self.weight.shape[1]} channels{of_groups}, but {source} gives {c}"
            )
        windows = self.convolution.windows(self.weight.shape[2:])
        windows.check(self.name, before[0])
        return len(self.weight), *windows.places((h, w))


@reads(nn.Linear)
def _linear(call: Call) -> None:
    module = call.module
    weight = module.weight.detach().clone()
    call.put(Weights(call.name, (call.source,), weight, _bias(module.bias, weight)))


@reads(nn.Conv2d, nn.Conv1d)
def _convolution(call: Call) -> None:
    """A convolution, grouped or not, with zeros around the map; a line is a map of one row."""
    module, line = call.module, call.line(nn.Conv1d)
    dilation, padding = call.pair("dilation", module.dilation, line=1), module.padding
    if padding == "same":
        reach = zip(module.dilation, module.kernel_size, strict=True)
        spare = [0] * line + [d * (k - 1) for d, k in reach]
        padding = alike([side for n in spare for side in (n // 2, n - n // 2)])  # the larger part behind
    elif padding == "valid":
        padding = 0
    else:
        padding = call.pair("padding", padding, line=0)
    if module.padding_mode != "zeros" and padding:
        call.refuse(f"padding_mode={module.padding_mode!r}", "padding_mode='zeros'")
    weight = module.weight.detach().clone()
    weight = weight[:, :, None] if line else weight
    stride = call.pair("stride", module.stride, line=1)
    bias = _bias(module.bias, weight)
    call.put(Weights(call.name, (call.source,), weight, bias, stride, padding, module.groups, dilation))


def _bias(bias: Tensor | None, weight: Tensor) -> Tensor:
    return torch.zeros(len(weight), dtype=weight.dtype) if bias is None else bias.detach().clone()


@reads(nn.BatchNorm1d, nn.BatchNorm2d)
def _norm(call: Call) -> None:
    """y = gamma * (x - mean) / sqrt(var + eps) + beta, computed in float64: part of the layer with weights before it, a
    layer of its own where there is none, or where something else takes that one's result."""
    norm, before = call.module, call.before
    if norm.running_mean is None or norm.running_var is None:
        call.refuse("batch norm without running statistics", "track_running_stats=True")
    mean, var = norm.running_mean.double(), norm.running_var.double()
    gain = (var + norm.eps).rsqrt()
    gain = gain if norm.weight is None else gain * norm.weight.detach().double()
    beta = torch.zeros_like(mean) if norm.bias is None else norm.bias.detach().double()
    if not isinstance(before, Weights) or not call.alone:
        call.put(Norm(call.name, (call.source,), gain, beta - gain * mean))
        return
    if norm.num_features != len(before.weight):
        call.refuse(f"batch norm over {norm.num_features} channels behind {len(before.weight)}", "equal numbers")
    call.replace(before.scaled(gain, beta, mean), fold=norm)
