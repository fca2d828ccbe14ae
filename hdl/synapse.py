"""The synapse array: gated additions of weights, ``outputs`` x ``inputs`` x ``steps`` of them in every cycle.

Window words come in, one a cycle at most; after ``words`` of them the currents of ``outputs`` channels go out. Spikes
and multi-bit values are the same machine: every bit of an input gates the weights of its own adder tree, and the
trees of the bits of one value are joined with shifts. No multiplier, and no membrane memory: the time steps of an
input travel in one word.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from amaranth import *
from amaranth.lib import data
from amaranth.lib.memory import Memory

from .adders import Term, levels, register_if, tree
from .counter import counter
from .pipe import Pipe
from .rom import packed_rows, rom_style
from .words import WordFormat, bits_for, resized, shape_for

__all__ = ["SynapseArray", "SynapseSpec"]


@dataclass(frozen=True, kw_only=True, eq=False)
class SynapseSpec:
    """Weights and fold of a synapse array.

    Parameters:
        weight: integers (Co, words, inputs): for each output channel the weights in the order of the window words.
        weight_bits: bits of a weight, two's complement.
        i_format: the window words.
        outputs: output channels computed at once; divides Co.
        steps: time steps computed at once; divides ``i_format.steps``. Where fewer than all, the window is scanned
            once for every group of steps.
        sum_time: add up the time steps first and give one current for all of them (rule ``lossless``, read-out).
        start: (Co,) the accumulator's value before the first word; all zero where it cannot be a constant.
        blocks: groups of a grouped convolution computed at once: the first of that many equal parts of the lanes is for
            the first part of the outputs, and so on.
    """

    weight: np.ndarray
    weight_bits: int
    i_format: WordFormat
    outputs: int
    steps: int
    sum_time: bool
    start: np.ndarray
    blocks: int = 1

    def __post_init__(self) -> None:
        if self.i_format.lanes % self.blocks or self.outputs % self.blocks:
            raise ValueError(
                f"blocks={self.blocks} does not divide {self.i_format.lanes} lanes and {self.outputs} outputs"
            )
        if self.weight.ndim != 3 or self.weight.shape[2] != self.inputs:
            raise ValueError(f"Weight must have shape (Co, words, {self.inputs}), not {self.weight.shape}")
        if self.outputs < 1 or self.weight.shape[0] % self.outputs:
            raise ValueError(f"outputs={self.outputs} does not divide the {self.weight.shape[0]} output channels")
        if self.steps < 1 or self.i_format.steps % self.steps:
            raise ValueError(f"steps={self.steps} does not divide the {self.i_format.steps} time steps")
        if self.start.any() and (self.groups > 1 or self.words == 1):
            raise ValueError(
                "A start value needs an accumulator of its own for every channel: one group, several words"
            )

    @property
    def inputs(self) -> int:
        """Input channels of an output in a word."""
        return self.i_format.lanes // self.blocks

    def lanes_of(self, output: int) -> range:
        """Lanes of a word that are inputs of the ``output``-th one computed at once."""
        first = output * self.blocks // self.outputs * self.inputs
        return range(first, first + self.inputs)

    @property
    def words(self) -> int:
        """Window words of one scan."""
        return self.weight.shape[1]

    @property
    def groups(self) -> int:
        """Groups of output channels, one after the other."""
        return self.weight.shape[0] // self.outputs

    @property
    def scans(self) -> int:
        """Scans of the window for one group of outputs."""
        return 1 if self.sum_time else self.i_format.steps // self.steps

    @property
    def terms(self) -> int:
        """Currents of one output that leave together."""
        return 1 if self.sum_time else self.steps

    @property
    def element(self) -> tuple[int, int]:
        """Range of one multiplicand: a time step of an input, or the sum of its time steps."""
        times = self.i_format.steps if self.sum_time else 1
        return min(0, self.i_format.low * times), max(0, self.i_format.high * times)

    @cached_property
    def ranges(self) -> np.ndarray:
        """Range (Co, 2) of the accumulator of each channel, any number of words of any inputs."""
        low, high = self.element
        w = self.weight.reshape(self.weight.shape[0], -1)
        pos, neg = np.maximum(w, 0).sum(1), np.minimum(w, 0).sum(1)
        return np.stack([self.start + pos * low + neg * high, self.start + pos * high + neg * low], axis=1)

    @cached_property
    def o_format(self) -> WordFormat:
        """The current words: ``outputs`` lanes, ``terms`` steps."""
        return WordFormat(self.outputs, self.terms, int(self.ranges[:, 0].min()), int(self.ranges[:, 1].max()))

    @property
    def plane_count(self) -> int:
        """Bits of a multiplicand; each has an adder tree of its own."""
        return bits_for(*self.element)[0]

    @property
    def depth(self) -> int:
        """Registered levels of the adder trees."""
        return levels(self.inputs) + levels(self.plane_count) + int(self.paired)

    @property
    def paired(self) -> bool:
        """Whether weights are added in pairs before they are gated.

        A pair then costs a choice among 0, two weights and their sum for each time step and bit of the inputs, about 5
        LUT4 for the 7 of two gates and an adder; its one sum serves all of them.
        """
        return self.inputs > 1 and self.terms * self.plane_count > 1

    @property
    def latency(self) -> int:
        """Cycles from the last word of a scan to its currents: weight memory and its output register, the trees,
        the accumulator."""
        return 2 + self.depth + 1

    def compute(self, words: np.ndarray) -> np.ndarray:
        """Model: window words (n, lanes, T), as the array takes them, to currents (n / words, outputs, terms)."""
        low, high = self.i_format.low, self.i_format.high
        if words.size and (words.min() < low or words.max() > high):
            raise ValueError(f"Inputs must be in {low}..{high}, found {words.min()}..{words.max()}")
        x = words.reshape(-1, self.groups, self.scans, self.words, self.i_format.lanes, self.i_format.steps)
        if self.sum_time:
            x = x.sum(-1, keepdims=True)
        else:  # scan k looks at the k-th group of steps
            x = x.reshape(*x.shape[:-1], self.scans, self.steps)
            x = np.stack([x[:, :, k, :, :, k] for k in range(self.scans)], axis=2)
        x = x.reshape(*x.shape[:4], self.blocks, self.inputs, -1)
        weight = self.weight.reshape(self.groups, self.blocks, -1, self.words, self.inputs)
        currents = np.einsum("ngskbit,gboki->ngsbot", x, weight, optimize=True)
        currents = currents.reshape(*x.shape[:3], self.outputs, -1) + self.start.reshape(
            self.groups, 1, self.outputs, 1
        )
        return currents.reshape(-1, self.outputs, self.terms)


class SynapseArray(Pipe):
    """The array of a :class:`SynapseSpec`. Takes a word in any cycle, never stalls.

    Members: ``i``: In(stream of ``{data: window word, last: end of a scan}``, always ready);
    ``o``: Out(stream of current words, always ready).
    """

    def __init__(self, spec: SynapseSpec) -> None:
        self.spec = spec
        word = data.StructLayout({"data": spec.i_format.width, "last": 1})
        super().__init__(word, spec.o_format.width)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec = self.spec
        # Rows of the weight memory in the order of use: group by group, and within it word by word.
        rows = spec.weight.reshape(spec.groups, spec.outputs, spec.words, spec.inputs).transpose(0, 2, 1, 3)
        rows = rows.reshape(spec.groups * spec.words, -1)
        weights = self._weights(m, rows)

        # The input word waits two cycles for its weights; valid and last travel along to the accumulator.
        lane_bits = spec.terms * spec.plane_count
        word_1, word_2 = Signal(spec.i_format.width), Signal(spec.i_format.lanes * lane_bits)
        m.d.sync += word_1.eq(self.i.payload.data)
        m.d.sync += word_2.eq(self._multiplicands(m, word_1))
        flags = Cat(self.i.valid, self.i.valid & self.i.payload.last)
        for k in range(2 + spec.depth):
            later = Signal(2, name=f"flags_{k}")
            m.d.sync += later.eq(flags)
            flags = later
        valid, last = flags
        places = self._places(m, rows, weights)
        if spec.paired:
            word_3 = Signal.like(word_2)
            m.d.sync += word_3.eq(word_2)
            word_2 = word_3

        def gated(o: int, bit: int, name: str) -> list[Term]:
            """The weights of output ``o`` that the inputs' bits let through, in pairs and registered if ``paired``."""
            x = [word_2[k * lane_bits + bit] for k in spec.lanes_of(o)]
            found = []
            for k, choices in enumerate(places[o]):
                low, high = min(0, *(c.low for c in choices)), max(0, *(c.high for c in choices))
                if not spec.paired:
                    found.append(Term(Mux(x[k], choices[0].value, 0), low, high))
                    continue
                value = Signal(shape_for(low, high), name=f"{name}_{k}")
                with m.Switch(Cat(x[2 * k : 2 * k + 2])):
                    for pattern in range(1 << min(2, spec.inputs - 2 * k)):
                        with m.Case(pattern):
                            m.d.sync += value.eq(choices[pattern - 1].value if pattern else 0)
                found.append(Term(value, low, high))
            return found

        currents = []
        for o in range(spec.outputs):
            for t in range(spec.terms):
                planes = []
                for b in range(spec.plane_count):
                    terms = gated(o, t * spec.plane_count + b, f"pair_{o}_{t}_{b}")
                    plane = tree(m, terms, levels(len(terms)), f"sum_{o}_{t}_{b}")
                    negative = spec.element[0] < 0 and b == spec.plane_count - 1  # the sign bit of the inputs
                    planes.append(Term(plane.value, plane.low, plane.high, b, negative))
                total = tree(m, planes, levels(spec.plane_count), f"join_{o}_{t}")
                current = self._accumulate(m, o, t, total, valid, last)
                currents.append(resized(m, current, spec.o_format.low, spec.o_format.high, f"o_{o}_{t}"))
        m.d.sync += self.o.valid.eq(last)
        m.d.comb += self.o.payload.eq(Cat(currents))
        return m

    def _places(self, m: Module, rows: np.ndarray, weights: Value) -> list[list[list[Term]]]:
        """For every output and input, or pair of inputs, the weights to choose from: that of the first input, that of
        the second, and their sum. Each is only as wide as the weights of its place need; pairs come a cycle later."""
        spec = self.spec

        def place(index: int, name: str) -> Term:
            low, high = int(min(0, rows[:, index].min())), int(max(0, rows[:, index].max()))
            weight = weights[index * spec.weight_bits :][: shape_for(low, high).width]
            return register_if(m, Term(weight.as_signed() if low < 0 else weight, low, high), spec.paired, name)

        found = []
        for o in range(spec.outputs):
            first = o * spec.inputs
            singles = [place(first + k, f"weight_{o}_{k}") for k in range(spec.inputs)]
            if not spec.paired:
                found.append([[single] for single in singles])
                continue
            pairs = []
            for k in range(0, spec.inputs, 2):
                pair = singles[k : k + 2]
                if len(pair) == 2:
                    sums = rows[:, first + k] + rows[:, first + k + 1]
                    low, high = int(min(0, sums.min())), int(max(0, sums.max()))
                    total = Signal(shape_for(low, high), name=f"weights_{o}_{k}")
                    early = [
                        weights[(first + k + n) * spec.weight_bits :][: spec.weight_bits].as_signed() for n in (0, 1)
                    ]
                    m.d.sync += total.eq(early[0] + early[1])
                    pair.append(Term(total, low, high))
                pairs.append(pair)
            found.append(pairs)
        return found

    def _weights(self, m: Module, rows: np.ndarray) -> Value:
        """The weight memory: addressed by a counter of the words, read in one cycle, registered in the next."""
        spec = self.spec
        words, width = packed_rows(rows, spec.weight_bits), rows.shape[1] * spec.weight_bits
        if len(rows) == 1:
            return Const(words[0], width)
        style = rom_style(len(rows), width)
        attrs = {"rom_style": style, "ram_style": style}
        m.submodules.memory = memory = Memory(shape=width, depth=len(rows), init=words, attrs=attrs)
        weights = Signal(width)
        port = memory.read_port()
        m.d.comb += port.en.eq(1)
        m.d.sync += weights.eq(port.data)
        if spec.scans == 1:
            m.d.comb += port.addr.eq(counter(m, len(rows), self.i.valid, "address")[0])
            return weights
        # Return to the first row of the group until its last scan.
        address, first, following = (Signal(range(len(rows)), name=n) for n in ("address", "first", "following"))
        _, last_scan = counter(m, spec.scans, self.i.valid & self.i.payload.last, "address_scan")
        m.d.comb += [port.addr.eq(address), following.eq(Mux(address == len(rows) - 1, 0, address + 1))]
        with m.If(self.i.valid):
            m.d.sync += address.eq(following)
            with m.If(self.i.payload.last & last_scan):
                m.d.sync += first.eq(following)
            with m.Elif(self.i.payload.last):
                m.d.sync += address.eq(first)
        return weights

    def _multiplicands(self, m: Module, word: Value) -> Value:
        """The part of the input word that is used in this cycle: sums over time, or the current group of steps."""
        spec, form = self.spec, self.spec.i_format
        lanes = [word[k * form.element_bits :][: form.element_bits] for k in range(form.lanes)]
        if spec.sum_time and form.steps > 1:
            return Cat(self._sum_of_steps(m, lane, k) for k, lane in enumerate(lanes))
        if spec.scans == 1:
            return word
        last = Signal()
        m.d.sync += last.eq(self.i.valid & self.i.payload.last)
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

    def _accumulate(self, m: Module, o: int, t: int, part: Term, valid: Value, last: Value) -> Value:
        """Add the words of a scan; the accumulator returns to its start value by its reset input, at no LUT."""
        spec = self.spec
        mine = slice(o, None, spec.outputs)  # the channels that this lane computes, group by group
        shape = shape_for(int(spec.ranges[mine, 0].min()), int(spec.ranges[mine, 1].max()))
        start = int(spec.start[o])
        acc = Signal(shape, init=start, name=f"acc_{o}_{t}")
        total, result = Signal(shape, name=f"acc_next_{o}_{t}"), Signal(shape, name=f"current_{o}_{t}")
        summand = part.value << part.shift
        if spec.words == 1:
            acc = Const(0)
        else:
            with m.If(valid):
                m.d.sync += acc.eq(total)
        m.d.comb += total.eq(acc - summand if part.negative else acc + summand)
        with m.If(last):
            m.d.sync += result.eq(total)
            if spec.words > 1:
                m.d.sync += acc.eq(start)
        return result
