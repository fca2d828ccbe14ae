"""The memory of a window: all rows in one, or a memory for each row where whole kernel columns are read; where
neighbouring windows are walked together, a bank of either for each of them (``banks``).

Cells around the image are never written. On an FPGA they hold what stands there, zeros or ``spec.pad``, from the start;
where memories start with anything (target ``asic``) they are masked instead.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import *
from amaranth.lib import stream

from ...memory.ram import Port, block_ram, ram
from ...memory.rom import UNCHECKED, selected
from ...streams.counter import counter
from ...verilog.library import Library, is_asic
from .banks import inside, taps
from .line import LinePlace, LineWriter
from .spec import WindowSpec
from .walk import Place, Walk
from .writer import Writer

__all__ = ["Store"]


class Store:
    """The memory of the window of ``spec``, to which ``writer`` writes the words of ``i``. It has one way to be read,
    :meth:`ring`, :meth:`line` or :meth:`columns`."""

    def __init__(
        self, m: Module, platform: object, spec: WindowSpec, writer: Writer | LineWriter, i: stream.Interface
    ) -> None:
        self.m, self.platform, self.spec, self.writer, self.i = m, platform, spec, writer, i
        self._around: Signal | None = None

    @property
    def depth(self) -> int:
        """Words of a ring, without the slot of padding where that is masked."""
        whole, _ = self.spec.memory
        masked = any(self.spec.padding[0]) and is_asic(self.platform)
        return whole - (1 << (self.spec.cells - 1).bit_length()) * masked

    @property
    def slots(self) -> int:
        """Row slots of a ring, that of padding included."""
        return self.spec.rows + (1 if any(self.spec.padding[0]) and not is_asic(self.platform) else 0)

    @property
    def slot_start(self) -> list[int]:
        """What a row slot holds at the start, up to its last cell: in every cell what would stand there around the
        frame; nothing where that is zero."""
        spec = self.spec
        return [spec.pad_words[cell % spec.pixel_words] for cell in range(spec.cells)] if spec.pad else []

    def ring(self, at: Sequence[Value], walk: Walk, turn: Value | None = None) -> Value:
        """All rows in one memory, or in one for each bank; return the words at the addresses ``at``, one for each, of
        ``walk``, ``spec.latency`` cycles later, that of bank ``turn`` first. The slot past the last row is never
        written and holds the words of the padded rows."""
        words = [self._ring(address, walk, bank) for bank, address in enumerate(at)]
        return Cat(words) if turn is None else Cat(self.turned(words, self.delayed(turn, "turn")))

    def _ring(self, at: Value, walk: Walk, bank: int) -> Value:
        m, spec, writer = self.m, self.spec, self.slots_writer
        style = UNCHECKED if spec.memory[1] == "auto" else {"ram_style": "block"} | UNCHECKED
        gap = [0] * ((1 << (spec.cells - 1).bit_length()) - spec.cells)
        start = ((self.slot_start + gap) * self.slots)[: self.depth] if spec.pad else []
        number = f"_{bank}" if spec.pixels > 1 else ""
        write, read, late = self.memory(self.depth, style, start, f"memory{number}")
        m.d.comb += [write.en.eq(self.written(bank)), write.data.eq(self.i.payload)]
        m.d.comb += write.addr.eq(Cat(writer.cell, writer.slot))
        m.d.comb += read.addr.eq(at)
        if late:
            return read.data
        return self.registered(self.masked(read.data, spec.outside(at, bank=bank), walk), f"word{number}")

    def line(self, place: LinePlace) -> Value:
        """A ring of words; return the word at the address of ``place``, ``spec.latency`` cycles later."""
        m, spec, writer = self.m, self.spec, self.writer
        assert isinstance(writer, LineWriter)
        depth, style = spec.memory
        attributes = UNCHECKED if style == "auto" else {"ram_style": "block"} | UNCHECKED
        write, read, late = self.memory(depth, attributes, [], "memory")
        m.d.comb += [write.en.eq(writer.written), write.data.eq(self.i.payload), write.addr.eq(writer.at)]
        m.d.comb += read.addr.eq(place.at)
        if place.outside is None:
            return read.data if late else self.registered(read.data, "word")
        outside, around = self.later(place.outside, "outside"), self.around(place.walk)
        if not late:
            return self.registered(Mux(outside, around, read.data), "word")
        around = self.registered(around, "around_then") if isinstance(around, Signal) else around
        return Mux(self.registered(outside, "outside_then"), around, read.data)

    @property
    def slots_writer(self) -> Writer:
        """The writer, of a window that keeps rows."""
        assert isinstance(self.writer, Writer)
        return self.writer

    def written(self, bank: int) -> Value:
        """Whether a word goes to ``bank``."""
        writer = self.slots_writer
        return writer.written & (writer.bank == bank) if self.spec.pixels > 1 else writer.written

    def turned(self, words: Sequence[Value], turn: Value, name: str = "window") -> list[Value]:
        """``words`` of the banks in the order of the windows: that of bank ``turn`` first."""
        count = len(words)
        found: list[Value] = [Signal(len(words[0]), name=f"{name}_{k}") for k in range(count)]
        with self.m.Switch(turn):
            for first in sorted({tap.turn for tap in taps(self.spec)}):
                with self.m.Case(first):
                    self.m.d.comb += [word.eq(words[(first + k) % count]) for k, word in enumerate(found)]
        return found

    def delayed(self, value: Value, name: str) -> Value:
        """``value`` of the decision on a word, when that leaves the memory."""
        return self.registered(self.later(value, f"{name}_later"), f"{name}_then")

    def memory(self, depth: int, style: dict[str, str], start: list[int], name: str) -> tuple[Port, Port, bool]:
        """A memory; its write port, its read port, which reads in every cycle, and whether that gives its words with
        the register behind them."""
        spec = self.spec
        if spec.built_in and isinstance(self.platform, Library) and not is_asic(self.platform):
            return *block_ram(self.m, self.platform, spec.i_format.width, depth, name=name), True
        write, read = ram(self.m, self.platform, spec.i_format.width, depth, style, init=start, name=name)
        self.m.d.comb += read.en.eq(1)
        return write, read, False

    def columns(self, place: Place) -> Value:
        """A memory for each row, or for each bank of one; return the cells of all kernel rows side by side, those of
        the next window above them, ``spec.latency`` cycles later."""
        m, spec, walk = self.m, self.spec, place.walk
        # ``first`` is the slot that the first kernel row would have; rows outside the frame are masked.
        first = Signal(range(spec.rows))
        inner = Signal(spec.kernel[0])
        apart = spec.dilation[0]
        with m.Switch(place.rows.over):
            for count in sorted({row.above * apart - row.offset for row in spec.row_plan}):
                with m.Case(count):
                    slots = [(k - count) % spec.rows for k in range(spec.rows)]
                    m.d.comb += first.eq(selected(m, place.base, slots, f"first_{count}"))
        m.d.comb += inner.eq(walk.rows.inside)
        first_later, inner_later = self.delayed(first, "first"), self.delayed(inner, "inner")
        found = [[self._row(k, bank, cell, walk) for k in range(spec.rows)] for bank, cell in enumerate(place.cells)]
        if spec.turned_first:
            found = self._windows(found, place.turn)
        around, words = self.around(walk), []
        if isinstance(around, Signal):
            around = self.registered(around, "around_then")
        for window, rows in enumerate(found):
            number = f"_{window}" if spec.pixels > 1 else ""
            mine = [Signal(spec.i_format.width, name=f"kernel_row_{k}{number}") for k in range(spec.kernel[0])]
            with m.Switch(first_later):
                for slot in range(spec.rows):
                    with m.Case(slot):
                        m.d.comb += [word.eq(rows[(slot + k * apart) % spec.rows]) for k, word in enumerate(mine)]
            words.append([Mux(inner_later[k], word, around) for k, word in enumerate(mine)])
        return Cat(words if spec.turned_first else self._windows(words, place.turn))

    def _windows(self, banks: list[list[Value]], turn: Value | None) -> list[list[Value]]:
        """Of words of every bank those of every window."""
        if turn is None:
            return banks
        later = self.delayed(turn, "turn")
        found = [self.turned(words, later, f"turned_{k}") for k, words in enumerate(zip(*banks, strict=True))]
        return [list(words) for words in zip(*found, strict=True)]

    def _row(self, k: int, bank: int, cell: Value, walk: Walk) -> Value:
        """The word in ``cell`` of row slot ``k``, of its ``bank``."""
        m, spec, writer = self.m, self.spec, self.slots_writer
        name = f"row_{k}_{bank}" if spec.pixels > 1 else f"row_{k}"
        write, read, late = self.memory(spec.cells, UNCHECKED, self.slot_start, name)
        m.d.comb += [write.en.eq(self.written(bank) & (writer.slot == k)), write.data.eq(self.i.payload)]
        m.d.comb += write.addr.eq(writer.cell)
        m.d.comb += read.addr.eq(cell)
        beside = len(inside(spec, bank)) < spec.cells
        word = self.masked(read.data, spec.outside(cell, bank=bank), walk) if beside else read.data
        return word if late else self.registered(word, f"{name}_word")

    def later(self, value: Value, name: str) -> Signal:
        """``value``, one cycle later."""
        register = Signal.like(value, name=name)
        self.m.d.sync += register.eq(value)
        return register

    def registered(self, value: Value, name: str) -> Value:
        """``value``, which comes with the words of the memories, as late as these leave the window."""
        return self.later(value, name) if self.spec.registered else value

    def around(self, walk: Walk) -> Value | int:
        """The word around the frame at the word of ``walk`` of one cycle before."""
        m, spec = self.m, self.spec
        if len(set(spec.pad_words)) == 1:
            return spec.pad_words[0]
        if self._around is None:
            beside = spec.pixel_words // spec.pixel_parts
            word, _ = counter(m, beside, walk.moves, "pixel_word")
            at = Signal(range(spec.pixel_words), name="around_at")
            m.d.comb += at.eq(walk.value["channel"] * beside + word)
            self._around = Signal(spec.i_format.width, name="around")
            m.d.sync += self._around.eq(selected(m, at, spec.pad_words, "around_word"))
        return self._around

    def masked(self, word: Value, outside: Value, walk: Walk) -> Value:
        """``word`` of ``walk``, read from a cell of which ``outside`` said one cycle before whether it lies around the
        image."""
        spec = self.spec
        if not (spec.padded or spec.pixels > 1) or not is_asic(self.platform):
            return word
        later = Signal(name="outside")
        self.m.d.sync += later.eq(outside)
        return Mux(later, self.around(walk), word)
