"""The walk over a window: which word is next, and where it lies.

Nested counters, the innermost first; each one moves when those before it are at their end. The place of a word follows
them without a product: a cell and a row slot, which step with the counters.
"""

from __future__ import annotations

from amaranth import *

from ...memory.rom import selected
from ...streams.counter import counter
from .banks import taps
from .line import LineRows
from .plan import Rows
from .spec import WindowSpec

__all__ = ["Place", "Walk"]


class Walk:
    """The loops of a walk, which goes on where ``moves``, which the reader drives.

    Attributes: ``unit``, words that it walks over at once; ``value``, ``at_end``, ``ends``, of each loop by its name:
    its counter, whether that is in its last state, and whether it starts anew after this cycle; ``rows``, what the
    output row needs of the ring; ``row_ends``, whether it ends with this cycle; and of the word: ``ending``, the last
    of a scan; ``first_scan``, of the first scan of a result; ``final``, the last of a result.
    """

    def __init__(self, m: Module, spec: WindowSpec) -> None:
        self.spec = spec
        self.unit = spec.chunk or 1
        self.moves = Signal()
        self.row_ends = Signal()
        self.value: dict[str, Value] = {}
        self.at_end: dict[str, Value] = {}
        self.ends: dict[str, Value] = {}
        inner: Value = self.moves
        for name, count in _loops(spec, self.unit):
            self.value[name], self.at_end[name] = counter(m, count, inner, name, early=True)
            self.ends[name] = Signal(name=f"{name}_ends")
            m.d.comb += self.ends[name].eq(inner & self.at_end[name])
            inner = self.ends[name]
        m.d.comb += self.row_ends.eq(inner)
        self.rows: Rows | LineRows
        if spec.words:
            place = self.value["x"], self.at_end["x"], self.ends["channel"]
            self.rows = LineRows(m, spec, self.row_ends, *place)
        else:
            self.rows = Rows(m, spec, self.row_ends)
        self.tap_ends: Value = self.at_end.get("word", Const(1, 1))
        self.ending = Signal()
        self.first_scan = Signal()
        self.final = Signal()

    def mark(self, m: Module) -> None:
        """Drive what is known of the word in its scan."""
        ending = self.at_end["run"] & self.at_end["ky"]
        m.d.comb += [
            self.ending.eq(ending & self.tap_ends if "word" in self.at_end else ending),
            self.first_scan.eq(self.value["scan"] == 0),
            self.final.eq(self.ending & self.at_end["scan"]),
        ]


