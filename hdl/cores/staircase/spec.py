"""A staircase with a comparison for every threshold."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...cost.parts import Parts
from .stairs import Stairs
from .table import Table

if TYPE_CHECKING:
    from .core import StaircaseArray

__all__ = ["StaircaseSpec"]


@dataclass(frozen=True, kw_only=True, eq=False)
class StaircaseSpec(Stairs):
    """A comparison for every threshold, all at once; of values, a table behind their number."""

    NAME: ClassVar[str] = "staircase"

    @property
    def latency(self) -> int:
        """Cycles from a current word to its values: one for the comparisons, one for their number, of values one more
        where these stand in block RAM."""
        return 2 if self.value_table is None or not self.value_table.block else 3

    @cached_property
    def value_table(self) -> Table | None:
        """The values of every lane by count and group."""
        if self.levels is None:
            return None
        levels = self.levels[:1] if (self.levels == self.levels[0]).all() else self.levels
        padding = ((0, 0), (0, 0), (0, (1 << self.count_bits) - levels.shape[2]))
        padded = np.pad(levels, padding, "edge").transpose(1, 0, 2)
        return Table.of([[lane.reshape(-1)] for lane in padded])

    @cached_property
    def decided(self) -> np.ndarray:
        """(outputs, K): 0 or 1 where no current or every current of a lane reaches a threshold in all groups, else
        -1."""
        ends = self.ranges.reshape(self.groups, self.outputs, 2)
        always, never = ((self.tests == ends[..., k, None] + k).all(0) for k in (0, 1))
        return np.where(always, 1, np.where(never, 0, -1))

    def parts(self) -> Parts:
        """What it is made of: the comparisons and what groups choose for them, the bits of the number, ``low`` or the
        values."""
        parts, open_ = Parts(), self.decided < 0
        parts.counter(self.groups)
        parts.registers(int(open_.sum()) + 1 + 1)
        parts.adders(np.full(int(open_.sum()), self.i_format.bits), "test" if self.groups == 1 else "chosen test")
        differ = open_ & (self.tests.min(0) != self.tests.max(0))
        parts.table(self.groups, int(differ.sum()) * self.i_format.bits)
        reached = self.steps >> np.arange(self.count_bits)  # a bit out of every 2^b-th test
        parts.logic["bit of count"] += self.outputs * int((-(-(reached - 1) // 3)).sum())
        if (table := self.value_table) is not None:
            table.add_parts(parts)
            if table.depth > 1 << self.count_bits:  # the group, one cycle later
                parts.registers((self.groups - 1).bit_length())
            parts.registers(1 if table.block else self.o_format.width)
            return parts
        parts.registers(self.o_format.width)
        if self.low:
            parts.adders(np.full(self.outputs, self.o_format.bits), "short adder")
        return parts

    def core(self) -> StaircaseArray:
        """The hardware."""
        from .core import StaircaseArray

        return StaircaseArray(self)
