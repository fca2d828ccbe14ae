"""Pools, flattening, concatenation, and the parts of maps that shortcuts take, of integers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ....ir.ops import Flatten
from ....ir.ops.upsample import Upsample
from ....ir.windows import each_way
from ...layers import Pool
from ..constants import axes_of
from ..moving import pads_of, slices_of
from ..resizing import factor_of
from ..step import Step
from ..windows import pool_of, whole_map
from .building import Building
from .numbers import HALF, Fused, Numbers, Part
from .quantisers import Quantised
from .taken import taken

__all__ = ["Maps"]


class Maps:
    """Adds these nodes to a ``building``."""

    def __init__(self, building: Building) -> None:
        self.building = building
        self.handlers = {
            "MaxPool": self._max, "GlobalMaxPool": self._max, "AveragePool": self._average,
            "GlobalAveragePool": self._average, "ReduceMean": self._mean, "Concat": self._concat, "Pad": self._pad,
            "Slice": self._slice, "Resize": self._resize, "Upsample": self._resize,
        }  # fmt: skip

    def _pooled(self, step: Step, numbers: Numbers) -> tuple[str, Pool, tuple[int, ...]]:
        """The node of a pool, its windows and the shape of its result."""
        if numbers.rises or not self.building.values(numbers.node):
            step.refuse("of numbers that are not quantised", "pools directly behind a quantiser")
        whole = "Global" in step.op or step.op == "ReduceMean"
        pool = (whole_map if whole else pool_of)(step, numbers.node, numbers.shape[1:])
        c, high, wide = numbers.shape[1:]
        if pool.padding and numbers.offset.any() and not (pool.rising and numbers.whole):
            step.refuse("with padding of a tensor that has a zero point", "a zero point of 0, or no padding")
        if pool.padding and pool.rising and self.building.signals[numbers.node].low < 0:
            step.refuse("with padding of numbers that can be below 0", "max-pools without padding, or behind a ReLU")
        node = self.building.add(pool.node({"name": step.name, "source": numbers.node}))
        return node, pool, (numbers.shape[0], *pool.shape([(c, high, wide)]))

    def _max(self, step: Step, x: Sequence[Any]) -> Numbers:
        numbers = taken(step, x[0], whole=True)
        node, _, shape = self._pooled(step, numbers)
        return numbers.moved(node, shape)

    def _resize(self, step: Step, x: Sequence[Any]) -> Numbers:
        numbers = taken(step, x[0], whole=True)
        if numbers.rises or not self.building.values(numbers.node):
            step.refuse("of numbers that are not quantised", "an upsampling directly behind a quantiser")
        down, along = each_way(factor := factor_of(step, x, numbers.shape))
        n, c, high, wide = numbers.shape
        node = self.building.add(Upsample(name=step.name, source=numbers.node, factor=factor))
        return numbers.moved(node, (n, c, high * down, wide * along))

    def _average(self, step: Step, x: Sequence[Any]) -> Numbers:
        return self.average(step, taken(step, x[0]))

    def average(self, step: Step, numbers: Numbers) -> Numbers:
        """An average pool, of windows or of the whole map."""
        node, pool, shape = self._pooled(step, numbers)
        found = numbers.averaged(node, shape, pool.area)
        if numbers.code is None or (numbers.offset % 1).any():
            return found
        scale = np.broadcast_to(numbers.code.scale, numbers.unit.shape)
        ordered = shape[2:] != (1, 1) or step.op == "ReduceMean"
        error = found.error + 4 * HALF * (found.reach + np.abs(found.offset))
        return replace(found, error=error, fused=Fused(scale, pool.area, ordered))

    def _mean(self, step: Step, x: Sequence[Any]) -> Numbers:
        numbers, axes = taken(step, x[0]), axes_of(step, x)
        step.get("noop_with_empty_axes", 0)
        if len(numbers.shape) != 4 or sorted(a % 4 for a in axes or ()) != [2, 3]:
            step.refuse(f"over the axes {axes}", "the mean over height and width, axes 2 and 3")
        found = self.average(step, numbers)
        return found if step.get("keepdims", 1) else found.moved(found.node, found.shape[:2])

    def flat(self, step: Step, x: Any, shape: tuple[int, ...]) -> Numbers:
        """``x`` as a vector of ``shape``."""
        numbers = taken(step, x, whole=True)
        if math.prod(numbers.shape[2:]) == 1:
            return numbers.moved(numbers.node, shape)
        if not self.building.values(numbers.node):
            step.refuse("of numbers that are not quantised", "a quantiser before it")
        name = self.building.add(Flatten(name=step.name, source=numbers.node))
        return numbers.flattened(name, shape, math.prod(numbers.shape[2:]))

    def _concat(self, step: Step, x: Sequence[Any]) -> Numbers:
        parts, axis = [taken(step, part) for part in x], step.get("axis", 1)
        if axis not in (1, 1 - len(parts[0].shape)):
            step.refuse(f"along axis {axis}", "concatenation along the channels, axis 1")
        return self.concatenated(step, parts)

    def concatenated(self, step: Step, parts: Sequence[Numbers]) -> Numbers:
        """The channels of ``parts``, quantised values, one behind the other: currents before a quantiser."""
        shape, count = parts[0].shape, sum(part.shape[1] for part in parts)
        if any(part.shape[2:] != shape[2:] for part in parts):
            step.refuse(f"of {' and '.join(str(part.shape) for part in parts)}", "maps of one size")
        if any(part.rises or not self.building.values(part.node) for part in parts):
            step.refuse("of numbers that are not quantised", "a quantiser before each part")
        terms, before = list[tuple[Numbers, np.ndarray]](), 0
        for part in parts:
            gain, after = np.zeros(count, np.int64), count - before - part.shape[1]
            gain[before : before + part.shape[1]] = 1
            terms.append((replace(part, part=Part((1, 1), before, after)), gain))
            before += part.shape[1]
        node = self.building.sum_of(step, terms)
        unit, offset, error = (np.concatenate([getattr(part, key) for part in parts])
                               for key in ("unit", "offset", "error"))  # fmt: skip
        return Numbers.of(node, (shape[0], count, *shape[2:]), self.building.reach(node), unit, offset, error)

    def _slice(self, step: Step, x: Sequence[Any]) -> Numbers:
        numbers = self._shortcut(step, x[0])
        channels, (rows, columns) = slices_of(step, x, numbers.shape)
        if channels is not None:
            step.refuse("of channels", "every so manyth row and column, as a branch of an Add")
        (sy, sx), before, after = numbers.part
        size = (-(-numbers.shape[2] // rows), -(-numbers.shape[3] // columns)) if len(numbers.shape) == 4 else ()
        return replace(numbers, shape=(*numbers.shape[:2], *size), part=Part((sy * rows, sx * columns), before, after))

    def _pad(self, step: Step, x: Sequence[Any]) -> Numbers:
        """Channels of zeros, as a shortcut has them."""
        numbers = self._shortcut(step, x[0])
        sides, value = pads_of(step, [v.floats if isinstance(v, Quantised) else v for v in x], numbers.shape)
        if any(sides[2:]):
            step.refuse(f"with pads={list(sides[2:])} around a map", "pads of the convolution itself")
        if (value / numbers.unit != numbers.offset).any():
            step.refuse(f"with {value:g}", f"what 0 is there, {numbers.offset[0] * numbers.unit[0]:g}")
        count = numbers.shape[1] + sides[0] + sides[1]
        stride, before, after = numbers.part
        unit, offset, error = (np.full(count, v[0]) for v in (numbers.unit, numbers.offset, numbers.error))
        return replace(numbers, shape=(numbers.shape[0], count, *numbers.shape[2:]), unit=unit, offset=offset,
                       error=error, part=Part(stride, before + sides[0], after + sides[1]))  # fmt: skip

    def _shortcut(self, step: Step, x: Any) -> Numbers:
        numbers = taken(step, x, whole=True, part=True)
        if numbers.rises or not self.building.values(numbers.node):
            step.refuse("of numbers that are not quantised", "a quantiser before it")
        if any((v != v[0]).any() for v in (numbers.unit, numbers.offset)):
            step.refuse("of channels with several scales", "one scale for all")
        return numbers
