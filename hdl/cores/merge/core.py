"""The residual merge: adds the words of a shortcut to the currents of a layer, behind its adder trees.

The shortcut's words wait in a FIFO of the stage. The window does not finish the first scan of a result before all of
the result's words are there, so the currents never wait for them. Where neuron units are shared over outputs, so are
the merge's adders.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...bounds import largest, reaches, whole
from ...memory.ram import ram
from ...memory.rom import UNCHECKED, memory_style, selected
from ...streams.counter import counter
from ...streams.law import Link
from ...streams.words import WordFormat, bits_for, shape_for
from ..synapse.adders import Term, levels, tree

__all__ = ["Merge", "MergeSpec", "SkipLaw"]


@dataclass(frozen=True, kw_only=True, eq=False)
class MergeSpec:
    """A merge: current of channel c += gain[c] * shortcut[c - first], in every time step.

    Parameters:
        gain: (Co,) integers, 0 where the shortcut has no channel.
        first: first channel that the shortcut has; a multiple of the lanes.
        channels: channels of the shortcut; a multiple of the lanes.
        skip_format: the shortcut's words; as many lanes as ``i_format``. One step: the same in every time step.
        i_format: the current words.
        scans: current words of a neuron, each with a group of its time steps.
        parts: current words of a result (where neurons are shared).
        ranges: (Co, 2), range of each channel's current.
        depth: words that the FIFO holds.
    """

    gain: np.ndarray
    first: int
    channels: int
    skip_format: WordFormat
    i_format: WordFormat
    scans: int
    parts: int
    ranges: np.ndarray
    depth: int

    def __post_init__(self) -> None:
        whole("gain", self.gain, 1)
        whole("ranges", self.ranges, 2)
        reaches("A sum", largest(self.ranges) + largest(self.gain) * max(map(abs, self.element)))
        lanes = self.i_format.lanes
        if self.skip_format.lanes != lanes:
            raise ValueError(f"Shortcut words must have {lanes} lanes, not {self.skip_format.lanes}")
        if self.first % lanes or self.channels % lanes:
            raise ValueError(f"lanes={lanes} must divide the {self.channels} channels of the shortcut and {self.first}")
        if self.depth < max(self.needs):
            raise ValueError(f"The FIFO must hold the {max(self.needs)} words of a result, not {self.depth}")

    @property
    def groups(self) -> int:
        """Groups of channels, one after the other."""
        return len(self.gain) // self.i_format.lanes

    @property
    def words(self) -> int:
        """Shortcut words of a pixel."""
        return self.channels // self.i_format.lanes

    @property
    def takes(self) -> list[bool]:
        """Whether each group takes a word of the shortcut."""
        lanes = self.i_format.lanes
        return [self.first <= g * lanes < self.first + self.channels for g in range(self.groups)]

    @property
    def needs(self) -> list[int]:
        """Words that each result of a pixel takes."""
        return [sum(self.takes[k : k + self.parts]) for k in range(0, self.groups, self.parts)]

    @property
    def sums(self) -> bool:
        """Whether the time steps of the shortcut are added up, as those of the currents were."""
        return self.scans == 1 and self.i_format.steps == 1 and self.skip_format.steps > 1

    @property
    def element(self) -> tuple[int, int]:
        """Range of one multiplicand: a time step of the shortcut, or the sum of its time steps."""
        times = self.skip_format.steps if self.sums else 1
        return self.skip_format.low * times, self.skip_format.high * times

    @property
    def plain(self) -> bool:
        """Whether all gains are 1: shortcut words that are currents already."""
        return bool((self.gain == 1).all())

    @property
    def depth_of_products(self) -> int:
        """Registered levels that join the products of the bits of a multiplicand."""
        return 0 if self.plain else levels(bits_for(*self.element)[0])

    @property
    def latency(self) -> int:
        """Cycles from a current word to the sum: memory and its output register, the products, the sum."""
        return 3 + self.depth_of_products

    @cached_property
    def o_ranges(self) -> np.ndarray:
        """Range (Co, 2) of each channel's sum."""
        return self.ranges + np.sort(self.gain[:, None] * np.array(self.element), axis=1)

    @cached_property
    def o_format(self) -> WordFormat:
        """The words of sums that leave."""
        form = self.i_format
        return WordFormat(form.lanes, form.steps, int(self.o_ranges[:, 0].min()), int(self.o_ranges[:, 1].max()))

    def compute(self, currents: np.ndarray, skip: np.ndarray) -> np.ndarray:
        """Model: currents (n, lanes, steps) and shortcut words (k, lanes, T) to sums (n, lanes, steps)."""
        lanes, steps = self.i_format.lanes, self.i_format.steps
        x = self.i_format.checked(currents).reshape(-1, self.groups, self.scans, lanes, steps)
        s = self.skip_format.checked(skip).reshape(len(x), self.channels, -1)
        s = np.pad(s, ((0, 0), (self.first, len(self.gain) - self.first - self.channels), (0, 0)))
        s = (s * self.gain[:, None]).reshape(len(x), self.groups, 1, lanes, -1)
        if self.sums:
            s = s.sum(-1, keepdims=True)
        elif self.skip_format.steps > 1:  # scan k looks at the k-th group of steps
            s = s.reshape(len(x), self.groups, lanes, self.scans, steps).transpose(0, 1, 3, 2, 4)
        return (x + s).reshape(currents.shape)


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
                "skip": In(stream.Signature(spec.skip_format.width)),
                "hold": Out(1),
                "scanned": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec, form, skip = self.spec, self.spec.i_format, self.spec.skip_format

        # Which channels and which steps a current word has; whether it takes a word of the shortcut.
        scan, last_scan = counter(m, spec.scans, self.i.valid, "scan")
        neuron_ends = Signal()
        m.d.comb += neuron_ends.eq(self.i.valid & last_scan)
        group, _ = counter(m, spec.groups, neuron_ends, "group")
        word = self._fifo(m, platform, neuron_ends & selected(m, group, [int(t) for t in spec.takes], "takes"))

        # The word comes out of its memory in the next cycle and out of a register in the one after.
        group_1, scan_1 = self._later(m, group, "group_1"), self._later(m, scan, "scan_1")
        lanes = [word[k * skip.element_bits :][: skip.element_bits] for k in range(skip.lanes)]
        multiplicands = [self._steps(m, lane, scan_1, k) for k, lane in enumerate(lanes)]
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

    def _fifo(self, m: Module, platform: object, fetches: Value) -> Value:
        """The words of the shortcut in a memory; return the word fetched, one cycle later. ``level`` counts the words
        in it, ``stock`` those of them that are not yet promised to a result."""
        spec = self.spec
        style = {"ram_style": memory_style(spec.depth, spec.skip_format.width)} | UNCHECKED
        write, read = ram(m, platform, spec.skip_format.width, spec.depth, style)
        level = Signal(range(spec.depth + 1))
        stock = Signal(range(spec.depth + 1))
        fetch = Signal()
        m.d.comb += [
            fetch.eq(fetches),
            self.skip.ready.eq(level != spec.depth),
            write.en.eq(self.skip.valid & self.skip.ready),
            write.data.eq(self.skip.payload),
            write.addr.eq(counter(m, spec.depth, write.en, "write_at")[0]),
            read.en.eq(1),
            read.addr.eq(counter(m, spec.depth, fetch, "read_at")[0]),
        ]
        result, _ = counter(m, len(spec.needs), self.scanned, "result")
        need = selected(m, result, spec.needs, "need")
        m.d.comb += self.hold.eq(stock < need)
        m.d.sync += [level.eq(level + write.en - fetch), stock.eq(stock + write.en - Mux(self.scanned, need, 0))]
        return read.data

    def _steps(self, m: Module, lane: Value, scan: Value, k: int) -> list[Value]:
        """The multiplicands of a lane, registered: its steps, those of this scan, or their sum."""
        spec, form = self.spec, self.spec.skip_format
        shown = form.steps // spec.scans if form.steps > 1 else 1
        if form.steps > 1 and spec.scans > 1:
            lane = lane.word_select(scan, shown * form.bits)
        steps = [lane.word_select(t, form.bits) for t in range(shown)]
        steps = [s.as_signed() if form.signed else s for s in steps]
        found = []
        for t, value in enumerate([sum(steps, Const(0))] if spec.sums else steps):
            found.append(Signal(shape_for(*spec.element), name=f"x_{k}_{t}"))
            m.d.sync += found[-1].eq(value)
        return found

    def _product(self, m: Module, x: Value, gain: Value, name: str) -> Term:
        """``x`` times ``gain``: the gain gated by every bit of ``x``, joined with shifts."""
        spec = self.spec
        low, high = spec.element
        if spec.plain:
            return Term(x, low, high)
        lowest, highest = int(min(0, spec.gain.min())), int(max(0, spec.gain.max()))
        planes = []
        for b in range(len(x)):
            negative = low < 0 and b == len(x) - 1  # the sign bit
            planes.append(Term(Mux(x[b], gain, 0), lowest, highest, b, negative))
        return tree(m, planes, spec.depth_of_products, name)

    @staticmethod
    def _later(m: Module, value: Value, name: str) -> Signal:
        later = Signal(value.shape(), name=name)
        m.d.sync += later.eq(value)
        return later