def _loops(spec: WindowSpec, unit: int) -> list[tuple[str, int]]:
    """The loops of an output row with their rounds, the innermost first, for steps of ``unit`` words. Where windows are
    walked together, or words are kept, the words of a pixel and the columns of the kernel are loops of their own."""
    words = spec.pixel_words // spec.pixel_parts if spec.pixels > 1 or spec.words else 1
    return [
        *([("word", words)] if words > 1 else []),
        ("run", spec.run // unit // words),
        ("ky", 1 if spec.columns else spec.kernel[0]),
        ("scan", spec.scans),
        ("group", spec.groups),
        ("channel", spec.pixel_parts),
        *([("again", spec.times[1])] if spec.times[1] > 1 else []),
        ("x", spec.blocks // spec.times[1]),
    ]


class Place:
    """Where the word of ``walk`` lies, in cells of ``walk.unit`` words.

    Attributes: ``walk``, and what its output row needs, ``rows``; ``cells``, one for each bank; ``slot``, its row slot,
    or that of the padding for a padded row; ``base``, the slot of the first input row of the window; ``turn``, the bank
    of the first of several windows.
    """

    def __init__(self, m: Module, walk: Walk) -> None:
        self.walk = walk
        spec, ends = walk.spec, walk.ends
        assert not isinstance(walk.rows, LineRows)
        self.rows = walk.rows
        cells = spec.cells // walk.unit
        cell = Signal(range(cells))
        start = Signal(range(cells))  # the first cell of the window
        # In the banks below that of the first of several windows the cell is a stride further (``banks``).
        turns, apart = [tap.turn for tap in taps(spec)], spec.stride[1] * spec.pixel_words
        further = Signal(range(cells), init=apart % (1 << len(cell))) if any(turns) else None
        self.slot: Value = Signal(range(spec.rows))
        self.base = Signal(range(spec.rows))
        # The words of a pixel, or of a part of it, lie side by side.
        beside = spec.pixel_words // spec.pixel_parts
        hop: Value | int = (spec.dilation[1] * spec.pixel_words - beside) // walk.unit + 1
        if spec.pixels > 1:
            hop = self._hop(m)
        elif beside > walk.unit and hop > 1:
            hop = Mux(counter(m, beside // walk.unit, walk.moves, "part", early=True)[1], hop, 1)
        in_frame = Signal()
        m.d.comb += in_frame.eq(self.rows.inside.bit_select(walk.value["ky"], 1) if any(spec.padding[0]) else 1)
        with m.If(walk.moves):
            m.d.sync += cell.eq(cell + hop)
            if further is not None:
                m.d.sync += further.eq(further + hop)
        with m.If(ends["run"]):
            m.d.sync += cell.eq(start)
            if further is not None:
                m.d.sync += further.eq(start + apart)
            with m.If(in_frame):
                m.d.sync += self.slot.eq(_ahead(self.slot, spec.dilation[0], spec.rows))
        with m.If(ends["ky"]):
            m.d.sync += self.slot.eq(self.base)
        with m.If(ends["group"]):
            following = Signal.like(start)
            step = spec.stride[1] * spec.pixel_words // walk.unit
            if spec.times[1] > 1:  # a pixel again, from its first word on
                step = Mux(ends["channel"] & ~ends["again"], beside - spec.pixel_words, beside)
            elif spec.pixel_parts > 1:
                step = Mux(ends["channel"], step - spec.pixel_words + beside, beside)
            m.d.comb += following.eq(start + step)
            m.d.sync += [start.eq(following), cell.eq(following)]
            if further is not None:
                m.d.sync += further.eq(start + (step + apart))
        with m.If(ends["x"]):
            highest = spec.rows - 1 + max(row.freed for row in spec.row_plan)
            ahead = Signal(range(highest + 1))
            onward = Signal.like(self.base)
            m.d.comb += [ahead.eq(self.base + self.rows.freed), onward.eq(_wrapped(m, ahead, highest, spec.rows))]
            m.d.sync += [start.eq(0), cell.eq(0), self.base.eq(onward), self.slot.eq(onward)]
            if further is not None:
                m.d.sync += further.eq(apart)
        if any(row.offset for row in spec.row_plan):
            beyond = Signal(range(2 * spec.rows - 1))  # the first kernel row in the frame is not the first row there
            m.d.comb += beyond.eq(self.slot + self.rows.offset)
            self.slot = Mux(beyond >= spec.rows, beyond - spec.rows, beyond)[: len(self.slot)]
        if any(spec.padding[0]) and not spec.columns:
            self.slot = Mux(in_frame, self.slot, spec.rows)  # a slot that is never written
        self.turn = selected(m, walk.value["run"], turns, "turn") if any(turns) else None
        self.cells: list[Value] = [cell] * spec.pixels
        if self.turn is not None and further is not None:
            self.cells = [Mux(self.turn > k, further, cell) if k < max(turns) else cell for k in range(spec.pixels)]

    @property
    def at(self) -> list[Value]:
        """The address in a ring, or in each bank of it: slot and cell side by side."""
        return [Cat(cell, self.slot) for cell in self.cells]

    def _hop(self, m: Module) -> Value:
        """From a word of a tap to the next one, and behind the last word of a tap to the first of the next tap."""
        walk, spec = self.walk, self.walk.spec
        place = [tap.place for tap in taps(spec)]
        hops = [(b - a - 1) * spec.pixel_words + 1 for a, b in zip(place, [*place[1:], place[-1] + 1], strict=True)]
        onward = selected(m, walk.value["run"], hops, "onward")
        return Mux(walk.tap_ends, onward, 1) if spec.pixel_words > 1 else onward


def _ahead(slot: Value, step: int, rows: int) -> Value:
    """The slot of the row that comes ``step`` rows after the one in ``slot``."""
    if step == 1:
        return Mux(slot == rows - 1, 0, slot + 1)
    step %= rows
    return Mux(slot >= rows - step, slot - (rows - step), slot + step)


def _wrapped(m: Module, value: Value, highest: int, rows: int) -> Value:
    """``value`` (at most ``highest``) modulo the number of row slots."""
    if highest < rows:
        return value
    if rows & (rows - 1) == 0:
        return value[: rows.bit_length() - 1]
    return selected(m, value, [v % rows for v in range(highest + 1)], "onward_slot")
