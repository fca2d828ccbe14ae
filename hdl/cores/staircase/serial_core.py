"""A binary search with one comparator a lane: a register holds the node of the tree, the answer leads to the next."""

from __future__ import annotations

from amaranth import *

from ...streams.counter import counter
from ...streams.pipe import Pipe
from ...streams.words import resized
from .serial import SerialSpec

__all__ = ["SerialSearch"]


class SerialSearch(Pipe):
    """The staircase of a :class:`SerialSpec`. Never stalls.

    Members: ``i``: In(stream of current words, always ready), ``spec.turnaround`` cycles apart, whose payload must stay
    until the last part begins; ``o``: Out(stream of parts, always ready).
    """

    def __init__(self, spec: SerialSpec) -> None:
        self.spec = spec
        super().__init__(spec.i_format.width, spec.o_format.width)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec = self.spec
        moves, running, done, full, leaving = (
            Signal(name=n) for n in ("moves", "running", "done", "full", "leaving")
        )  # fmt: skip
        m.d.comb += moves.eq(self.i.valid | running)
        cycle, at_end = counter(m, spec.cycles, moves, "cycle")
        part, last = counter(m, spec.ratio, moves & at_end, "part")
        ends = moves & at_end & last
        m.d.sync += [running.eq(moves & ~(at_end & last)), done.eq(moves & at_end)]
        if spec.ratio > 1:
            m.d.sync += full.eq(ends)
        else:
            m.d.comb += full.eq(done)
        group = Value.cast(Const(0, 0))
        if spec.rows > 1:  # of block RAM the address is there before the comparison is made
            group = counter(m, spec.groups, moves & at_end if spec.table.block else done, "group")[0]
        starts = cycle == 0
        values = [self._lane(m, platform, lane, starts, cycle, part, group) for lane in range(spec.lanes)]

        _, left = counter(m, spec.ratio, leaving, "leaves")
        m.d.sync += leaving.eq(full | (leaving & ~left))
        kept = Signal(spec.ratio * spec.o_format.width)  # part by part, the first lowest
        with m.If(done | leaving):
            m.d.sync += kept.eq(Cat(kept[spec.o_format.width :], *values))
        m.d.comb += [self.o.valid.eq(leaving), self.o.payload.eq(kept[: spec.o_format.width])]
        return m

    def _lane(
        self, m: Module, platform: object, lane: int, starts: Value, cycle: Value, part: Value, group: Value
    ) -> Value:
        """The value of a lane, there with ``done``: the current of a part, and the node that it has come to."""
        spec, form = self.spec, self.spec.i_format
        current = Signal(form.bits, name=f"current_{lane}")
        with m.If(starts):
            mine = (self.i.payload.word_select(k * spec.lanes + lane, form.bits) for k in range(spec.ratio))
            m.d.sync += current.eq(Array(mine)[part] if spec.ratio > 1 else next(mine))
        node, following = (Signal(spec.node_bits, name=f"{n}_{lane}") for n in ("node", "following"))
        index = Cat(following if spec.table.block else node, group)
        (word,) = spec.table.read(m, platform, lane, index, f"tree_{lane}")
        reached = Signal(name=f"reached_{lane}")
        m.d.comb += [
            reached.eq((current.as_signed() if form.signed else current) >= word),
            following.eq(Mux(starts, 1, Cat(reached, node[:-1]))),
        ]
        with m.If(~cycle[0] if spec.table.block else Const(1)):
            m.d.sync += node.eq(following)
        value = word if spec.found is not None else Cat(reached, node[:-1]) + spec.low
        return resized(m, value, spec.o_format.low, spec.o_format.high, f"value_{lane}")
