"""Zeros around a map as a layer of their own: padding of the layer behind it (``rewrites.pads``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from ..torch_fx.registry import reads
from .base import Layer, Shape

if TYPE_CHECKING:
    from ..torch_fx.call import Call

__all__ = ["Pad"]


@dataclass(frozen=True)
class Pad(Layer):
    """x with cells of 0 at its ``sides``, (left, right, top, bottom)."""

    sides: tuple[int, ...]

    def value(self, x: Sequence[Tensor]) -> Tensor:
        return F.pad(x[0], self.sides)

    def shape(self, before: Sequence[Shape]) -> Shape:
        (c, h, w), (left, right, top, bottom) = before[0], self.sides
        return c, h + top + bottom, w + left + right


@reads(nn.ZeroPad2d, nn.ConstantPad2d)
def _module(call: Call) -> None:
    module = call.module
    if (value := getattr(module, "value", 0)) != 0:
        call.refuse(f"padding with {value}", "ZeroPad2d")
    if min(module.padding) < 0:
        call.refuse(f"padding {tuple(module.padding)}", "0 or more cells at every side")
    call.put(Pad(call.name, (call.source,), tuple(module.padding)))
