"""Constants that are read in one order, again and again, in fewer block RAMs.

A block RAM of ECP5 gives 36 bits of 512 words or 18 bits of 1,024. So 576 words of 256 bits take 15 of them, though
their bits would fill 8: with 36 bits of each the rows have 32 columns to spare, but there are no more than 512 rows.
Here every ninth word has no row of its own. Its bits lie in slices in the spare columns beside the eight words before
it. As these are read, the slices go into a shift register; in the cycle of the ninth word this is what the memory
gives, and nothing is read. So there is a word in every cycle that asks for one, as from a memory with a row for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from amaranth import *

from ..cost.parts import Parts, index_bits
from .rom import rom
from .style import rom_style

__all__ = ["Packing", "packed_parts", "packed_rom", "packed_words", "packing"]

SHAPES = ((512, 36), (1024, 18))
"""Words of a block RAM and their bits. Fewer bits are for memories that are read in three cycles."""


class Packing(NamedTuple):
    """The form of a packed memory: of every ``period`` words the last is in slices of ``slice`` bits beside the others;
    ``blocks``, block RAMs that it takes."""

    period: int
    slice: int
    blocks: int

    def rows(self, depth: int) -> int:
        """Rows of a memory of ``depth`` words: those that are not in slices."""
        return depth - depth // self.period


def packing(depth: int, width: int) -> Packing | None:
    """The form that saves block RAMs for ``depth`` words of ``width`` bits, None where there is none."""
    for rows, unit in SHAPES:
        if rows < depth < 2 * rows and rom_style(depth, width) == "block":
            period = depth // (depth - rows)
            part = -(-width // (period - 1))
            blocks = -(-(width + part) // unit)
            return Packing(period, part, blocks) if blocks < -(-width // (unit // 2)) else None
    return None


def packed_words(words: Sequence[int], width: int, form: Packing) -> list[int]:
    """The rows of the memory, each a word with a slice above it, the first slice of a word in the first row of its
    period. Slices begin with zeros where a word does not fill them."""
    per, part = form.period, form.slice
    rows = []
    for k, word in enumerate(words):
        at, last = k % per, k - k % per + per - 1
        if at == per - 1:
            continue
        whole = words[last] << ((per - 1) * part - width) if last < len(words) else 0
        rows.append(word | (whole >> (at * part) & (1 << part) - 1) << width)
    return rows


def packed_rom(
    m: Module, platform: object, words: Sequence[int], width: int, moves: Value, form: Packing
) -> Value:
    """Return the word of two cycles ago: the first one after a reset, the next one behind a cycle with ``moves``, and
    behind the last word the first.

    The memory is read a word ahead, so that its output has a register behind what chooses between it and the word in
    slices. The first word is what that register is reset to.
    """
    depth, rows = len(words), packed_words(words, width, form)
    row = Signal(range(len(rows)), init=1 % len(rows), name="row")
    at, collected = Signal(range(form.period), init=1, name="at"), Signal(3, name="collected")
    # Of the word ahead: whether it is in slices. If it is, row is that of the word behind it.
    m.d.comb += collected[0].eq(at == form.period - 1)
    ends = collected[0]
    if depth % form.period:  # the last words are followed by none in slices
        ends = ends | (row == len(rows) - 1)
    with m.If(moves):
        m.d.sync += at.eq(Mux(ends, 0, at + 1))
        with m.If(~collected[0]):
            m.d.sync += row.eq(Mux(row == len(rows) - 1, 0, row + 1))
    moved = Signal(2, name="moved")
    m.d.sync += [moved.eq(Cat(moves, moved[0])), collected[1:].eq(collected[:2])]
    found = rom(m, platform, rows, width + form.slice, row)
    word = Signal(width, init=words[0], name="word")
    slices = Signal(width, init=rows[0] >> width << width - form.slice, name="slices")
    with m.If(moved[1]):
        m.d.sync += [
            word.eq(Mux(collected[2], slices, found[:width])),
            slices.eq(Cat(slices, found[width:])[form.slice :]),
        ]
    return word


def packed_parts(depth: int, width: int, form: Packing) -> Parts:
    """What it is made of; what says that the words before moved is counted with its reader."""
    parts, rows = Parts(), form.rows(depth)
    parts.ebr += form.blocks
    parts.counter(rows)
    parts.registers(index_bits(form.period) + 2 + 2 * width)
    parts.logic["counter"] += 1
    parts.logic["counter bit"] += index_bits(form.period)
    parts.logic["packed word"] += width
    return parts
