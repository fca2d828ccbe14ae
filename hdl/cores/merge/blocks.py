"""The shortcut of a stage that computes several pixels together: a memory of blocks of its words, and its cycle law.

Words come pixel by pixel and are fetched in the order of the blocks (``hdl.streams.blocks``): group of outputs by
group, pixel by pixel. So each is written where its pixel and its place in the pixel say, a read address follows the
order of the results, and a slot is free when all results of its block have passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from amaranth import *
from amaranth.lib import stream

from ...cost.parts import Parts, index_bits
from ...memory.ram import ram
from ...memory.rom import UNCHECKED, selected
from ...memory.style import memory_style
from ...streams.blocks import Blocks, pixel_counter
from ...streams.counter import counter
from ...streams.law import Link

if TYPE_CHECKING:
    from .spec import MergeSpec

__all__ = ["BlockShortcutLaw", "block_memory", "block_memory_parts"]


def _through(spec: MergeSpec, pixels: int) -> list[int]:
    """Words of a block of ``pixels`` that must have come before each of its results: those up to the last one that the
    last pixel takes; 0 where the result takes none."""
    first, lanes = spec.first, spec.i_format.lanes
    outputs = lanes * spec.result_words // spec.of_blocks.pixels
    ends = [min((g + 1) * outputs, first + spec.channels) for g in range(spec.of_blocks.groups)]
    takes = [g * outputs < first + spec.channels and end > first for g, end in enumerate(ends)]
    before = (pixels - 1) * spec.words
    return [(before + (end - first) // lanes) * taken for end, taken in zip(ends, takes, strict=True)]


class _Memory:
    """The memory of ``spec``: an address is slot, pixel and word side by side."""

    def __init__(self, spec: MergeSpec) -> None:
        self.blocks: Blocks = spec.of_blocks
        self.slots = spec.slots // (self.blocks.pixels * spec.words)
        word, pixel = index_bits(spec.words), index_bits(self.blocks.pixels)
        self.depth = ((self.slots - 1) << (word + pixel)) + ((self.blocks.pixels - 1) << word) + spec.words
        self.style = memory_style(self.depth, spec.shortcut_format.width)


def block_memory(
    m: Module,
    platform: object,
    spec: MergeSpec,
    skip: stream.Interface,
    group: Value,
    moves: Value,
    scanned: Value,
    hold: Signal,
) -> Value:
    """Take the words of ``skip``; return, one cycle later, that for current word ``group`` of a block, of which the
    next one comes where ``moves``. Drives ``hold``: words of the next result are not there, whose first scan ends where
    ``scanned``."""
    memory, blocks = _Memory(spec), spec.of_blocks
    slots, width = memory.slots, spec.shortcut_format.width
    write, read = ram(m, platform, width, memory.depth, {"ram_style": memory.style} | UNCHECKED)
    # What comes: word, pixel, slot.
    word, last_word = counter(m, spec.words, write.en, "in_word")
    done, freed, begins = Signal(name="block_done"), Signal(name="block_freed"), Signal(name="block_begins")
    pixel = pixel_counter(m, blocks, write.en & last_word, done, "in")
    slot, _ = counter(m, slots, done, "in_slot")
    used = Signal(range(slots + 1), name="slots_used")
    m.d.sync += used.eq(used + begins - freed)
    at_first = Cat(word == 0, pixel == 0).all()
    m.d.comb += [
        skip.ready.eq(~at_first | (used != slots)),
        begins.eq(write.en & at_first),
        write.en.eq(skip.valid & skip.ready),
        write.data.eq(skip.payload),
        write.addr.eq(Cat(word, pixel, slot)),
    ]
    # What is fetched.
    lanes, order = spec.i_format.lanes, blocks.order
    places = [max(0, (int(channel) - spec.first) // lanes) % spec.words for channel in order[::lanes]]
    of_pixel = [k // (spec.result_words // blocks.pixels) % blocks.pixels for k in range(spec.groups)]
    m.d.comb += freed.eq(moves & (group == spec.groups - 1))
    out_slot, _ = counter(m, slots, freed, "out_slot")
    word_at = selected(m, group, places, "word_at")[: index_bits(spec.words)]
    pixel_at = selected(m, group, of_pixel, "pixel_at")[: index_bits(blocks.pixels)]
    m.d.comb += [read.en.eq(1), read.addr.eq(Cat(word_at, pixel_at, out_slot))]
    # Whether the words of the next result are there.
    result, last_result = counter(m, blocks.groups, scanned, "result")
    ends = scanned & last_result
    _, last_block = counter(m, blocks.count if blocks.last < blocks.pixels else 1, ends, "scanned_block")
    arrived = Signal(range(slots * blocks.pixels * spec.words + 1))
    need, whole = Signal.like(arrived, name="need"), Signal.like(arrived, name="whole")
    full = selected(m, result, _through(spec, blocks.pixels), "need_of_block")
    rest = selected(m, result, _through(spec, blocks.last), "need_of_last")
    ragged = blocks.last < blocks.pixels
    m.d.comb += [
        need.eq(Mux(last_block, rest, full) if ragged else full),
        whole.eq(spec.words * (Mux(last_block, blocks.last, blocks.pixels) if ragged else blocks.pixels)),
        hold.eq(arrived < need),
    ]
    m.d.sync += arrived.eq(arrived + write.en - Mux(ends, whole, 0))
    return read.data


def block_memory_parts(spec: MergeSpec, parts: Parts) -> None:
    """What :func:`block_memory` is made of."""
    memory, blocks = _Memory(spec), spec.of_blocks
    parts.memory(memory.depth, spec.shortcut_format.width, memory.style)
    levels = memory.slots.bit_length() + (memory.slots * blocks.pixels * spec.words).bit_length()
    parts.registers(levels)
    parts.logic["level bit"] += levels
    ragged = blocks.count if blocks.last < blocks.pixels else 1
    for count in (spec.words, blocks.pixels, memory.slots, memory.slots, blocks.groups, ragged, ragged):
        parts.counter(count)


class BlockShortcutLaw:
    """When the words of such a shortcut move (``ShortcutLaw``): a word is taken from one cycle after all results of the
    block that was in its slot have passed; the first scan of a result ends one cycle after the last of its words was
    taken at the earliest."""

    def __init__(self, spec: MergeSpec, i: Link, delay: int) -> None:
        self.i, self._delay, self._blocks = i, delay, spec.of_blocks
        self._words, self._last_word = spec.words, spec.result_words - 1
        self._block = self._blocks.pixels * spec.words
        self._slots = None if spec.depth is None else spec.depth // self._block
        self._need = [_through(spec, self._blocks.pixels), _through(spec, self._blocks.last)]
        self._freed: list[int] = []

    def _begin(self, block: int) -> int:
        """The first word of a block."""
        row, k = divmod(block, self._blocks.count)
        return row * self._blocks.width * self._words + k * self._block

    def feed(self) -> bool:
        """Take every word for which there is a slot; return whether any was."""
        i, freed, moved = self.i, self._freed, False
        row_words = self._blocks.width * self._words
        while i.pending():
            row, within = divmod(len(i.taken), row_words)
            before = -1 if self._slots is None else row * self._blocks.count + within // self._block - self._slots
            if before >= len(freed):
                break
            i.take(freed[before] + 1 if before >= 0 else 0)
            moved = True
        return moved

    def ready(self, result: int) -> int | None:
        """The first cycle in which the first scan of ``result`` may end, None while it is not known."""
        block, group = divmod(result, self._blocks.groups)
        need = self._need[block % self._blocks.count == self._blocks.count - 1][group]
        if not need:
            return 0
        words = self._begin(block) + need
        return self.i.taken[words - 1] + 1 if words <= len(self.i.taken) else None

    @property
    def occupied(self) -> int:
        """Words in the slots that the words so far needed for none to wait."""
        firsts = np.array([self._begin(block) for block in range(len(self._freed))], np.int64)
        taken = np.array(self.i.taken)[firsts[firsts < len(self.i.taken)]]
        slots = np.arange(len(taken)) - np.searchsorted(np.array(self._freed), taken)
        return (int(slots.max(initial=0)) + 1) * self._block

    def finish(self, result: int, end: int) -> None:
        """Note that the window handed out the last word of ``result`` in cycle ``end``."""
        if result % self._blocks.groups == self._blocks.groups - 1:
            self._freed.append(end + self._delay + self._last_word)
