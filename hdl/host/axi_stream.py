"""The output of an AXI4-Stream that stays true to its rules when what feeds it is reset.

AXI lets nothing but its own reset take back a beat that was offered, and a packet ends with TLAST only. A soft reset
behind an AXI port must therefore end the packet that it cuts.
"""

from __future__ import annotations

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .frames import CUT_WORD, beat_signature

__all__ = ["PacketEnd"]


class PacketEnd(wiring.Component):
    """A register for the beats of packets, which ends a packet that a soft reset has cut.

    A beat comes out one cycle after it came in, every output is a register, and beats follow each other without a gap.
    After ``cut`` the beat that waits in the register is still handed out; where its packet has not ended, one more beat
    follows, with ``last``: of results :data:`~.frames.CUT_WORD`, which no other beat is; of a map, whose beats may have
    any value, zero, and ``user`` is high with it.

    Parameters: ``width`` of a beat of a map; None: of results, 32 bits. Members: ``i``: In(beats), of which none may be
    valid while ``cut`` is high; ``cut``: In(1), what feeds ``i`` is in reset; ``o``: Out(beats, of a map with
    ``user``); ``busy``: Out(1), a packet is under way.
    """

    i: stream.Interface
    o: stream.Interface
    cut: Signal
    busy: Signal

    def __init__(self, width: int | None = None) -> None:
        self.of_map = width is not None
        beats = beat_signature(width or 32)
        out = stream.Signature(data.StructLayout({"data": width, "last": 1, "user": 1})) if width else beats
        super().__init__({"i": In(beats), "cut": In(1), "o": Out(out), "busy": Out(1)})

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
            m.d.sync += self.o.valid.eq(ending | self.i.valid)
            if self.of_map:
                m.d.sync += [Value.cast(self.o.payload).eq(Cat(self.i.payload)), self.o.payload.user.eq(ending)]
            else:
                m.d.sync += self.o.payload.eq(self.i.payload)
            with m.If(ending):
                word = 0 if self.of_map else CUT_WORD
                m.d.sync += [self.o.payload.data.eq(word), self.o.payload.last.eq(1), ending.eq(0), open_.eq(0)]
            with m.Elif(self.i.valid):
                m.d.sync += open_.eq(~self.i.payload.last)
        with m.If(self.cut & open_ & ~ending):
            m.d.sync += ending.eq(1)
        return m
