"""A map as a vector."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from ..node import Node
from ..signal import Signal
from ..span import Span

__all__ = ["Flatten"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Flatten(Node):
    """(C, H, W) to (C*H*W, 1, 1) in the order C, H, W. It is linear."""

    passes_sums: ClassVar = True

    @property
    def counts(self) -> bool:
        """Counts of spikes go through."""
        return True

    def _signal(self, sources: Sequence[Signal], steps: int) -> Signal:
        return replace(sources[0], shape=(math.prod(sources[0].shape), 1, 1))

    def reference_step(self, x: np.ndarray) -> np.ndarray:
        """The same numbers in a line."""
        return x.reshape(len(x), -1, 1, 1)

    def span(self, spans: Sequence[Span], sources: Sequence[Signal], steps: int) -> Span:
        """That of the source, pixel by pixel."""
        _, h, w = sources[0].shape
        return Span(spans[0].low.repeat(h * w, 1), spans[0].high.repeat(h * w, 1))
