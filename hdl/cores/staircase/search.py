"""A staircase that is searched in a pipeline: a word in every cycle, a comparator and a memory for every step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from ...cost.parts import Parts, index_bits
from .table import Table
from .tree import Tree

if TYPE_CHECKING:
    from .search_core import SearchPipeline

__all__ = ["SearchSpec", "SearchStep"]


class SearchStep(NamedTuple):
    """``table``: the threshold, and behind the last step the values below and above it. Registers before the
    comparison: ``cycles``, those of the currents; ``bits``, those of the bits so far; ``group``, those of the group."""

    table: Table
    cycles: int
    bits: int
    group: int


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchSpec(Tree):
    """B comparisons, one behind the other. The values stand beside the last thresholds."""

    NAME: ClassVar[str] = "staircase"

    @cached_property
    def searched(self) -> list[SearchStep]:
        """The steps. A table in logic is read and compared in one cycle, one in block RAM takes two more."""
        steps = list[SearchStep]()
        for s in range(self.count_bits):
            last = s == self.count_bits - 1
            columns = [[lane.reshape(-1)] for lane in self.asked(s)]
            if last and self.found is not None:
                for lane, found in zip(columns, self.found, strict=True):
                    lane += [found[:, side::2].reshape(-1) for side in (0, 1)]
            table = Table.of(columns)
            cycles = table.cycles if table.block or not s else 1
            # An index that block RAM has taken is needed only for the next steps.
            behind = 0 if table.block and last else cycles
            bits = cycles if self.found is None else behind
            steps.append(SearchStep(table, cycles, bits, behind if self.rows > 1 else 0))
        return steps

    @property
    def latency(self) -> int:
        """Cycles from a current word to its values."""
        return sum(step.cycles for step in self.searched) + 1

    def parts(self) -> Parts:
        """What it is made of: registers of currents, bits, and group, the tables and the comparisons of all steps."""
        parts = Parts()
        if self.rows > 1:
            parts.counter(self.groups)
        for s, step in enumerate(self.searched):
            parts.registers(step.cycles * (1 + self.i_format.width))
            parts.registers(step.bits * s * self.outputs + step.group * index_bits(self.groups))
            step.table.add_parts(parts)
            parts.adders(np.full(self.outputs, self.i_format.bits), "test")
        parts.registers(1 + self.o_format.width)
        if self.found is not None:
            parts.mux(2, self.o_format.width)
        elif self.low:
            parts.adders(np.full(self.outputs, self.o_format.bits), "short adder")
        return parts

    def core(self) -> SearchPipeline:
        """The hardware."""
        from .search_core import SearchPipeline

        return SearchPipeline(self)
