"""Frames at the ports of a design: packets of pixels, a byte each, come in; packets of 32-bit result words go out.

A packet is a run of beats that ends with the one whose ``last`` is high. :class:`Framer` makes exactly one frame of
every packet, whatever its length, and :class:`Results` exactly one packet of every frame, with a status that says
whether the packet had the right length.
"""

from __future__ import annotations

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..cores.readout.spec import ReadoutSpec
from ..streams.counter import counter
from ..streams.fifo import Fifo, FifoSpec
from ..streams.words import WordFormat

__all__ = ["CUT", "CUT_WORD", "GOOD", "LONG", "MOST_CLASSES", "SHORT", "Framer", "Results", "Verdicts",
           "beat_signature", "result_beats"]

GOOD, SHORT, LONG = range(3)
"""Status of a result: the packet had the length of a frame; it ended too early; it was too long."""

CUT = 0x80
CUT_WORD = CUT << 24
"""The last word of a packet of results that a reset has cut: no logit has this value."""

MOST_CLASSES = 1 << 16
"""Classes that the first word of a result can name."""


def beat_signature(width: int) -> stream.Signature:
    """A stream of beats: ``data`` of ``width`` bits, and ``last`` on the last beat of a packet."""
    return stream.Signature(data.StructLayout({"data": width, "last": 1}))


