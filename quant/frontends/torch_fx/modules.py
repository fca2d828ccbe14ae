"""How the modules of PyTorch become layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from ..layers import Pool, Weights, refuse

__all__ = ["divided_by", "folded", "from_conv", "from_linear", "one_number", "pooled"]


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
