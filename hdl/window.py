"""The window: a line buffer in one memory, and the walk over it that feeds a stage.

Rows of input words fill a ring of row slots. The reader walks output position by output position and hands out one
word a cycle: for synapses all taps of the window (``order="taps"``), again for every group of outputs and every group
of time steps; for pools one group of channels after the other (``order="channels"``). A row of the ring carries
``padding`` cells on both sides, and one slot stays empty for the rows above and below the frame: they are never
written, so the zeros around the image cost no logic.

What comes behind never stalls. Instead the last word of a result is held back until a slot of the FIFO at the end of
the stage is free for it: ``credits`` results at most are on their way or waiting.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .counter import counter
from .rom import selected
from .words import WordFormat

__all__ = ["Window", "WindowSpec"]


class RowPlan(NamedTuple):
    """An output row: padded rows ``above``; input rows ``inside`` the window; complete rows to ``wait`` for; input
    rows ``freed`` when it is done."""

    above: int
    inside: int
    wait: int
    freed: int


@dataclass(frozen=True, kw_only=True)
class WindowSpec:
    """Geometry and walk of a window.

    Parameters:
        i_format: input words, ``lanes`` channels each.
        channels, height, width: of the input frame; ``lanes`` divides ``channels``. A vector is one pixel.
        kernel: (rows, columns); ``stride``; ``padding``: of the windows.
        order: "taps" or "channels", see above.
        groups: times a window is walked for groups of outputs ("taps" only).
        scans: times a window is walked for each of them, for groups of time steps.
        credits: results that may be on their way or waiting in the FIFO of the stage.
        rows: row slots of the ring, at least ``rows_needed``; one stride more lets writing and reading overlap.
    """

    i_format: WordFormat
    channels: int
    height: int
    width: int
    kernel: tuple[int, int]
    stride: int
    padding: int
    order: Literal["taps", "channels"]
    groups: int
    scans: int
    credits: int
    rows: int

    def __post_init__(self) -> None:
        if self.channels % self.i_format.lanes:
            raise ValueError(f"inputs={self.i_format.lanes} does not divide the {self.channels} input channels")
        if self.rows < self.rows_needed:
            raise ValueError(
                f"rows must be at least {self.rows_needed} for a kernel of {self.kernel[0]} rows, not {self.rows}"
            )
        if not 0 <= self.padding < min(self.kernel):
            raise ValueError(f"padding must be smaller than the kernel, not {self.padding}")

    @property
    def o_size(self) -> tuple[int, int]:
        """Rows and columns of window positions."""
        return (
            (self.height + 2 * self.padding - self.kernel[0]) // self.stride + 1,
            (self.width + 2 * self.padding - self.kernel[1]) // self.stride + 1,
        )

    @property
    def pixel_words(self) -> int:
        """Words of an input pixel."""
        return self.channels // self.i_format.lanes

    @property
    def row_words(self) -> int:
        """Words of an input row."""
        return self.pixel_words * self.width

    @property
    def i_words(self) -> int:
        """Input words of a frame."""
        return self.row_words * self.height

    @property
    def run(self) -> int:
        """Words of one kernel row in the walk."""
        return self.kernel[1] * (self.pixel_words if self.order == "taps" else 1)

    @property
    def scan_words(self) -> int:
        """Words of one walk over a window."""
        return self.run * self.kernel[0]

    @property
    def positions(self) -> int:
        """Walks of an output row that start at different words."""
        return self.o_size[1] * (1 if self.order == "taps" else self.pixel_words)

    @property
    def results(self) -> int:
        """Results of a frame."""
        return self.o_size[0] * self.positions * self.groups

    @property
    def cycles(self) -> int:
        """Cycles of a frame in which a word is handed out."""
        return self.results * self.scans * self.scan_words

    @property
    def latency(self) -> int:
        """Cycles from the decision to hand out a word to the word."""
        return 1

    @cached_property
    def row_plan(self) -> list[RowPlan]:
        """What every output row needs of the ring."""
        plan, freed = [], 0
        for y in range(self.o_size[0]):
            top = y * self.stride - self.padding
            free = self.height if y == self.o_size[0] - 1 else max(0, top + self.stride)
            inside = min(top + self.kernel[0], self.height) - max(0, top)
            plan.append(RowPlan(max(0, -top), inside, max(inside, free - freed), free - freed))
            freed = free
        return plan

    @property
    def rows_needed(self) -> int:
        """Complete rows that an output row waits for, at most."""
        return max(row.wait for row in self.row_plan)

    def compute(self, words: np.ndarray) -> np.ndarray:
        """Model: input words (frames * i_words, lanes, T) to the walked words (n, lanes, T)."""
        lanes, steps = words.shape[1:]
        p, (kh, kw), s = self.padding, self.kernel, self.stride
        x = words.reshape(-1, self.height, self.width, self.pixel_words, lanes, steps)
        x = np.pad(x, ((0, 0), (p, p), (p, p), (0, 0), (0, 0), (0, 0)))
        x = np.lib.stride_tricks.sliding_window_view(x, (kh, kw), axis=(1, 2))[:, ::s, ::s]  # n y x c lane t ky kx
        if self.order == "channels":
            return x.transpose(0, 1, 2, 3, 6, 7, 4, 5).reshape(-1, lanes, steps)
        x = x.transpose(0, 1, 2, 6, 7, 3, 4, 5).reshape(-1, 1, self.scan_words, lanes, steps)
        return np.repeat(x, self.groups * self.scans, axis=1).reshape(-1, lanes, steps)


class Window(wiring.Component):
    """The window of a :class:`WindowSpec`.

    Members: ``i``: In(stream of input words); ``o``: Out(stream of ``{data, last}``, always ready), ``last`` marks the
    end of a scan; ``taken``: In(1), a result has left the FIFO of the stage.
    """

    i: stream.Interface
    o: stream.Interface
    taken: Signal

    def __init__(self, spec: WindowSpec) -> None:
        self.spec = spec
        word = data.StructLayout({"data": spec.i_format.width, "last": 1})
        super().__init__(
            {
                "i": In(stream.Signature(spec.i_format.width)),
                "o": Out(stream.Signature(word, always_ready=True)),
                "taken": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec = self.spec
        margin = spec.padding * spec.pixel_words
        cells = spec.row_words + 2 * margin
        slots = spec.rows + (1 if spec.padding else 0)
        # A slot takes a power of two of cells, so that an address is slot and cell side by side.
        depth = ((slots - 1) << (cells - 1).bit_length()) + cells
        style = {} if depth * spec.i_format.width <= 1024 else {"ram_style": "block"}
        m.submodules.memory = memory = Memory(shape=spec.i_format.width, depth=depth, init=[], attrs=style)
        write, read = memory.write_port(), memory.read_port()

        # Writer: row by row into the ring.
        rows = Signal(range(spec.rows + 1))  # complete rows that are still needed
        row_done = Signal()
        w_slot, _ = counter(m, spec.rows, row_done, "w_slot")
        w_cell = Signal(range(cells), init=margin)
        m.d.comb += [
            self.i.ready.eq(rows != spec.rows),
            write.en.eq(self.i.valid & self.i.ready),
            write.data.eq(self.i.payload),
            write.addr.eq(Cat(w_cell, w_slot)),
            row_done.eq(write.en & (w_cell == margin + spec.row_words - 1)),
        ]
        with m.If(write.en):
            m.d.sync += w_cell.eq(w_cell + 1)
        with m.If(row_done):
            m.d.sync += w_cell.eq(margin)

        # Reader: nested counters, the innermost first; each one moves when those before it are at their end.
        moves = Signal()
        row_ends = Signal()
        y, _ = counter(m, spec.o_size[0], row_ends, "y")
        above, inside, wait, freed = (
            selected(m, y, [row[k] for row in spec.row_plan], name) for k, name in enumerate(RowPlan._fields)
        )
        ends: dict[str, Value] = {}
        inner: Value = moves
        loops = [
            ("run", spec.run),
            ("ky", spec.kernel[0]),
            ("scan", spec.scans),
            ("group", spec.groups),
            ("channel", spec.pixel_words if spec.order == "channels" else 1),
            ("x", spec.o_size[1]),
        ]
        at_end, ky = {}, Const(0, 0)
        for name, count in loops:
            value, at_end[name] = counter(m, count, inner, name)
            ky = value if name == "ky" else ky
            ends[name] = Signal(name=f"{name}_ends")
            m.d.comb += ends[name].eq(inner & at_end[name])
            inner = ends[name]
        m.d.comb += row_ends.eq(inner)
        m.d.sync += rows.eq(rows + row_done - Mux(row_ends, freed, 0))

        # Where the reader is: ``start`` is the first cell of the window, ``base`` the slot of its first input row.
        cell, start = Signal(range(cells)), Signal(range(cells))
        slot, base = Signal(range(spec.rows)), Signal(range(spec.rows))
        hop = 1 if spec.order == "taps" else spec.pixel_words
        in_frame = Signal()
        m.d.comb += in_frame.eq((ky >= above) & (ky < above + inside) if spec.padding else 1)
        with m.If(moves):
            m.d.sync += cell.eq(cell + hop)
        with m.If(ends["run"]):
            m.d.sync += cell.eq(start)
            with m.If(in_frame):
                m.d.sync += slot.eq(Mux(slot == spec.rows - 1, 0, slot + 1))
        with m.If(ends["ky"]):
            m.d.sync += slot.eq(base)
        with m.If(ends["group"]):
            following = Signal.like(start)
            step = spec.stride * spec.pixel_words
            m.d.comb += following.eq(
                start + step if spec.order == "taps" else start + Mux(ends["channel"], step - spec.pixel_words + 1, 1)
            )
            m.d.sync += [start.eq(following), cell.eq(following)]
        with m.If(ends["x"]):
            highest = spec.rows - 1 + max(row.freed for row in spec.row_plan)
            ahead, onward = Signal(range(highest + 1)), Signal.like(base)
            m.d.comb += [ahead.eq(base + freed), onward.eq(self._wrapped(m, ahead, highest))]
            m.d.sync += [start.eq(0), cell.eq(0), base.eq(onward), slot.eq(onward)]
        m.d.comb += read.addr.eq(Cat(cell, Mux(in_frame, slot, spec.rows) if spec.padding else slot))

        # Credits: the last word of a result waits for a slot in the FIFO.
        waiting = Signal(range(spec.credits + 1))
        final = Signal()
        m.d.comb += final.eq(at_end["run"] & at_end["ky"] & at_end["scan"])
        m.d.comb += moves.eq((rows >= wait) & ~(final & (waiting == spec.credits)))
        m.d.sync += waiting.eq(waiting + (moves & final) - self.taken)

        m.d.comb += [read.en.eq(1), self.o.payload.data.eq(read.data)]
        m.d.sync += [self.o.valid.eq(moves), self.o.payload.last.eq(ends["ky"])]
        return m

    def _wrapped(self, m: Module, value: Value, highest: int) -> Value:
        """``value`` (at most ``highest``) modulo the number of row slots."""
        rows = self.spec.rows
        if highest < rows:
            return value
        if rows & (rows - 1) == 0:
            return value[: rows.bit_length() - 1]
        return selected(m, value, [v % rows for v in range(highest + 1)], "onward_slot")
