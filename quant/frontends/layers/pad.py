"""Zeros around a map, in a layer of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from ..torch_fx.registry import reads
from .base import Layer, Shape
from .weights import padded

if TYPE_CHECKING:
    from ..torch_fx.call import Call

__all__ = ["Pad", "zeros_around"]


@dataclass(frozen=True)
class Pad(Layer):
    """``sides`` (top, bottom, left, right) cells of 0 around a map, for the windows behind it (``rewrites.pads``)."""

    sides: tuple[int, int, int, int]

    def value(self, x: Sequence[Tensor]) -> Tensor:
        return padded(x[0], self.sides)

    def shape(self, before: Sequence[Shape]) -> Shape:
        c, h, w = before[0]
        top, bottom, left, right = self.sides
        return c, h + top + bottom, w + left + right


@reads(nn.ZeroPad2d)
def _zeros(call: Call) -> None:
    zeros_around(call, call.module.padding)


@reads(nn.ConstantPad2d)
def _constant(call: Call) -> None:
    if call.module.value != 0:
        call.refuse(f"padding with {call.module.value}", "padding with 0")
    zeros_around(call, call.module.padding)


def zeros_around(call: Call, pad: Any) -> None:
    """The result of ``call`` has ``pad`` (left, right, top, bottom) around its source."""
    left, right, top, bottom = (*pad, 0, 0)[:4]
    if min(left, right, top, bottom) < 0:
        call.refuse(f"a pad of {tuple(pad)}", "pads of 0 and more")
    call.put(Pad(call.name, (call.source,), (top, bottom, left, right)))
