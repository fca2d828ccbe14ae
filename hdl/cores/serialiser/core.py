"""Hands out a word of currents in parts, so that a few neuron units serve many outputs.

An accumulation takes many cycles, and its neurons would work in only one of them. The currents stay in their registers
until the next ones come, so choosing a part of them costs a multiplexer and no register.
"""

from __future__ import annotations

from amaranth import *

from ...streams.counter import counter
from ...streams.pipe import Pipe
from .spec import SerialiserSpec

__all__ = ["Serialiser"]


class Serialiser(Pipe):
    """The hardware of a :class:`SerialiserSpec`. Never stalls.

    Members: ``i``: In(stream of words, always ready), whose payload must stay for ``spec.ratio`` cycles;
    ``o``: Out(stream of parts, always ready).
    """

    def __init__(self, spec: SerialiserSpec) -> None:
        self.spec = spec
        super().__init__(spec.i_format.width, spec.o_format.width)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        running = Signal()
        moves = Signal()
        m.d.comb += moves.eq(self.i.valid | running)
        part, at_end = counter(m, self.spec.ratio, moves, "part")
        m.d.sync += [running.eq(moves & ~at_end), self.o.valid.eq(moves)]
        m.d.sync += self.o.payload.eq(self.i.payload.word_select(part, self.spec.o_format.width))
        return m
