"""The thresholds of a staircase as a binary search meets them: a tree, a comparison a level."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from .stairs import Stairs

__all__ = ["Tree"]


class Tree(Stairs):
    """A staircase that is searched: B = ceil(log2(K + 1)) comparisons, each of which gives the next lower bit of the
    number of thresholds reached, the highest bit first.

    With the bits so far as the number p, step s asks for threshold p * 2w + w, counted from 1, w = 2^(B - 1 - s).
    Thresholds from K + 1 on are reached by no current.
    """

    @cached_property
    def rows(self) -> int:
        """Groups with thresholds and values of their own: 1 where those of all are alike."""
        alike = all((x == x[:1]).all() for x in (self.tests, self.levels) if x is not None)
        return 1 if alike else self.groups

    @cached_property
    def _tests(self) -> np.ndarray:
        """``tests`` (outputs, rows, 2^B - 1)."""
        never = (self.ranges[:, 1] + 1).reshape(self.groups, self.outputs, 1)
        missing = (1 << self.count_bits) - 1 - self.steps
        return np.concatenate([self.tests, np.repeat(never, missing, 2)], 2)[: self.rows].transpose(1, 0, 2)

    def asked(self, s: int) -> np.ndarray:
        """The thresholds (outputs, rows, 2^s) that step ``s`` may ask for."""
        half = 1 << (self.count_bits - 1 - s)
        return self._tests[..., half - 1 :: 2 * half]

    @cached_property
    def found(self) -> np.ndarray | None:
        """The values (outputs, rows, 2^B) by the number that was found."""
        if self.levels is None:
            return None
        padding = ((0, 0), (0, 0), (0, (1 << self.count_bits) - self.steps - 1))
        return np.pad(self.levels[: self.rows], padding, "edge").transpose(1, 0, 2)
