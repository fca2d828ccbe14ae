"""Layers with weights: convolutions and linear layers, batch norm folded in."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
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

    ``pad``: what windows see beyond the map, a number for each channel of the input, worth as much as those in it;
    empty for zeros. What takes float graphs applies weights of its own, rounded or trained, by this alone.
    """

    stride: Pair = 1
    padding: Sides = 0
    groups: int = 1
    dilation: Pair = 1
    pad: tuple[float, ...] = ()

    def __call__(
        self, x: Tensor, weight: Tensor, bias: Tensor | None = None, by: Callable[..., Tensor] = F.conv2d
    ) -> Tensor:
        """The currents (N, Co, H, W) or (N, out) of ``x``; ``by`` convolves as ``F.conv2d`` does."""
        if weight.ndim == 2:
            return F.linear(x, weight, bias)
        if self.pad or (isinstance(self.padding, tuple) and len(self.padding) == 4):
            return self.unpadded(self.padded(x), weight, bias, by)
        settings = {"stride": self.stride, "padding": self.padding, "groups": self.groups}
        return by(x, weight, bias, **settings, dilation=self.dilation)

    def windows(self, kernel: Sequence[int]) -> Windows:
        """The windows of ``kernel`` (Ky, Kx)."""
        ky, kx = kernel
        return Windows((ky, kx), each_way(self.stride), each_side(self.padding), each_way(self.dilation))

    @property
    def pads(self) -> bool:
        """Whether windows reach beyond the map, where they see zeros, or ``pad``."""
        return self.padding != 0

    @property
    def moves(self) -> bool:
        """Whether its result is not a number for every one of the map."""
        return self.stride != 1 or self.pads

    def padded(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) with all that windows see around them."""
        if not self.pad:
            return padded(x, self.padding)
        (top, bottom), (left, right) = each_side(self.padding)
        n, c, high, wide = x.shape
        pad = torch.tensor(self.pad, dtype=x.dtype, device=x.device).view(1, c, 1, 1)
        around = pad.expand(n, c, top + high + bottom, left + wide + right).clone()
        around[:, :, top : top + high, left : left + wide] = x
        return around

    def nearest(self, zero: Tensor, low: int, high: int) -> Convolution:
        """The same of integers in ``low``..``high``, which pads with those that come nearest to ``zero`` (C,)."""
        whole = zero.detach().cpu().double().round().clamp(low, high)
        return replace(self, pad=tuple(whole.tolist()) if whole.any() else ())

    def unpadded(
        self, x: Tensor, weight: Tensor, bias: Tensor | None = None, by: Callable[..., Tensor] = F.conv2d
    ) -> Tensor:
        """The currents of :meth:`padded` maps."""
        return replace(self, padding=0, pad=())(x, weight, bias, by)

    def columns(self, x: Tensor, kernel: tuple[int, ...]) -> Tensor:
        """What windows of ``kernel`` (Ky, Kx) see of maps: (N, C * Ky * Kx, windows)."""
        return F.unfold(self.padded(x), kernel, dilation=self.dilation, stride=self.stride)

    def node(self, fields: dict[str, Any], weight: np.ndarray, bits: int) -> Conv2d | Linear:
        """The node of the integer network; ``pad`` is in integers."""
        if weight.ndim == 2:
            return Linear(**fields, weight=weight, weight_bits=bits)
        moved = {"stride": self.stride, "padding": self.padding, "groups": self.groups, "dilation": self.dilation}
        pad = np.array(self.pad) if self.pad else None
        return Conv2d(**fields, weight=weight, weight_bits=bits, **moved, pad=pad)


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
    ``stride``, ``padding``, ``groups`` and ``dilation`` of a convolution, as a node has them (``ir.ops.Conv2d``), and
    ``pad``, what its windows see around the map (:class:`Convolution`).
    """

    weight: Tensor
    bias: Tensor
    stride: Pair = 1
    padding: Sides = 0
    groups: int = 1
    dilation: Pair = 1
    pad: tuple[float, ...] = ()

    @property
    def convolution(self) -> Convolution:
        """How its weights are applied."""
        return Convolution(self.stride, self.padding, self.groups, self.dilation, self.pad)

    def value(self, x: Sequence[Tensor]) -> Tensor:
        return self.convolution(x[0], self.weight, self.bias)

    def scaled(self, gain: Tensor, beta: Tensor, mean: Tensor) -> Weights:
        """The layer that gives gain * (y - mean) + beta where this one gives y, (Co,) each and double."""
        weight = self.weight.double() * gain.view(-1, *[1] * (self.weight.ndim - 1))
        bias = gain * (self.bias.double() - mean) + beta
        return replace(self, weight=weight.to(self.weight.dtype), bias=bias.to(self.weight.dtype))

    def magnitude(self, x: Sequence[Tensor]) -> Tensor:
        around = replace(self.convolution, pad=tuple(map(abs, self.pad)))
        return around(x[0].abs(), self.weight.abs(), self.bias.abs())

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
def _linear_module(call: Call) -> None:
    _linear(call, call.module.weight, call.module.bias)


