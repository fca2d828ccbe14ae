"""Leaky ReLUs: a slope below 0 of another size, one for all channels or one each.

slope * x + (1 - slope) * relu(x), exactly; x are values with a sign, an activation without bounds.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..torch_fx.registry import reads
from .activation import Activation
from .base import Layer
from .norm import Norm
from .sum import Sum

if TYPE_CHECKING:
    from ..torch_fx.call import Call

__all__ = ["leaky"]


@reads(nn.LeakyReLU)
def _leaky_module(call: Call) -> None:
    _leaky(call, call.module.negative_slope)


@reads(F.leaky_relu, F.leaky_relu_, arguments=("input", "negative_slope", "inplace"))
def _leaky_function(call: Call) -> None:
    call.take("inplace")
    _leaky(call, call.take("negative_slope", 0.01))


@reads(nn.RReLU)
def _random_module(call: Call) -> None:
    """Its slope in evaluation, the mean of both ends."""
    _leaky(call, (call.module.lower + call.module.upper) / 2)


@reads(nn.PReLU)
def _learned_module(call: Call) -> None:
    _leaky(call, call.module.weight)


@reads(F.prelu, torch.prelu, "prelu", arguments=("input", "weight"))
def _learned_function(call: Call) -> None:
    _leaky(call, call.tensor("weight"))


def leaky(name: str, source: str, slope: Tensor) -> list[Layer]:
    """The layers of slope * x + (1 - slope) * relu(x), of the layer ``source``; ``slope`` (C,) or (1,). The last
    one has the ``name``."""
    low = slope.detach().double().reshape(-1)
    none = torch.zeros_like(low)
    values = Activation(f"{name} values", (source,), None, -math.inf, math.inf)
    sloping = Norm(f"{name} slope", (values.name,), low, none)
    positive = Activation(f"{name} positive", (values.name,))
    rest = Norm(f"{name} rest", (positive.name,), 1 - low, none)
    return [values, sloping, positive, rest, Sum(name, (sloping.name, rest.name))]


def _leaky(call: Call, slope: float | Tensor) -> None:
    given = dict[str, str]()
    for layer in leaky(call.name, call.source, torch.as_tensor(slope, dtype=torch.float64)):
        call.put(replace(layer, sources=tuple(given.get(source, source) for source in layer.sources)))
        given[layer.name] = call.result
