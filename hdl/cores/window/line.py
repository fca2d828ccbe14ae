"""A window that keeps words, not rows: the line buffer in a ring of any number of words.

Words lie in the ring in the order in which they come, so an address steps by constants, and back at the end of the
ring. What stands around the frame is not in the memory: a word is replaced where a tap lies outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from amaranth import *
from amaranth.lib import stream

from ...memory.columns import Columns
from ...streams.counter import balance, counter
from ...streams.words import shape_for
from .needs import Steps
from .spec import WindowSpec

if TYPE_CHECKING:
    from .walk import Walk

__all__ = ["LinePlace", "LineRows", "LineWriter"]


class LineWriter:
    """Takes the words of ``i`` wherever there is room for one.

    Attributes: ``done_with``, words that are not needed any more after this cycle, which the reader drives;
    ``written``, whether a word goes to address ``at``.
    """

    def __init__(self, m: Module, spec: WindowSpec, i: stream.Interface) -> None:
        done = spec.needs.done
        self.done_with = Signal(range(max(*done.along, *done.rows, 0) + 1))
        self.written = Signal()
        self.at, _ = counter(m, spec.words, self.written, "w_at", early=True)
        # The words that are kept, and as many as make the highest bit say that there is no room.
        full = 1 << (spec.words - 1).bit_length()
        kept = Signal(range(full + 1), init=full - spec.words, name="kept")
        balance(m, kept, self.written, self.done_with)
        m.d.comb += [i.ready.eq(~kept[-1]), self.written.eq(i.valid & i.ready)]


class LineRows:
    """What the position of a walk needs and frees (``needs``).

    Attributes: ``inside``, a bit for each kernel row, whether it lies in the frame; ``beside``, for each kernel column;
    ``last``, whether the output row is the last of its frame; ``done``, words that are freed after this cycle.
    """

    def __init__(self, m: Module, spec: WindowSpec, moves: Value, x: Value, last: Value, ends: Value) -> None:
        """``moves``: the output row ends; ``x``, ``last``, the position in it and whether that is the last one;
        ``ends``: the position ends."""
        self._m, self._needs, self._words = m, spec.needs, spec.words
        self._x, self._last_x, self._ends = x, last, ends
        plan = spec.row_plan
        y, self.last = counter(m, len(plan), moves, "y")
        self._table = Columns(m, y, moves)
        self.inside = self._table.value([(1 << row.inside) - 1 << row.above for row in plan], "inside", spec.kernel[0])
        start = [k * spec.stride[1] - spec.padding[1][0] for k in range(spec.o_size[1])]
        cells = [[0 <= left + k * spec.dilation[1] < spec.width for k in range(spec.kernel[1])] for left in start]
        self.beside = _usual(m, x, [sum(b << k for k, b in enumerate(row)) for row in cells], "beside")
        self.done = self._step(spec.needs.done, "done")

    def _step(self, steps: Steps, name: str) -> Value:
        """What a count rises by after this cycle."""
        along = _usual(self._m, self._x, [*steps.along, 0] if steps.along else [0], f"{name}_along", spare=True)
        move = self._table.value(steps.move, f"{name}_moves", 1)
        rows = self._table.value(steps.rows, f"{name}_row")
        return Mux(self._ends, Mux(self._last_x, rows, Mux(move, along, 0)), 0)

    def there(self, written: Value) -> Value:
        """Whether the words that this position waits for are there; ``written``, one more is after this cycle."""
        further = self._needs.further
        most = max(int(self._needs.need[0, 0]), *further.along, *further.rows, 0)
        spare = Signal(shape_for(-most, self._words), init=-int(self._needs.need[0, 0]), name="spare")
        balance(self._m, spare, written, self._step(further, "further"))
        return ~spare[-1]


class LinePlace:
    """Where the word of ``walk`` lies.

    Attributes: ``at``, its address; ``outside``, whether it lies around the frame, None where there is no padding.
    """

    def __init__(self, m: Module, walk: Walk) -> None:
        spec, ends, value, plan = walk.spec, walk.ends, walk.value, walk.rows
        assert isinstance(plan, LineRows)
        self.walk, self._words, pixel, row = walk, spec.words, spec.pixel_words, spec.row_words
        beside = pixel // spec.pixel_parts  # words of a pixel, or of a part of it, lie side by side
        (above, _), (left, _) = spec.padding
        rows, columns = spec.o_size
        (sy, sx), (dy, dx), parts = spec.stride, spec.dilation, spec.pixel_parts
        first = (-above * row - left * pixel) % spec.words
        # Of the word, and of the first word of the window in the kernel row and in the first one.
        self.at, lower, start = (Signal(range(spec.words), init=first, name=n) for n in ("at", "row_at", "start_at"))
        to_row = sy * row - (columns - 1) * sx * pixel - (parts - 1) * beside  # to the next row of windows
        to_frame = to_row + spec.i_words - rows * sy * row
        along = Mux(walk.ends["channel"], self._step(sx * pixel - (parts - 1) * beside), self._step(beside))
        further = Mux(plan.last, self._step(to_frame), self._step(to_row)) if rows > 1 else self._step(to_frame)
        hop = Mux(walk.tap_ends, self._step(dx * pixel - beside + 1), 1)
        following, below = Signal.like(start, name="following"), Signal.like(start, name="below")
        m.d.comb += following.eq(self._onward(m, start, Mux(ends["x"], further, along), "following"))
        m.d.comb += below.eq(self._onward(m, lower, self._step(dy * row), "below"))
        with m.If(walk.moves):
            m.d.sync += self.at.eq(self._onward(m, self.at, hop, "next_at"))
        with m.If(ends["run"]):
            m.d.sync += [lower.eq(below), self.at.eq(below)]
        with m.If(ends["ky"]):
            m.d.sync += [lower.eq(start), self.at.eq(start)]
        with m.If(ends["group"]):
            m.d.sync += [start.eq(following), lower.eq(following), self.at.eq(following)]
        self.outside: Value | None = None
        if spec.padded:
            inside = plan.inside.bit_select(value["ky"], 1) & plan.beside.bit_select(value["run"], 1)
            self.outside = ~inside

    def _step(self, words: int) -> int:
        """A step of so many words, on a ring."""
        return words % self._words

    def _onward(self, m: Module, at: Value, step: Value | int, name: str) -> Value:
        """The address ``step`` words behind ``at``."""
        if self._words & (self._words - 1) == 0:
            return (at + step)[: len(at)]
        there = Signal(range(2 * self._words), name=f"{name}_there")
        back = Signal(signed(len(there) + 1), name=f"{name}_back")
        m.d.comb += [there.eq(at + step), back.eq(there - self._words)]
        return Mux(back < 0, there, back)[: len(at)]


def _usual(m: Module, index: Value, values: Sequence[int], name: str, *, spare: bool = False) -> Value:
    """``values[index]`` as logic: the most frequent one, and the others where they stand; ``spare``: what the last one
    is does not matter."""
    heard = list(values[:-1] if spare and len(values) > 1 else values)
    usual = max(set(heard), key=lambda value: (heard.count(value), value))
    if set(heard) == {usual}:
        return Const(usual, shape_for(0, usual))
    found = Signal(shape_for(0, max(heard)), name=name)
    m.d.comb += found.eq(usual)
    with m.Switch(index):
        for value in sorted(set(heard) - {usual}):
            with m.Case(*(k for k, other in enumerate(heard) if other == value)):
                m.d.comb += found.eq(value)
    return found
