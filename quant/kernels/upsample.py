"""Upsample: a view in which neighbours are one number, made a map."""

from __future__ import annotations

from torch import Tensor

from ..ir.ops.upsample import Upsample
from ..ir.signal import Signal
from ..ir.windows import each_way
from .registry import step_kernel


@step_kernel(Upsample)
def _upsample(node: Upsample, x: Tensor, _source: Signal) -> Tensor:
    (high, wide), (down, along) = x.shape[-2:], each_way(node.factor)
    cells = x[..., :, None, :, None].expand(*x.shape[:-2], high, down, wide, along)
    return cells.flatten(-4, -3).flatten(-2)
