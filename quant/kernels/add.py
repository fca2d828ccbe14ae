"""Add: the sum of two currents."""

from __future__ import annotations

from torch import Tensor

from ..ir.ops import Add
from .registry import Inputs, kernel


@kernel(Add)
def _add(_node: Add, inputs: Inputs) -> Tensor:
    if inputs.summed:
        return inputs.total(0) + inputs.total(1)
    (x, y), (one, other), signal = inputs.x, inputs.sources, inputs.signal
    if one.timed != other.timed:
        x, y = (v if s.timed else v[:, None] for v, s in ((x, one), (y, other)))
    narrow = max(-signal.low, signal.high) < 1 << 24  # then 32 bits, which neurons compute with
    return x + y if narrow else x.long() + y
