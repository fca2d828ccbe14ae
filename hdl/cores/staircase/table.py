"""Constants that an index chooses, of every lane: read at once as logic, or from block RAM two cycles later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from amaranth import *

from ...cost.parts import Parts
from ...memory.rom import packed_rows, rom, selected
from ...memory.style import rom_style
from ...streams.words import bits_for

__all__ = ["Table"]


@dataclass(frozen=True, eq=False)
class Table:
    """``columns`` of every lane, (depth,) integers each; ``block``, whether they are in block RAM. Those that hold one
    number are no part of a memory. All lanes are read in the same way, so that they take as many cycles."""

    columns: Sequence[Sequence[np.ndarray]]
    block: bool

    @classmethod
    def of(cls, columns: Sequence[Sequence[np.ndarray]]) -> Table:
        """The table, where the widest lane says (``hdl.memory.style``)."""
        width = max(sum(map(_bits, lane)) for lane in columns)
        return cls(columns, rom_style(len(columns[0][0]), width) == "block")

    @property
    def depth(self) -> int:
        """Numbers of a column."""
        return len(self.columns[0][0])

    @property
    def cycles(self) -> int:
        """Cycles from an index to its numbers."""
        return 2 if self.block else 0

    def read(self, m: Module, platform: object, lane: int, index: Value, name: str) -> list[Value]:
        """The numbers at ``index`` of the columns of ``lane``, ``cycles`` later."""
        columns = self.columns[lane]
        if not self.block or not any(map(_bits, columns)):
            return [selected(m, index, c.tolist(), f"{name}_{k}") for k, c in enumerate(columns)]
        words, width = [0] * self.depth, 0
        for column in columns:
            packed = packed_rows(column[:, None], _bits(column))
            words = [word | value << width for word, value in zip(words, packed, strict=True)]
            width += _bits(column)
        # ``rom`` names its memory, so each has a module of its own.
        m.submodules[name] = memory = Module()
        word = Signal(width, name=f"{name}_word")
        m.d.comb += word.eq(rom(memory, platform, words, width, index))
        found, at = list[Value](), 0
        for column in columns:
            if not (bits := _bits(column)):
                found.append(selected(m, index, column.tolist(), name))
                continue
            part = word[at : at + bits]
            found.append(part.as_signed() if column.min() < 0 else part)
            at += bits
        return found

    def add_parts(self, parts: Parts) -> None:
        """Add what it is made of."""
        for lane in self.columns:
            if width := sum(map(_bits, lane)):
                if self.block:
                    parts.rom(self.depth, width)
                else:
                    parts.table(self.depth, width)


def _bits(column: np.ndarray) -> int:
    """Bits of the numbers of a column, none where all are one."""
    low, high = int(column.min()), int(column.max())
    return 0 if low == high else bits_for(low, high)[0]
