"""Staircase: a comparison for every threshold, registered, and the number of those that hold.

Thresholds ascend, so the tests that hold come first. Bit b of their number says that it is in k..k + 2^b - 1 for some
odd multiple k of 2^b: test k holds and test k + 2^b does not, counted from 1. Of values, a table follows.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import *

from ...memory.rom import selected
from ...streams.counter import counter
from ...streams.pipe import Pipe
from ...streams.words import shape_for
from .spec import StaircaseSpec

__all__ = ["StaircaseArray"]


class StaircaseArray(Pipe):
    """The staircase of a :class:`StaircaseSpec`. Takes a word in any cycle, never stalls.

    Members: ``i``: In(stream of current words, always ready); ``o``: Out(stream of value words, always ready).
    """

    def __init__(self, spec: StaircaseSpec) -> None:
        self.spec = spec
        super().__init__(spec.i_format.width, spec.o_format.width)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec, form = self.spec, self.spec.i_format
        group, _ = counter(m, spec.groups, self.i.valid, "group")
        compared, values = Signal(), []
        table = spec.value_table
        later = Signal.like(group, name="later") if table is not None and table.depth > 1 << spec.count_bits else None
        if later is not None:
            m.d.sync += later.eq(group)
        for lane in range(spec.outputs):
            current = self.i.payload.word_select(lane, form.bits)
            reached = self._reached(m, current.as_signed() if form.signed else current, lane, group)
            value = Signal(shape_for(spec.o_format.low, spec.o_format.high), name=f"value_{lane}")
            count = number(reached, spec.count_bits)
            if table is None:
                m.d.comb += value.eq(count + spec.low)
            else:
                index = count if later is None else Cat(count, later)
                m.d.comb += value.eq(table.read(m, platform, lane, index, f"values_{lane}")[0])
            values.append(value)
        m.d.sync += compared.eq(self.i.valid)
        if table is not None and table.block:
            read = Signal()
            m.d.sync += [read.eq(compared), self.o.valid.eq(read)]
            m.d.comb += self.o.payload.eq(Cat(values))
        else:
            m.d.sync += [self.o.valid.eq(compared), self.o.payload.eq(Cat(values))]
        return m

    def _reached(self, m: Module, current: Value, lane: int, group: Value) -> list[Value]:
        """Whether ``current`` reaches each of its thresholds, one cycle later; what its range decides is a constant."""
        spec, found = self.spec, list[Value]()
        for k, decided in enumerate(spec.decided[lane].tolist()):
            if decided >= 0:
                found.append(Const(decided, 1))
                continue
            test = selected(m, group, spec.tests[:, lane, k].tolist(), f"test_{lane}_{k}")
            reached = Signal(name=f"reached_{lane}_{k}")
            m.d.sync += reached.eq(current >= test)
            found.append(reached)
        return found


def number(reached: Sequence[Value], bits: int) -> Value:
    """How many of ``reached`` hold, none behind one that does not, in ``bits`` bits."""
    found = []
    for unit in (1 << b for b in range(bits)):
        starts, ends = reached[unit - 1 :: 2 * unit], [*reached[2 * unit - 1 :: 2 * unit], Const(0, 1)]
        found.append(Cat(s & ~e for s, e in zip(starts, ends, strict=False)).any())
    return Cat(found)
