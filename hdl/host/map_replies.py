"""Replies of the link to a core with maps: the parts of an image's maps, and then the reply to it."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .frames import beat_signature
from .map_parts import MapParts, part_bytes
from .replies import Replies

__all__ = ["MapReplies"]


class MapReplies(wiring.Component):
    """:class:`~.replies.Replies`, with the parts of the maps in front of the reply to an image.

    The result of an image is taken once the last word of every map was, so its latency is that of all outputs, and the
    reply goes out when all parts have. A frame is never broken off for another one.

    Parameters: those of ``Replies``; ``classes`` may be 0; ``sizes``, bytes of a word of each map; ``part``, bytes of
    numbers in a whole part; 0: :func:`~.map_parts.part_bytes`. Members: those of ``Replies``, and ``map_0``, ``map_1``,
    ..: In(beats of such words), a packet for every image.
    """

    i: stream.Interface
    o: stream.Interface
    pixels: stream.Interface
    results: stream.Interface
    status: Signal
    busy: Signal

    def __init__(self, frame_bytes: int, info: bytes, classes: int, sizes: Sequence[int], part: int = 0) -> None:
        self.replies = Replies(frame_bytes, info, classes, told=True)
        self.parts = MapParts(sizes, part or part_bytes(len(sizes)))
        signature = stream.Signature(data.StructLayout({"data": 8, "last": 1}))
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(signature),
                "pixels": Out(signature),
                "results": In(beat_signature(32)),
                "status": In(32),
                "busy": Out(1),
                **{f"map_{k}": In(beat_signature(8 * size)) for k, size in enumerate(sizes)},
            }
        )

    @property
    def maps(self) -> list[stream.Interface]:
        """The streams of the maps."""
        return [getattr(self, f"map_{k}") for k in range(len(self.parts.sizes))]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.replies = replies = self.replies
        m.submodules.parts = parts = self.parts
        wiring.connect(m, wiring.flipped(self.i), replies.i)
        wiring.connect(m, replies.pixels, wiring.flipped(self.pixels))
        for outer, inner in zip(self.maps, parts.maps, strict=True):
            wiring.connect(m, wiring.flipped(outer), inner)
        m.d.comb += [
            replies.status.eq(self.status),
            parts.sequence.eq(replies.sequence),
            self.busy.eq(replies.busy | parts.busy),
            # The last word of every map comes before the result, so all parts wait by the time that the reply is made.
            replies.results.valid.eq(self.results.valid & parts.ended),
            replies.results.payload.eq(self.results.payload),
            self.results.ready.eq(replies.results.ready & parts.ended),
        ]
        held, held_part, of_part = Signal(), Signal(), Signal()
        m.d.comb += of_part.eq(Mux(held, held_part, parts.busy))
        for source, chosen in ((parts.o, of_part), (replies.o, ~of_part)):
            m.d.comb += source.ready.eq(self.o.ready & chosen)
            with m.If(chosen):
                m.d.comb += [self.o.valid.eq(source.valid), self.o.payload.eq(source.payload)]
        with m.If(self.o.valid):
            m.d.sync += [held.eq(~(self.o.ready & self.o.payload.last)), held_part.eq(of_part)]
        # A reply begins: no image is under way.
        m.d.comb += parts.clear.eq(self.o.valid & ~of_part & ~held)
        return m