class SkipLaw:
    """When the words of a shortcut move: the FIFO of a merge, as part of the law of its stage.

    Parameters: ``spec``; ``i``, the link; ``delay``, cycles from the window's last word of a result to its first
    fetch. Word k is taken from one cycle after word k - depth was fetched; the first scan of a result ends one cycle
    after the last of its words was taken at the earliest.
    """

    def __init__(self, spec: MergeSpec, i: Link, delay: int) -> None:
        self.i, self._depth, self._delay = i, spec.depth, delay
        takes = [spec.takes[k : k + spec.parts] for k in range(0, spec.groups, spec.parts)]
        self._offsets = [[p for p, taken in enumerate(part) if taken] for part in takes]
        self._through = np.cumsum(spec.needs).tolist()
        self._fetched: list[int] = []

    def feed(self) -> bool:
        """Take every word for which there is room; return whether any was."""
        i, fetched, moved = self.i, self._fetched, False
        while i.pending():
            before = len(i.taken) - self._depth
            if before >= len(fetched):
                break
            i.take(fetched[before] + 1 if before >= 0 else 0)
            moved = True
        return moved

    def ready(self, result: int) -> int | None:
        """The first cycle in which the first scan of ``result`` may end, None while it is not known."""
        frame, k = divmod(result, len(self._through))
        words = frame * self._through[-1] + self._through[k]
        if words > len(self.i.taken):
            return None
        return self.i.taken[words - 1] + 1 if self._offsets[k] else 0

    @property
    def occupied(self) -> int:
        """Slots that the words so far needed for none to wait."""
        taken, fetched = np.array(self.i.taken), np.array(self._fetched)
        return int((np.arange(len(taken)) - np.searchsorted(fetched, taken)).max(initial=-1)) + 1

    def finish(self, result: int, end: int) -> None:
        """Note that the window handed out the last word of ``result`` in cycle ``end``."""
        first = end + self._delay
        self._fetched.extend(first + p for p in self._offsets[result % len(self._offsets)])
