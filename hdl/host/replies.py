"""Answers requests one after the other: what the link does with frames once they are known to be good."""

from __future__ import annotations

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc.catalog import CRC16_IBM_3740
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..memory.rom import UNCHECKED
from .codes import REPLY, Kind

__all__ = ["Replies"]


class Replies(wiring.Component):
    """Takes records of ``hdl.host.packets.PacketReceiver``, gives frames without COBS.

    An image goes on to the core at one byte a cycle. Its latency is the number of cycles from its first byte to the
    last beat of its result, both included; the beats are taken without a pause and kept until the reply is out.

    Parameters: ``frame_bytes`` of an image; ``info``, payload of the reply to INFO, whole words of 4 bytes;
    ``classes``, logits of a result; ``told``, with ``sequence``: Out(8), the number of the request under way.
    Members: ``i``: In(stream of bytes); ``o``: Out(stream of ``data``, 8 bits, and ``last``); ``pixels``, ``results``:
    as in ``hdl.host.link.LinkCore``; ``status``: In(32), payload of the reply to STATUS; ``busy``: Out(1), a request is
    under way.
    """

    i: stream.Interface
    o: stream.Interface
    pixels: stream.Interface
    results: stream.Interface
    status: Signal
    busy: Signal
    sequence: Signal  # where it is told

    def __init__(self, frame_bytes: int, info: bytes, classes: int, *, told: bool = False) -> None:
        self.frame_bytes = frame_bytes
        self.info = info
        self.classes = classes
        self.told = told
        signature = stream.Signature(data.StructLayout({"data": 8, "last": 1}))
        results = stream.Signature(data.StructLayout({"data": 32, "last": 1}))
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(signature),
                "pixels": Out(signature),
                "results": In(results),
                "status": In(32),
                "busy": Out(1),
                **({"sequence": Out(8)} if told else {}),
            }
        )

    @property
    def words(self) -> dict[Kind, int]:
        """Payloads of the replies, in words of 4 bytes; of replies to other frames there is none."""
        return {Kind.IMAGE: self.classes + 2, Kind.INFO: len(self.info) // 4, Kind.STATUS: 1}

    def elaborate(self, platform: object) -> Module:
        m = Module()
        i, o, pixels, results = self.i, self.o, self.pixels, self.results
        head = Signal(8)
        sequence = Signal(8)
        if self.told:
            m.d.comb += self.sequence.eq(sequence)
        kind = head[:3]
        left = Signal(range(self.frame_bytes))
        latency = Signal(32)
        running = Signal()

        # Results, from address 1 on, and the reply to INFO. Word 0 of a result is its latency, which is a counter, and
        # that of a status the status as it was with the request: a byte that waits at the output must not change.
        info = [int.from_bytes(self.info[k : k + 4], "little") for k in range(0, len(self.info), 4)]
        info_at = self.classes + 2
        m.submodules.memory = memory = Memory(
            shape=32, depth=info_at + len(info), init=[0] * info_at + info, attrs=UNCHECKED
        )
        write, read = memory.write_port(), memory.read_port()
        beat = Signal(range(info_at + 1), init=1)
        m.d.comb += [write.addr.eq(beat), write.data.eq(results.payload.data)]

        # The reply's place: byte of a word, word of the payload as an address of the memory.
        byte = Signal(2)
        word = Signal(range(info_at + len(info)))
        following = Signal(range(info_at + len(info)))
        m.d.comb += [following.eq(word), read.en.eq(1), read.addr.eq(following)]
        m.d.sync += word.eq(following)
        size = Signal(16)
        first = Signal.like(word)
        last = Signal.like(word)
        with m.Switch(kind):
            for each, words in self.words.items():
                with m.Case(each):
                    start = info_at if each == Kind.INFO else 0
                    m.d.comb += [size.eq(4 * words), first.eq(start), last.eq(start + words - 1)]
        content = Signal(8)
        with m.If(word == 0):
            m.d.comb += content.eq(latency.word_select(byte, 8))
        with m.Else():
            m.d.comb += content.eq(read.data.word_select(byte, 8))

        begins = Signal()
        sends = Signal()
        crc = CRC16_IBM_3740(data_width=8).create()
        m.submodules.crc = ResetInserter(begins)(crc)
        m.d.comb += [crc.data.eq(o.payload.data), sends.eq(o.valid & o.ready)]
        with m.If(sends):
            m.d.sync += byte.eq(byte + 1)

        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("TYPE"))
            with m.State("TYPE"):
                m.d.comb += i.ready.eq(1)
                m.d.sync += [head.eq(i.payload), latency.eq(0), beat.eq(1), byte.eq(0)]
                with m.If(i.valid):
                    m.next = "SEQUENCE"
            with m.State("SEQUENCE"):
                m.d.comb += [i.ready.eq(1), begins.eq(1), following.eq(first)]
                m.d.sync += [sequence.eq(i.payload), left.eq(self.frame_bytes - 1)]
                with m.If(kind == Kind.STATUS):
                    m.d.sync += latency.eq(self.status)
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
                    for k, part in enumerate((head | REPLY, sequence, size[:8], size[8:])):
                        with m.Case(k):
                            m.d.comb += o.payload.data.eq(part)
                with m.If(sends & (byte == 3)):
                    m.next = "PAYLOAD"
                    with m.If(size == 0):
                        m.next = "CRC"
            with m.State("PAYLOAD"):
                m.d.comb += [o.valid.eq(1), o.payload.data.eq(content), crc.valid.eq(sends)]
                with m.If(sends & (byte == 3)):
                    m.d.comb += following.eq(word + 1)
                    with m.If(word == last):
                        m.next = "CRC"
            with m.State("CRC"):
                m.d.comb += [o.valid.eq(1), o.payload.last.eq(byte[0])]
                m.d.comb += o.payload.data.eq(crc.crc.word_select(~byte[0], 8))
                with m.If(sends & byte[0]):
                    m.next = "TYPE"
        with m.If(running):
            m.d.sync += latency.eq(latency + 1)
        return m
