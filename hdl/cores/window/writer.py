"""The writer of a window: input words go row by row into a ring of row slots."""

from __future__ import annotations

from amaranth import *
from amaranth.lib import stream

from ...streams.counter import counter
from .spec import WindowSpec

__all__ = ["Writer"]


class Writer:
    """Takes the words of ``i`` wherever a row slot is free.

    Attributes: ``rows``, the complete rows that are still needed; ``done_with``, rows that are not needed any more
    after this cycle, which the reader drives; ``written``, whether a word goes to cell ``cell`` of row slot ``slot``;
    ``row_done``, whether it is the last of its row.
    """

    def __init__(self, m: Module, spec: WindowSpec, i: stream.Interface) -> None:
        margin = spec.margin
        self.rows = Signal(range(spec.rows + 1))
        self.done_with = Signal(range(max(row.freed for row in spec.row_plan) + 1))
        self.row_done = Signal()
        self.slot, _ = counter(m, spec.rows, self.row_done, "w_slot")
        self.cell = Signal(range(spec.cells), init=margin, name="w_cell")
        self.written = Signal()
        # Of a power of two of row slots the highest bit says that all are full: ready then comes without logic.
        free = ~self.rows[-1] if spec.rows & (spec.rows - 1) == 0 else self.rows != spec.rows
        m.d.comb += [
            i.ready.eq(free),
            self.written.eq(i.valid & i.ready),
            self.row_done.eq(self.written & (self.cell == margin + spec.row_words - 1)),
        ]
        with m.If(self.written):
            m.d.sync += self.cell.eq(self.cell + 1)
        with m.If(self.row_done):
            m.d.sync += self.cell.eq(margin)
