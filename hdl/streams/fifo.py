"""The FIFO behind a stage."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..cost.parts import Parts
from ..memory.ram import ram
from .counter import balance, counter

__all__ = ["Fifo", "FifoSpec"]


@dataclass(frozen=True)
class FifoSpec:
    """A FIFO of ``depth`` words of ``width`` bits: one register, or a memory from two words on."""

    width: int
    depth: int

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise ValueError(f"Depth must be a positive integer, not {self.depth!r}")

    def parts(self) -> Parts:
        """What it is made of."""
        parts = Parts()
        if self.depth == 1:
            parts.registers(self.width + 1)
            parts.logic["register stage"] += 1
            return parts
        parts.memory(self.depth, self.width, "auto", registered=False)
        parts.registers((self.depth - 1).bit_length() + 2)
        parts.logic["level bit"] += self.depth.bit_length()
        parts.counter(self.depth)
        parts.counter(self.depth)
        return parts


class Fifo(wiring.Component):
    """The hardware of a :class:`FifoSpec`.

    A word is offered one cycle after it came, a slot is free one cycle after its word left.

    Law: taken_i[k] >= taken_o[k - depth] + 1; offered_o[k] = taken_i[k] + 1 (``hdl.streams.law.FifoLaw``).

    Members: ``i``: In(stream); ``o``: Out(stream).
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, spec: FifoSpec) -> None:
        self.spec = spec
        super().__init__({"i": In(stream.Signature(spec.width)), "o": Out(stream.Signature(spec.width))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = self.spec.depth
        if depth == 1:
            m.d.comb += self.i.ready.eq(~self.o.valid)
            with m.If(self.i.valid & self.i.ready):
                m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(self.i.payload)]
            with m.If(self.o.valid & self.o.ready):
                m.d.sync += self.o.valid.eq(0)
            return m
        write, read = ram(m, platform, self.spec.width, depth, domain="comb")
        # Words that are there, and as many as make the highest bit say that it is full; ready and valid come without
        # logic.
        none = (1 << (depth - 1).bit_length()) - depth
        level = Signal(range(depth + none + 1), init=none)
        m.d.comb += [
            self.i.ready.eq(~level[-1]),
            write.en.eq(self.i.valid & self.i.ready),
            write.data.eq(self.i.payload),
            self.o.payload.eq(read.data),
        ]
        taken = Signal()
        m.d.comb += taken.eq(self.o.valid & self.o.ready)
        balance(m, level, write.en, taken)
        with m.If(write.en | taken):
            m.d.sync += self.o.valid.eq(write.en | (level != none + 1))
        m.d.comb += [
            write.addr.eq(counter(m, depth, write.en, "write_at")[0]),
            read.addr.eq(counter(m, depth, taken, "read_at")[0]),
        ]
        return m
