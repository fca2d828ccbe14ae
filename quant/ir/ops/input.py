"""The image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..bounds import MOST_ELEMENTS, integer
from ..node import Node
from ..reach.node import NodeReach, Place
from ..signal import Signal
from ..span import Span

__all__ = ["Input"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Input(Node):
    """Unsigned pixels p[c, y, x] in 0..``high``, presented once and constant over the time steps (direct coding)."""

    shape: tuple[int, int, int]
    high: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._integers("high")
        if not isinstance(self.shape, Sequence | np.ndarray) or isinstance(self.shape, str) or len(self.shape) != 3:
            self._fail(f"shape must be three positive integers (C, H, W), not {self.shape!r:.60}")
        object.__setattr__(self, "shape", tuple(integer(self.name, "shape", n) for n in self.shape))
        if min(self.shape) < 1:
            self._fail(f"shape must be three positive integers (C, H, W), not {self.shape}")
        if math.prod(self.shape) > MOST_ELEMENTS:
            self._fail(f"has {math.prod(self.shape):,} pixels, supported: {MOST_ELEMENTS:,}; cut the images")
        if not 1 <= self.high <= 255:
            self._fail(f"pixels are unsigned and 1 to 8 bits wide: high must be in 1..255, not {self.high}")

    def signal(self, sources: Sequence[Signal], steps: int) -> Signal:
        """The pixels, whatever flows in."""
        return Signal("values", self.shape, False, 0, self.high)

    def reference(self, x: Sequence[np.ndarray], timed: Sequence[bool], steps: int) -> np.ndarray:
        """The frames, which are all that it is given."""
        return x[0].astype(np.int64)

    def span(self, spans: Sequence[Span], sources: Sequence[Signal], steps: int) -> Span:
        """All pixels."""
        channels = self.shape[0]
        return Span(np.zeros((1, channels), np.int64), np.full((1, channels), self.high))

    def reach(self, place: Place) -> NodeReach:
        """The values of the pixels."""
        return NodeReach(place, valued=True)
