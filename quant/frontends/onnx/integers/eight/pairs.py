"""Integer gains for the sum of two tensors of 8 bits: the smallest with which every sum gives the level that it has.

The levels of a sum are a table, one for every pair of values. With gains g and h a staircase decides by g * n + h * m,
which it can where every pair of a higher level has a larger sum than every pair of a lower one: each two such pairs
ask for a ratio g / h above or below a number. So the ratios that do are an interval, and the walk down the tree of
fractions finds the simplest one in it, or two pairs that ask for what contradicts.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np

__all__ = ["MOST_GAIN", "Gains", "Table"]

MOST_GAIN = 65535
"""The largest gain of a node."""


class Gains(NamedTuple):
    """The gains ``one`` and ``other``, the ascending ``threshold`` (K,) of the levels low + 1, low + 2, ...; how many
    ``pairs`` get another level with them, by how many ``levels`` at most."""

    one: int
    other: int
    threshold: np.ndarray
    pairs: int = 0
    levels: int = 0


@dataclass(frozen=True)
class Table:
    """``levels`` (n, m) of the values from ``first`` and from ``second`` on, which fall nowhere."""

    levels: np.ndarray
    first: int
    second: int

    @property
    def low(self) -> int:
        """The level below the first threshold."""
        return min(int(self.levels.min()), 0)

    @property
    def high(self) -> int:
        """The level of all thresholds."""
        return max(int(self.levels.max()), 1)

    def exact(self) -> Gains | None:
        """The smallest gains that give every level, None where there are none up to :data:`MOST_GAIN`."""
        edges = self._edges()
        below, above = (0, 1), (1, 0)  # gains of which the one is too small, and too large, beside the other
        while True:
            for small in (True, False):
                base, other = (below, above) if small else (above, below)
                want = 1 if small else -1

                def side(times: int, base: tuple[int, int] = base, other: tuple[int, int] = other) -> int | None:
                    return self._side(edges, base[0] + times * other[0], base[1] + times * other[1])

                most = 1
                while most <= 2 * MOST_GAIN and side(most) == want:
                    most *= 2
                low, high = most // 2, most  # the first that is not on this side lies behind low
                while high - low > 1:
                    middle = (low + high) // 2
                    low, high = (middle, high) if side(middle) == want else (low, middle)
                found = base[0] + high * other[0], base[1] + high * other[1]
                if max(found) > MOST_GAIN or (answer := side(high)) is None:
                    return None
                if answer == 0:
                    return self._gains(*found, edges)
                last = base[0] + low * other[0], base[1] + low * other[1]
                below, above = (last, found) if small else (found, last)

    def nearest(self, ratio: float) -> Gains:
        """Of gains near ``ratio``, one to the other, those with which the fewest pairs get another level."""
        tried = dict[tuple[int, int], Gains]()
        fraction = Fraction(ratio)
        for most in (16, 64, 256, 1024, 4096, 16384, MOST_GAIN):
            near = fraction.limit_denominator(most) if ratio <= 1 else 1 / (1 / fraction).limit_denominator(most)
            one, other = near.numerator, near.denominator
            times = MOST_GAIN // (max(one, other) + 1)
            for gains in ((one, other), (one * times, other * times - 1), (one * times, other * times + 1)):
                if gains not in tried and min(gains) > 0:
                    tried[gains] = self._approximated(*gains)
        return min(tried.values(), key=lambda gains: (gains.pairs, gains.levels, gains.one + gains.other))

    def _edges(self) -> np.ndarray:
        """How many of the second values give a level of low, low + 1, ... or less with each of the first: (n, K)."""
        wanted = np.arange(self.low, self.high)
        return np.stack([np.searchsorted(row, wanted, "right") for row in self.levels])

    def _sums(self, edges: np.ndarray, one: int, other: int) -> tuple[np.ndarray, np.ndarray]:
        """The largest sum of each row up to each level, and the smallest above it, (n, K) each."""
        n, m = self.levels.shape
        rows = one * (self.first + np.arange(n))[:, None]
        columns = other * (self.second + edges)
        far = 1 << 60
        return np.where(edges > 0, rows + columns - other, -far), np.where(edges < m, rows + columns, far)

    def _side(self, edges: np.ndarray, one: int, other: int) -> int | None:
        """0 where the gains do; 1 where ``one`` must be larger beside ``other``, -1 where smaller; None for both."""
        up_to, above = self._sums(edges, one, other)
        p, q, k = up_to.argmax(0), above.argmin(0), np.arange(edges.shape[1])
        wrong = up_to[p, k] >= above[q, k]
        rows, columns = (q - p)[wrong], (edges[q, k] - edges[p, k] + 1)[wrong]  # from the lower level to the higher
        if not wrong.any():
            return 0
        larger, smaller = bool((rows > 0).any()), bool((columns > 0).any())
        return None if larger == smaller else 1 if larger else -1

    def _gains(self, one: int, other: int, edges: np.ndarray) -> Gains:
        up_to, above = (part.max(0) if k == 0 else part.min(0) for k, part in enumerate(self._sums(edges, one, other)))
        return Gains(one, other, np.where(above < 1 << 60, above, up_to + 1))

    def _approximated(self, one: int, other: int) -> Gains:
        """The gains with the thresholds that put the fewest pairs on the wrong side of each."""
        n, m = (np.arange(count) for count in self.levels.shape)
        sums = (one * (self.first + n)[:, None] + other * (self.second + m)).reshape(-1)
        order = np.argsort(sums, kind="stable")
        sums, levels = sums[order], self.levels.reshape(-1)[order]
        starts = np.flatnonzero(np.diff(sums, prepend=sums[0] - 1))  # where a threshold can be
        found = list[int]()
        for level in range(self.low + 1, self.high + 1):
            higher = np.concatenate(([0], np.cumsum(levels >= level)))
            places = np.append(starts, len(sums))
            wrong = higher[places] + (len(sums) - places) - (higher[-1] - higher[places])
            place = places[wrong.argmin()]
            found.append(int(sums[place]) if place < len(sums) else int(sums[-1]) + 1)
        threshold = np.maximum.accumulate(np.array(found, np.int64))
        off = np.abs(self.low + np.searchsorted(threshold, sums, "right") - levels)
        return Gains(one, other, threshold, int((off > 0).sum()), int(off.max()))
