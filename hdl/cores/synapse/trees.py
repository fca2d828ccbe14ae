"""The shape of adder trees: how many levels they have, how many weights a table takes, how many additions a chain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["CELLS", "COUNTED", "PLACES", "TABLE", "CountTree", "count_levels", "count_tree", "levels"]

PLACES = 27
"""Places of a carry chain, two in a cell, from which on no addition comes behind another. Longer chains waste less of
their ends, but take longer."""

CELLS = 10
"""Carry cells, of two places each, in one chain of additions of counts."""

COUNTED = 2
"""Bits of the widest multiplicand whose bits are counted where weights are bipolar; wider ones are added as words."""

TABLE = 4
"""Constant weights in a table: as many as a LUT4 has inputs."""


def levels(count: int) -> int:
    """Levels of a balanced tree over ``count`` terms."""
    return max(0, (count - 1).bit_length())


@dataclass(frozen=True)
class CountTree:
    """How the bits of ``top`` inputs are counted, in ``level`` registered levels.

    On the first level one to three ``inputs`` are added. Above it the counts ``parts``, one or two, and ``inputs``, one
    or none, which has waited until then.
    """

    level: int
    top: int
    inputs: tuple[int, ...]
    parts: tuple[CountTree, ...] = ()

    def on(self, level: int) -> Iterator[CountTree]:
        """The nodes of a level, in their order."""
        if self.level == level:
            yield self
        for part in self.parts:
            yield from part.on(level)

    @property
    def width(self) -> int:
        """Bits of the longer summand."""
        return max((part.top.bit_length() for part in self.parts), default=1)


def count_levels(count: int) -> int:
    """Levels of the tree for ``count`` inputs; of one alone there is none."""
    return max(0, count.bit_length() - 1)


def count_tree(count: int, level: int, first: int = 0) -> CountTree:
    """The tree for ``count`` inputs, of which ``first`` is the first: 1 to 2^(level + 1) - 1.

    A full tree of a level has two full ones below it and one input, so with every level there are 3, 7, 15, ...
    """
    if level == 1:
        return CountTree(1, count, tuple(range(first, first + count)))
    full = (1 << level) - 1
    if count <= full:
        return CountTree(level, count, (), (count_tree(count, level - 1, first),))
    rest = count - full - 1
    parts = [count_tree(full, level - 1, first)]
    if rest:
        parts.append(count_tree(rest, level - 1, first + full))
    return CountTree(level, count, (first + count - 1,), tuple(parts))
