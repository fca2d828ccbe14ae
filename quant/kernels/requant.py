"""Requant: shifted and clamped."""

from __future__ import annotations

from torch import Tensor

from ..ir.ops import Requant
from ..ir.signal import Signal
from .registry import by_channel, step_kernel


@step_kernel(Requant)
def _requant(node: Requant, x: Tensor, _source: Signal) -> Tensor:
    x = x - by_channel(node.bias)
    shift = by_channel(node.shift)
    x = (x << (-shift).clamp(min=0)) >> shift.clamp(min=0)
    return x.clamp(node.lo, node.hi)
