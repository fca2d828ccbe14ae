"""The whole numbers that a clamp becomes: none of them is further beyond an end of it than half of one.

An activation y = clamp(z, low, high) gives levels lo..hi, each worth u. Results beyond an end must not show, so

    hi * u <= high + u / 2        lo * u >= low - u / 2

for every channel's u. A ReLU, with low = 0 and no upper end, has all levels and any u.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

__all__ = ["CLOSE", "Levels"]

CLOSE = 1e-9
"""A share by which what a level is worth may be missed, for divisions round."""


@dataclass(frozen=True)
class Levels:
    """Whole numbers ``lo``..``hi`` for an activation that clamps to ``low``..``high``, of which either may be infinite;
    lo = low = 0, or both are below 0, and hi > 0."""

    lo: int
    hi: int
    low: float
    high: float

    @property
    def coarsest(self) -> float:
        """The most that a level need be worth: all of them reach to the ends, one of them exactly."""
        below = self.low / (self.lo + 0.5) if self.lo else 0.0
        return max(below, self.high / (self.hi - 0.5))

    @property
    def widest(self) -> float:
        """The most that a level may be worth, so that none is further beyond an end than half of it."""
        below = self.low / (self.lo + 0.5) if self.lo else math.inf
        return min(below, self.high / (self.hi - 0.5))

    def worth(self, unit: float) -> Levels:
        """Those that are left where a level is worth ``unit``; one above 0 at least."""
        lo, hi = self.lo, self.hi
        if math.isfinite(self.low):
            lo = max(lo, -_nearest(-self.low / unit))
        if math.isfinite(self.high):
            hi = max(1, min(hi, _nearest(self.high / unit)))
        return replace(self, lo=lo, hi=hi)


def _nearest(x: float) -> int:
    """The nearest whole number, half rounded up."""
    return math.floor(x * (1 + CLOSE) + 0.5)
