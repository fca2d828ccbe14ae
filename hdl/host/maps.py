"""Maps at the ports of a design: words whose numbers have whole bytes, and how many frames have not left."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..streams.words import WordFormat
from .frames import beat_signature

__all__ = ["MapForm", "MapPort"]

SIZES = (8, 16, 32)
"""Bits that a number of a map may have outside: it is in two's complement, whether the map has a sign or not."""


@dataclass(frozen=True)
class MapForm:
    """The words of a map as hosts see them: the lanes of a word of ``form`` side by side, each sign-extended to 8, 16
    or 32 bits, the fewest that hold its range; ``words`` of a frame.

    Raises ValueError where a number has no room in 32 bits.

    >>> MapForm(WordFormat(3, 1, 0, 255), 4).width
    48
    """

    form: WordFormat
    words: int

    def __post_init__(self) -> None:
        if self.form.steps != 1 or self.words < 1:
            raise ValueError(f"A map has one time step and a word at least, not {self.form.steps} and {self.words}")
        if self.form.bits + (not self.form.signed) > SIZES[-1]:
            raise ValueError(f"Numbers must have {SIZES[-1]} bits at most, not those of "
                             f"{self.form.low}..{self.form.high}")

    @property
    def bits(self) -> int:
        """Bits of a number."""
        return next(size for size in SIZES if size >= self.form.bits + (not self.form.signed))

    @property
    def width(self) -> int:
        """Bits of a word."""
        return self.form.lanes * self.bits

    @property
    def frame_bytes(self) -> int:
        """Bytes of a frame."""
        return self.words * self.width // 8


class MapPort(wiring.Component):
    """The words of a map with whole bytes, and a count of the frames that went into the design and have not left here.

    No cycle is added to a word. A map may end before the last pixel of its frame has come, where nothing depends on it.

    Parameters: ``form``; ``depth``, frames that may be under way behind their last pixel.
    Members: ``i``: In(stream of words of ``form.form``); ``last``: In(1), the word is the last one of its frame; ``o``:
    Out(beats of ``form.width`` bits); ``closes``: In(1), the last pixels of a frame go in, only where ``admits``:
    Out(1), fewer than ``depth`` frames are under way; ``busy``: Out(1), other frames have left than went in.
    """

    i: stream.Interface
    last: Signal
    o: stream.Interface
    closes: Signal
    admits: Signal
    busy: Signal

    def __init__(self, form: MapForm, depth: int) -> None:
        if depth < 1:
            raise ValueError(f"Depth must be a positive integer, not {depth!r}")
        self.form, self.depth = form, depth
        super().__init__(
            {
                "i": In(stream.Signature(form.form.width)),
                "last": In(1),
                "o": Out(beat_signature(form.width)),
                "closes": In(1),
                "admits": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        form, bits = self.form.form, self.form.bits
        numbers = []
        for k in range(form.lanes):
            number = Signal(signed(bits) if form.signed else bits, name=f"number_{k}")
            lane = self.i.payload.word_select(k, form.bits)
            m.d.comb += number.eq(lane.as_signed() if form.signed else lane)
            numbers.append(number)
        inside = Signal(range(-1, self.depth + 1))
        m.d.comb += [
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready),
            self.o.payload.data.eq(Cat(numbers)),
            self.o.payload.last.eq(self.last),
            self.admits.eq(inside != self.depth),
            self.busy.eq(inside != 0),
        ]
        m.d.sync += inside.eq(inside + self.closes - (self.o.valid & self.o.ready & self.last))
        return m
