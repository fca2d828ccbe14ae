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
from ..torch_fx.registry import reads
from .base import Currents, Shape
from .norm import Norm
from .windows import places

if TYPE_CHECKING:
    from ..torch_fx.call import Call

__all__ = ["Convolution", "Weights"]


@dataclass(frozen=True)
class Convolution:
    """How weights are applied: (Co, Ci / groups, Ky, Kx) as kernels that move over a map, (out, in) to a vector.

    What takes float graphs applies weights of its own, rounded or trained, by this alone.
    """

    stride: int = 1
    padding: int = 0
    groups: int = 1

    def __call__(
        self, x: Tensor, weight: Tensor, bias: Tensor | None = None, by: Callable[..., Tensor] = F.conv2d
    ) -> Tensor:
        """The currents (N, Co, H, W) or (N, out) of ``x``; ``by`` convolves as ``F.conv2d`` does."""
        if weight.ndim == 2:
            return F.linear(x, weight, bias)
        return by(x, weight, bias, stride=self.stride, padding=self.padding, groups=self.groups)

    @property
    def pads(self) -> bool:
        """Whether windows reach beyond the map, where they see zeros."""
        return self.padding > 0

    @property
    def moves(self) -> bool:
        """Whether its result is not a number for every one of the map."""
        return self.stride != 1 or self.pads

    def padded(self, x: Tensor, value: float = 0.0) -> Tensor:
        """Maps (N, C, H, W) with all that windows see around them."""
        return F.pad(x, [self.padding] * 4, value=value)

    def unpadded(self, x: Tensor, weight: Tensor) -> Tensor:
        """The currents of :meth:`padded` maps."""
        return replace(self, padding=0)(x, weight)

    def columns(self, x: Tensor, kernel: tuple[int, ...]) -> Tensor:
        """What windows of ``kernel`` (Ky, Kx) see of maps: (N, C * Ky * Kx, windows)."""
        return F.unfold(x, kernel, padding=self.padding, stride=self.stride)

    def node(self, fields: dict[str, str], weight: np.ndarray, bits: int) -> Conv2d | Linear:
        """The node of the integer network."""
        if weight.ndim == 2:
            return Linear(**fields, weight=weight, weight_bits=bits)
        moved = {"stride": self.stride, "padding": self.padding, "groups": self.groups}
        return Conv2d(**fields, weight=weight, weight_bits=bits, **moved)


@dataclass(frozen=True)
class Weights(Currents):
    """A convolution or linear layer, batch norm folded in.

    ``weight`` (Co, Ci / groups, Ky, Kx) or (out, in) and ``bias`` (Co,), detached copies in the type of the model;
    ``stride``, ``padding`` and ``groups`` of a convolution.
    """

    weight: Tensor
    bias: Tensor
    stride: int = 1
    padding: int = 0
    groups: int = 1

    @property
    def convolution(self) -> Convolution:
        """How its weights are applied."""
        return Convolution(self.stride, self.padding, self.groups)

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
        return len(self.weight), *places(self.name, (h, w), self.weight.shape[2:], self.stride, self.padding)


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


@reads(nn.Conv2d)
def _convolution_module(call: Call) -> None:
    of = call.module
    _convolution(call, of.weight, of.bias, of.stride, of.padding, of.dilation, of.groups, of.padding_mode)


@reads(
    F.conv2d, torch.conv2d, arguments=("input", "weight", "bias", "stride", "padding", "dilation", "groups")
)  # fmt: skip
def _convolution_function(call: Call) -> None:
    weight, bias = call.tensor("weight"), call.tensor("bias", None)
    rest = call.take("stride", 1), call.take("padding", 0), call.take("dilation", 1), call.take("groups", 1)
    _convolution(call, weight, bias, *rest, "zeros")


def _convolution(
    call: Call, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any, groups: int, around: str
) -> None:
    """A convolution, grouped or not, with zeros around the map."""
    if (dilation := call.number("dilation", dilation)) != 1:
        call.refuse(f"dilation={dilation}", "dilation=1")
    kernel = weight.shape[2:]
    if isinstance(padding, str):
        if padding == "same" and any(k % 2 == 0 for k in kernel):
            call.refuse("padding='same' with an even kernel", "a number, or 'same' with an odd kernel")
        padding = 0 if padding == "valid" else tuple(k // 2 for k in kernel)
    padding = call.number("padding", padding)
    if around != "zeros" and padding:
        call.refuse(f"padding_mode={around!r}", "padding_mode='zeros'")
    weight = weight.detach().clone()
    stride = call.number("stride", stride)
    call.put(Weights(call.name, (call.source,), weight, _bias(bias, weight), stride, padding, groups))


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
