"""Frames checked and kept until they are known to be good: nothing of a bad one gets any further.

The receiver writes what it decodes into a ring and moves the mark up to which others may read only after the CRC; a bad
frame is taken back and leaves a record of why in its place, so that records keep the order of the frames.
"""

from __future__ import annotations

from collections.abc import Mapping

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.crc.catalog import CRC16_IBM_3740
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..memory.rom import UNCHECKED
from .cobs import EVENT
from .codes import Kind, Reason

__all__ = ["HEADER", "TRAILER", "PacketMemory", "PacketReceiver"]

HEADER = 4
"""Bytes of a frame before its payload: type, sequence number, length (two, the lower one first)."""

TRAILER = 2
"""Bytes after it: the CRC-16/IBM-3740 of all before, the higher one first."""


class PacketMemory(wiring.Component):
    """A ring of bytes that are read only once they are committed.

    Holds ``depth`` - 1 bytes. Committed bytes come at one a cycle; the first one two cycles after its commit.

    Parameters: ``depth``, a power of two. Members: ``data``: In(8), written where ``write``: In(1), ignored while
    ``full``: Out(1); ``commit``: In(1) makes readable what was written before this cycle, ``rollback``: In(1) takes it
    back, neither together with ``write``; ``drop``: In(1) forgets what was committed before this cycle; ``o``:
    Out(stream of bytes), which keeps the rules of streams but for ``drop``.
    """

    data: Signal
    write: Signal
    full: Signal
    commit: Signal
    rollback: Signal
    drop: Signal
    o: stream.Interface

    def __init__(self, depth: int) -> None:
        if depth < 2 or depth & (depth - 1):
            raise ValueError(f"Depth must be a power of two, at least 2, not {depth!r}")
        self.depth = depth
        commands = dict.fromkeys(("write", "commit", "rollback", "drop"), In(1))
        super().__init__({"data": In(8), **commands, "full": Out(1), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(shape=8, depth=self.depth, init=[], attrs=UNCHECKED)
        write, read = memory.write_port(), memory.read_port()
        back, end, front, front_next, front_after = (
            Signal(range(self.depth), name=name) for name in ("back", "end", "front", "front_next", "front_after")
        )
        back_next = Signal.like(back)
        taken = Signal()
        m.d.comb += [
            back_next.eq(back + 1),
            self.full.eq(back_next == front),
            write.en.eq(self.write & ~self.full),
            write.addr.eq(back),
            write.data.eq(self.data),
            front_after.eq(front + 1),
            taken.eq(self.o.valid & self.o.ready),
            front_next.eq(Mux(self.drop, end, Mux(taken, front_after, front))),
            read.en.eq(1),
            read.addr.eq(front_next),
            self.o.payload.eq(read.data),
        ]
        # "ready" comes late, through all of the link from the core: it chooses only, behind additions and comparisons.
        m.d.sync += [
            front.eq(front_next),
            self.o.valid.eq(~self.drop & Mux(taken, front_after != end, front != end)),
        ]
        with m.If(write.en):
            m.d.sync += back.eq(back_next)
        with m.If(self.commit):
            m.d.sync += end.eq(back)
        with m.If(self.rollback):
            m.d.sync += back.eq(end)
        return m


class PacketReceiver(wiring.Component):
    """Records of good frames, and of why others were dropped.

    A record is a byte with the frame's type in its lower half, its sequence number, and its payload; of a dropped frame
    type ``Kind.ERROR`` with the ``Reason`` in the upper half, and the sequence number as it came. A frame of type
    ``Kind.RESET`` drops all records before its own that are still to be read. A frame that finds no room is dropped
    with ``Reason.FULL``; where there is no room for that either, only ``bad`` tells of it.

    Events of a frame may come in every cycle, the next frame's first one four cycles after a frame's end.

    Parameters: ``lengths``, bytes of payload by type; ``depth`` of the memory. Members: ``i``: In(stream of ``EVENT``,
    always ready); ``o``: Out(stream of bytes); ``reset``: Out(1), high for a cycle at a good RESET; ``good``,
    ``bad``: Out(1), high for a cycle at the end of every frame.
    """

    i: stream.Interface
    o: stream.Interface
    reset: Signal
    good: Signal
    bad: Signal

    def __init__(self, lengths: Mapping[Kind, int], depth: int) -> None:
        self.lengths = dict(lengths)
        self.depth = depth
        if max(self.lengths.values()) > 0xFFFF:
            raise ValueError(f"A frame has 65,535 bytes of payload at most, not {max(self.lengths.values())}")
        if (most := max(self.lengths.values())) + 2 >= depth:
            raise ValueError(f"A memory of {depth} bytes has no room for a frame with {most} bytes of payload")
        events = stream.Signature(EVENT, always_ready=True)
        flags = dict.fromkeys(("reset", "good", "bad"), Out(1))
        super().__init__({"i": In(events), "o": Out(stream.Signature(8)), **flags})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = PacketMemory(self.depth)
        wiring.connect(m, memory.o, wiring.flipped(self.o))

        byte = Signal(8)
        end = Signal()
        takes = Signal()
        crc = CRC16_IBM_3740(data_width=8).create()
        m.submodules.crc = ResetInserter(end)(crc)
        m.d.comb += [
            byte.eq(self.i.payload.data),
            end.eq(self.i.valid & self.i.payload.end),
            takes.eq(self.i.valid & ~self.i.payload.end),
            crc.data.eq(byte),
            crc.valid.eq(takes),
        ]
        # What is known of the frame so far, and of the next byte: 0 type, 1 sequence number, 2 and 3 length,
        # 4 payload, 5 and 6 CRC, 7 more than there should be.
        known = Signal()
        length = Signal(range(max(self.lengths.values()) + 1))
        is_reset = Signal()
        wrong = Signal()
        overflow = Signal()
        sequence = Signal(8)
        place = Signal(3)
        with m.If(takes):
            m.d.sync += place.eq(place + 1)
            with m.Switch(place):
                with m.Case(0), m.Switch(byte):
                    for kind, payload in self.lengths.items():
                        with m.Case(kind):
                            m.d.sync += [known.eq(1), length.eq(payload), is_reset.eq(kind == Kind.RESET)]
                with m.Case(1):
                    m.d.sync += sequence.eq(byte)
                with m.Case(2):
                    m.d.sync += wrong.eq(byte != length[:8])
                with m.Case(3):
                    m.d.sync += wrong.eq(wrong | (byte != length[8:]))
                    with m.If(length == 0):
                        m.d.sync += place.eq(5)
                with m.Case(4):
                    m.d.sync += length.eq(length - 1)
                    with m.If(length != 1):
                        m.d.sync += place.eq(4)
                with m.Case(7):
                    m.d.sync += [wrong.eq(1), place.eq(7)]

        reason = Signal(Reason)
        kept = Signal(Reason)
        misfit = Signal()
        whole = Value.cast(crc.match_detected)  # pyright: ignore[reportArgumentType]  # not in amaranth-stubs
        m.d.comb += misfit.eq(wrong | (place != 7))
        with m.If(byte != Reason.GOOD):
            m.d.comb += reason.eq(byte)
        with m.Elif(~whole):
            m.d.comb += reason.eq(Reason.CRC)
        with m.Elif(~known):
            m.d.comb += reason.eq(Reason.TYPE)
        with m.Elif(misfit):
            m.d.comb += reason.eq(Reason.LENGTH)
        with m.Elif(overflow):
            m.d.comb += reason.eq(Reason.FULL)

        with m.If(memory.write & memory.full):
            m.d.sync += overflow.eq(1)
        with m.FSM():
            with m.State("FRAME"):
                m.d.comb += [memory.data.eq(byte), memory.write.eq(takes & ((place < 2) | (place == 4)))]
                with m.If(end):
                    m.d.sync += [kept.eq(reason), overflow.eq(0), place.eq(0)]
                    m.next = "COMMIT"
                    with m.If(reason != Reason.GOOD):
                        m.d.comb += memory.rollback.eq(1)
                        m.next = "REASON"
            # The record of a dropped frame, in place of what was written of it.
            with m.State("REASON"):
                m.d.comb += [memory.write.eq(1), memory.data.eq(Cat(Const(Kind.ERROR, 4), kept))]
                m.next = "SEQUENCE"
            with m.State("SEQUENCE"):
                m.d.comb += [memory.write.eq(1), memory.data.eq(sequence)]
                m.next = "COMMIT"
            with m.State("COMMIT"):
                m.d.comb += [
                    memory.commit.eq(~overflow),
                    memory.rollback.eq(overflow),
                    self.good.eq(kept == Reason.GOOD),
                    self.bad.eq(kept != Reason.GOOD),
                    self.reset.eq(is_reset & self.good),
                    memory.drop.eq(self.reset),
                ]
                m.d.sync += Cat(known, is_reset, wrong, overflow, sequence).eq(0)
                m.next = "FRAME"
        return m