class Framer(wiring.Component):
    """Makes a frame of exactly ``beats`` beats of every packet.

    A packet that ends too early is filled with zeros, one beat a cycle; of one that is too long the rest is thrown away
    up to its ``last``. A byte above the highest pixel counts as the highest. No cycle is added to a beat, and a frame
    follows the one before without a gap.

    Parameters: ``form``, the words of a beat's pixels, one time step each; ``beats`` of a frame; ``depth``, frames
    whose status may wait: the last beat of a frame waits for room; ``guarded``, with the two members below.
    Members: ``i``: In(beats of a byte a pixel, the first pixel in the lowest byte); ``o``: Out(stream of words of
    ``form``); ``status``: Out(stream of 2 bits), offered one cycle after the last beat of a frame has left at ``o``;
    ``busy``: Out(1), a packet or a frame is under way. Where it is guarded, ``admits``: In(1), for which the last beat
    of a frame waits, too, and ``closes``: Out(1), high in the cycle in which it leaves.
    """

    i: stream.Interface
    o: stream.Interface
    status: stream.Interface
    busy: Signal
    admits: Signal  # where it is guarded
    closes: Signal

    def __init__(self, form: WordFormat, beats: int, depth: int, *, guarded: bool = False) -> None:
        if form.low != 0 or form.high > 255 or form.steps != 1:
            raise ValueError(f"Pixels must be in 0..255 and have one time step, not {form}")
        if beats < 1:
            raise ValueError(f"Beats must be a positive integer, not {beats!r}")
        self.form, self.beats, self.depth, self.guarded = form, beats, depth, guarded
        super().__init__(
            {
                "i": In(beat_signature(8 * form.lanes)),
                "o": Out(stream.Signature(form.width)),
                "status": Out(stream.Signature(2)),
                "busy": Out(1),
                **({"admits": In(1), "closes": Out(1)} if guarded else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.statuses = statuses = Fifo(FifoSpec(2, self.depth))
        wiring.connect(m, statuses.o, wiring.flipped(self.status))
        filling, dropping, moves, closes, room = (
            Signal(name=n) for n in ("filling", "dropping", "moves", "closes", "room")
        )
        beat, at_end = counter(m, self.beats, moves, "beat")
        last = self.i.payload.last
        pixels = [_clamped(self.i.payload.data.word_select(k, 8), self.form) for k in range(self.form.lanes)]
        m.d.comb += [
            room.eq(~at_end | (statuses.i.ready & self.admits if self.guarded else statuses.i.ready)),
            self.o.valid.eq(room & (filling | (self.i.valid & ~dropping))),
            self.o.payload.eq(Mux(filling, 0, Cat(pixels))),
            self.i.ready.eq(dropping | (~filling & room & self.o.ready)),
            moves.eq(self.o.valid & self.o.ready),
            closes.eq(moves & at_end),
            statuses.i.valid.eq(closes),
            statuses.i.payload.eq(Mux(filling, SHORT, Mux(last, GOOD, LONG))),
            self.busy.eq((beat != 0) | filling | dropping),
        ]
        if self.guarded:
            m.d.comb += self.closes.eq(closes)
        with m.If(moves & ~filling):
            m.d.sync += [filling.eq(last & ~at_end), dropping.eq(~last & at_end)]
        with m.If(closes & filling):
            m.d.sync += filling.eq(0)
        with m.If(dropping & self.i.valid & last):
            m.d.sync += dropping.eq(0)
        return m


def _clamped(byte: Value, form: WordFormat) -> Value:
    """``byte`` in the bits of ``form``, at most its highest value."""
    bits, high = form.bits, form.high
    if high == 255:
        return byte
    return Mux(byte[bits:].any() if high == (1 << bits) - 1 else byte > high, Const(high, bits), byte[:bits])


def result_beats(spec: ReadoutSpec) -> int:
    """Beats of the packet of a result. Raises ValueError where a logit or the number of classes has no room in it."""
    bound = (1 << 31) - 1
    if spec.o_format.low < -bound or spec.o_format.high > bound:
        raise ValueError(f"Logits must be in {-bound}..{bound}, not in {spec.o_format.low}..{spec.o_format.high}")
    if len(spec.bias) > MOST_CLASSES:
        raise ValueError(f"A result can name {MOST_CLASSES:,} classes, not {len(spec.bias):,}")
    return 1 + len(spec.bias)


class Verdicts(wiring.Component):
    """Makes a packet of one beat of every status: the result of a frame of which no class is told.

    Members: ``status``: In(stream of 2 bits); ``o``: Out(beats of 32 bits), the status in bits 31..24, zero below.
    """

    status: stream.Interface
    o: stream.Interface

    def __init__(self) -> None:
        super().__init__({"status": In(stream.Signature(2)), "o": Out(beat_signature(32))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [
            self.o.valid.eq(self.status.valid),
            self.o.payload.data.eq(Cat(C(0, 24), self.status.payload)),
            self.o.payload.last.eq(1),
            self.status.ready.eq(self.o.ready),
        ]
        return m


class Results(wiring.Component):
    """Makes a packet of every frame's words of a read-out.

    The first beat has the class in bits 15..0 and the status in bits 31..24; a beat for every logit, sign-extended,
    follows. A frame of one word waits for its beats where it is; of one of several words the logits wait in a memory,
    in which the words of the next frame follow.

    Parameters: ``spec``, of the read-out.
    Members: ``i``: In(stream of ``spec.payload``); ``status``: In(stream of 2 bits), one for every frame, taken with
    the last beat; ``o``: Out(beats of 32 bits).
    """

    i: stream.Interface
    status: stream.Interface
    o: stream.Interface

    def __init__(self, spec: ReadoutSpec) -> None:
        self.beats = result_beats(spec)
        self.spec = spec
        super().__init__(
            {
                "i": In(stream.Signature(spec.payload.size)),
                "status": In(stream.Signature(2)),
                "o": Out(beat_signature(32)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec, form = self.spec, self.spec.o_format
        word, best = self.i.payload[: form.width], self.i.payload[form.width :]
        answered = self.i.valid
        word_moves = Signal()
        classified = Signal()
        ends = Signal()
        if spec.groups == 1:
            m.d.comb += self.i.ready.eq(word_moves)
        else:
            m.submodules.logits = logits = Fifo(FifoSpec(form.width, spec.groups))
            answered = Signal()
            answer = Signal(len(best))
            stored = Signal()
            _, is_last = counter(m, spec.groups, stored, "word")
            m.d.comb += [
                # The last word of a frame finds room when all logits of the frame before have left, its class too.
                self.i.ready.eq(logits.i.ready),
                stored.eq(self.i.valid & self.i.ready),
                logits.i.valid.eq(stored),
                logits.i.payload.eq(word),
                logits.o.ready.eq(word_moves),
            ]
            with m.If(classified):
                m.d.sync += answered.eq(0)
            with m.If(stored & is_last):
                m.d.sync += [answered.eq(1), answer.eq(best)]
            word, best = logits.o.payload, answer

        # First the class, then the logits, lane by lane and word by word.
        sent = Signal()
        counting = Signal()
        lane, lane_ends = counter(m, spec.outputs, sent & counting, "lane")
        _, word_ends = counter(m, spec.groups, word_moves, "part")
        lanes = Array(word.word_select(k, form.bits) for k in range(spec.outputs))
        logit = lanes[lane] if spec.outputs > 1 else lanes[0]
        m.d.comb += [
            self.o.valid.eq(counting | (answered & self.status.valid)),
            sent.eq(self.o.valid & self.o.ready),
            classified.eq(sent & ~counting),
            word_moves.eq(sent & counting & lane_ends),
            ends.eq(word_moves & word_ends),
            self.status.ready.eq(ends),
            self.o.payload.last.eq(counting & lane_ends & word_ends),
        ]
        number = Signal(signed(32) if form.signed else 32)
        part = Signal(signed(form.bits) if form.signed else form.bits)
        head = Cat(best, C(0, 24 - len(best)), self.status.payload)
        m.d.comb += [
            part.eq(logit),
            number.eq(part),
            self.o.payload.data.eq(Mux(counting, number.as_unsigned(), head)),
        ]
        with m.If(sent):
            m.d.sync += counting.eq(~ends)
        return m