@reads(F.linear, arguments=("input", "weight", "bias"))
def _linear_function(call: Call) -> None:
    _linear(call, call.tensor("weight"), call.tensor("bias", None))


@reads(operator.matmul, torch.matmul, torch.mm, "matmul", "mm", arguments=("input", "other"))
def _product(call: Call) -> None:
    """x @ w, of a vector and a matrix (in, out)."""
    weight = call.tensor("other")
    if weight.ndim != 2:
        call.refuse(f"a product with a tensor of shape {tuple(weight.shape)}", "x @ w with a matrix (in, out)")
    _linear(call, weight.T, None)


def _linear(call: Call, weight: Tensor, bias: Tensor | None) -> None:
    weight = weight.detach().clone(memory_format=torch.contiguous_format)
    call.put(Weights(call.name, (call.source,), weight, _bias(bias, weight)))


@reads(nn.Conv2d, nn.Conv1d)
def _convolution_module(call: Call) -> None:
    of = call.module
    call.line(nn.Conv1d)
    _convolution(call, of.weight, of.bias, of.stride, of.padding, of.dilation, of.groups, of.padding_mode)


CONVOLVED = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")


@reads(F.conv2d, torch.conv2d, F.conv1d, arguments=CONVOLVED)
def _convolution_function(call: Call) -> None:
    call.line(F.conv1d)
    weight, bias = call.tensor("weight"), call.tensor("bias", None)
    rest = call.take("stride", 1), call.take("padding", 0), call.take("dilation", 1), call.take("groups", 1)
    _convolution(call, weight, bias, *rest, "zeros")


def _convolution(
    call: Call, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any, groups: int, around: str
) -> None:
    """A convolution, grouped or not, with zeros around the map; a line is a map of one row."""
    weight = weight.detach().clone()
    weight = weight[:, :, None] if call.lines else weight
    dilation = call.pair("dilation", dilation, line=1)
    if padding == "same":
        spare = [d * (k - 1) for d, k in zip(each_way(dilation), weight.shape[2:], strict=True)]
        padding = alike([side for n in spare for side in (n // 2, n - n // 2)])  # the larger part behind
    else:
        padding = 0 if padding == "valid" else call.pair("padding", padding, line=0)
    if around != "zeros" and padding:
        call.refuse(f"padding_mode={around!r}", "padding_mode='zeros'")
    stride = call.pair("stride", stride, line=1)
    call.put(Weights(call.name, (call.source,), weight, _bias(bias, weight), stride, padding, groups, dilation))


def _bias(bias: Tensor | None, weight: Tensor) -> Tensor:
    return torch.zeros(len(weight), dtype=weight.dtype) if bias is None else bias.detach().clone()


@reads(nn.BatchNorm1d, nn.BatchNorm2d)
def _norm_module(call: Call) -> None:
    _norm(call, call.module)


@reads(
    F.batch_norm, arguments=("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
)  # fmt: skip
def _norm_function(call: Call) -> None:
    if call.take("training", False) is not False:
        call.refuse("batch norm with the statistics of its images", "F.batch_norm(..., training=self.training)")
    call.take("momentum")
    names = "running_mean", "running_var", "weight", "bias"
    norm = SimpleNamespace(**{name: call.tensor(name, None) for name in names}, eps=call.take("eps", 1e-5))
    _norm(call, norm)


def _norm(call: Call, norm: Any) -> None:
    """y = gamma * (x - mean) / sqrt(var + eps) + beta, computed in float64: part of the layer with weights before it, a
    layer of its own where there is none, or where something else takes that one's result."""
    before = call.before
    if norm.running_mean is None or norm.running_var is None:
        call.refuse("batch norm without running statistics", "track_running_stats=True")
    mean, var = norm.running_mean.double(), norm.running_var.double()
    gain = (var + norm.eps).rsqrt()
    gain = gain if norm.weight is None else gain * norm.weight.detach().double()
    beta = torch.zeros_like(mean) if norm.bias is None else norm.bias.detach().double()
    if not isinstance(before, Weights) or not call.alone:
        call.put(Norm(call.name, (call.source,), gain, beta - gain * mean))
        return
    if len(mean) != len(before.weight):
        call.refuse(f"batch norm over {len(mean)} channels behind {len(before.weight)}", "equal numbers")
    call.replace(before.scaled(gain, beta, mean), fold=norm)
