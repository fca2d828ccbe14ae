"""Shortcuts without weights, from a residual block's input to its sum."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from ...ir.ops import Gain
from ..torch_fx.registry import reads
from .base import Currents, Shape
from .concat import channels, selected
from .flat import Flat
from .over import part_of_maximum
from .pad import zeros_around

if TYPE_CHECKING:
    from ..torch_fx.call import Call

__all__ = ["Shortcut"]


@dataclass(frozen=True)
class Shortcut(Currents):
    """x[:, :, ::stride, ::stride] with ``before`` and ``after`` channels of zeros around its own."""

    stride: int
    before: int
    after: int

    def value(self, x: Sequence[Tensor]) -> Tensor:
        part = x[0][..., :: self.stride, :: self.stride] if x[0].ndim == 4 else x[0]
        return F.pad(part, (*[0, 0] * (part.ndim - 2), self.before, self.after))

    def aligned(self, x: Tensor) -> Tensor:
        """Values, spikes or counts (N, C, ...) where it adds them, (N, Co, ...)."""
        if self.stride > 1 and x.ndim > 2:  # of a map every so manyth pixel; slicing would lose the memory format
            x = F.avg_pool2d(x, 1, self.stride)
        if self.before or self.after:
            x = F.pad(x, (*[0, 0] * (x.ndim - 2), self.before, self.after))
        return x

    def shape(self, before: Sequence[Shape]) -> Shape:
        c, h, w = before[0]
        return self.before + c + self.after, -(-h // self.stride), -(-w // self.stride)

    def node(self, fields: dict[str, Any], gain: np.ndarray) -> Gain:
        """The node of the integer network with a ``gain`` (Co,)."""
        return Gain(**fields, gain=gain, stride=self.stride, offset=self.before)


@reads(operator.getitem, arguments=("input", "index"))
def _strided(call: Call) -> None:
    """x[:, :, ::s, ::s], the beginning of a shortcut."""
    every, index = slice(None), call.take("index")
    if part_of_maximum(call, index):
        return None
    part: Callable[[int], Callable[[int], Sequence[int]]] | str | int | None = call.held(call.of)
    if callable(part) and isinstance(index, int):
        return selected(call, call.holder(call.of), part(index))
    if index == (every, every, 0, 0):
        return call.put(Flat(call.name, (call.source,), single=True))
    if rule := channels(index):
        return selected(call, call.of, rule)
    steps = [s.step for s in index[2:] if isinstance(s, slice)] if isinstance(index, tuple) else []
    if len(steps) != 2 or index != (every, every, *(slice(None, None, s) for s in steps)):
        call.refuse(f"the part [{index}]", "x[:, :, ::s, ::s] as a shortcut")
    return call.put(Shortcut(call.name, (call.source,), call.number("stride", [s or 1 for s in steps]), 0, 0))


@reads(F.pad, arguments=("input", "pad", "mode", "value"))
def _padded(call: Call) -> None:
    """F.pad(x, (0, 0, 0, 0, before, after)), the channels of zeros of a shortcut, or (left, right, top, bottom)."""
    pad, mode, value = call.take("pad", ()), call.take("mode", "constant"), call.take("value")
    if mode == "constant" and value in (None, 0) and len(pad) in (2, 4):
        return zeros_around(call, pad)
    if mode != "constant" or value not in (None, 0) or list(pad[:4]) != [0] * 4 or len(pad) != 6 or min(pad) < 0:
        call.refuse(f"pad {tuple(pad)}", "F.pad(x, (0, 0, 0, 0, before, after)), channels of zeros, as a shortcut")
    before = call.before
    if isinstance(before, Shortcut) and call.alone:
        return call.replace(replace(before, before=before.before + pad[4], after=before.after + pad[5]))
    return call.put(Shortcut(call.name, (call.source,), 1, pad[4], pad[5]))
