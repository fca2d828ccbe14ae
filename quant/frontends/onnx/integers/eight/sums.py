"""The sum of two tensors of 8 bits, whatever their scales: the levels that it has, and the integers that give them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...step import Step
from ...weights import by_channel
from ..building import Building
from ..numbers import Code, Numbers, Rise
from ..quantisers import Quantised
from ..taken import Pending
from ..thresholds import Stairs
from .pairs import Gains, Table

__all__ = ["Sums", "added"]


def added(a: np.ndarray, b: np.ndarray, one: Code, other: Code, into: Code) -> np.ndarray:
    """The integers of the code ``into`` for the integers ``a`` and ``b`` of their codes, without its ends: as ONNX
    Runtime adds them on x86-64 with AVX2, one rounding after each product with a sum, the half to the even one.

    a * r + (b * s + (zero - (r * zero_a + s * zero_b))), with r and s the ratios of the scales. Sums of an integer of 8
    bits times a single float and another one are exact in double floats, so rounding these rounds once.
    """
    r, s = one.scale / into.scale, other.scale / into.scale
    start = np.float32(into.zero) - np.float32(np.float64(r) * one.zero + np.float64(s * np.float32(other.zero)))
    part = (b * np.float64(s) + np.float64(start)).astype(np.float32)
    return np.rint((a * np.float64(r) + part.astype(np.float64)).astype(np.float32)).astype(np.int64)


def floating(a: np.ndarray, b: np.ndarray, one: Code, other: Code, into: Code) -> np.ndarray:
    """The same as floats: DequantizeLinear, Add and QuantizeLinear, which adds the zero point behind the rounding."""
    x, y = ((q - np.float32(code.zero)).astype(np.float32) * code.scale for q, code in ((a, one), (b, other)))
    return np.rint((x + y) / into.scale).astype(np.int64) + into.zero


class Sums:
    """Adds such sums to a ``building``."""

    def __init__(self, building: Building) -> None:
        self.building = building

    def levels(self, step: Step, name: str, pending: Pending, code: Code) -> str:
        """The node ``name`` whose values are those of ``pending`` in the code of the quantiser ``step`` behind it."""
        if isinstance(pending.other, Quantised):
            return self._constants(step, name, pending, pending.other, code)
        one, other = pending.one, pending.other
        if one.node == other.node:
            pending.step.refuse(f"of {one.node} and itself", "two different tensors")
        first, second = self._values(one), self._values(other)
        assert one.code is not None and other.code is not None
        _even(pending.step, one, other)
        a, b = (n + numbers.offset[0] + numbers.code.zero for n, numbers in ((first, one), (second, other))
                if numbers.code)  # fmt: skip
        table = Table(self._levels(a[:, None], b[None], one.code, other.code, code, pending.rises),
                      int(first[0]), int(second[0]))  # fmt: skip
        gains = self._gains(pending.step, table, float(one.code.scale) / float(other.code.scale))
        count = pending.shape[1]
        terms = [(x, np.full(count, g, np.int64)) for x, g in ((one, gains.one), (other, gains.other))]
        node = self.building.sum_of(pending.step, terms)
        threshold = np.broadcast_to(gains.threshold, (count, len(gains.threshold)))
        return self.building.staircase(step, name, node, Stairs(threshold, table.low, np.zeros(count, bool), 0))

    def _gains(self, step: Step, table: Table, ratio: float) -> Gains:
        """Gains that give all levels, or the nearest ones."""
        if (found := table.exact()) is not None:
            return found
        found, count = table.nearest(ratio), table.levels.size
        off = f"{found.pairs:,} of {count:,} pairs of values ({found.pairs / count:.2%}) get another level"
        self.building.inexact(step, f"of two scales for which no gains of whole numbers give every level: {off}, by "
                              f"{found.levels} at most", "other scales")  # fmt: skip
        return found

    def _constants(self, step: Step, name: str, pending: Pending, other: Quantised, code: Code) -> str:
        """A constant for each channel: a staircase of what it is added to."""
        one, channels = pending.one, pending.shape[1]
        values, low = self._values(one), code.low - code.zero
        assert one.code is not None
        _even(pending.step, one)
        constant = by_channel(step, other.levels, pending.shape) + other.zero
        scale = by_channel(step, other.scale, pending.shape)
        if (scale != scale[0]).any():
            pending.step.refuse("of constants of several scales", "one scale for all")
        said = Code(np.float32(scale[0]), other.zero, 0, 0)
        q = values + one.offset[0] + one.code.zero
        levels = self._levels(q, constant[:, None], one.code, said, code, pending.rises)
        low, high = min(int(levels.min()), 0), max(int(levels.max()), 1)
        wanted = np.arange(low + 1, high + 1)
        threshold = values[0] + np.stack([np.searchsorted(row, wanted, "left") for row in levels])
        node = self.building.weighted(pending.step, one, np.ones(channels, np.int64))
        return self.building.staircase(step, name, node, Stairs(threshold, low, np.zeros(channels, bool), 0))

    def _values(self, numbers: Numbers) -> np.ndarray:
        """All values that a tensor can have."""
        signal = self.building.signals[numbers.node]
        return np.arange(min(signal.low, 0), max(signal.high, 0) + 1)

    def _levels(
        self, a: np.ndarray, b: np.ndarray, one: Code, other: Code, into: Code, rises: Sequence[Rise]
    ) -> np.ndarray:
        """Levels, 0 at the zero point, with the clamps behind the sum and the ends of the type: as integers, where
        those change nothing that the ends do not, for ONNX Runtime leaves them out there, else as floats."""
        low, high = into.low - into.zero, into.high - into.zero
        clamps = [(0.0, math.inf) if rise.op == "Relu" else (float(rise.constants[0]), float(rise.constants[1]))
                  for rise in rises]  # fmt: skip
        inside = all(first <= low * float(into.scale) and high * float(into.scale) <= last for first, last in clamps)
        levels = (added if inside else floating)(a, b, one, other, into) - into.zero
        for ends in clamps:
            levels = np.clip(levels, *(np.rint(np.float32(end) / into.scale) for end in ends))
        return np.clip(levels, low, high).astype(np.int64)


def _even(step: Step, *numbers: Numbers) -> None:
    """Refuse tensors whose channels count from several numbers."""
    if any((x.offset != x.offset[0]).any() for x in numbers):
        step.refuse("of channels with several zero points", "one for all")
