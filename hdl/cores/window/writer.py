"""The writer of a window: input words go row by row into a ring of row slots, or into its banks in turn."""

from __future__ import annotations

from amaranth import *
from amaranth.lib import stream

from ...streams.counter import balance, counter
from .banks import place_of
from .spec import WindowSpec

__all__ = ["Writer"]


class Writer:
    """Takes the words of ``i`` wherever a row slot is free.

    Attributes: ``done_with``, rows that are not needed any more after this cycle, which the reader drives;
    ``written``, whether a word goes to cell ``cell`` of row slot ``slot`` of bank ``bank``; ``row_done``, whether it is
    the last of its row.
    """

    def __init__(self, m: Module, spec: WindowSpec, i: stream.Interface) -> None:
        first = place_of(spec, spec.padding[1][0])
        begin = first[1] * spec.pixel_words
        self.done_with = Signal(range(max(row.freed for row in spec.row_plan) + 1))
        self.row_done = Signal()
        self.slot, _ = counter(m, spec.rows, self.row_done, "w_slot")
        self.cell = Signal(range(spec.cells), init=begin, name="w_cell")
        self.bank = Signal(range(spec.pixels), init=first[0], name="w_bank")
        self.written = Signal()
        # The complete rows that are still needed, and as many as make the highest bit say that all slots are full.
        full = 1 << (spec.rows - 1).bit_length()
        rows = Signal(range(full + 1), init=full - spec.rows, name="rows")
        balance(m, rows, self.row_done, self.done_with)
        last = Signal(name="w_last") if spec.row_words > 1 else Const(1, 1)  # the word is the last of its row
        m.d.comb += [
            i.ready.eq(~rows[-1]),
            self.written.eq(i.valid & i.ready),
            self.row_done.eq(self.written & last),
        ]
        with m.If(self.written):
            m.d.sync += self.cell.eq(self.cell + 1)
            if spec.row_words > 1:
                column, word = divmod(spec.row_words - 2, spec.pixel_words)
                bank, place = place_of(spec, spec.padding[1][0] + column)
                before_last = self.cell == place * spec.pixel_words + word
                m.d.sync += last.eq(before_last & (self.bank == bank) if spec.pixels > 1 else before_last)
            if spec.pixels > 1:
                self._next_bank(m, spec)
        with m.If(self.row_done):
            m.d.sync += [self.cell.eq(begin), self.bank.eq(first[0])]

    def _next_bank(self, m: Module, spec: WindowSpec) -> None:
        """The words of a stride of pixels go to a bank, then to the next one, there to the same cells; behind the last
        one to the first, to the cells that follow."""
        run = spec.stride[1] * spec.pixel_words
        ends = self.cell[: (run - 1).bit_length()] == run - 1
        if run & (run - 1):
            within = Signal(range(run), init=spec.margin % run, name="w_within")
            m.d.sync += within.eq(Mux(self.row_done, spec.margin % run, Mux(within == run - 1, 0, within + 1)))
            ends = within == run - 1
        with m.If(ends if run > 1 else 1):
            with m.If(self.bank == spec.pixels - 1):
                m.d.sync += self.bank.eq(0)
            with m.Else():
                m.d.sync += [self.bank.eq(self.bank + 1), self.cell.eq(self.cell - (run - 1))]
