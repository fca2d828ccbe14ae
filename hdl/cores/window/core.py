"""The window: a line buffer in one memory, and the walk over it that feeds a stage.

Rows of input words fill a ring of row slots. The reader walks output position by output position and hands out one
word a cycle: for synapses all taps of the window (``order="taps"``), again for every group of outputs and every group
of time steps; for pools and grouped convolutions one part of the channels after the other (``order="channels"``). A
row of the ring carries ``padding`` cells on both sides, and one slot stays empty for the rows above and below the
frame: they are never written, so the zeros around the image cost no logic. Where memories start with anything (target
``asic``) those cells are masked instead.

What comes behind never stalls. Instead the last word of a result is held back until a slot of the FIFO at the end of
the stage is free for it: ``credits`` results at most are on their way or waiting.

With ``chunk`` the reader walks over the flags of that many words at once, and
:class:`hdl.cores.window.sparse.SparseWalk` hands out the words that are not zero.
"""

from __future__ import annotations

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...memory.ram import ram
from ...memory.rom import UNCHECKED, selected
from ...streams.counter import counter, row_counter
from ...streams.credits import credits
from ...verilog.library import is_asic
from .geometry import RowPlan
from .sparse import SparseWalk
from .spec import WindowSpec

__all__ = ["Window"]


