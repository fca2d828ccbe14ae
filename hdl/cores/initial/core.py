"""Initial membranes of single neurons: a ROM, added to the current of the first time step.

A membrane that starts at v0 and one that starts at 0 whose first current is larger by v0 are the same from the first
spike test on. What all neurons of a channel have in common costs nothing in the spike tests
(``hdl.cores.neuron.core``); the rest, one number a neuron, comes from here.
"""

from __future__ import annotations

from amaranth import *
from amaranth.lib.memory import Memory

from ...memory.rom import asic_rom, packed_rows
from ...memory.style import rom_style
from ...streams.counter import counter
from ...streams.pipe import Pipe
from ...streams.words import bits_for, resized
from ...verilog.library import Library, is_asic
from .spec import InitialSpec

__all__ = ["InitialMembranes"]


class InitialMembranes(Pipe):
    """The hardware of an :class:`InitialSpec`. Takes a word in any cycle from the third one after reset on, never
    stalls.

    Members: ``i``: In(stream of current words, always ready); ``o``: Out(stream of current words, always ready).
    """

    def __init__(self, spec: InitialSpec) -> None:
        self.spec = spec
        super().__init__(spec.i_format.width, spec.o_format.width)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec, form = self.spec, self.spec.i_format
        scan, last_scan = counter(m, spec.scans, self.i.valid, "scan")
        neuron_ends = Signal()
        m.d.comb += neuron_ends.eq(self.i.valid & last_scan)
        offsets = self._offsets(m, platform, neuron_ends)
        low, high = spec.o_format.low, spec.o_format.high
        sums = []
        for k in range(form.lanes):
            lane = self.i.payload[k * form.element_bits :][: form.element_bits]
            steps = [lane.word_select(t, form.bits) for t in range(form.steps)]
            steps = [s.as_signed() if form.signed else s for s in steps]
            if spec.times > 1:  # shifted additions: a product would become a multiplier
                shifts = [n for n in range(spec.times.bit_length()) if spec.times >> n & 1]
                steps = [sum((s << n for n in shifts), Const(0)) for s in steps]
            if spec.repeated:
                steps = [steps[0], steps[0]]
            steps[0] = steps[0] + Mux(scan == 0, offsets[k], 0)
            sums += [resized(m, s, low, high, f"sum_{k}_{t}") for t, s in enumerate(steps)]
        m.d.sync += [self.o.valid.eq(self.i.valid), self.o.payload.eq(Cat(sums))]
        return m

    def _offsets(self, m: Module, platform: object, moves: Value) -> list[Value]:
        """The offsets of the lanes, from a register behind the memory; both go on when a neuron's last word came, and
        twice after reset to fill themselves."""
        rows = self.spec.rows
        bits = [bits_for(0, int(column.max()))[0] for column in rows.T]
        if len(rows) == 1:
            return [Const(int(value), n) for value, n in zip(rows[0], bits, strict=True)]
        words = [0] * len(rows)
        places, width = [], 0
        for column, n in zip(rows.T, bits, strict=True):
            words = [word | value << width for word, value in zip(words, packed_rows(column[:, None], n), strict=True)]
            places.append(slice(width, width + n))
            width += n
        style = rom_style(len(rows), width)
        filled = Signal(range(3))
        onward = Signal()
        m.d.comb += onward.eq(moves | (filled != 2))
        address, _ = counter(m, len(rows), onward, "address")
        if isinstance(platform, Library) and is_asic(platform):  # the ROM has no enable, so its address must stay
            held = Signal.like(address, name="held")
            with m.If(onward):
                m.d.sync += held.eq(address)
            word = asic_rom(m, platform, words, width, Mux(onward, address, held), style)
        else:
            attrs = {"rom_style": style, "ram_style": style}
            m.submodules.memory = memory = Memory(shape=width, depth=len(rows), init=words, attrs=attrs)
            port = memory.read_port()
            m.d.comb += [port.en.eq(onward), port.addr.eq(address)]
            word = port.data
        with m.If(filled != 2):
            m.d.sync += filled.eq(filled + 1)
        found = Signal(width)
        with m.If(onward):
            m.d.sync += found.eq(word)
        return [found[place] for place in places]
