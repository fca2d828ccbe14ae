"""The FIFO behind a stage."""

from __future__ import annotations

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..memory.ram import ram
from .counter import counter

__all__ = ["Fifo"]


class Fifo(wiring.Component):
    """A FIFO of ``depth`` words.

    A word is offered one cycle after it came, a slot is free one cycle after its word left.

    Law: taken_i[k] >= taken_o[k - depth] + 1; offered_o[k] = taken_i[k] + 1 (``hdl.streams.law.FifoLaw``).

    Parameters: ``shape``, of the payload; ``depth``, at least 1: one register, or a memory from two words on.
    Members: ``i``: In(stream); ``o``: Out(stream).
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, shape: int, depth: int) -> None:
        if depth < 1:
            raise ValueError(f"Depth must be a positive integer, not {depth!r}")
        self.depth = depth
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if self.depth == 1:
            m.d.comb += self.i.ready.eq(~self.o.valid)
            with m.If(self.i.valid & self.i.ready):
                m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(self.i.payload)]
            with m.If(self.o.valid & self.o.ready):
                m.d.sync += self.o.valid.eq(0)
            return m
        write, read = ram(m, platform, len(self.i.payload), self.depth, domain="comb")
        level = Signal(range(self.depth + 1))
        m.d.comb += [
            self.i.ready.eq(level != self.depth),
            self.o.valid.eq(level != 0),
            write.en.eq(self.i.valid & self.i.ready),
            write.data.eq(self.i.payload),
            self.o.payload.eq(read.data),
        ]
        taken = Signal()
        m.d.comb += taken.eq(self.o.valid & self.o.ready)
        m.d.sync += level.eq(level + write.en - taken)
        m.d.comb += [
            write.addr.eq(counter(m, self.depth, write.en, "write_at")[0]),
            read.addr.eq(counter(m, self.depth, taken, "read_at")[0]),
        ]
        return m