class Window(wiring.Component):
    """The window of a :class:`WindowSpec`.

    Members: ``i``: In(stream of input words); ``o``: Out(stream of ``{data, last}``, always ready), ``last`` marks the
    end of a scan; ``taken``: In(1), a result has left the FIFO of the stage; ``hold``: In(1), the last word of the
    first scan of a result must wait; ``scanned``: Out(1), it is handed out. Where words are skipped ``o`` has ``row``
    too, the index of the weight row.
    """

    i: stream.Interface
    o: stream.Interface
    taken: Signal
    hold: Signal
    scanned: Signal

    def __init__(self, spec: WindowSpec) -> None:
        self.spec = spec
        word = {"data": spec.o_format.width, "last": 1}
        if spec.chunk:
            word |= {"row": range(spec.groups * spec.scan_words)}
        super().__init__(
            {
                "i": In(stream.Signature(spec.i_format.width)),
                "o": Out(stream.Signature(data.StructLayout(word), always_ready=True)),
                "taken": In(1),
                "hold": In(1),
                "scanned": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec = self.spec
        margin = spec.padding * spec.pixel_words
        cells = spec.row_words + 2 * margin
        unit = spec.chunk or 1  # words that the reader walks over at once

        # Writer: row by row into the ring.
        rows = Signal(range(spec.rows + 1))  # complete rows that are still needed
        most = max(row.freed for row in spec.row_plan)
        done_with = Signal(range(most + 1))  # rows that are not needed any more after this cycle
        row_done = Signal()
        w_slot, _ = counter(m, spec.rows, row_done, "w_slot")
        w_cell = Signal(range(cells), init=margin)
        written = Signal()
        m.d.comb += [
            self.i.ready.eq(rows != spec.rows),
            written.eq(self.i.valid & self.i.ready),
            row_done.eq(written & (w_cell == margin + spec.row_words - 1)),
        ]
        with m.If(written):
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
            ("run", spec.run // unit),
            ("ky", 1 if spec.columns else spec.kernel[0]),
            ("scan", spec.scans),
            ("group", spec.groups),
            ("channel", spec.pixel_parts),
            ("x", spec.o_size[1]),
        ]
        at_end: dict[str, Value] = {}
        ky, scan = Const(0, 0), Const(0, 0)
        for name, count in loops:
            value, at_end[name] = counter(m, count, inner, name)
            ky, scan = (value if name == "ky" else ky), (value if name == "scan" else scan)
            ends[name] = Signal(name=f"{name}_ends")
            m.d.comb += ends[name].eq(inner & at_end[name])
            inner = ends[name]
        m.d.comb += row_ends.eq(inner)
        m.d.sync += rows.eq(rows + row_done - done_with)

        # Where the reader is: ``start`` is the first cell of the window, ``base`` the slot of its first input row.
        cell = Signal(range(cells // unit))
        start = Signal(range(cells // unit))
        slot = Signal(range(spec.rows))
        base = Signal(range(spec.rows))
        # The words of a pixel, or of a part of it, lie side by side.
        beside = spec.pixel_words // spec.pixel_parts
        hop: Value | int = spec.pixel_words - beside + 1
        if 1 < beside < spec.pixel_words:
            hop = Mux(counter(m, beside, moves, "part")[1], hop, 1)
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
            step = spec.stride * spec.pixel_words // unit
            if spec.pixel_parts > 1:
                step = Mux(ends["channel"], step - spec.pixel_words + beside, beside)
            m.d.comb += following.eq(start + step)
            m.d.sync += [start.eq(following), cell.eq(following)]
        with m.If(ends["x"]):
            highest = spec.rows - 1 + most
            ahead = Signal(range(highest + 1))
            onward = Signal.like(base)
            m.d.comb += [ahead.eq(base + freed), onward.eq(self._wrapped(m, ahead, highest))]
            m.d.sync += [start.eq(0), cell.eq(0), base.eq(onward), slot.eq(onward)]
        if spec.padding and not spec.columns:
            slot = Mux(in_frame, slot, spec.rows)  # a slot that holds zeros
        ending = Signal()
        first_scan = Signal()
        final = Signal()
        m.d.comb += [
            ending.eq(at_end["run"] & at_end["ky"]),
            first_scan.eq(scan == 0),
            final.eq(ending & at_end["scan"]),
        ]
        if not spec.chunk:
            if spec.columns:
                word = self._columns(m, platform, written, w_cell, w_slot, cell, base, above, inside)
            else:
                word = self._ring(m, platform, written, w_cell, w_slot, Cat(cell, slot))
            credit = credits(m, spec.credits, moves & final, self.taken)
            m.d.comb += [
                moves.eq((rows >= wait) & (credit | ~final) & ~(ending & first_scan & self.hold)),
                self.scanned.eq(moves & ending & first_scan),
                done_with.eq(Mux(row_ends, freed, 0)),
                self.o.payload.data.eq(word),
            ]
            m.d.sync += [self.o.valid.eq(moves), self.o.payload.last.eq(ends["ky"])]
            return m

        m.submodules.sparse = sparse = SparseWalk(spec, len(cell) + len(slot), self._depth(platform) // unit)
        walk, weight_rows = sparse.walk, spec.groups * spec.scan_words
        walked = Signal.like(rows)  # as ``rows``, for the walk, which runs before what is handed out
        m.d.sync += walked.eq(walked + row_done - Mux(row_ends, freed, 0))
        m.d.comb += [
            sparse.write.en.eq(written),
            sparse.write.at.eq(Cat(w_cell, w_slot)),
            sparse.write.event.eq(self.i.payload.any()),
            walk.valid.eq(walked >= wait),
            moves.eq(walk.valid & walk.ready),
            walk.payload.at.eq(Cat(cell, slot)),
            walk.payload.row.eq(row_counter(m, weight_rows // unit, spec.scans, moves, ends["ky"], "row")),
            walk.payload.last.eq(ending),
            walk.payload.first.eq(first_scan),
            walk.payload.final.eq(final),
            walk.payload.freed.eq(Mux(row_ends, freed, 0)),
            sparse.taken.eq(self.taken),
            sparse.hold.eq(self.hold),
            self.scanned.eq(sparse.scanned),
            done_with.eq(sparse.freed),
            self.o.payload.data.eq(self._ring(m, platform, written, w_cell, w_slot, sparse.o.payload.at)),
        ]
        m.d.sync += [
            self.o.valid.eq(sparse.o.valid),
            self.o.payload.last.eq(sparse.o.payload.last),
            self.o.payload.row.eq(sparse.o.payload.row),
        ]
        return m

    def _depth(self, platform: object) -> int:
        """Words of the ring's memory. A slot takes a power of two of cells, so that an address is slot and cell side
        by side. There is no slot of zeros where the padding is masked."""
        spec = self.spec
        cells = spec.row_words + 2 * spec.padding * spec.pixel_words
        slots = spec.rows + (1 if spec.padding and not is_asic(platform) else 0)
        return ((slots - 1) << (cells - 1).bit_length()) + cells

    def _ring(
        self, m: Module, platform: object, written: Value, w_cell: Value, w_slot: Value, at: Value
    ) -> Value:
        """All rows in one memory; return the word at address ``at``, one cycle later. The slot past the last row is
        never written and holds the zeros of the padded rows."""
        spec, depth = self.spec, self._depth(platform)
        style = {} if depth * spec.i_format.width <= 1024 else {"ram_style": "block"}
        style |= UNCHECKED
        write, read = ram(m, platform, spec.i_format.width, depth, style)
        m.d.comb += [write.en.eq(written), write.data.eq(self.i.payload), write.addr.eq(Cat(w_cell, w_slot))]
        m.d.comb += [read.en.eq(1), read.addr.eq(at)]
        return self._masked(m, platform, read.data, spec.outside(at))

    def _columns(
        self,
        m: Module,
        platform: object,
        written: Value,
        w_cell: Value,
        w_slot: Value,
        cell: Value,
        base: Value,
        above: Value,
        inside: Value,
    ) -> Value:
        """A memory for each row; return the cells of all kernel rows side by side, one cycle later."""
        spec, cells = self.spec, self.spec.row_words + 2 * self.spec.padding * self.spec.pixel_words
        rows = []
        for k in range(spec.rows):
            write, read = ram(m, platform, spec.i_format.width, cells, UNCHECKED, name=f"row_{k}")
            m.d.comb += [write.en.eq(written & (w_slot == k)), write.data.eq(self.i.payload), write.addr.eq(w_cell)]
            m.d.comb += [read.en.eq(1), read.addr.eq(cell)]
            rows.append(self._masked(m, platform, read.data, spec.outside(cell)))
        # ``first`` is the slot that the first kernel row would have; rows outside the frame are masked.
        first = Signal(range(spec.rows))
        first_later = Signal(range(spec.rows))
        inner = Signal(spec.kernel[0])
        inner_later = Signal(spec.kernel[0])
        with m.Switch(above):
            for count in sorted({row.above for row in spec.row_plan}):
                with m.Case(count):
                    m.d.comb += first.eq(
                        selected(m, base, [(k - count) % spec.rows for k in range(spec.rows)], f"first_{count}")
                    )
        m.d.comb += inner.eq(Cat((k >= above) & (k < above + inside) for k in range(spec.kernel[0])))
        m.d.sync += [first_later.eq(first), inner_later.eq(inner)]
        words = [Signal(spec.i_format.width, name=f"kernel_row_{k}") for k in range(spec.kernel[0])]
        with m.Switch(first_later):
            for slot in range(spec.rows):
                with m.Case(slot):
                    m.d.comb += [word.eq(rows[(slot + k) % spec.rows]) for k, word in enumerate(words)]
        return Cat(Mux(inner_later[k], word, 0) for k, word in enumerate(words))

    def _masked(self, m: Module, platform: object, word: Value, outside: Value) -> Value:
        """``word``, read from a cell of which ``outside`` said one cycle before whether it lies around the image."""
        if not self.spec.padding or not is_asic(platform):
            return word
        later = Signal(name="outside")
        m.d.sync += later.eq(outside)
        return Mux(later, 0, word)

    def _wrapped(self, m: Module, value: Value, highest: int) -> Value:
        """``value`` (at most ``highest``) modulo the number of row slots."""
        rows = self.spec.rows
        if highest < rows:
            return value
        if rows & (rows - 1) == 0:
            return value[: rows.bit_length() - 1]
        return selected(m, value, [v % rows for v in range(highest + 1)], "onward_slot")
