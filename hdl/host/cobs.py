"""Consistent Overhead Byte Stuffing (Cheshire and Baker, IEEE/ACM ToN 7(2), 1999): frames without a zero byte inside.

A group is a code byte n = 1..255 and n - 1 bytes that are not zero; it stands for these bytes and a zero after them,
which is left out after n = 255 and at the end of the frame. A zero byte ends the frame. So wherever a receiver
starts to listen, it knows the next frame's begin.
"""

from __future__ import annotations

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..memory.rom import UNCHECKED
from .codes import Reason

__all__ = ["EVENT", "CobsDecoder", "CobsEncoder"]

EVENT = data.StructLayout({"data": 8, "end": 1})
"""A byte of a frame, or its end, with a ``Reason`` in ``data``."""


class CobsDecoder(wiring.Component):
    """Frames out of bytes, one event at most for every byte, in the next cycle. Frames of no byte leave no trace.

    Parameters: ``longest``, the code of a group without a zero after it: 255, smaller ones are for proofs.
    Members: ``i``: In(stream of bytes, always ready); ``error``: In(1), a byte was lost, so that the frame under way
    ends as ``Reason.FRAMING``; ``o``: Out(stream of ``EVENT``, always ready), whose ends say GOOD, FRAMING or CODING.
    """

    i: stream.Interface
    error: Signal
    o: stream.Interface

    def __init__(self, longest: int = 255) -> None:
        self.longest = longest
        super().__init__(
            {
                "i": In(stream.Signature(8, always_ready=True)),
                "error": In(1),
                "o": Out(stream.Signature(EVENT, always_ready=True)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # ``left`` - 1 bytes of the group are still to come.
        left = Signal(8, init=1)
        full = Signal()
        begun = Signal()
        broken = Signal()
        m.d.sync += self.o.valid.eq(0)
        with m.If(self.error):
            m.d.sync += broken.eq(1)
        with m.If(self.i.valid):
            m.d.sync += [self.o.payload.data.eq(self.i.payload), self.o.payload.end.eq(0)]
            with m.If(self.i.payload == 0):
                m.d.sync += [
                    self.o.valid.eq(begun | broken),
                    self.o.payload.end.eq(1),
                    self.o.payload.data.eq(
                        Mux(broken, Reason.FRAMING, Mux(left != 1, Reason.CODING, Reason.GOOD))
                    ),
                    Cat(left, begun, broken).eq(1),
                ]
            with m.Else():
                m.d.sync += begun.eq(1)
                with m.If(left == 1):
                    m.d.sync += [left.eq(self.i.payload), full.eq(self.i.payload == self.longest)]
                    m.d.sync += [self.o.valid.eq(begun & ~full), self.o.payload.data.eq(0)]
                with m.Else():
                    m.d.sync += [left.eq(left - 1), self.o.valid.eq(1)]
        return m


class CobsEncoder(wiring.Component):
    """Bytes of frames of any length into bytes with two zeros after every frame, and two after a reset.

    A group's code stands before its bytes, so they wait in a ring of ``depth`` bytes until the code is known. What
    lies before the open group may leave, so a frame may be longer than the ring. Two zeros, for one that a bit error
    changes must not join two frames. Encodes a byte a cycle, two after 254 bytes without a zero, and ends a frame
    with three cycles; while the ring is full it waits for ``o``.

    Parameters: ``depth``, a power of two, room for two groups: at least 512; ``longest``, the highest code, 255:
    smaller ones, with a smaller ring, are for proofs. Members: ``i``: In(stream of ``data``, 8 bits, and ``last``);
    ``o``: Out(stream of bytes); ``flush``: In(1), ends the frame under way as it is; ``busy``: Out(1), high while
    bytes wait.
    """

    i: stream.Interface
    o: stream.Interface
    flush: Signal
    busy: Signal

    def __init__(self, depth: int = 512, longest: int = 255) -> None:
        least = 2 * (longest + 1)
        if depth < least or depth & (depth - 1):
            raise ValueError(f"Depth must be a power of two, at least {least}, not {depth!r}")
        self.depth, self.longest = depth, longest
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout({"data": 8, "last": 1}))),
                "o": Out(stream.Signature(8)),
                "flush": In(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(shape=8, depth=self.depth, init=[], attrs=UNCHECKED)
        write, read = memory.write_port(), memory.read_port()
        # The open group's code byte is at ``slot``, the next byte's place at ``at``.
        slot = Signal(range(self.depth))
        at = Signal(range(self.depth), init=1)
        code = Signal(8, init=1)
        last = Signal()
        room = Signal()
        closes = Signal()

        front = Signal(range(self.depth))
        front_next = Signal(range(self.depth))
        m.d.comb += [
            front_next.eq(front + (self.o.valid & self.o.ready)),
            read.en.eq(1),
            read.addr.eq(front_next),
            self.o.payload.eq(read.data),
            room.eq(at != front),
            write.addr.eq(Mux(closes, slot, at)),
        ]
        m.d.sync += [front.eq(front_next), self.o.valid.eq(front_next != slot)]

        with m.FSM(init="ZERO"):
            with m.State("BYTES"):
                m.d.comb += [self.i.ready.eq(room), self.busy.eq(self.o.valid)]
                m.d.comb += closes.eq(self.i.payload.data == 0)
                m.d.comb += [write.en.eq(self.i.valid & room), write.data.eq(Mux(closes, code, self.i.payload.data))]
                with m.If(self.i.valid & room):
                    m.d.sync += last.eq(self.i.payload.last)
                    with m.If(~closes & (code == self.longest - 1)):
                        m.next = "FULL"
                    with m.Elif(self.i.payload.last):
                        m.next = "END"
                with m.If(self.flush):
                    m.next = "END"
            with m.State("FULL"):
                m.d.comb += [closes.eq(1), write.en.eq(room), write.data.eq(code), self.busy.eq(1)]
                with m.If(self.flush):
                    m.d.sync += last.eq(1)
                with m.If(room):
                    m.next = "BYTES"
                    with m.If(last | self.flush):
                        m.next = "END"
            with m.State("END"):
                m.d.comb += [closes.eq(1), write.en.eq(room), write.data.eq(code), self.busy.eq(1)]
                with m.If(room):
                    m.next = "ZERO"
            for state, following in (("ZERO", "ZEROS"), ("ZEROS", "BYTES")):
                with m.State(state):
                    m.d.comb += [closes.eq(1), write.en.eq(room), write.data.eq(0), self.busy.eq(1)]
                    with m.If(room):
                        m.next = following
        with m.If(write.en):
            m.d.sync += at.eq(at + 1)
            with m.If(closes):
                m.d.sync += [slot.eq(at), code.eq(1)]
            with m.Else():
                m.d.sync += code.eq(code + 1)
        return m
