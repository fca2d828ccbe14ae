"""What a residual merge computes: gains, the words that each result takes, its numpy model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from amaranth import Shape

from ...bounds import largest, reaches, whole
from ...cost.memory import mapped
from ...cost.parts import Parts, bits_of, index_bits
from ...memory.columns import count_columns
from ...memory.style import BLOCK_RAM, memory_style
from ...streams.blocks import Blocks
from ...streams.law import Link
from ...streams.words import WordFormat, bits_for, shape_for
from ..protocol import CoreSpec
from ..synapse.trees import levels
from .blocks import BlockShortcutLaw, block_memory_parts, memory_depth
from .law import ShortcutLaw

if TYPE_CHECKING:
    from .core import Merge

__all__ = ["MergeSpec", "merged_ranges"]


@dataclass(frozen=True, kw_only=True, eq=False)
class MergeSpec(CoreSpec):
    """A merge: current of channel c += gain[c] * shortcut[c - first], in every time step.

    Parameters:
        gain: (Co,) integers, 0 where the shortcut has no channel.
        first: first channel that the shortcut has; a multiple of the lanes.
        channels: channels of the shortcut; a multiple of the lanes.
        shortcut_format: the shortcut's words; as many lanes as ``i_format``. One step: the same in every time step.
        i_format: the current words.
        scans: current words of a neuron, each with a group of its time steps.
        result_words: current words of a result (where neurons are shared).
        ranges: (Co, 2), range of each channel's current.
        blocks: of pixels whose currents come together, None where they come pixel by pixel; ``gain`` and ``ranges`` are
            then those of the currents of a block as they come.
        depth: words that the FIFO holds, whole blocks where there are any. None: as many as come, with which the cycle
            law finds the depth; such a merge has no hardware.
    """

    NAME: ClassVar[str] = "merge"

    gain: np.ndarray
    first: int
    channels: int
    shortcut_format: WordFormat
    i_format: WordFormat
    scans: int
    result_words: int
    ranges: np.ndarray
    blocks: Blocks | None = None
    depth: int | None = None

    def __post_init__(self) -> None:
        whole("gain", self.gain, 1)
        whole("ranges", self.ranges, 2)
        reaches("A sum", largest(self.ranges) + largest(self.gain) * max(map(abs, self.element)))
        lanes = self.i_format.lanes
        if self.shortcut_format.lanes != lanes:
            raise ValueError(f"Shortcut words must have {lanes} lanes, not {self.shortcut_format.lanes}")
        if self.first % lanes or self.channels % lanes:
            raise ValueError(f"lanes={lanes} must divide the {self.channels} channels of the shortcut and {self.first}")
        if self.depth is not None and self.depth != self.holding(self.depth):
            raise ValueError(f"The FIFO must hold {self.holding(self.depth)} words at least, not {self.depth}")

    def holding(self, words: int) -> int:
        """The least depth of a FIFO that holds so many ``words``: those of a result at least, and whole blocks."""
        if self.blocks is None:
            return max(words, *self.needs)
        block = self.blocks.pixels * self.words
        return max(1, -(-words // block)) * block

    def room(self, pixels: int) -> int:
        """Words of a FIFO that ``pixels`` find room in, wherever in a row the first of them is."""
        if self.blocks is None:
            return pixels * self.words
        return self.blocks.spanned(pixels) * self.blocks.pixels * self.words

    @property
    def of_blocks(self) -> Blocks:
        """The blocks of pixels, where there are any."""
        assert self.blocks is not None
        return self.blocks

    @property
    def slots(self) -> int:
        """Words that the FIFO holds. Raises ValueError where that is not known yet."""
        if self.depth is None:
            raise ValueError("The depth of the FIFO is not known yet")
        return self.depth

    @property
    def extras(self) -> tuple[WordFormat, ...]:
        """The words of the shortcut."""
        return (self.shortcut_format,)

    def extra_laws(self, links: Sequence[Link], delay: int) -> Sequence[ShortcutLaw | BlockShortcutLaw]:
        """The law of its FIFO."""
        return [(ShortcutLaw if self.blocks is None else BlockShortcutLaw)(self, links[0], delay)]

    @property
    def groups(self) -> int:
        """Groups of channels, one after the other; of a block, those of all its pixels."""
        return len(self.gain) // self.i_format.lanes

    @property
    def words(self) -> int:
        """Shortcut words of a pixel."""
        return self.channels // self.i_format.lanes

    @property
    def takes(self) -> list[bool]:
        """Whether each group takes a word of the shortcut."""
        lanes = self.i_format.lanes
        firsts = np.arange(0, len(self.gain), lanes) if self.blocks is None else self.blocks.order[::lanes]
        return [self.first <= first < self.first + self.channels for first in firsts.tolist()]

    @cached_property
    def needs(self) -> list[int]:
        """Words that each result of a pixel takes."""
        takes, each = self.takes, self.result_words
        return [sum(takes[k : k + each]) for k in range(0, self.groups, each)]

    @property
    def sums(self) -> bool:
        """Whether the time steps of the shortcut are added up, as those of the currents were."""
        return self.scans == 1 and self.i_format.steps == 1 and self.shortcut_format.steps > 1

    @property
    def stock(self) -> Shape:
        """That of the words which wait for no result, less those that the next one needs."""
        return shape_for(-max(self.needs), self.slots - min(self.needs))

    @property
    def built_in(self) -> bool:
        """Whether words come out of the registers of block RAMs: where they are multiplicands as they are, and such a
        memory takes no more block RAMs than others."""
        form, width = self.shortcut_format, self.shortcut_format.width
        plain = not self.sums and (form.steps == 1 or self.scans == 1)
        depth = self.slots if self.blocks is None else memory_depth(self)
        if not plain or depth > BLOCK_RAM or memory_style(depth, width) != "block":
            return False
        own = Parts()
        own.block_ram(depth, width)
        return own.ebr <= mapped(depth, width, "block").ebr

    @property
    def element(self) -> tuple[int, int]:
        """Range of one multiplicand: a time step of the shortcut, or the sum of its time steps."""
        return _element(self.shortcut_format, self.sums)

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
        return merged_ranges(self.ranges, self.gain, self.shortcut_format, self.sums)

    @cached_property
    def o_format(self) -> WordFormat:
        """The words of sums that leave."""
        form = self.i_format
        return WordFormat(form.lanes, form.steps, int(self.o_ranges[:, 0].min()), int(self.o_ranges[:, 1].max()))

    def compute(self, currents: np.ndarray, skip: np.ndarray) -> np.ndarray:
        """Model: currents (n, lanes, steps) and shortcut words (k, lanes, T) to sums (n, lanes, steps)."""
        lanes, steps = self.i_format.lanes, self.i_format.steps
        x = self.i_format.checked(currents).reshape(-1, self.groups, self.scans, lanes, steps)
        s = self.shortcut_format.checked(skip).reshape(-1, self.channels, skip.shape[2])
        whole = len(self.gain) if self.blocks is None else self.blocks.channels
        s = np.pad(s, ((0, 0), (self.first, whole - self.first - self.channels), (0, 0)))
        if self.blocks is not None:
            s = self.blocks.gathered(s.reshape(-1, self.blocks.width, *s.shape[1:]))
        s = (s * self.gain[:, None]).reshape(len(x), self.groups, 1, lanes, -1)
        if self.sums:
            s = s.sum(-1, keepdims=True)
        elif self.shortcut_format.steps > 1:  # scan k looks at the k-th group of steps
            s = s.reshape(len(x), self.groups, lanes, self.scans, steps).transpose(0, 1, 3, 2, 4)
        return (x + s).reshape(currents.shape)

    def parts(self) -> Parts:
        """What it is made of: the shortcut's FIFO, the products of its bits, the sums."""
        parts = Parts()
        form, skip = self.i_format, self.shortcut_format
        parts.logic["merge"] += 1
        parts.counter(self.groups)
        parts.counter(self.scans)
        if self.blocks is not None:
            block_memory_parts(self, parts)
        else:
            self._memory(parts)
        parts.registers(2 + self.depth_of_products + 1)  # valid
        parts.registers((2 + self.depth_of_products) * form.width)  # the currents wait
        bits = bits_for(*self.element)[0]
        shown = skip.steps // self.scans if skip.steps > 1 else 1
        products = 1 if self.sums else shown
        parts.registers(0 if self.built_in else form.lanes * products * bits)
        if self.sums:
            parts.logic["count of values"] += form.lanes * (skip.steps - 1) * bits
        elif self.scans > 1 and skip.steps > 1:
            parts.mux(self.scans, form.lanes * shown * skip.bits)
            parts.registers(index_bits(self.scans))
        self._products(parts, products, bits)
        out = self.o_format.bits
        parts.registers(form.lanes * form.steps * out)
        parts.adders(np.full(form.lanes * form.steps, out), "merge adder")
        return parts

    def _memory(self, parts: Parts) -> None:
        """The FIFO of the shortcut."""
        skip = self.shortcut_format
        if self.built_in:
            parts.block_ram(self.slots, skip.width)
        else:
            parts.memory(self.slots, skip.width, memory_style(self.slots, skip.width))
        level = (self.slots - 1).bit_length() + 1 + self.stock.width
        parts.registers(level)
        parts.logic["level bit"] += level
        following = count_columns([[*self.needs[1:], self.needs[0]]])
        parts.registers(following)
        parts.table(len(self.needs), following)
        for count in (self.slots, self.slots, len(self.needs)):
            parts.counter(count)

    def _products(self, parts: Parts, products: int, bits: int) -> None:
        """A gain for each lane, gated by every bit of a multiplicand, and the tree that joins them."""
        if self.plain:
            return
        gains = self.gain.reshape(self.groups, self.i_format.lanes)
        changing = (gains != gains[:1]).any(0)
        width = int(bits_of(np.array([min(0, gains.min())]), np.array([max(0, gains.max())]))[0])
        pixels = 1 if self.blocks is None else self.blocks.pixels
        parts.table(self.groups // pixels, int(changing.sum()) * width)
        parts.registers(int(changing.sum()) * width + self._gain_index(gains))
        parts.logic["gain gate"] += int(changing.sum()) * products * bits * width
        if bits == 1:
            return
        planes, height = bits, width
        for level in range(self.depth_of_products):
            height += 1 << level
            parts.registers(self.i_format.lanes * products * ((planes + 1) // 2) * height)
            parts.adders(np.array([height]), "gain adder", self.i_format.lanes * products * (planes // 2))
            planes -= planes // 2

    def _gain_index(self, gains: np.ndarray) -> int:
        """Bits of the number of a word that tell ``gains`` (groups, lanes): that of the pixel in a block may not."""
        bits = index_bits(self.groups)
        whole = np.pad(gains, ((0, (1 << bits) - self.groups), (0, 0)), mode="edge")
        index = np.arange(1 << bits)
        return sum(bool((whole != whole[index ^ (1 << bit)]).any()) for bit in range(bits))

    def core(self) -> Merge:
        """The hardware."""
        from .core import Merge

        return Merge(self)


def _element(form: WordFormat, sums: bool) -> tuple[int, int]:
    times = form.steps if sums else 1
    return form.low * times, form.high * times


def merged_ranges(ranges: np.ndarray, gain: np.ndarray, form: WordFormat, sums: bool) -> np.ndarray:
    """Ranges (Co, 2) of currents with ``ranges`` to which a shortcut is added, ``gain`` (Co,) times what words of
    ``form`` have, or with ``sums`` the sums of their time steps."""
    return ranges + np.sort(gain[:, None] * np.array(_element(form, sums)), axis=1)
