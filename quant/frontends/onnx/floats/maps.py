"""What moves numbers or puts some of a map together: pools, padding, choices and concatenations of channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ....ir.windows import each_way
from ...layers import Concat, Flat, Pad, Repeated, Select, Shortcut
from ..constants import axes_of
from ..moving import pads_of, parts_of, slices_of
from ..resizing import factor_of
from ..step import Step
from ..windows import pool_of, whole_map
from .made import Handler, Made, Puts

__all__ = ["MAPS"]


def _pool(reader: Puts, step: Step, x: Sequence[Any]) -> Made:
    source = reader.plain(step, x[0])
    pool = (whole_map if step.op.startswith("Global") else pool_of)(step, source.name, source.shape[1:])
    c, high, wide = source.shape[1:]
    return reader.put(pool, (source.shape[0], *pool.shape([(c, high, wide)])))


def _mean(reader: Puts, step: Step, x: Sequence[Any]) -> Made:
    source, axes = reader.plain(step, x[0]), axes_of(step, x)
    step.get("noop_with_empty_axes", 0)
    if len(source.shape) != 4 or sorted(a % 4 for a in axes or ()) != [2, 3]:
        step.refuse(f"over the axes {axes}", "the mean over height and width, axes 2 and 3")
    made = reader.put(whole_map(step, source.name, source.shape[1:]), (*source.shape[:2], 1, 1))
    if step.get("keepdims", 1):
        return made
    return reader.put(Flat(f"{step.name} as a vector", (made.name,)), made.shape[:2])


def _resize(reader: Puts, step: Step, x: Sequence[Any]) -> Made:
    source = reader.plain(step, x[0])
    down, along = each_way(factor := factor_of(step, x, source.shape))
    n, c, high, wide = source.shape
    return reader.put(Repeated(step.name, (source.name,), factor), (n, c, high * down, wide * along))


def _pad(reader: Puts, step: Step, x: Sequence[Any]) -> Made:
    """Zeros around a map, for what takes it, or channels of zeros, of a shortcut."""
    source = reader.plain(step, x[0])
    sides, value = pads_of(step, x, source.shape)
    if value:
        step.refuse(f"with {value}", "zeros")
    before, after, *around = sides
    shape = list(source.shape)
    if not any(sides):
        return reader.same(step, source)
    if not any(around):
        shape[1] += before + after
        layer = reader.layers.get(source.name)
        if isinstance(layer, Shortcut) and reader.alone(step):
            reader.layers[layer.name] = replace(layer, before=layer.before + before, after=layer.after + after)
            return Made(layer.name, tuple(shape))
        return reader.put(Shortcut(step.name, (source.name,), 1, before, after), shape)
    if before or after:
        step.refuse("of channels and of maps at once", "one of them")
    top, bottom, left, right = around
    shape[2:] = [shape[2] + top + bottom, shape[3] + left + right]
    return reader.put(Pad(step.name, (source.name,), (top, bottom, left, right)), shape)


def _slice(reader: Puts, step: Step, x: Sequence[Any]) -> Made:
    """A run of channels, or every so manyth row and column, the beginning of a shortcut."""
    source = x[0] if isinstance(x[0], Made) else reader.plain(step, x[0])
    channels, strides = slices_of(step, x, source.shape)
    if channels is not None:
        source = reader.plain(step, source)
        layer = Select(step.name, (source.name,), lambda c: range(c)[channels])
        return reader.put(layer, (source.shape[0], len(range(source.shape[1])[channels]), *source.shape[2:]))
    part = (source.part[0] * strides[0], source.part[1] * strides[1])
    shape = (*source.shape[:2], *(-(-n // s) for n, s in zip(source.shape[2:], strides, strict=True)))
    if part == (1, 1):
        return reader.same(step, source)
    if part[0] != part[1]:
        return Made(source.name, shape, part)
    return reader.put(Shortcut(step.name, (source.name,), part[0], 0, 0), shape)


def _concat(reader: Puts, step: Step, x: Sequence[Any]) -> Made:
    parts, axis = [reader.plain(step, part) for part in x], step.get("axis", 1)
    shape = parts[0].shape
    if axis not in (1, 1 - len(shape)):
        step.refuse(f"along axis {axis}", "concatenation along the channels, axis 1")
    if any(part.shape[2:] != shape[2:] for part in parts):
        step.refuse(f"of {' and '.join(str(part.shape) for part in parts)}", "maps of one size")
    layer = Concat(step.name, tuple(part.name for part in parts))
    return reader.put(layer, (shape[0], sum(part.shape[1] for part in parts), *shape[2:]))


def _split(reader: Puts, step: Step, x: Sequence[Any]) -> list[Made]:
    source, found, first = reader.plain(step, x[0]), list[Made](), 0
    for k, count in enumerate(parts_of(step, x, source.shape)):
        chosen = range(first, first + count)
        layer = Select(f"{step.name} part {k + 1}", (source.name,), lambda c, chosen=chosen: chosen)
        if reader.graph.takers[step.outputs[k]]:
            found.append(reader.put(layer, (source.shape[0], count, *source.shape[2:])))
        else:
            found.append(source)  # which nothing takes
        first += count
    return found


def _flat(reader: Puts, step: Step, x: Sequence[Any]) -> Made:
    source = reader.plain(step, x[0])
    shape = reader.reshaped(step, x)
    if shape == source.shape:
        return reader.same(step, source)
    return reader.put(Flat(step.name, (source.name,)), shape)


MAPS: dict[str, Handler] = {
    "MaxPool": _pool, "AveragePool": _pool, "GlobalAveragePool": _pool, "GlobalMaxPool": _pool, "ReduceMean": _mean,
    "Resize": _resize, "Upsample": _resize, "Pad": _pad, "Slice": _slice, "Concat": _concat, "Split": _split,
    "Flatten": _flat, "Reshape": _flat, "Squeeze": _flat, "Unsqueeze": _flat,
}  # fmt: skip
"""By operator."""
