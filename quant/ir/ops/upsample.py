"""The nearest pixel of a coarser map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from ..node import Node
from ..signal import Signal
from ..span import Span
from ..windows import Pair, each_way

__all__ = ["Upsample"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Upsample(Node):
    """Every pixel ``factor`` times in a row and in a column: y[c, y, x] = s[c, floor(y / fy), floor(x / fx)] with
    (fy, fx) = ``factor`` (rows, columns) or a number for both, every time step. It is linear.
    """

    passes_sums: ClassVar = True

    factor: Pair

    def __post_init__(self) -> None:
        super().__post_init__()
        self._pairs("factor")
        self._check_steps("factor")

    @property
    def counts(self) -> bool:
        """Counts of spikes go through."""
        return True

    def _signal(self, sources: Sequence[Signal], steps: int) -> Signal:
        channels, height, width = sources[0].shape
        rows, columns = each_way(self.factor)
        return replace(sources[0], shape=(channels, height * rows, width * columns))

    def reference_step(self, x: np.ndarray) -> np.ndarray:
        """Every row again, and every pixel in it."""
        rows, columns = each_way(self.factor)
        return x.repeat(rows, -2).repeat(columns, -1)

    def span(self, spans: Sequence[Span], sources: Sequence[Signal], steps: int) -> Span:
        """That of the source."""
        return spans[0]
