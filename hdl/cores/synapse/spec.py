"""What a synapse array computes: its weights and fold, the widths that follow, its numpy model."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...bounds import largest, reaches, whole
from ...cost.parts import Parts
from ...memory.packed import Packing
from ...memory.style import rom_cycles, rom_style
from ...streams.words import WordFormat, bits_for
from ..protocol import CoreSpec
from .figures import WeightFigures, element_range, weighted_ranges
from .layout import Layout
from .memory_parts import packed_form, unpacked_reason
from .parts import synapse_parts
from .products import packing, products_depth, refusal
from .trees import COUNTED, TABLE, count_levels, levels

if TYPE_CHECKING:
    from .core import SynapseArray

__all__ = ["SynapseSpec"]


@dataclass(frozen=True, kw_only=True, eq=False)
class SynapseSpec(CoreSpec):
    """Weights and fold of a synapse array.

    Parameters:
        weight: integers (Co, words, inputs), of any width: for each output channel in the order of the window words.
        weight_bits: bits of a weight, two's complement; 1: every weight is -1 or +1, a bit of 0 or 1.
        i_format: the window words.
        outputs: output channels computed at once; divides Co.
        steps: time steps computed at once; divides ``i_format.steps``. Where fewer than all, the window is scanned
            once for every group of steps.
        sum_time: add up the time steps first and give one current for all of them (rule ``lossless``, read-out).
        start: (Co,) the accumulator's value before the first word; all zero where it cannot be a constant.
        inverts: weights of -1, of one bit, invert the bits of their inputs, which makes a current too large by
            ``excess``. The accumulator begins with ``start - excess``, which must be the same for all channels of a
            lane; so with several groups ``start`` is ``excess``, or differs from it by as much in all of them.
        blocks: groups of a grouped convolution computed at once: the first of that many equal parts of the lanes is for
            the first part of the outputs, and so on.
        logic: keep the weights in LUTs however many they are.
        addressed: words come with the index of their weight row, ``group * words + word``, because those that are
            zero may be left out.
        pixels: neighbouring pixels computed at once, with the same weights: a word has the lanes of each of them, the
            first pixel lowest, and so has a current word.
        packs: the weights are in fewer block RAMs (``hdl.memory.packed``).
        multiplies: the products are made by multipliers (``hdl.cores.synapse.products``).
        figures: of ``weight``, where other folds of the same weights share them; others are not looked at.
    """

    NAME: ClassVar[str] = "synapsearray"

    weight: np.ndarray
    weight_bits: int
    i_format: WordFormat
    outputs: int
    steps: int
    sum_time: bool
    start: np.ndarray
    blocks: int = 1
    logic: bool = False
    addressed: bool = False
    inverts: bool = False
    pixels: int = 1
    multiplies: bool = False
    packs: bool = False
    figures: WeightFigures | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.i_format.lanes % (self.blocks * self.pixels) or self.outputs % self.blocks:
            raise ValueError(
                f"blocks={self.blocks} of {self.pixels} pixels does not divide {self.i_format.lanes} lanes and "
                f"{self.outputs} outputs"
            )
        if self.pixels > 1 and self.addressed:
            raise ValueError("Words of several pixels cannot be left out")
        if self.weight.ndim != 3 or self.weight.shape[2] != self.inputs:
            raise ValueError(f"Weight must have shape (Co, words, {self.inputs}), not {self.weight.shape}")
        if self.figures is None or not self.figures.describes(self.weight):
            whole("Weight", self.weight, 3)
            rows = self.weight.reshape(len(self.weight), -1)
            object.__setattr__(self, "figures", WeightFigures(rows))  # frozen, and this is a part of making it
        known = self.known
        whole("start", self.start, 1)
        if not 1 <= self.weight_bits <= 16 or known.largest > 1 << (self.weight_bits - 1):
            raise ValueError(f"Weights reach {known.largest}, more than weight_bits={self.weight_bits} hold")
        if self.weight_bits == 1 and not self.weight.all():
            raise ValueError("Weights of weight_bits=1 are -1 or +1, but there is a 0")
        most = int((known.positive - known.negative).max()) * max(map(abs, self.element))
        reaches("An accumulator", largest(self.start) + most)
        if self.outputs < 1 or self.weight.shape[0] % self.outputs:
            raise ValueError(f"outputs={self.outputs} does not divide the {self.weight.shape[0]} output channels")
        if self.steps < 1 or self.i_format.steps % self.steps:
            raise ValueError(f"steps={self.steps} does not divide the {self.i_format.steps} time steps")
        if self.multiplies and self.not_multiplied:
            raise ValueError(f"Multipliers cannot make the products: {self.not_multiplied}")
        if self.packs and (reason := self.not_packed):
            raise ValueError(f"The weights cannot be packed: {reason}")
        if self.inverts:
            self._check_inverts()
        elif self.start.any() and (self.groups > 1 or self.words == 1):
            raise ValueError(
                "A start value needs an accumulator of its own for every channel: one group, several words"
            )

    @property
    def not_multiplied(self) -> str:
        """Why multipliers cannot make the products, empty where they can."""
        return refusal(self)

    @property
    def not_packed(self) -> str:
        """Why the weights cannot be packed, empty where they can."""
        return unpacked_reason(self)

    @cached_property
    def packing(self) -> Packing | None:
        """The form in which the weights would take fewer block RAMs, None where there is none."""
        return packed_form(self)

    @property
    def multipliers(self) -> int:
        """Multipliers that it takes."""
        packed = packing(self) if self.multiplies else None
        return 0 if packed is None else packed.count(self)

    @property
    def known(self) -> WeightFigures:
        """The figures of the weights."""
        assert self.figures is not None
        return self.figures

    def _check_inverts(self) -> None:
        if not self.bipolar or self.addressed:
            raise ValueError("Only weights of one bit that change from word to word, all of them read, invert inputs")
        begin = (self.start - self.excess).reshape(self.groups, self.outputs)
        if (begin != begin[0]).any():
            raise ValueError("start - excess must be the same for all channels that have one accumulator")

    @cached_property
    def excess(self) -> np.ndarray:
        """By how much (Co,) a sum is too large where the negative weights invert the bits of their inputs: for x of b
        bits it is 2^b - 1 - x that is added in place of -x, for x with a sign -1 - x."""
        worth = -1 if self.element[0] < 0 else (1 << self.plane_count) - 1
        return worth * (self.weight < 0).sum((1, 2))

    @property
    def inputs(self) -> int:
        """Input channels of an output in a word."""
        return self.i_format.lanes // (self.blocks * self.pixels)

    @property
    def results(self) -> int:
        """Outputs of all pixels, computed at once: those of the first pixel, then those of the next."""
        return self.outputs * self.pixels

    def lanes_of(self, result: int) -> range:
        """Lanes of a word that are inputs of the ``result``-th output computed at once."""
        first = result * self.blocks // self.outputs * self.inputs
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
    def copies(self) -> int:
        """Times that the trees of an output are there: for every time step and pixel."""
        return self.terms * self.pixels

    @property
    def element(self) -> tuple[int, int]:
        """Range of one multiplicand: a time step of an input, or the sum of its time steps."""
        return element_range(self.i_format, self.sum_time)

    @cached_property
    def ranges(self) -> np.ndarray:
        """Range (Co, 2) of the accumulator of each channel, any number of words of any inputs."""
        return self.start[:, None] + weighted_ranges(self.known, self.i_format, self.sum_time)

    @cached_property
    def o_format(self) -> WordFormat:
        """The current words: ``results`` lanes, ``terms`` steps."""
        return WordFormat(self.results, self.terms, int(self.ranges[:, 0].min()), int(self.ranges[:, 1].max()))

    @property
    def plane_count(self) -> int:
        """Bits of a multiplicand; each has an adder tree of its own."""
        return bits_for(*self.element)[0]

    @property
    def constant(self) -> bool:
        """Whether the weights never change; logic then has them built in."""
        return self.words * self.groups == 1

    @property
    def bipolar(self) -> bool:
        """Whether the weights are in memory as one bit each."""
        return self.weight_bits == 1 and not self.constant

    @property
    def tree_count(self) -> int:
        """Adder trees of an output and a time step: one for every bit of a multiplicand; for bipolar weights and
        multiplicands of more than :data:`COUNTED` bits one."""
        return 1 if self.bipolar and self.plane_count > COUNTED else self.plane_count

    @property
    def gated(self) -> bool:
        """Whether the weights are in memory with more than one bit."""
        return not (self.constant or self.bipolar)

    @cached_property
    def layout(self) -> Layout:
        """How the weights are added where they are ``gated``."""
        return Layout.of(self)

    @property
    def in_block_ram(self) -> bool:
        """Whether the weights may be in block RAM: they are, if they are as wide as ``weight_bits`` says."""
        return rom_style(self.groups * self.words, self.outputs * self.inputs * self.weight_bits) == "block"

    @property
    def lookup(self) -> int:
        """Cycles from a window word to its weights."""
        return rom_cycles(self.groups * self.words)

    @property
    def depth(self) -> int:
        """Registered levels of the adder trees; of constant weights, four at a time are one table."""
        if self.multiplies:
            return products_depth(self)
        if self.tree_count < self.plane_count:
            return levels(self.inputs) + (not self.inverts)
        joins = levels(self.plane_count)
        if self.inverts:
            return joins + count_levels(self.inputs)
        return joins + (levels(-(-self.inputs // TABLE)) + 1 if self.constant else levels(self.inputs))

    @property
    def latency(self) -> int:
        """Cycles from the last word of a scan to its currents: weight memory and its output register, the trees,
        the accumulator."""
        return self.lookup + self.depth + 1

    def compute(self, words: np.ndarray) -> np.ndarray:
        """Model: window words (n, lanes, T), as the array takes them, to currents (n / words, results, terms)."""
        x = self.i_format.checked(words)
        x = x.reshape(-1, self.groups, self.scans, self.words, self.i_format.lanes, self.i_format.steps)
        if self.sum_time:
            x = x.sum(-1, keepdims=True)
        else:  # scan k looks at the k-th group of steps
            x = x.reshape(*x.shape[:-1], self.scans, self.steps)
            x = np.stack([x[:, :, k, :, :, k] for k in range(self.scans)], axis=2)
        x = x.reshape(*x.shape[:4], self.pixels, self.blocks, self.inputs, -1)
        weight = self.weight.astype(np.int64).reshape(self.groups, self.blocks, -1, self.words, self.inputs)
        currents = np.einsum("ngskpbit,gboki->ngspbot", x, weight, optimize=True)
        currents = currents.reshape(*x.shape[:3], self.pixels, self.outputs, -1) + self.start.reshape(
            self.groups, 1, 1, self.outputs, 1
        )
        return currents.reshape(-1, self.results, self.terms)

    def parts(self) -> Parts:
        """What it is made of."""
        return synapse_parts(self)

    def spared(self, unread: int) -> Parts:
        """The registers of the currents."""
        parts = Parts()
        parts.registers(-unread)
        return parts

    def core(self) -> SynapseArray:
        """The hardware."""
        from .core import SynapseArray

        return SynapseArray(self)
