"""Pools."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...ir.ops import MaxPool, SumPool
from ...ir.windows import Pair, Sides, Windows, alike, each_side, each_way
from ..torch_fx.registry import reads
from .base import Passing, Shape, refuse
from .resample import Resample
from .weights import padded

if TYPE_CHECKING:
    from ..torch_fx.call import Call

__all__ = ["MAX_POOLS", "Pool"]

MAX_POOLS = (F.max_pool2d, torch.max_pool2d)


@dataclass(frozen=True)
class Pool(Passing):
    """Pooling over windows of ``kernel``, moved by ``stride`` over a map with ``padding``, settings as a node has them
    (``ir.bases.pooling``); ``kind`` is "average" or "max".

    ``divisor`` is what the sum of a window, zeros of the padding included, is divided by where that is not its area,
    else 0. Of integers an average is the sum: the division is a matter of what they are worth. With a kernel of 0
    windows cut the whole map into ``outputs`` in each direction. ``ceil``, whether windows may reach beyond its end.
    """

    kind: str
    kernel: Pair
    stride: Pair
    divisor: int = 0
    outputs: Pair = 1
    padding: Sides = 0
    ceil: bool = False

    @property
    def rising(self) -> bool:
        """Whether it is a max-pool."""
        return self.kind == "max"

    @property
    def adds(self) -> bool:
        return self.kind == "average"

    @property
    def area(self) -> int:
        """Cells of a window."""
        rows, columns = each_way(self.kernel)
        return rows * columns

    @property
    def parts(self) -> int:
        """How many values of the pool are worth one that it takes."""
        return (self.divisor or self.area) if self.adds else 1

    def value(self, x: Sequence[Tensor]) -> Tensor:
        if self.rising:
            return self.integers(x)
        return F.avg_pool2d(padded(x[0], self.padding), self.kernel, self.stride, divisor_override=self.divisor or None)

    def integers(self, x: Sequence[Tensor]) -> Tensor:
        if self.rising:
            return F.max_pool2d(padded(x[0], self.padding, -math.inf), self.kernel, self.stride)
        return F.avg_pool2d(padded(x[0], self.padding), self.kernel, self.stride, divisor_override=1)

    def trains(self, x: Sequence[Tensor]) -> Tensor:
        """Of a max-pool the count gate: a spike leaves when the largest running count of the window grows."""
        if not self.rising:
            return super().trains(x)
        y = super().trains([x[0].cumsum(0)])
        return torch.cat((y[:1], y[1:] - y[:-1]))

    def high(self, highs: Sequence[int]) -> int:
        return highs[0] * self.area if self.adds else highs[0]

    def unit(self, units: Sequence[Tensor], cells: int = 1) -> Tensor:
        return units[0] / self.parts if self.parts > 1 else units[0]

    def offset(self, offsets: Sequence[Tensor], cells: int = 1) -> Tensor:
        if self.adds and self.padding and bool((offsets[0] != 0).any()):
            refuse(self.name, "an average pool with padding of a normalised image", "one behind a convolution")
        return offsets[0] * self.area / self.parts if self.adds else offsets[0]

    @property
    def windows(self) -> Windows:
        """The windows that it makes one value of each."""
        return Windows(each_way(self.kernel), each_way(self.stride), each_side(self.padding))

    def shape(self, before: Sequence[Shape]) -> Shape:
        self.windows.check(self.name, before[0])
        return before[0][0], *self.windows.places(before[0][1:])

    def sized(self, before: Sequence[Shape]) -> Pool | Resample:
        """The pool with windows in place of those that the size of the map decides."""
        if not before and (not self.kernel or self.ceil):
            what = "with ceil_mode of a map" if self.ceil else "over a whole map"
            refuse(self.name, f"a pool {what} of unknown size", "tracing with the shape of the image")
        if self.ceil:
            return self._beyond(before[0][1:])
        return self if self.kernel else self._whole(before[0][1:])

    def _whole(self, size: tuple[int, int]) -> Pool | Resample:
        outputs = each_way(self.outputs)
        if any(n % parts for n, parts in zip(size, outputs, strict=True)):
            if self.adds:
                return Resample(self.name, self.sources, *outputs)
            refuse(
                self.name,
                f"an adaptive max-pool to {outputs[0]}x{outputs[1]} of a map of {size[0]}x{size[1]}",
                "one whose windows are equal",
            )
        kernel: Any = alike([n // parts for n, parts in zip(size, outputs, strict=True)])
        return replace(self, kernel=kernel, stride=kernel)

    def _beyond(self, size: tuple[int, int]) -> Pool:
        """With padding behind the map as far as the last window reaches, which PyTorch starts inside the map or its
        padding before it."""
        sides = list[int]()
        each = zip(size, each_way(self.kernel), each_way(self.stride), each_side(self.padding), strict=True)
        for cells, kernel, stride, (first, last) in each:
            windows = -(-(cells + first + last - kernel) // stride) + 1
            windows -= (windows - 1) * stride >= cells + first
            sides += [first, max(last, (windows - 1) * stride + kernel - cells - first)]
        padding: Any = alike(sides)
        if self.adds and not self.divisor and padding != self.padding:
            refuse(
                self.name,
                "an average pool with ceil_mode whose last windows have fewer cells",
                "ceil_mode=False, or divisor_override",
            )
        return replace(self, padding=padding, ceil=False)

    def node(self, fields: dict[str, Any]) -> MaxPool | SumPool:
        kind = MaxPool if self.rising else SumPool
        return kind(**fields, kernel=self.kernel, stride=self.stride, padding=self.padding)


WINDOWS = ("input", "kernel_size", "stride", "padding")


@reads(nn.AvgPool2d, nn.AvgPool1d)
def _average_module(call: Call) -> None:
    of = call.module
    divisor = None if call.line(nn.AvgPool1d) else of.divisor_override
    _average(call, of.kernel_size, of.stride, of.padding, of.ceil_mode, of.count_include_pad, divisor)


@reads(F.avg_pool2d, arguments=(*WINDOWS, "ceil_mode", "count_include_pad", "divisor_override"))
@reads(F.avg_pool1d, arguments=(*WINDOWS, "ceil_mode", "count_include_pad"))
def _average_function(call: Call) -> None:
    call.line(F.avg_pool1d)
    kernel, stride, padding = call.take("kernel_size"), call.take("stride"), call.take("padding", 0)
    ceil, counted = call.take("ceil_mode", False), call.take("count_include_pad", True)
    _average(call, kernel, stride, padding, ceil, counted, call.take("divisor_override"))


def _average(call: Call, kernel: Any, stride: Any, padding: Any, ceil: bool, counted: bool, override: Any) -> None:
    if padding not in (0, (0, 0)) and not counted and override is None:
        call.refuse("an average pool with padding that does not count", "count_include_pad=True, or divisor_override")
    pool = _pool(call, "average", kernel, stride, padding, ceil)
    if override is not None and (not isinstance(override, int) or override < 1):
        call.refuse(f"divisor_override={override!r}", "a divisor of 1 or more, a number")
    call.put(replace(pool, divisor=override or 0))


@reads(nn.MaxPool2d, nn.MaxPool1d)
def _max_module(call: Call) -> None:
    of = call.module
    call.line(nn.MaxPool1d)
    _max(call, of.kernel_size, of.stride, of.padding, of.dilation, of.ceil_mode, of.return_indices)


@reads(F.max_pool2d, arguments=(*WINDOWS, "dilation", "ceil_mode", "return_indices"))
@reads(F.max_pool1d, arguments=(*WINDOWS, "dilation", "ceil_mode", "return_indices"))
@reads(torch.max_pool2d, arguments=(*WINDOWS, "dilation", "ceil_mode"))
def _max_function(call: Call) -> None:
    call.line(F.max_pool1d)
    kernel, stride = call.take("kernel_size"), call.take("stride")
    padding, dilation, ceil = call.take("padding", 0), call.take("dilation", 1), call.take("ceil_mode", False)
    _max(call, kernel, stride, padding, dilation, ceil, call.take("return_indices"))


def _max(call: Call, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool, indices: Any) -> None:
    _values_alone(call, indices)
    if call.pair("dilation", dilation, line=1) != 1:
        call.refuse(f"a max-pool with dilation={dilation}", "max-pools whose windows have no gaps")
    call.put(_pool(call, "max", kernel, stride, padding, ceil))


@reads(nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool1d)
def _adaptive_module(call: Call) -> None:
    call.line(nn.AdaptiveAvgPool1d)
    _adapted(call, "average", call.module.output_size)


@reads(F.adaptive_avg_pool2d, F.adaptive_avg_pool1d, arguments=("input", "output_size"))
def _adaptive(call: Call) -> None:
    call.line(F.adaptive_avg_pool1d)
    _adapted(call, "average", call.take("output_size"))


@reads(nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool1d)
def _adaptive_max_module(call: Call) -> None:
    call.line(nn.AdaptiveMaxPool1d)
    _values_alone(call, call.module.return_indices)
    _adapted(call, "max", call.module.output_size)


@reads(F.adaptive_max_pool2d, F.adaptive_max_pool1d, arguments=("input", "output_size", "return_indices"))
def _adaptive_max(call: Call) -> None:
    call.line(F.adaptive_max_pool1d)
    _values_alone(call, call.take("return_indices"))
    _adapted(call, "max", call.take("output_size"))


def _pool(call: Call, kind: str, kernel: Any, stride: Any, padding: Any, ceil: bool) -> Pool:
    if call.sizes.whole_map(kernel):  # one window, whatever the stride
        if call.pair("padding", padding):
            call.refuse("a pool over a whole map with padding", "one without padding")
        return Pool(call.name, (call.source,), kind, 0, 0)
    stride = stride or kernel
    kernel, stride = call.pair("kernel_size", kernel, line=1), call.pair("stride", stride, line=1)
    padding = call.pair("padding", padding, line=0)
    return Pool(call.name, (call.source,), kind, kernel, stride, padding=padding, ceil=bool(ceil))


def _values_alone(call: Call, indices: Any) -> None:
    if indices:
        call.refuse("return_indices=True", "max-pools that give their values alone")


def _adapted(call: Call, kind: str, output: Any) -> None:
    sides = output if isinstance(output, tuple | list) else (output,)
    outputs = None if None in sides else call.pair("output_size", output, line=1)
    if outputs is None or min(each_way(outputs)) < 1:
        call.refuse(f"an adaptive pool to {output}", "one to a number of windows in each direction")
    call.put(Pool(call.name, (call.source,), kind, 0, 0, outputs=outputs))
