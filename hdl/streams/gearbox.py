"""The conversion between word widths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from ..cores.window.sparse_law import ScanCosts
from ..cost.parts import Parts
from .counter import counter
from .element import ElementCore, ElementSpec
from .law import Link, Table
from .words import WordFormat

__all__ = ["Gearbox", "GearboxLaw", "GearboxSpec"]


@dataclass(frozen=True)
class GearboxSpec(ElementSpec):
    """Conversion of words of ``i_format.lanes`` into words of ``lanes``; one must divide the other.

    Elements keep their order. A wide word is offered one cycle after its last part came, and its successor's first
    part may come in the cycle in which it leaves; a wide word may come in the cycle in which the last part of the one
    before leaves.

    ``channels``, of a pixel, where ``lanes`` do not divide them: the first word of each pixel is not full then, its
    first lanes are idle and hold 0. Without it all words are full.
    """

    i_format: WordFormat
    lanes: int
    channels: int = 0

    def __post_init__(self) -> None:
        if self.lanes < 1 or (self.lanes % self.i_format.lanes and self.i_format.lanes % self.lanes):
            raise ValueError(f"One width must divide the other, not {self.i_format.lanes} and {self.lanes} lanes")
        if self.channels:
            form = self.i_format
            if self.channels % form.lanes or not self.widens or self.channels < self.lanes:
                raise ValueError(
                    f"Words of {form.lanes} and {self.lanes} lanes do not hold pixels of {self.channels} channels"
                )
            if not form.low <= 0 <= form.high:
                raise ValueError(f"Idle lanes hold 0, which is not in {form.low}..{form.high}")

    @property
    def o_format(self) -> WordFormat:
        """The words that leave."""
        form = self.i_format
        return WordFormat(self.lanes, form.steps, form.low, form.high)

    @property
    def ratio(self) -> int:
        """Narrow words in a wide one."""
        return max(self.lanes, self.i_format.lanes) // min(self.lanes, self.i_format.lanes)

    @property
    def widens(self) -> bool:
        """Whether narrow words come in."""
        return self.lanes > self.i_format.lanes

    @property
    def idle(self) -> int:
        """Lanes of the first word of a pixel that are idle."""
        return -self.channels % self.lanes

    @property
    def words(self) -> int:
        """Wide words of a pixel; 1 where all of them are full."""
        return max(1, -(-self.channels // self.lanes))

    def compute(self, *words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Model: words (n, lanes_i, T) to words (m, lanes_o, T), and the same packed."""
        (x,) = words
        if self.idle:
            x = np.pad(x.reshape(-1, self.channels, x.shape[-1]), ((0, 0), (self.idle, 0), (0, 0)))
        x = x.reshape(-1, self.lanes, x.shape[-1])
        return x, self.o_format.pack(x)

    def law(self, ins: Sequence[Link], outs: Sequence[Link], costs: Sequence[ScanCosts] | None = None) -> GearboxLaw:
        """The timed process between two links."""
        return GearboxLaw(self, ins[0], outs[0])

    def parts(self) -> Parts:
        """What it is made of: the register of the wide word."""
        parts = Parts()
        wide = max(self.i_format.width, self.o_format.width)
        narrow = min(self.i_format.width, self.o_format.width)
        parts.registers(wide + 1)
        parts.counter(self.ratio)
        if self.idle:
            parts.counter(self.words)
            parts.registers(1)
        parts.logic["gearbox"] += 1
        parts.logic["narrowing bit"] += 0 if self.widens else wide - narrow
        return parts

    def core(self) -> Gearbox:
        """The hardware."""
        return Gearbox(self)


class Gearbox(ElementCore):
    """The converter of a :class:`GearboxSpec`. Members: ``i``: In(stream of words); ``o``: Out(stream of words)."""

    def __init__(self, spec: GearboxSpec) -> None:
        self.spec = spec
        super().__init__(
            {"i": In(stream.Signature(spec.i_format.width)), "o": Out(stream.Signature(spec.o_format.width))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec, narrow = self.spec, min(self.spec.i_format.width, self.spec.o_format.width)
        narrow_moves = Signal()
        begins: Value = Const(0, 1)
        if spec.idle:
            is_last, begins = self._parts_of_pixel(m, narrow_moves)
        else:
            _, is_last = counter(m, spec.ratio, narrow_moves, "part")
        if spec.widens:
            m.d.comb += [self.i.ready.eq(~self.o.valid | self.o.ready), narrow_moves.eq(self.i.valid & self.i.ready)]
            with m.If(self.o.ready):
                m.d.sync += self.o.valid.eq(0)
            with m.If(narrow_moves):
                m.d.sync += [self.o.payload.eq(Cat(self.o.payload[narrow:], self.i.payload)), self.o.valid.eq(is_last)]
            if spec.idle:  # through the reset input of flip-flops, which costs no LUT
                with m.If(narrow_moves & begins):
                    m.d.sync += self.o.payload[:-narrow].eq(0)
            return m
        word = Signal(spec.i_format.width)
        m.d.comb += [
            self.i.ready.eq(~self.o.valid | (self.o.ready & is_last)),
            self.o.payload.eq(word[:narrow]),
            narrow_moves.eq(self.o.valid & self.o.ready),
        ]
        with m.If(narrow_moves):
            m.d.sync += [word.eq(word >> narrow), self.o.valid.eq(~is_last)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [word.eq(self.i.payload), self.o.valid.eq(1)]
        return m

    def _parts_of_pixel(self, m: Module, moves: Value) -> tuple[Value, Value]:
        """Whether a part is the last of its word, and whether it is the first of its pixel. What the word before left
        in the register would become idle lanes, so that goes with the first part."""
        spec = self.spec
        skipped = spec.idle // spec.i_format.lanes
        part, is_last, begins = Signal(range(spec.ratio), init=skipped), Signal(), Signal(init=1)
        m.d.comb += is_last.eq(part == spec.ratio - 1)
        _, last_word = counter(m, spec.words, moves & is_last, "word")
        with m.If(moves):
            m.d.sync += [
                part.eq(Mux(is_last, Mux(last_word, skipped, 0), part + 1)),
                begins.eq(is_last & last_word),
            ]
        return is_last, begins


class GearboxLaw:
    """When the words of a :class:`Gearbox` move."""

    def __init__(self, spec: GearboxSpec, i: Link, o: Link) -> None:
        self.ratio, self.widens, self.i, self.o = spec.ratio, spec.widens, i, o
        self.ins, self.outs = (i,), (o,)
        self._words, self._skipped = spec.words, spec.idle // spec.i_format.lanes
        self._parts = self._words * self.ratio - self._skipped  # of a pixel

    def table(self) -> Table:
        """For the compiled law."""
        return "gearbox", [self.ratio, int(self.widens), self._words, self._skipped]

    def advance(self) -> None:
        """Take every word for which there is room."""
        i, o, ratio = self.i, self.o, self.ratio
        while i.pending():
            n = len(i.taken)
            if self.widens:
                pixel, within = divmod(n, self._parts)
                word, part = divmod(within + self._skipped, ratio)
                before = pixel * self._words + word - 1  # the wide word that must have left
                begins = part == 0 or within == 0
                if begins and before >= len(o.taken):
                    return
                taken = i.take(o.taken[before] if begins and before >= 0 else 0)
                if part == ratio - 1:
                    o.offered.append(taken + 1)
            else:
                before = n * ratio - 1  # the last part of the wide word before
                if before >= len(o.taken):
                    return
                o.offered.extend([i.take(o.taken[before] if n else 0) + 1] * ratio)
