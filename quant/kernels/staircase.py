"""Staircase: one comparison for every step."""

from __future__ import annotations

import torch
from torch import Tensor

from ..ir.ops.staircase import Staircase
from ..ir.signal import Signal
from .registry import by_channel, step_kernel


@step_kernel(Staircase)
def _staircase(node: Staircase, x: Tensor, _source: Signal) -> Tensor:
    y = torch.full_like(x, node.low)
    for column in node.threshold.T:
        y += x >= by_channel(column)
    return y
