"""Answers requests one after the other: what the link does with frames once they are known to be good."""

from __future__ import annotations

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc.catalog import CRC16_IBM_3740
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .codes import REPLY, Kind

__all__ = ["Replies"]


class Replies(wiring.Component):
    """Takes records of ``hdl.packets.PacketReceiver``, gives frames without COBS.

    An image goes on to the core at one byte a cycle. Its latency are the cycles from its first byte to the last beat of
    its result, both included; the beats are taken without a pause and kept until the reply is out.

    Parameters: ``frame_bytes`` of an image; ``info``, payload of the reply to INFO, whole words of 4 bytes; ``classes``,
    logits of a result. Members: ``i``: In(stream of bytes); ``o``: Out(stream of ``data``, 8 bits, and ``last``);
    ``pixels``, ``results``: as in ``hdl.link.LinkCore``; ``status``: In(64), payload of the reply to STATUS; ``busy``:
    Out(1), a request is under way.
    """

    i: stream.Interface
    o: stream.Interface
    pixels: stream.Interface
    results: stream.Interface
    status: Signal
    busy: Signal

    def __init__(self, frame_bytes: int, info: bytes, classes: int) -> None:
        self.frame_bytes = frame_bytes
        self.info = info
        self.classes = classes
        signature = stream.Signature(data.StructLayout({"data": 8, "last": 1}))
        results = stream.Signature(data.StructLayout({"data": 32, "last": 1}))
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(signature),
                "pixels": Out(signature),
                "results": In(results),
                "status": In(64),
                "busy": Out(1),
            }
        )

    @property
    def words(self) -> dict[Kind, int]:
        """Payloads of the replies, in words of 4 bytes."""
        return {
            Kind.ERROR: 1,
            Kind.IMAGE: self.classes + 2,
            Kind.INFO: len(self.info) // 4,
            Kind.STATUS: 2,
            Kind.RESET: 0,
        }

    def elaborate(self, platform: object) -> Module:
        m = Module()
        i, o, pixels, results = self.i, self.o, self.pixels, self.results
        kind, reason, sequence = Signal(3), Signal(4), Signal(8)
        left, latency, running = Signal(range(self.frame_bytes)), Signal(32), Signal()

        # The reply's place: byte of a word, word of the payload.
        byte, word, following = Signal(2), Signal(range(self.classes + 2)), Signal(range(self.classes + 2))
        words, empty, ends = Signal(range(self.classes + 3)), Signal(), Signal()
        with m.Switch(kind):
            for each, count in self.words.items():
                with m.Case(each):
                    m.d.comb += words.eq(count)
        size = Cat(Const(0, 2), words)
        m.d.comb += [empty.eq(kind == Kind.RESET), ends.eq(word == (words - 1)[: len(word)]), following.eq(word)]
        m.d.sync += word.eq(following)

        # Word 0 of a result is its latency, which is not in the memory.
        m.submodules.results = memory = Memory(shape=32, depth=self.classes + 2, init=[])
        write, read = memory.write_port(), memory.read_port()
        beat = Signal(range(self.classes + 3), init=1)
        m.d.comb += [write.addr.eq(beat), write.data.eq(results.payload.data)]
        m.d.comb += [read.en.eq(1), read.addr.eq(following)]

        content = Signal(8)
        with m.Switch(kind):
            with m.Case(Kind.IMAGE):
                m.d.comb += content.eq(Mux(word == 0, latency, read.data).word_select(byte, 8))
            with m.Case(Kind.INFO):
                m.d.comb += content.eq(Array(self.info)[Cat(byte, word)[: (len(self.info) - 1).bit_length()]])
            with m.Case(Kind.STATUS):
                m.d.comb += content.eq(self.status.word_select(Cat(byte, word[0]), 8))
            with m.Default():
                m.d.comb += content.eq(Mux(byte == 0, reason, 0))

        m.submodules.crc = crc = CRC16_IBM_3740(data_width=8).create()
        sends = Signal()
        m.d.comb += [crc.data.eq(o.payload.data), sends.eq(o.valid & o.ready)]
        with m.If(sends):
            m.d.sync += byte.eq(byte + 1)

        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("TYPE"))
            with m.State("TYPE"):
                m.d.comb += i.ready.eq(1)
                m.d.sync += [kind.eq(i.payload[:3]), reason.eq(i.payload[4:]), latency.eq(0), beat.eq(1), byte.eq(0)]
                m.d.comb += following.eq(0)
                with m.If(i.valid):
                    m.next = "SEQUENCE"
            with m.State("SEQUENCE"):
                m.d.comb += [i.ready.eq(1), crc.start.eq(1)]
                m.d.sync += [sequence.eq(i.payload), left.eq(self.frame_bytes - 1)]
                with m.If(i.valid):
                    m.next = "HEADER"
                    with m.If(kind == Kind.IMAGE):
                        m.next = "PIXELS"
            with m.State("PIXELS"):
                m.d.comb += [
                    pixels.valid.eq(i.valid),
                    pixels.payload.data.eq(i.payload),
                    pixels.payload.last.eq(left == 0),
                    i.ready.eq(pixels.ready),
                ]
                with m.If(pixels.valid & pixels.ready):
                    m.d.sync += [left.eq(left - 1), running.eq(1), latency.eq(latency + 1)]
                    with m.If(pixels.payload.last):
                        m.next = "RESULT"
            with m.State("RESULT"):
                m.d.comb += [results.ready.eq(1), write.en.eq(results.valid)]
                with m.If(results.valid):
                    m.d.sync += beat.eq(beat + 1)
                    with m.If(results.payload.last):
                        m.d.sync += running.eq(0)
                        m.next = "HEADER"
            with m.State("HEADER"):
                m.d.comb += [o.valid.eq(1), crc.valid.eq(sends)]
                with m.Switch(byte):
                    for k, part in enumerate((kind | REPLY, sequence, size[:8], size[8:])):
                        with m.Case(k):
                            m.d.comb += o.payload.data.eq(part)
                with m.If(sends & (byte == 3)):
                    m.next = "PAYLOAD"
                    with m.If(empty):
                        m.next = "CRC"
            with m.State("PAYLOAD"):
                m.d.comb += [o.valid.eq(1), o.payload.data.eq(content), crc.valid.eq(sends)]
                with m.If(sends & (byte == 3)):
                    m.d.comb += following.eq(word + 1)
                    with m.If(ends):
                        m.next = "CRC"
            with m.State("CRC"):
                m.d.comb += [o.valid.eq(1), o.payload.last.eq(byte[0])]
                m.d.comb += o.payload.data.eq(Mux(byte[0], crc.crc[:8], crc.crc[8:]))
                with m.If(sends & byte[0]):
                    m.next = "TYPE"
        with m.If(running):
            m.d.sync += latency.eq(latency + 1)
        return m
