"""A serial line to a core with frames: takes in images, sends back results; ``docs/link.md`` is the protocol.

Frames are checked before anything of them goes on (``hdl.host.packets``), and answered one after the other. One image
at a time is in the core, so that its latency is measured in an empty core; the images behind it come in meanwhile and
wait in the packet memory, and replies go out while the next image computes.
"""

from __future__ import annotations

from dataclasses import dataclass

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..streams.fifo import Fifo, FifoSpec
from .cobs import CobsDecoder, CobsEncoder
from .codes import MAP_VERSION, VERSION, Kind
from .frames import beat_signature
from .map_replies import MapReplies
from .packets import PacketReceiver
from .replies import Replies
from .uart import BitRate, UartReceiver, UartTransmitter

__all__ = ["LinkCore", "LinkMap", "LinkSpec"]

HALT_CYCLES = 4


MOST_MAPS = 255
MOST_SIDE = 0xFFFF


@dataclass(frozen=True)
class LinkMap:
    """A map as the link knows it: ``shape`` (C, H, W) of a frame; ``bytes`` of a number, 1, 2 or 4; ``word``, bytes of
    a word of its stream. Raises ValueError where they do not fit the protocol."""

    shape: tuple[int, int, int]
    bytes: int
    word: int

    def __post_init__(self) -> None:
        if not all(1 <= side <= MOST_SIDE for side in self.shape):
            raise ValueError(f"Channels, height and width of a map over the link are 1 to {MOST_SIDE:,}, not "
                             f"{' x '.join(map(str, self.shape))}")

    @property
    def info(self) -> bytes:
        """What the reply to INFO says of it."""
        return b"".join(side.to_bytes(2, "little") for side in self.shape) + bytes([self.bytes, 0])


