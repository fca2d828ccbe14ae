"""The residual merge: adds the words of a shortcut to the currents of a layer, behind its adder trees.

The shortcut's words wait in a FIFO of the stage. The window does not finish the first scan of a result before all of
the result's words are there, so the currents never wait for them. Where neuron units are shared over outputs, so are
the merge's adders.
"""

from __future__ import annotations

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...memory.columns import Columns
from ...memory.ram import block_ram, ram
from ...memory.rom import UNCHECKED, selected
from ...memory.style import memory_style
from ...streams.counter import balance, counter
from ...streams.words import shape_for
from ...verilog.library import Library, is_asic
from ..synapse.adders import Addend, tree
from .blocks import block_memory
from .spec import MergeSpec

__all__ = ["Merge"]


class Merge(wiring.Component):
    """The hardware of a :class:`MergeSpec`. The currents never stall.

    Members: ``i``: In(stream of current words, always ready); ``o``: Out(stream of sums, always ready); ``skip``:
    In(stream of shortcut words); ``hold``: Out(1), the words of the next result are not all there; ``scanned``:
    In(1), the window finished the first scan of a result.
    """

    i: stream.Interface
    o: stream.Interface
    skip: stream.Interface
    hold: Signal
    scanned: Signal

    def __init__(self, spec: MergeSpec) -> None:
        self.spec = spec
        super().__init__(
            {
                "i": In(stream.Signature(spec.i_format.width, always_ready=True)),
                "o": Out(stream.Signature(spec.o_format.width, always_ready=True)),
                "skip": In(stream.Signature(spec.shortcut_format.width)),
                "hold": Out(1),
                "scanned": In(1),
            }
        )

    @property
    def extras(self) -> list[stream.Interface]:
        """The shortcut."""
        return [self.skip]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec, form, skip = self.spec, self.spec.i_format, self.spec.shortcut_format

        # Which channels and which steps a current word has; whether it takes a word of the shortcut.
        scan, last_scan = counter(m, spec.scans, self.i.valid, "scan")
        neuron_ends = Signal()
        m.d.comb += neuron_ends.eq(self.i.valid & last_scan)
        group, _ = counter(m, spec.groups, neuron_ends, "group")
        if spec.blocks is not None:
            word, late = block_memory(m, platform, spec, self.skip, group, neuron_ends, self.scanned, self.hold)
        else:
            takes = neuron_ends & selected(m, group, [int(t) for t in spec.takes], "takes")
            word, late = self._fifo(m, platform, takes)

        # The word comes out of its memory in the next cycle and out of a register in the one after.
        group_1, scan_1 = self._later(m, group, "group_1"), self._later(m, scan, "scan_1")
        lanes = [word[k * skip.element_bits :][: skip.element_bits] for k in range(skip.lanes)]
        multiplicands = [self._steps(m, lane, scan_1, k, late) for k, lane in enumerate(lanes)]
        gains = []
        for k in range(form.lanes):
            gain = selected(m, group_1, spec.gain[k :: form.lanes].tolist(), f"gain_{k}")
            gains.append(gain if isinstance(gain, Const) else self._later(m, gain, f"gain_{k}_later"))
        currents: list[Value] = [self.i.payload.word_select(k, form.bits) for k in range(form.lanes * form.steps)]
        if form.signed:
            currents = [c.as_signed() for c in currents]
        valid: Value = self.i.valid
        for n in range(2 + spec.depth_of_products):
            currents = [self._later(m, c, f"current_{n}_{k}") for k, c in enumerate(currents)]
            valid = self._later(m, valid, f"valid_{n}")

        sums = []
        for k, gain in enumerate(gains):
            products = [self._product(m, x, gain, f"product_{k}_{t}") for t, x in enumerate(multiplicands[k])]
            for t in range(form.steps):
                product = products[t % len(products)]
                value = product.value << product.shift
                total = Signal(shape_for(spec.o_format.low, spec.o_format.high), name=f"sum_{k}_{t}")
                current = currents[k * form.steps + t]
                m.d.sync += total.eq(current - value if product.negative else current + value)
                sums.append(total)
        m.d.sync += self.o.valid.eq(valid)
        m.d.comb += self.o.payload.eq(Cat(sums))
        return m

    def _fifo(self, m: Module, platform: object, fetches: Value) -> tuple[Value, bool]:
        """The words of the shortcut in a memory; return the word fetched, and whether it comes two cycles later, out of
        the registers of block RAMs, and not one. ``level`` counts the words in it, and as many as make its highest bit
        say that it is full; ``stock``, those that are not promised to a result, less what the next one needs."""
        spec, width = self.spec, self.spec.shortcut_format.width
        late = spec.built_in and isinstance(platform, Library) and not is_asic(platform)
        if late and isinstance(platform, Library):
            write, read = block_ram(m, platform, width, spec.slots)
        else:
            style = {"ram_style": memory_style(spec.slots, width)} | UNCHECKED
            write, read = ram(m, platform, width, spec.slots, style)
            m.d.comb += read.en.eq(1)
        full = 1 << (spec.slots - 1).bit_length()
        level = Signal(range(full + 1), init=full - spec.slots)
        stock = Signal(spec.stock, init=-spec.needs[0])
        fetch = Signal()
        m.d.comb += [
            fetch.eq(fetches),
            self.skip.ready.eq(~level[-1]),
            write.en.eq(self.skip.valid & self.skip.ready),
            write.data.eq(self.skip.payload),
            write.addr.eq(counter(m, spec.slots, write.en, "write_at")[0]),
            read.addr.eq(counter(m, spec.slots, fetch, "read_at")[0]),
        ]
        result, _ = counter(m, len(spec.needs), self.scanned, "result")
        following = Columns(m, result, self.scanned).value([*spec.needs[1:], spec.needs[0]], "following")
        m.d.comb += self.hold.eq(stock[-1])
        balance(m, level, write.en, fetch)
        balance(m, stock, write.en, Mux(self.scanned, following, 0))
        return read.data, late

    def _steps(self, m: Module, lane: Value, scan: Value, k: int, late: bool) -> list[Value]:
        """The multiplicands of a lane, registered as they are where they are not ``late``: its steps, those of this
        scan, or their sum."""
        spec, form = self.spec, self.spec.shortcut_format
        shown = form.steps // spec.scans if form.steps > 1 else 1
        if form.steps > 1 and spec.scans > 1:
            lane = lane.word_select(scan, shown * form.bits)
        steps = [lane.word_select(t, form.bits) for t in range(shown)]
        steps = [s.as_signed() if form.signed else s for s in steps]
        if late:
            return steps
        found = []
        for t, value in enumerate([sum(steps, Const(0))] if spec.sums else steps):
            found.append(Signal(shape_for(*spec.element), name=f"x_{k}_{t}"))
            m.d.sync += found[-1].eq(value)
        return found

    def _product(self, m: Module, x: Value, gain: Value, name: str) -> Addend:
        """``x`` times ``gain``: the gain gated by every bit of ``x``, joined with shifts."""
        spec = self.spec
        low, high = spec.element
        if spec.plain:
            return Addend(x, low, high)
        lowest, highest = int(min(0, spec.gain.min())), int(max(0, spec.gain.max()))
        planes = []
        for b in range(len(x)):
            negative = low < 0 and b == len(x) - 1  # the sign bit
            planes.append(Addend(Mux(x[b], gain, 0), lowest, highest, b, negative))
        return tree(m, planes, spec.depth_of_products, name)

    @staticmethod
    def _later(m: Module, value: Value, name: str) -> Signal:
        later = Signal(value.shape(), name=name)
        m.d.sync += later.eq(value)
        return later
