"""The output of an AXI4-Stream that stays true to its rules when what feeds it is reset.

AXI lets nothing but its own reset take back a beat that was offered, and a packet ends with TLAST only. A soft reset
behind an AXI port must therefore end the packet that it cuts.
"""

from __future__ import annotations

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .frames import CUT_WORD, beat_signature

__all__ = ["PacketEnd"]


class PacketEnd(wiring.Component):
    """A register for the beats of results, which ends a packet that a soft reset has cut.

    A beat comes out one cycle after it came in, every output is a register, and beats follow each other without a gap.
    After ``cut`` the beat that waits in the register is still handed out; where its packet has not ended, one more beat
    follows, :data:`~.frames.CUT_WORD` with ``last``.

    Members: ``i``: In(beats of 32 bits), of which none may be valid while ``cut`` is high; ``cut``: In(1), what feeds
    ``i`` is in reset; ``o``: Out(beats of 32 bits); ``busy``: Out(1), a packet is under way.
    """

    i: stream.Interface
    o: stream.Interface
    cut: Signal
    busy: Signal

    def __init__(self) -> None:
        beats = beat_signature(32)
        super().__init__({"i": In(beats), "cut": In(1), "o": Out(beats), "busy": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        open_ = Signal(name="open")
        ending = Signal()
        free = Signal()
        m.d.comb += [
            free.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(free & ~ending),
            self.busy.eq(open_ | self.o.valid),
        ]
        with m.If(free):
            m.d.sync += [self.o.valid.eq(ending | self.i.valid), self.o.payload.eq(self.i.payload)]
            with m.If(ending):
                m.d.sync += [self.o.payload.data.eq(CUT_WORD), self.o.payload.last.eq(1), ending.eq(0), open_.eq(0)]
            with m.Elif(self.i.valid):
                m.d.sync += open_.eq(~self.i.payload.last)
        with m.If(self.cut & open_ & ~ending):
            m.d.sync += ending.eq(1)
        return m
