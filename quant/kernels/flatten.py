"""Flatten: a map as a vector."""

from __future__ import annotations

from torch import Tensor

from ..ir.ops import Flatten
from ..ir.signal import Signal
from .registry import step_kernel


@step_kernel(Flatten)
def _flatten(_node: Flatten, x: Tensor, _source: Signal) -> Tensor:
    return x.reshape(len(x), -1, 1, 1)
