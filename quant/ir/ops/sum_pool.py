"""The sum over windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..reach.node import NodeReach, Place
from ..signal import Signal
from ..span import Span
from .pool import Pooling

__all__ = ["SumPool"]


@dataclass(frozen=True, kw_only=True, eq=False)
class SumPool(Pooling):
    """Sum over the window, every time step: average pooling with its division left to the next threshold.
    It is linear."""

    passes_sums: ClassVar = True

    @property
    def counts(self) -> bool:
        """Counts of spikes go through."""
        return True

    def _signal(self, sources: Sequence[Signal], steps: int) -> Signal:
        source, area = sources[0], self.kernel**2
        return Signal(source.kind, self._pooled(source), source.timed, source.low * area, source.high * area)

    def reference_step(self, x: np.ndarray) -> np.ndarray:
        """The sum of the window."""
        return self._views(x).sum((-2, -1))

    def span(self, spans: Sequence[Span], sources: Sequence[Signal], steps: int) -> Span:
        """All cells of a window at an end."""
        return Span(spans[0].low * self.kernel**2, spans[0].high * self.kernel**2)

    def reach(self, place: Place) -> NodeReach:
        """The values of the sums."""
        return NodeReach(place, valued=True)