@dataclass(frozen=True)
class LinkSpec:
    """What a link tells of itself and of the core behind it.

    Parameters: ``rate`` of the line; ``network_hash``, 8 bytes; ``frame_bytes`` of an image, ``input_high``, the
    largest value of one; ``classes``, logits in a result, which may be 0 where there are ``maps``; ``depth``, bytes of
    the packet memory, 0: room for two images, 512 at least. Raises ValueError where they do not fit the protocol.
    """

    rate: BitRate
    network_hash: bytes
    frame_bytes: int
    input_high: int
    classes: int
    depth: int = 0
    maps: tuple[LinkMap, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.frame_bytes <= 0xFFFF:
            raise ValueError(f"An image over the link has 1 to 65,535 bytes, not {self.frame_bytes:,}")
        if not (not self.maps) <= self.classes <= 16380:
            raise ValueError(f"A result over the link has 1 to 16,380 logits, not {self.classes:,}")
        if len(self.maps) > MOST_MAPS:
            raise ValueError(f"A board tells of {MOST_MAPS} maps at most, not {len(self.maps)}")
        if len(self.network_hash) != 8:
            raise ValueError(f"The network's hash takes 8 bytes, not {len(self.network_hash)}")
        if self.depth and not self.window:
            raise ValueError(f"A memory of {self.depth} bytes has no room for an image of {self.frame_bytes} bytes")

    @property
    def memory_bytes(self) -> int:
        """Bytes of the packet memory."""
        return self.depth or max(512, 1 << (2 * (self.frame_bytes + 2)).bit_length())

    @property
    def window(self) -> int:
        """Images that may be under way: sent, and not answered yet."""
        return min(255, (self.memory_bytes - 1) // (self.frame_bytes + 2))

    @property
    def info(self) -> bytes:
        """Payload of the reply to INFO."""
        numbers = ((self.frame_bytes, 2), (self.classes, 2), (round(self.rate.clock_hz), 4))
        tail = b"".join(number.to_bytes(size, "little") for number, size in numbers)
        head = bytes([MAP_VERSION if self.maps else VERSION, self.input_high, self.window, len(self.maps)])
        return head + self.network_hash + tail + b"".join(each.info for each in self.maps)

    @property
    def lengths(self) -> dict[Kind, int]:
        """Bytes of payload of the requests."""
        return {Kind.IMAGE: self.frame_bytes, Kind.INFO: 0, Kind.STATUS: 0, Kind.RESET: 0}


class LinkCore(wiring.Component):
    """The link of a :class:`LinkSpec`.

    Members: ``rx``: In(1), not synchronised; ``tx``: Out(1); ``pixels``: Out(stream of ``data``, 8 bits, and
    ``last``), one image after the other; ``results``: In(stream of ``data``, 32 bits, and ``last``), ``classes`` + 1
    beats for every image; ``map_0``, ``map_1``, ..: In(beats of the words of a map), a packet for every image;
    ``frames``: In(16), a counter for STATUS; ``soft_reset``: Out(1), high for 4 cycles at a RESET; ``busy``: Out(1),
    something is under way; ``error``: Out(1), the last frame was dropped.
    """

    rx: Signal
    tx: Signal
    pixels: stream.Interface
    results: stream.Interface
    frames: Signal
    soft_reset: Signal
    busy: Signal
    error: Signal

    def __init__(self, spec: LinkSpec) -> None:
        self.spec = spec
        flags = dict.fromkeys(("soft_reset", "busy", "error"), Out(1))
        super().__init__(
            {
                "rx": In(1),
                "tx": Out(1),
                "pixels": Out(stream.Signature(data.StructLayout({"data": 8, "last": 1}))),
                "results": In(stream.Signature(data.StructLayout({"data": 32, "last": 1}))),
                "frames": In(16),
                **{f"map_{k}": In(beat_signature(8 * each.word)) for k, each in enumerate(spec.maps)},
                **flags,
            }
        )

    @property
    def maps(self) -> list[stream.Interface]:
        """The streams of the maps."""
        return [getattr(self, f"map_{k}") for k in range(len(self.spec.maps))]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec = self.spec
        m.submodules.receiver = receiver = UartReceiver(spec.rate)
        m.submodules.decoder = decoder = CobsDecoder()
        m.submodules.packets = packets = PacketReceiver(spec.lengths, spec.memory_bytes)
        m.submodules.encoder = encoder = CobsEncoder()
        m.submodules.transmitter = transmitter = UartTransmitter(spec.rate)
        if spec.maps:
            replies = MapReplies(spec.frame_bytes, spec.info, spec.classes, [each.word for each in spec.maps])
            for outer, inner in zip(self.maps, replies.maps, strict=True):
                wiring.connect(m, wiring.flipped(outer), inner)
        else:
            replies = Replies(spec.frame_bytes, spec.info, spec.classes)
        m.submodules.replies = ResetInserter(self.soft_reset)(replies)
        wiring.connect(m, receiver.o, decoder.i)
        wiring.connect(m, decoder.o, packets.i)
        wiring.connect(m, encoder.o, transmitter.i)
        m.d.comb += [
            receiver.rx.eq(self.rx),
            decoder.error.eq(receiver.error),
            self.tx.eq(transmitter.tx),
        ]
        # A register: the longest path of the link on an iCE40 goes from the choice of a reply's byte into this, not on
        # into the encoder's memory.
        register = Fifo(FifoSpec(len(Value.cast(encoder.i.payload)), 1))
        m.submodules.reply = reply = ResetInserter(self.soft_reset)(register)
        m.d.comb += [
            reply.i.valid.eq(replies.o.valid),
            reply.i.payload.eq(replies.o.payload),
            replies.o.ready.eq(reply.i.ready),
            # Nothing of a reply that is broken off may follow the flush, which an encoder between two frames ignores.
            encoder.i.valid.eq(reply.o.valid & ~self.soft_reset),
            encoder.i.payload.eq(reply.o.payload),
            reply.o.ready.eq(encoder.i.ready & ~self.soft_reset),
        ]
        wiring.connect(m, replies.pixels, wiring.flipped(self.pixels))
        wiring.connect(m, wiring.flipped(self.results), replies.results)

        halted = Signal(range(HALT_CYCLES + 1))
        # RESET ends the reply under way and forgets what is under way, at once.
        m.d.comb += [self.soft_reset.eq(halted != 0), encoder.flush.eq(packets.reset)]
        m.d.sync += halted.eq(Mux(packets.reset, HALT_CYCLES, halted - self.soft_reset))
        m.d.comb += [
            replies.i.valid.eq(packets.o.valid & ~self.soft_reset),
            replies.i.payload.eq(packets.o.payload),
            packets.o.ready.eq(replies.i.ready & ~self.soft_reset),
        ]

        dropped = Signal(16)
        with m.If(packets.bad):
            m.d.sync += [self.error.eq(1), dropped.eq(dropped + 1)]
        with m.If(packets.good):
            m.d.sync += self.error.eq(0)
        m.d.comb += replies.status.eq(Cat(self.frames, dropped))
        m.d.comb += self.busy.eq(
            self.soft_reset
            | packets.o.valid
            | replies.busy
            | reply.o.valid
            | encoder.busy
            | encoder.o.valid
            | transmitter.busy
        )
        return m
