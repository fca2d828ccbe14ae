"""A staircase that is searched step by step with one comparator and one memory a lane, where words are far apart."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...cost.parts import Parts
from .table import Table
from .tree import Tree

if TYPE_CHECKING:
    from .serial_core import SerialSearch

__all__ = ["SerialSpec"]


@dataclass(frozen=True, kw_only=True, eq=False)
class SerialSpec(Tree):
    """One comparator for each of ``lanes`` channels, which divide those of a word: part after part of the word is
    searched, ``cycles`` a part, and when the last one is known, all leave, a part in every cycle.

    Words must lie at least ``turnaround`` cycles apart, and stay until the last part begins. The memory holds the tree
    level by level: its root at 1, the nodes below node h at 2h and 2h + 1. Of values, a level more, which holds them.
    """

    NAME: ClassVar[str] = "staircase"

    lanes: int

    def __post_init__(self) -> None:
        if self.lanes < 1 or self.i_format.lanes % self.lanes:
            raise ValueError(f"lanes={self.lanes} does not divide the {self.i_format.lanes} lanes of a word")
        super().__post_init__()
        if self.ratio > self.cycles:
            raise ValueError(
                f"lanes={self.lanes} makes {self.ratio} parts of a word, more than the {self.cycles} cycles in which "
                "the next part is known"
            )

    @property
    def outputs(self) -> int:
        """Channels computed at once."""
        return self.lanes

    @property
    def ratio(self) -> int:
        """Parts of a word."""
        return self.i_format.lanes // self.lanes

    @property
    def node_bits(self) -> int:
        """Bits of a node's number."""
        return self.count_bits + (self.found is not None)

    @cached_property
    def table(self) -> Table:
        """The tree of every lane."""
        root = self.asked(0)
        levels = [root, *(self.asked(s) for s in range(self.count_bits))]  # 0 is no node
        if self.found is not None:
            levels.append(self.found)
        return Table.of([[lane.reshape(-1)] for lane in np.concatenate(levels, 2)])

    @property
    def cycles(self) -> int:
        """Cycles of a part: one a level, where the memory is in block RAM two."""
        return self.node_bits * (2 if self.table.block else 1)

    @property
    def turnaround(self) -> int:
        """Cycles by which words must lie apart."""
        return self.cycles * self.ratio

    @property
    def latency(self) -> int:
        """Cycles from a current word to the first part of its values."""
        return self.turnaround + 1

    def parts(self) -> Parts:
        """What it is made of: counters, the part that is searched, its node, the comparison, the values so far."""
        parts, width = Parts(), self.lanes * self.i_format.bits
        for count in (self.cycles, self.ratio, self.ratio, self.groups if self.rows > 1 else 1):
            parts.counter(count)
        # Block RAM takes the next node before it is registered, so that nothing reads the highest bit.
        kept = self.node_bits - self.table.block
        parts.registers(3 + (self.ratio > 1) + width + self.lanes * kept)
        parts.mux(self.ratio, width)
        parts.adders(np.full(self.lanes, self.i_format.bits), "test")
        self.table.add_parts(parts)
        parts.registers(self.ratio * self.o_format.width)
        if self.found is None and self.low:
            parts.adders(np.full(self.lanes, self.o_format.bits), "short adder")
        return parts

    def core(self) -> SerialSearch:
        """The hardware."""
        from .serial_core import SerialSearch

        return SerialSearch(self)
