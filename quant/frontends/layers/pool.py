"""Pools over square windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...ir.ops import MaxPool, SumPool
from ..torch_fx.registry import reads
from .base import Passing, Shape, refuse
from .resample import Resample
from .windows import places

if TYPE_CHECKING:
    from ..torch_fx.call import Call

__all__ = ["MAX_POOLS", "Pool"]

MAX_POOLS = (F.max_pool2d, torch.max_pool2d)


@dataclass(frozen=True)
class Pool(Passing):
    """Pooling over ``kernel`` x ``kernel`` windows (0: the whole map); ``kind`` is "average" or "max".

    ``divisor`` is what the sum of a window is divided by where that is not its area, else 0. Of integers an average is
    the sum: the division is a matter of what they are worth. ``outputs``, where the kernel is 0: windows that cut the
    map into so many in each direction.
    """

    kind: str
    kernel: int
    stride: int
    divisor: int = 0
    outputs: int = 1

    @property
    def rising(self) -> bool:
        """Whether it is a max-pool."""
        return self.kind == "max"

    @property
    def adds(self) -> bool:
        return self.kind == "average"

    @property
    def parts(self) -> int:
        """How many values of the pool are worth one that it takes."""
        return (self.divisor or self.kernel**2) if self.adds else 1

    def value(self, x: Sequence[Tensor]) -> Tensor:
        if self.rising:
            return F.max_pool2d(x[0], self.kernel, self.stride)
        return F.avg_pool2d(x[0], self.kernel, self.stride, divisor_override=self.divisor or None)

    def integers(self, x: Sequence[Tensor]) -> Tensor:
        if self.rising:
            return F.max_pool2d(x[0], self.kernel, self.stride)
        return F.avg_pool2d(x[0], self.kernel, self.stride, divisor_override=1)

    def trains(self, x: Sequence[Tensor]) -> Tensor:
        """Of a max-pool the count gate: a spike leaves when the largest running count of the window grows."""
        if not self.rising:
            return super().trains(x)
        y = super().trains([x[0].cumsum(0)])
        return torch.cat((y[:1], y[1:] - y[:-1]))

    def high(self, highs: Sequence[int]) -> int:
        return highs[0] * self.kernel**2 if self.adds else highs[0]

    def unit(self, units: Sequence[Tensor], cells: int = 1) -> Tensor:
        return units[0] / self.parts if self.parts > 1 else units[0]

    def offset(self, offsets: Sequence[Tensor], cells: int = 1) -> Tensor:
        return offsets[0] * self.kernel**2 / self.parts if self.adds else offsets[0]

    def shape(self, before: Sequence[Shape]) -> Shape:
        c, h, w = before[0]
        return c, *places(self.name, (h, w), (self.kernel, self.kernel), self.stride, 0)

    def sized(self, before: Sequence[Shape]) -> Pool | Resample:
        """The pool with the side of the map for a kernel of 0."""
        if self.kernel:
            return self
        if not before:
            refuse(self.name, "a pool over a whole map of unknown size", "tracing with the shape of the image")
        _, high, wide = before[0]
        if self.adds and (high % self.outputs or wide % self.outputs):
            return Resample(self.name, self.sources, self.outputs, self.outputs)
        if high != wide:
            refuse(self.name, f"a pool over a whole map of {high}x{wide}", "square maps")
        if high % self.outputs:
            refuse(
                self.name,
                f"an adaptive max-pool to {self.outputs}x{self.outputs} of a map of {high}x{wide}",
                "one whose windows are equal",
            )
        return replace(self, kernel=high // self.outputs, stride=high // self.outputs)

    def node(self, fields: dict[str, str]) -> MaxPool | SumPool:
        kind = MaxPool if self.rising else SumPool
        return kind(**fields, kernel=self.kernel, stride=self.stride)


WINDOWS = ("input", "kernel_size", "stride", "padding")


@reads(nn.AvgPool2d)
def _average_module(call: Call) -> None:
    of = call.module
    pool = _pool(call, "average", of.kernel_size, of.stride, of.padding, 1, of.ceil_mode)
    call.put(replace(pool, divisor=_divisor(call, of.divisor_override)))


@reads(F.avg_pool2d, arguments=(*WINDOWS, "ceil_mode", "count_include_pad", "divisor_override"))
def _average(call: Call) -> None:
    kernel, stride, padding = call.take("kernel_size"), call.take("stride"), call.take("padding", 0)
    ceil, divisor = call.take("ceil_mode", False), call.take("divisor_override")
    call.take("count_include_pad")  # there is no padding
    if whole := call.sizes.whole_map(kernel):
        kernel = stride = 1  # one window, whatever the stride
    pool = _pool(call, "average", kernel, stride or kernel, padding, 1, ceil)
    pool = replace(pool, divisor=_divisor(call, divisor))
    call.put(replace(pool, kernel=0, stride=0) if whole else pool)


@reads(nn.MaxPool2d)
def _max_module(call: Call) -> None:
    of = call.module
    _values_alone(call, of.return_indices)
    call.put(_pool(call, "max", of.kernel_size, of.stride, of.padding, of.dilation, of.ceil_mode))


@reads(F.max_pool2d, arguments=(*WINDOWS, "dilation", "ceil_mode", "return_indices"))
@reads(torch.max_pool2d, arguments=(*WINDOWS, "dilation", "ceil_mode"))
def _max(call: Call) -> None:
    kernel, stride = call.take("kernel_size"), call.take("stride")
    rest = call.take("padding", 0), call.take("dilation", 1), call.take("ceil_mode")
    _values_alone(call, call.take("return_indices"))
    if whole := call.sizes.whole_map(kernel):
        kernel = stride = 1
    pool = _pool(call, "max", kernel, stride or kernel, *rest)
    call.put(replace(pool, kernel=0, stride=0) if whole else pool)


@reads(nn.AdaptiveAvgPool2d)
def _adaptive_module(call: Call) -> None:
    _adapted(call, "average", call.module.output_size)


@reads(F.adaptive_avg_pool2d, arguments=("input", "output_size"))
def _adaptive(call: Call) -> None:
    _adapted(call, "average", call.take("output_size"))


@reads(nn.AdaptiveMaxPool2d)
def _adaptive_max_module(call: Call) -> None:
    _values_alone(call, call.module.return_indices)
    _adapted(call, "max", call.module.output_size)


@reads(F.adaptive_max_pool2d, arguments=("input", "output_size", "return_indices"))
def _adaptive_max(call: Call) -> None:
    _values_alone(call, call.take("return_indices"))
    _adapted(call, "max", call.take("output_size"))


def _pool(call: Call, kind: str, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool) -> Pool:
    """A pool without padding, dilation and windows that reach beyond the map."""
    if call.number("padding", padding) or call.number("dilation", dilation) != 1 or ceil:
        call.refuse(f"a pool with padding={padding}, dilation={dilation}, ceil_mode={ceil}", "pools without them")
    return Pool(call.name, (call.source,), kind, call.number("kernel_size", kernel), call.number("stride", stride))


def _divisor(call: Call, override: Any) -> int:
    """The divisor of a pool, 0 where it is its area."""
    if override is None:
        return 0
    if not isinstance(override, int) or override < 1:
        call.refuse(f"divisor_override={override!r}", "a divisor of 1 or more, a number")
    return override


def _values_alone(call: Call, indices: Any) -> None:
    if indices:
        call.refuse("return_indices=True", "max-pools that give their values alone")


def _adapted(call: Call, kind: str, output: Any) -> None:
    sides = set(output if isinstance(output, tuple | list) else [output])
    if len(sides) != 1 or not all(isinstance(side, int) and side > 0 for side in sides):
        call.refuse(f"an adaptive pool to {output}", "one to the same number of windows in both directions")
    call.put(Pool(call.name, (call.source,), kind, 0, 0, outputs=sides.pop()))
