"""An answer that is a map: numbers for every pixel, and no class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..bases.output import Output
from ..node import by_channel
from ..signal import Signal

__all__ = ["MapReadout"]


@dataclass(frozen=True, kw_only=True, eq=False)
class MapReadout(Output):
    """sums[c, y, x] = sum_t I_t[c, y, x] + bias[c].

    Where the source is constant over time (values, T = 1) the sum has one term. ``bias`` has shape (C,) and is
    added once, not every time step. A network may have several; what is in its maps is for who reads them.
    """

    @property
    def _each(self) -> str:
        return "a channel"

    def _signal(self, sources: Sequence[Signal], steps: int) -> Signal:
        return Signal("sums", sources[0].shape, False, *self._totals(sources[0], steps))

    def reference(self, x: Sequence[np.ndarray], timed: Sequence[bool], steps: int) -> np.ndarray:
        """The sums (N, C, H, W)."""
        return self._summed(x, timed) + by_channel(self.bias)
