"""Leaky ReLUs: a slope below 0 of another size, one for all channels or one each.

slope * x + (1 - slope) * relu(x), exactly; x are values with a sign, an activation without bounds.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..torch_fx.registry import reads
from .activation import Activation
from .norm import Norm
from .sum import Sum

if TYPE_CHECKING:
    from ..torch_fx.call import Call


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


def _leaky(call: Call, slope: float | Tensor) -> None:
    low = torch.as_tensor(slope, dtype=torch.float64).detach().reshape(-1)
    none = torch.zeros_like(low)
    call.put(Activation(f"{call.name} values", (call.source,), None, -math.inf, math.inf))
    values = call.result
    call.put(Norm(f"{call.name} slope", (values,), low, none))
    sloping = call.result
    call.put(Activation(f"{call.name} positive", (values,)))
    call.put(Norm(f"{call.name} rest", (call.result,), 1 - low, none))
    call.put(Sum(call.name, (sloping, call.result)))
