"""Maps of another size: pixels several times, and averages over windows that overlap or repeat pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from ...ir.ops.upsample import Upsample
from ...ir.windows import Pair, alike, each_way
from ..torch_fx.registry import reads
from .base import Layer, Passing, Shape, refuse

if TYPE_CHECKING:
    from ..torch_fx.call import Call

__all__ = ["WHOLE", "Repeated", "Resample"]

WHOLE = "each pixel a whole number of times, mode nearest (scale_factor=2, or a size that is a multiple of the map)"


@dataclass(frozen=True)
class Resample(Layer):
    """Averages over windows that cut a map into ``rows`` x ``columns``, as ``nn.AdaptiveAvgPool2d`` places them: part
    of a Linear behind them, or nothing."""

    rows: int
    columns: int

    def value(self, x: Sequence[Tensor]) -> Tensor:
        return F.adaptive_avg_pool2d(x[0], (self.rows, self.columns))

    def shape(self, before: Sequence[Shape]) -> Shape:
        return before[0][0], self.rows, self.columns

    def matrix(self, high: int, wide: int) -> Tensor:
        """What a pixel of a map of ``high`` x ``wide`` (H * W) adds to each of the results (rows * columns); double."""
        pixels = torch.eye(high * wide, dtype=torch.float64).view(-1, 1, high, wide)
        return self.value([pixels]).flatten(1).T


@dataclass(frozen=True)
class Repeated(Passing):
    """Every pixel ``factor`` times in a column and in a row (rows, columns). A factor of 0 is the one that leads to a
    map of ``to`` (rows, columns), or where that is 0 too to one as large as that of a second source; :meth:`sized`
    finds it, and leaves that source out."""

    factor: Pair
    to: Pair = 0

    @property
    def rising(self) -> bool:
        """It is the largest of one pixel: what works pixel by pixel is the same in front of it and behind."""
        return True

    def value(self, x: Sequence[Tensor]) -> Tensor:
        return self.integers(x)

    def integers(self, x: Sequence[Tensor]) -> Tensor:
        down, along = each_way(self.factor)
        return x[0].repeat_interleave(down, -2).repeat_interleave(along, -1)

    def shape(self, before: Sequence[Shape]) -> Shape:
        (channels, high, wide), (down, along) = before[0], each_way(self.factor)
        return channels, high * down, wide * along

    def sized(self, before: Sequence[Shape]) -> Repeated:
        """With the factor in place of the size that it leads to."""
        if self.factor:
            return self
        if not before:
            refuse(self.name, "upsampling of a map of unknown size", "tracing with the shape of the image")
        size, to = before[0][1:], each_way(self.to) if self.to else before[1][1:]
        if any(n < cells or n % cells for n, cells in zip(to, size, strict=True)):
            refuse(self.name, f"upsampling of a map of {size[0]}x{size[1]} to {to[0]}x{to[1]}", WHOLE)
        factor: Any = alike([n // cells for n, cells in zip(to, size, strict=True)])
        return replace(self, sources=self.sources[:1], factor=factor)

    def node(self, fields: dict[str, Any]) -> Upsample:
        return Upsample(**fields, factor=self.factor)


@reads(nn.Upsample)
def _module(call: Call) -> None:
    of = call.module
    _repeated(call, of.size, of.scale_factor, of.mode)


SETTINGS = ("input", "size", "scale_factor", "mode", "align_corners")


@reads(F.interpolate, arguments=(*SETTINGS, "recompute_scale_factor", "antialias"))
@reads(F.upsample, arguments=SETTINGS)
def _function(call: Call) -> None:
    size, factor, mode = call.take("size"), call.take("scale_factor"), call.take("mode", "nearest")
    for key in ("align_corners", "recompute_scale_factor", "antialias"):  # of other modes, nothing for whole factors
        call.take(key)
    _repeated(call, size, factor, mode)


def _repeated(call: Call, size: Any, factor: Any, mode: str) -> None:
    """The layer of upsampling to ``size`` or by ``factor``. For whole factors "nearest-exact" is "nearest"."""
    if mode not in ("nearest", "nearest-exact"):
        call.refuse(f"upsampling with mode={mode!r}", WHOLE)
    line = [1] if call.reader.reading.lines else []
    if factor is None:
        like = _sizes_of(call, size)
        if like is not None:
            call.put(Repeated(call.name, (call.source, call.layer(like)), 0))
        else:
            call.lines = bool(line)
            call.put(Repeated(call.name, (call.source,), 0, call.pair("size", size, line=1)))
        return
    sides = list(factor) if isinstance(factor, tuple | list) else [factor]
    sides = line + sides if len(sides) == 1 else sides
    if len(sides) > 2 or any(not isinstance(n, int | float) or n < 1 or n != int(n) for n in sides):
        call.refuse(f"upsampling with scale_factor={factor!r}", WHOLE)
    call.put(Repeated(call.name, (call.source,), alike([int(n) for n in sides])))  # type: ignore[arg-type]


def _sizes_of(call: Call, size: Any) -> fx.Node | None:
    """The result of which ``size`` is height and width, None where it is numbers."""
    sides = list(size) if isinstance(size, tuple | list) else [size]
    if [call.sizes.axis(side) for side in sides] not in (["map"], [2, 3]):
        return None
    of = {call.sizes.found[side][0] for side in sides}
    return of.pop() if len(of) == 1 else None
