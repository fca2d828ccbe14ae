"""The memory of a window: all rows in one, or a memory for each row where whole kernel columns are read.

Cells around the image are never written. On an FPGA they hold what stands there, zeros or ``spec.pad``, from the start;
where memories start with anything (target ``asic``) they are masked instead.
"""

from __future__ import annotations

from amaranth import *
from amaranth.lib import stream

from ...memory.ram import Port, block_ram, ram
from ...memory.rom import UNCHECKED, selected
from ...streams.counter import counter
from ...verilog.library import Library, is_asic
from .spec import WindowSpec
from .walk import Place, Walk
from .writer import Writer

__all__ = ["Store"]


class Store:
    """The memory of the window of ``spec``, to which ``writer`` writes the words of ``i``. It has one way to be read,
    :meth:`ring` or :meth:`columns`."""

    def __init__(self, m: Module, platform: object, spec: WindowSpec, writer: Writer, i: stream.Interface) -> None:
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

    def ring(self, at: Value, walk: Walk) -> Value:
        """All rows in one memory; return the word at address ``at``, of ``walk``, ``spec.latency`` cycles later. The
        slot past the last row is never written and holds the words of the padded rows."""
        m, spec, writer = self.m, self.spec, self.writer
        style = UNCHECKED if spec.memory[1] == "auto" else {"ram_style": "block"} | UNCHECKED
        gap = [0] * ((1 << (spec.cells - 1).bit_length()) - spec.cells)
        start = ((self.slot_start + gap) * self.slots)[: self.depth] if spec.pad else []
        write, read, late = self.memory(self.depth, style, start, "memory")
        m.d.comb += [write.en.eq(writer.written), write.data.eq(self.i.payload)]
        m.d.comb += write.addr.eq(Cat(writer.cell, writer.slot))
        m.d.comb += read.addr.eq(at)
        return read.data if late else self.registered(self.masked(read.data, spec.outside(at), walk), "word")

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
        """A memory for each row; return the cells of all kernel rows side by side, ``spec.latency`` cycles later."""
        m, spec, writer, walk = self.m, self.spec, self.writer, place.walk
        rows = []
        for k in range(spec.rows):
            write, read, late = self.memory(spec.cells, UNCHECKED, self.slot_start, f"row_{k}")
            m.d.comb += [write.en.eq(writer.written & (writer.slot == k)), write.data.eq(self.i.payload)]
            m.d.comb += write.addr.eq(writer.cell)
            m.d.comb += read.addr.eq(place.cell)
            beside = any(spec.padding[1])
            word = self.masked(read.data, spec.outside(place.cell), walk) if beside else read.data
            rows.append(word if late else self.registered(word, f"row_{k}_word"))
        # ``first`` is the slot that the first kernel row would have; rows outside the frame are masked.
        first = Signal(range(spec.rows))
        inner = Signal(spec.kernel[0])
        apart = spec.dilation[0]
        with m.Switch(walk.over):
            for count in sorted({row.above * apart - row.offset for row in spec.row_plan}):
                with m.Case(count):
                    slots = [(k - count) % spec.rows for k in range(spec.rows)]
                    m.d.comb += first.eq(selected(m, place.base, slots, f"first_{count}"))
        frame = ((k >= walk.above) & (k < walk.above + walk.inside) for k in range(spec.kernel[0]))
        m.d.comb += inner.eq(Cat(frame))
        first_later = self.registered(self.later(first, "first_later"), "first_then")
        inner_later = self.registered(self.later(inner, "inner_later"), "inner_then")
        words = [Signal(spec.i_format.width, name=f"kernel_row_{k}") for k in range(spec.kernel[0])]
        with m.Switch(first_later):
            for slot in range(spec.rows):
                with m.Case(slot):
                    m.d.comb += [word.eq(rows[(slot + k * apart) % spec.rows]) for k, word in enumerate(words)]
        around = self.around(walk)
        if isinstance(around, Signal):
            around = self.registered(around, "around_then")
        return Cat(Mux(inner_later[k], word, around) for k, word in enumerate(words))

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
        if not self.spec.padded or not is_asic(self.platform):
            return word
        later = Signal(name="outside")
        self.m.d.sync += later.eq(outside)
        return Mux(later, self.around(walk), word)
