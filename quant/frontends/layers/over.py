"""Means and maxima over a whole map, as they are written without a pool: over both axes, over one after the other, or
over pixels that a view has put on one axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ..torch_fx.registry import reads
from .flat import PIXELS, Flat
from .pool import Pool

if TYPE_CHECKING:
    from ..torch_fx.call import Call

__all__ = ["Over", "part_of_maximum"]


@dataclass(frozen=True)
class Over:
    """What a call holds that has gone over some axes of a map: the ``kind`` of pool, the axis that is ``left`` (None:
    none), whether the others are still there (``keep``), and whether it is the first part of a ``pair``."""

    kind: str
    left: int | None
    keep: bool
    pair: bool = False


@reads(torch.mean, "mean", arguments=("input", "dim", "keepdim"))
def _mean(call: Call) -> None:
    if call.take("dtype") is not None:
        call.refuse("a mean in another type of numbers", "mean without dtype")
    _over(call, "average", "mean")


@reads(torch.amax, "amax", arguments=("input", "dim", "keepdim"))
def _amax(call: Call) -> None:
    _over(call, "max", "amax")


@reads(torch.max, "max", arguments=("input", "dim", "keepdim"))
def _max(call: Call) -> None:
    _over(call, "max", "max", pair=True)


@reads(getattr, arguments=("input", "name"))
def _values(call: Call) -> None:
    """``.values`` of a maximum."""
    if (name := call.take("name")) != "values" or not part_of_maximum(call, 0):
        call.refuse(f"the attribute {name}", "x.shape, and .values of a maximum")


def part_of_maximum(call: Call, index: Any) -> bool:
    """Whether ``call`` takes part ``index`` of a maximum with its places; of the values it is read."""
    held = call.held(call.of)
    if not isinstance(held, Over) or not held.pair:
        return False
    if index != 0:
        call.refuse("the places of a maximum", "its values, torch.max(x, 2)[0]")
    _done(call, Over(held.kind, held.left, held.keep))
    return True


def _over(call: Call, kind: str, word: str, pair: bool = False) -> None:
    axes, keep, held = call.take("dim"), bool(call.take("keepdim", False)), call.held(call.of)
    lines = call.reader.reading.lines
    every = axes if isinstance(axes, tuple | list) else [axes] if type(axes) is int else []
    given = sorted(axis % (3 if lines else 4) for axis in every)
    supported = f"{word}((2, 3)), over the whole map"
    if held == PIXELS and not keep and axes in (2, -1, (2,), [2], (-1,), [-1]):
        found = Over(kind, None, False, pair)
    elif isinstance(held, Over) and not held.pair and len(given) == 1 and (held.kind, held.keep) == (kind, keep):
        if given[0] != held.left and (keep or axes not in (2, -1)):
            call.refuse(f"{word} over {axes}", supported)
        found = Over(kind, None, keep, pair)
    elif held is None and given == ([2] if lines else [2, 3]) and (lines or not pair):
        found = Over(kind, None, keep, pair)
    elif held is None and given in ([2], [3]):
        found = Over(kind, 5 - given[0], keep, pair)
    else:
        call.refuse(f"{word} over {axes}", supported)
    _done(call, found)


def _done(call: Call, found: Over) -> None:
    """What ``call`` has ``found`` becomes a layer, or waits for the rest of it."""
    if found.pair or found.left is not None:
        return call.hold(found)
    source = call.layer(call.holder(call.of))
    call.put(Pool(call.name, (source,), found.kind, 0, 0))
    if not found.keep:
        call.put(Flat(f"{call.name}_flat", (call.result,)))
    return None
