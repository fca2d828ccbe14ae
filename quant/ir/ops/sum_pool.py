"""The sum over windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..bases.pooling import Pooling
from ..reach.node import NodeReach, Place
from ..signal import Signal
from ..span import Span

__all__ = ["SumPool"]


@dataclass(frozen=True, kw_only=True, eq=False)
class SumPool(Pooling):
    """Sum over the window, every time step: average pooling with its division left to the next threshold. Cells of the
    padding are values of 0. It is linear."""

    passes_sums: ClassVar = True

    @property
    def counts(self) -> bool:
        """Counts of spikes go through."""
        return True

    def _signal(self, sources: Sequence[Signal], steps: int) -> Signal:
        source, area = sources[0], self.area
        return Signal(source.kind, self._pooled(source), source.timed, source.low * area, source.high * area)

    def reference_step(self, x: np.ndarray) -> np.ndarray:
        """The sum of the window."""
        return self.windows.views(x).sum((-2, -1))

    def span(self, spans: Sequence[Span], sources: Sequence[Signal], steps: int) -> Span:
        """All cells of a window at an end: of the window with the most cells on the map, and of that with the fewest,
        where an end is on the other side of 0."""
        cells = self.windows.views(np.ones(sources[0].shape[1:], np.int64)).sum((-2, -1))
        fewest, most = int(cells.min()), int(cells.max())
        low, high = spans[0].low, spans[0].high
        return Span(low * np.where(low > 0, fewest, most), high * np.where(high < 0, fewest, most))

    def reach(self, place: Place) -> NodeReach:
        """The values of the sums."""
        return NodeReach(place, valued=True)
