"""The synapse array: gated additions of weights, ``outputs`` x ``inputs`` x ``steps`` x ``pixels`` in every cycle.

Window words come in, one a cycle at most; after ``words`` of them the currents of ``outputs`` channels go out. Spikes
and multi-bit values are the same machine: every bit of an input gates the weights of its own adder tree, and the
trees of the bits of one value are joined with shifts. No multiplier, and no membrane memory: the time steps of an
input travel in one word. Weights of one bit choose among the inputs (``bipolar.py``).
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
from amaranth import *
from amaranth.lib import data

from ...memory.packed import packed_rom
from ...memory.rom import packed_words, rom
from ...streams.counter import counter, row_counter
from ...streams.pipe import Pipe
from ...streams.words import resized, shape_for
from ...verilog.library import is_asic
from .adders import Addend, tree
from .bipolar import Sums, counts_chosen, counts_inverted
from .bipolar_words import positive, words_chosen, words_inverted
from .gated import Chains
from .gated_trees import gated_sums
from .products import offset, sums_of_products
from .spec import SynapseSpec
from .trees import TABLE, levels

__all__ = ["SynapseArray"]


class SynapseArray(Pipe):
    """The array of a :class:`SynapseSpec`. Takes a word in any cycle, never stalls.

    Members: ``i``: In(stream of ``{data: window word, last: end of a scan}``, where the spec is ``addressed`` with
    ``row``, always ready);
    ``o``: Out(stream of current words, always ready).
    """

    def __init__(self, spec: SynapseSpec) -> None:
        self.spec = spec
        word = {"data": spec.i_format.width, "last": 1}
        if spec.addressed:
            word |= {"row": range(spec.groups * spec.words)}
        super().__init__(data.StructLayout(word), spec.o_format.width)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec = self.spec
        # Rows of the weight memory in the order of use: group by group, and within it word by word.
        rows = spec.weight.astype(np.int64).reshape(spec.groups, spec.outputs, spec.words, spec.inputs)
        rows = rows.transpose(0, 2, 1, 3).reshape(spec.groups * spec.words, spec.outputs, spec.inputs)

        # The input word waits two or three cycles for its weights; valid and last travel along to the accumulator.
        word_1 = self.i.payload.data
        word_2 = Signal(spec.i_format.lanes * spec.terms * spec.plane_count)
        flags: list[Value] = [Cat(self.i.valid, self.i.valid & self.i.payload.last)]
        for k in range(spec.lookup + spec.depth):
            later = Signal(2, name=f"flags_{k}")
            m.d.sync += later.eq(flags[k])
            flags.append(later)
        for k in range(spec.lookup - 1):
            early, word_1 = word_1, Signal(spec.i_format.width, name=f"word_{k}")
            m.d.sync += word_1.eq(early)
        taken = self._multiplicands(m, word_1, flags[spec.lookup - 1][1])
        m.d.sync += word_2.eq(positive(spec, taken) if spec.inverts else taken)
        valid, last = flags[-1]
        if spec.multiplies:
            currents = self._multiplied(m, platform, rows, word_2, valid, last)
            m.d.sync += self.o.valid.eq(last)
            m.d.comb += self.o.payload.eq(Cat(currents))
            return m
        chains = None
        if spec.constant:
            sums = self._tables(m, rows[0], word_2)
        elif spec.bipolar:
            sums = self._bipolar(m, platform, rows, word_2)
        else:
            chains = Chains(m, platform)
            sums = self._additions(m, platform, chains, rows, taken, word_2)

        currents = []
        for o in range(spec.results):
            for t in range(spec.terms):
                planes, offset = [], 0
                for b in range(spec.tree_count):
                    plane, excess = sums(o, t, b)
                    # The sign bit of the inputs.
                    negative = spec.tree_count == spec.plane_count and spec.element[0] < 0 and b == spec.plane_count - 1
                    planes.append(replace(plane, shift=b, negative=negative))
                    offset += (-excess if negative else excess) << b
                total = tree(m, planes, levels(spec.tree_count), f"join_{o}_{t}", chains and chains.plus)
                current = self._accumulate(m, chains, o, t, total, offset, valid, last)
                if chains is not None:
                    chains.build()
                currents.append(resized(m, current, spec.o_format.low, spec.o_format.high, f"o_{o}_{t}"))
        m.d.sync += self.o.valid.eq(last)
        m.d.comb += self.o.payload.eq(Cat(currents))
        return m

    def _additions(
        self, m: Module, platform: object, chains: Chains, rows: np.ndarray, taken: Value, word_2: Value
    ) -> Sums:
        """Trees of gated additions of the weights in memory, ``rows`` (rows, outputs, inputs)."""
        layout = self.spec.layout
        places = np.take_along_axis(rows, layout.order[None], 2)
        flips = layout.flipped << (layout.bits - 1)
        weights = self._weights(m, platform, places & (1 << layout.bits) - 1 ^ flips, layout.bits)
        # The gates of the sign bits that are inverted in memory.
        inverse = Signal.like(word_2)
        m.d.sync += inverse.eq(~taken)
        return gated_sums(m, chains, self.spec, weights, word_2, inverse)

    def _bipolar(self, m: Module, platform: object, rows: np.ndarray, word: Value) -> Sums:
        """Trees of inputs that weights of one bit choose or invert, ``rows`` (rows, outputs, inputs)."""
        spec = self.spec
        bits = rows < 0 if spec.inverts else rows > 0
        weights = self._weights(m, platform, bits.astype(np.int64), np.ones(rows.shape[1:], int)) * spec.pixels
        if spec.tree_count < spec.plane_count:
            return (words_inverted if spec.inverts else words_chosen)(m, platform, spec, weights, word)
        if spec.inverts:
            return counts_inverted(m, platform, spec, weights, word)
        minus = cache(self._tables(m, np.full((spec.outputs, spec.inputs), -1), word))
        block = spec.outputs // spec.blocks  # outputs that have the same inputs, and one sum of them
        return counts_chosen(m, platform, spec, weights, word, lambda o, t, b: minus(o // block * block, t, b))

    def _multiplied(
        self, m: Module, platform: object, rows: np.ndarray, word: Value, valid: Value, last: Value
    ) -> list[Value]:
        """The currents of all results from sums of products, ``rows`` (rows, outputs, inputs)."""
        spec = self.spec
        bits = np.full(rows.shape[1:], spec.weight_bits)
        weights = self._weights(m, platform, rows + offset(spec), bits)
        found = []
        for o, total in enumerate(sums_of_products(m, platform, spec, weights, word)):
            current = self._accumulate(m, None, o, 0, total, 0, valid, last)
            found.append(resized(m, current, spec.o_format.low, spec.o_format.high, f"o_{o}_0"))
        return found

    def _tables(self, m: Module, weight: np.ndarray, word: Value) -> Sums:
        """Trees of tables of the constant ``weight`` (outputs, inputs): four bits of the inputs choose a sum."""
        spec = self.spec
        lane_bits = spec.terms * spec.plane_count

        def sums(o: int, t: int, b: int) -> tuple[Addend, int]:
            name, bit = f"{o}_{t}_{b}", t * spec.plane_count + b
            terms = []
            for first in range(0, spec.inputs, TABLE):
                part = weight[o % spec.outputs, first : first + TABLE]
                low, high = int(np.minimum(part, 0).sum()), int(np.maximum(part, 0).sum())
                value = Signal(shape_for(low, high), name=f"table_{name}_{first}")
                lanes = spec.lanes_of(o)[first : first + TABLE]
                with m.Switch(Cat(word[k * lane_bits + bit] for k in lanes)):
                    for pattern in range(1 << len(part)):
                        with m.Case(pattern):
                            m.d.sync += value.eq(int(sum(w for k, w in enumerate(part) if pattern >> k & 1)))
                terms.append(Addend(value, low, high))
            return tree(m, terms, levels(len(terms)), f"sum_{name}"), 0

        return sums

    def _weights(self, m: Module, platform: object, rows: np.ndarray, bits: np.ndarray) -> list[list[Value]]:
        """The memory of ``rows`` (rows, outputs, inputs) in so many ``bits`` (outputs, inputs): addressed by a counter
        of the words, or by what comes with them; read in ``spec.lookup`` cycles. A ROM of an ASIC is never packed."""
        spec = self.spec
        ends = np.cumsum(bits).tolist()
        places = [slice(*ends) for ends in zip([0, *ends], ends, strict=False)]
        words = packed_words(rows.reshape(len(rows), -1), bits.ravel())
        if spec.packs and spec.packing is not None and not is_asic(platform):
            weights = packed_rom(m, platform, words, ends[-1], self.i.valid, spec.packing)
        else:
            address = Signal(range(len(rows)), name="row")
            weights = rom(m, platform, words, ends[-1], address, logic=spec.logic, cycles=spec.lookup)
            last = self.i.payload.last
            m.d.comb += address.eq(self.i.payload.row if spec.addressed else
                                   row_counter(m, len(rows), spec.scans, self.i.valid, last, "address"))  # fmt: skip
        found = [weights[place] for place in places]
        return [found[k : k + spec.inputs] for k in range(0, len(found), spec.inputs)]

    def _multiplicands(self, m: Module, word: Value, last: Value) -> Value:
        """The part of the input word that is used in this cycle, which is the ``last`` of its scan or not: sums over
        time, or the current group of steps."""
        spec, form = self.spec, self.spec.i_format
        lanes = [word[k * form.element_bits :][: form.element_bits] for k in range(form.lanes)]
        if spec.sum_time and form.steps > 1:
            return Cat(self._sum_of_steps(m, lane, k) for k, lane in enumerate(lanes))
        if spec.scans == 1:
            return word
        scan, _ = counter(m, spec.scans, last, "scan")
        return Cat(lane.word_select(scan, spec.steps * form.bits) for lane in lanes)

    def _sum_of_steps(self, m: Module, lane: Value, k: int) -> Value:
        form = self.spec.i_format
        total = Signal(shape_for(*self.spec.element), name=f"count_{k}")
        if form.bits == 1 and form.steps <= 6:  # a table of one to three LUTs a bit, where adders would cost more
            with m.Switch(lane):
                for pattern in range(1 << form.steps):
                    with m.Case(pattern):
                        m.d.comb += total.eq(pattern.bit_count())
        else:
            steps = [lane.word_select(t, form.bits) for t in range(form.steps)]
            m.d.comb += total.eq(sum((s.as_signed() if form.signed else s for s in steps), Const(0)))
        return total

    def _accumulate(
        self, m: Module, chains: Chains | None, o: int, t: int, part: Addend, offset: int, valid: Value, last: Value
    ) -> Value:
        """Add the words of a scan, each ``offset`` too large; the accumulator returns to its start value, which makes
        up for that, by its reset input, at no LUT. Only the result must fit: what is lost above comes back."""
        spec = self.spec
        channel = o % spec.outputs
        mine = slice(channel, None, spec.outputs)  # the channels that this lane computes, group by group
        shape = shape_for(int(spec.ranges[mine, 0].min()), int(spec.ranges[mine, 1].max()))
        begin = int(spec.start[channel] - spec.excess[channel]) if spec.inverts else int(spec.start[channel])
        start = Const(begin - spec.words * offset, shape).value
        acc = Signal(shape, init=start, name=f"acc_{o}_{t}")
        total, result = Signal(shape, name=f"acc_next_{o}_{t}"), Signal(shape, name=f"current_{o}_{t}")
        if spec.words == 1:
            acc = Const(start, shape)
        else:
            with m.If(valid):
                m.d.sync += acc.eq(total)
        if chains is None or spec.words == 1 or part.low < 0 or part.negative:
            m.d.comb += total.eq(part.added_to(acc, subtract=part.negative))
        else:
            m.d.comb += total.eq(chains.plus(acc, part, f"acc_sum_{o}_{t}", width=len(acc)))
        with m.If(last):
            m.d.sync += result.eq(total)
            if spec.words > 1:
                m.d.sync += acc.eq(start)
        return result
