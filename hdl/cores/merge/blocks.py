"""The shortcut of a stage that computes several pixels together: a memory of blocks of its words, and its cycle law.

Words come pixel by pixel and are fetched in the order of the blocks (``hdl.streams.blocks``): group of outputs by
group, pixel by pixel. So each is written where its pixel and its place in the pixel say, a read address follows the
order of the results, and a slot is free when all results of its block have passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from amaranth import *
from amaranth.lib import stream

from ...cost.parts import Parts, index_bits
from ...memory.ram import block_ram, ram
from ...memory.rom import UNCHECKED, selected
from ...memory.style import memory_style
from ...streams.blocks import pixel_counter
from ...streams.counter import counter
from ...streams.law import Link, listed
from ...streams.words import bits_for, shape_for
from ...verilog.library import Library, is_asic

if TYPE_CHECKING:
    from .spec import MergeSpec

__all__ = ["BlockShortcutLaw", "block_memory", "block_memory_parts", "memory_depth"]


def _through(spec: MergeSpec, pixels: int) -> list[int]:
    """Words of a block of ``pixels`` that must have come before each of its results: those up to the last one that the
    last pixel takes; 0 where the result takes none."""
    first, lanes = spec.first, spec.i_format.lanes
    outputs = lanes * spec.result_words // spec.of_blocks.pixels
    ends = [min((g + 1) * outputs, first + spec.channels) for g in range(spec.of_blocks.groups)]
    takes = [g * outputs < first + spec.channels and end > first for g, end in enumerate(ends)]
    before = (pixels - 1) * spec.words
    return [(before + (end - first) // lanes) * taken for end, taken in zip(ends, takes, strict=True)]


def memory_depth(spec: MergeSpec) -> int:
    """Words of the memory: an address is slot, pixel and word side by side."""
    blocks = spec.of_blocks
    word, pixel = index_bits(spec.words), index_bits(blocks.pixels)
    return ((_slots(spec) - 1) << (word + pixel)) + ((blocks.pixels - 1) << word) + spec.words


def _slots(spec: MergeSpec) -> int:
    return spec.slots // (spec.of_blocks.pixels * spec.words)


def block_memory(
    m: Module,
    platform: object,
    spec: MergeSpec,
    skip: stream.Interface,
    group: Value,
    moves: Value,
    scanned: Value,
    hold: Signal,
) -> tuple[Value, bool]:
    """Take the words of ``skip``; return that for current word ``group`` of a block, of which the next one comes where
    ``moves``, and whether it comes two cycles later, out of the registers of block RAMs, and not one. Drives ``hold``:
    words of the next result are not there, whose first scan ends where ``scanned``."""
    blocks, slots = spec.of_blocks, _slots(spec)
    width, depth = spec.shortcut_format.width, memory_depth(spec)
    late = spec.built_in and isinstance(platform, Library) and not is_asic(platform)
    if late and isinstance(platform, Library):
        write, read = block_ram(m, platform, width, depth)
    else:
        write, read = ram(m, platform, width, depth, {"ram_style": memory_style(depth, width)} | UNCHECKED)
        m.d.comb += read.en.eq(1)
    # What comes: word, pixel, slot. ``used`` counts the slots, and as many as make its highest bit say that all are.
    word, last_word = counter(m, spec.words, write.en, "in_word")
    done, freed = Signal(name="block_done"), Signal(name="block_freed")
    pixel = pixel_counter(m, blocks, write.en & last_word, done, "in")
    slot, _ = counter(m, slots, done, "in_slot")
    full = 1 << (slots - 1).bit_length()
    used, begins = Signal(range(full + 1), init=full - slots, name="slots_used"), Signal(init=1, name="begins")
    with m.If(write.en):
        m.d.sync += begins.eq(done)
    m.d.sync += used.eq(used + (write.en & begins) - freed)
    m.d.comb += [
        skip.ready.eq(~begins | ~used[-1]),
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
    m.d.comb += read.addr.eq(Cat(word_at, pixel_at, out_slot))
    _stock(m, spec, write.en, scanned, hold)
    return read.data, late


def _stock(m: Module, spec: MergeSpec, comes: Value, scanned: Value, hold: Signal) -> None:
    """Count the words of the block that is scanned, and of those behind it, less what its next result needs: ``hold``
    is the sign. By how much it falls is known long before, for results lie several cycles apart."""
    blocks = spec.of_blocks
    result, last_result = counter(m, blocks.groups, scanned, "result")
    needs, falls, first = list[list[int]](), list[Value](), list[int]()
    for name, pixels in (("full", blocks.pixels), ("rest", blocks.last)):
        need = _through(spec, pixels)
        needs.append(need)
        steps = [b - a for a, b in zip(need, [*need[1:], pixels * spec.words], strict=True)]
        first.append(steps[0])
        falls.append(selected(m, result, steps, f"falls_{name}"))
    block, last_block = counter(m, blocks.count, scanned & last_result, "scanned_block")
    next_last = block == blocks.count - 2 if blocks.count > 1 else Const(1, 1)
    begin = Mux(next_last, needs[1][0], needs[0][0]) if blocks.last < blocks.pixels else needs[0][0]
    fall = Mux(last_block, falls[1], falls[0]) if blocks.last < blocks.pixels else falls[0]
    most, whole = max(max(need) for need in needs), blocks.pixels * spec.words
    stock = Signal(shape_for(-most, spec.slots), init=-needs[blocks.count == 1][0], name="stock")
    alone = blocks.count == 1  # the first block of a row is its last one
    start = first[alone] + (needs[blocks.count <= 2][0] if blocks.groups == 1 else 0)
    falling = Signal(shape_for(-most, whole + most), init=start, name="falling")
    m.d.sync += [
        falling.eq(fall + Mux(last_result, begin, 0)),
        stock.eq(stock + comes - Mux(scanned, falling, 0)),
    ]
    m.d.comb += hold.eq(stock[-1])


def block_memory_parts(spec: MergeSpec, parts: Parts) -> None:
    """What :func:`block_memory` is made of."""
    blocks, slots, width, depth = spec.of_blocks, _slots(spec), spec.shortcut_format.width, memory_depth(spec)
    if spec.built_in:
        parts.block_ram(depth, width)
    else:
        parts.memory(depth, width, memory_style(depth, width))
    needs = [_through(spec, pixels) for pixels in (blocks.pixels, blocks.last)]
    most, whole = max(max(need) for need in needs), blocks.pixels * spec.words
    stock, falling = bits_for(-most, spec.slots)[0], bits_for(-most, whole + most)[0]
    parts.registers(slots.bit_length() + 1 + stock + _falling_bits(spec, needs, falling))
    parts.logic["level bit"] += slots.bit_length() + stock
    for need in needs:
        parts.table(len(need), falling)
    ragged = blocks.count if blocks.last < blocks.pixels else 1
    for count in (spec.words, blocks.pixels, slots, slots, blocks.groups, ragged, ragged):
        parts.counter(count)


def _falling_bits(spec: MergeSpec, needs: list[list[int]], width: int) -> int:
    """How many bits of ``falling`` need a flip-flop: a constant bit needs none, equal bits share one.

    ``falling`` is a step of a block, to which the need of the next block's first result is added at its end. A bit that
    this sum may reach has a flip-flop of its own.
    """
    ends = (spec.of_blocks.pixels * spec.words, spec.of_blocks.last * spec.words)
    steps = np.concatenate([np.diff([*need, end]) for need, end in zip(needs, ends, strict=True)])
    begins, alone, several, carried = needs[0][0] | needs[1][0], set[bytes](), 0, False
    for k in range(width):
        column = steps >> k & 1
        operands = int(column.any()) + (begins >> k & 1) + carried
        if operands == 1 and column.any():
            alone |= {column.tobytes()} if not column.all() else set()
        else:
            several += operands > 0
        carried = operands > 1
    return several + len(alone)


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
        self._freed: Any = []

    def table(self) -> list[int]:
        """For the compiled law: of blocks, and the rest."""
        slots, blocks = -1 if self._slots is None else self._slots, self._blocks
        sizes = [self._words, self._last_word, blocks.count, blocks.width, self._block, blocks.groups]
        return [1, slots, self._delay, *sizes, *listed(self._need[0]), *listed(self._need[1])]

    def tell(self, cycles: np.ndarray) -> None:
        """Take what the compiled law found: when blocks were freed."""
        self._freed = cycles

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
