"""Maps as frames of the link, in parts: a map is larger than any buffer, so it goes out as it comes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc.catalog import CRC16_IBM_3740
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..memory.rom import UNCHECKED
from .codes import REPLY, Kind
from .frames import beat_signature

__all__ = ["HEAD", "MapParts", "part_bytes"]

HEAD = 8
"""Bytes of a part before the numbers: those of every frame (type, sequence number, length), the number of the part
(two), the index of the map, zero."""

MOST, LEAST, ALL = 256, 64, 512
"""Bytes of numbers in a part at most and at least, and in one part of every map where that is between them."""


def part_bytes(maps: int) -> int:
    """Bytes of numbers in a whole part where there are so many maps: a power of two."""
    return max(LEAST, min(MOST, ALL >> (maps - 1).bit_length()))


class MapParts(wiring.Component):
    """Takes the words of maps in turns, and gives the parts of the maps as frames without COBS.

    Every map has two buffers of a part: one is filled while the other is sent. A part goes out once all its bytes are
    there, so no map waits for a word of another one: whatever the order in which the words of an image come,
    none stops. A word is written a byte a cycle; the maps take turns word by word, and part by part.

    Parameters: ``sizes``, bytes of a word of each map; ``part``, bytes of numbers in a part: a power of two, 4 or more;
    only the last one of a map may be shorter.
    Members: ``map_0``, ``map_1``, ..: In(beats of such words); ``o``: Out(stream of ``data``, 8 bits, and ``last``);
    ``sequence``: In(8), of the image, held while a part is offered; ``ended``: Out(1), the last word of every map was
    taken: the next ones wait for ``clear``: In(1), the next image begins, only while ``busy``: Out(1), a part waits
    or is sent, is low.
    """

    o: stream.Interface
    sequence: Signal
    ended: Signal
    clear: Signal
    busy: Signal

    def __init__(self, sizes: Sequence[int], part: int) -> None:
        if not sizes or min(sizes) < 1:
            raise ValueError(f"Every map has a byte a word at least, not {list(sizes)}")
        if part < 4 or part & (part - 1):
            raise ValueError(f"The bytes of a part must be a power of two, at least 4, not {part!r}")
        self.sizes, self.part = tuple(sizes), part
        super().__init__(
            {
                **{f"map_{k}": In(beat_signature(8 * size)) for k, size in enumerate(self.sizes)},
                "o": Out(stream.Signature(data.StructLayout({"data": 8, "last": 1}))),
                "sequence": In(8),
                "ended": Out(1),
                "clear": In(1),
                "busy": Out(1),
            }
        )

    @property
    def maps(self) -> list[stream.Interface]:
        """The streams of the maps."""
        return [getattr(self, f"map_{k}") for k in range(len(self.sizes))]

    def _map(self, index: Signal) -> list[Value]:
        """The part of an address that says which map."""
        return [index] if len(self.sizes) > 1 else []

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count, size_bits = len(self.sizes), self.part.bit_length() - 1
        places = range(max(2, count))
        depth = 2 * self.part << (count - 1).bit_length()
        m.submodules.memory = memory = Memory(shape=8, depth=depth, init=[], attrs=UNCHECKED)
        write, read = memory.write_port(), memory.read_port()

        # Of every map: where its next byte goes, its parts that are ready, the half from which the next one is sent.
        at = [Signal(size_bits + 1, name=f"at_{k}") for k in range(count)]
        ready = [Signal(2, name=f"ready_{k}") for k in range(count)]
        half = [Signal(name=f"half_{k}") for k in range(count)]
        ended = Signal(count, name="ended_maps")
        taking, sending = Signal(places), Signal(places)
        closes, sent = Signal(), Signal()
        for k in range(count):
            more, less = closes & (taking == k), sent & (sending == k)
            m.d.sync += [ready[k].eq(ready[k] + more - less), half[k].eq(half[k] ^ less)]
        m.d.comb += self.ended.eq(ended.all())

        self._fill(m, write, taking, at, Array(ready)[taking][1], ended, closes)
        size = Signal(size_bits + 1)  # of the next part of the map whose turn it is
        short = Value.cast(Array(at)[sending])[:size_bits]
        whole = ~ended.bit_select(sending, 1) | (Array(ready)[sending] != 1) | (short == 0)
        m.d.comb += size.eq(Mux(whole, self.part, short))
        offers = Signal()
        m.d.comb += [offers.eq(Array(ready)[sending] != 0), self.busy.eq(Cat(ready).any())]
        self._send(m, read, sending, offers, size, Array(half)[sending], sent)
        with m.If(self.clear):
            m.d.sync += [*(each.eq(0) for each in at), *(each.eq(0) for each in half), ended.eq(0)]
        return m

    def _fill(self, m: Module, write: Any, taking: Signal, at: list[Signal], full: Value, ended: Signal,
              closes: Signal) -> None:
        """Take a word of the map whose turn it is, and write its bytes."""
        maps, size_bits = self.maps, self.part.bit_length() - 1
        word = Signal(8 * max(self.sizes))
        left = Signal(range(max(self.sizes)))
        final = Signal()
        offers, last_byte, writes = Signal(), Signal(), Signal()
        place = Value.cast(Array(at)[taking])
        following = Mux(taking == len(maps) - 1, 0, taking + 1)
        m.d.comb += [
            offers.eq(Array(each.valid for each in maps)[taking] & ~ended.bit_select(taking, 1)),
            last_byte.eq(left == 0),
            write.addr.eq(Cat(place, *self._map(taking))),
            write.data.eq(word[:8]),
            write.en.eq(writes),
            closes.eq(writes & (place[:size_bits].all() | (last_byte & final))),
        ]
        with m.FSM(name="fill"):
            with m.State("TAKE"):
                with m.Switch(taking):
                    for k, each in enumerate(maps):
                        with m.Case(k):
                            m.d.comb += each.ready.eq(~ended[k])
                            m.d.sync += [word.eq(each.payload.data), final.eq(each.payload.last),
                                         left.eq(self.sizes[k] - 1)]  # fmt: skip
                with m.If(offers):
                    m.next = "WRITE"
                with m.Else():
                    m.d.sync += taking.eq(following)
            with m.State("WRITE"):
                m.d.comb += writes.eq(~full)
                with m.If(writes):
                    m.d.sync += [word.eq(word >> 8), left.eq(left - 1)]
                    with m.Switch(taking):
                        for k in range(len(maps)):
                            with m.Case(k):
                                m.d.sync += [at[k].eq(at[k] + 1), ended[k].eq(last_byte & final)]
                    with m.If(last_byte):
                        m.d.sync += taking.eq(following)
                        m.next = "TAKE"

    def _send(self, m: Module, read: Any, sending: Signal, offers: Signal, next_size: Signal, half: Value,
              sent: Signal) -> None:
        """Send a part of the map whose turn it is. It counts as ready until its last byte has left."""
        o, size_bits = self.o, self.part.bit_length() - 1
        size, number = Signal(size_bits + 1), Signal(16)
        index, following = Signal(size_bits), Signal(size_bits)
        place = Signal(range(HEAD))
        begins, moves = Signal(), Signal()
        length = Signal(16)
        crc = CRC16_IBM_3740(data_width=8).create()
        m.submodules.crc = ResetInserter(begins)(crc)
        after = Mux(sending == len(self.sizes) - 1, 0, sending + 1)
        m.d.comb += [
            moves.eq(o.valid & o.ready),
            length.eq(size + HEAD - 4),
            following.eq(index),
            read.en.eq(1),
            read.addr.eq(Cat(following, half, *self._map(sending))),
            crc.data.eq(o.payload.data),
        ]
        m.d.sync += index.eq(following)
        with m.If(moves):
            m.d.sync += place.eq(place + 1)
        with m.If(self.clear):
            m.d.sync += number.eq(0)
        with m.FSM(name="send"):
            with m.State("SEEK"):
                m.d.comb += begins.eq(1)
                m.d.sync += [place.eq(0), index.eq(0), size.eq(next_size)]
                with m.If(offers):
                    m.next = "HEAD"
                with m.Else():
                    m.d.sync += sending.eq(after)
            with m.State("HEAD"):
                m.d.comb += [o.valid.eq(1), crc.valid.eq(moves)]
                head = (REPLY | Kind.MAP, self.sequence, length[:8], length[8:], number[:8], number[8:], sending, 0)
                with m.Switch(place):
                    for k, byte in enumerate(head):
                        with m.Case(k):
                            m.d.comb += o.payload.data.eq(byte)
                with m.If(moves & (place == HEAD - 1)):
                    m.next = "NUMBERS"
            with m.State("NUMBERS"):
                m.d.comb += [o.valid.eq(1), o.payload.data.eq(read.data), crc.valid.eq(moves)]
                with m.If(moves):
                    m.d.comb += following.eq(index + 1)
                    with m.If(index == (size - 1)[:size_bits]):
                        m.d.sync += place.eq(0)
                        m.next = "CRC"
            with m.State("CRC"):
                m.d.comb += [o.valid.eq(1), o.payload.last.eq(place[0])]
                m.d.comb += o.payload.data.eq(crc.crc.word_select(~place[0], 8))
                with m.If(moves & place[0]):
                    m.d.comb += sent.eq(1)
                    m.d.sync += [number.eq(number + 1), sending.eq(after)]
                    m.next = "SEEK"
