"""Flattening: a map becomes a vector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ...ir.ops import Flatten, NetworkError
from ..torch_fx.registry import reads
from .base import Passing, Shape, refuse
from .concat import selected

if TYPE_CHECKING:
    from ..torch_fx.call import Call

__all__ = ["PIXELS", "Flat"]

PIXELS = "pixels"
"""What a view holds that has put all pixels of a map on one axis (N, C, H*W)."""


@dataclass(frozen=True)
class Flat(Passing):
    """(N, C, H, W) to (N, C*H*W); ``numbers``, how many these are, where the model says so, else 0; ``single``, whether
    it says that H and W are 1."""

    numbers: int = 0
    single: bool = False

    def value(self, x: Sequence[Tensor]) -> Tensor:
        return x[0].flatten(1)

    def integers(self, x: Sequence[Tensor]) -> Tensor:
        return x[0].flatten(1)

    def shape(self, before: Sequence[Shape]) -> Shape:
        c, h, w = before[0]
        if self.single and (h, w) != (1, 1):
            refuse(self.name, f"a choice of one pixel, or of none, of a map of {h}x{w}", "maps of one pixel")
        if self.numbers not in (0, c * h * w):
            raise NetworkError(
                f"{self.name}: makes vectors of {self.numbers}, but {self.source_name()} gives {c}x{h}x{w} for an image"
            )
        return c * h * w, 1, 1

    def channels(self, values: Sequence[Tensor], cells: int) -> Tensor:
        return values[0].repeat_interleave(cells) if values[0].ndim else values[0]

    def node(self, fields: dict[str, Any]) -> Flatten:
        return Flatten(**fields)


@reads(nn.Flatten)
def _module(call: Call) -> None:
    module = call.module
    if (module.start_dim, module.end_dim) != (1, -1):
        call.refuse(f"Flatten({module.start_dim}, {module.end_dim})", "Flatten(1, -1)")
    call.put(Flat(call.name, (call.source,)))


@reads(torch.flatten, "flatten", arguments=("input", "start_dim", "end_dim"))
def _function(call: Call) -> None:
    ends = call.take("start_dim", 0), call.take("end_dim", -1)
    if ends in ((2, -1), (2, 3), (-2, -1)) and call.held(call.of) is None:
        return call.hold(PIXELS)
    if ends != (1, -1):
        call.refuse(f"flatten({ends[0]}, {ends[1]})", "flatten(x, 1)")
    return call.put(Flat(call.name, (call.source,)))


@reads("view", "reshape", torch.reshape)
def _view(call: Call) -> None:
    to = call.take("shape") or call.rest()
    to = list(to[0]) if len(to) == 1 and isinstance(to[0], tuple | list) else to
    axes = [call.sizes.axis(size) for size in to]
    rule: Callable[[int], Sequence[int]] | str | int | None = call.held(call.of)
    if len(to) == 5 and axes[0] == 0 and isinstance(to[1], int) and axes[3:] == [2, 3] and rule is None:
        call.hold(to[1])  # groups of channels
    elif len(to) == 4 and axes[0] == 0 and axes[2:] == [2, 3] and callable(rule):
        selected(call, call.holder(call.of), rule)
    elif len(to) == 3 and axes[0] == 0 and (axes[1] == 1 or isinstance(to[1], int)) and to[2] == -1 and rule is None:
        call.hold(PIXELS)
    elif len(to) == 2 and (axes[0] == 0 or to[0] == -1) and isinstance(to[1], int) and (to[1] > 0 or axes[0] == 0):
        call.put(Flat(call.name, (call.source,), numbers=max(to[1], 0)))
    else:
        call.refuse("a view", "x.view(x.size(0), -1), x.view(-1, n), torch.flatten(x, 1), or a channel shuffle")


@reads("squeeze", torch.squeeze, arguments=("input", "dim"))
def _squeeze(call: Call) -> None:
    """Of a map of one pixel: one call for both axes, or two."""
    axes = call.take("dim")
    left = {2, 3} - ({axis % 4 for axis in axes} if isinstance(axes, tuple | list) else set[int]())
    line = call.reader.reading.lines and axes in (-1, 2)
    if axes is None or not left or line:
        call.put(Flat(call.name, (call.source,), single=True))
    elif isinstance(axes, int) and call.held(call.of) is None and axes in (-1, 3, -2, 2):
        call.hold("squeezed")
    elif call.held(call.of) == "squeezed" and axes in (-1, 2):
        call.put(Flat(call.name, (call.layer(call.holder(call.of)),), single=True))
    else:
        call.refuse(f"squeeze({axes})", "squeeze() of a map of one pixel, of both its axes")
