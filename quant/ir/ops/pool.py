"""What the pools have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..node import Node
from ..signal import Signal
from ..windows import Windows

__all__ = ["Pooling"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Pooling(Node, ABC):
    """Common part of the pools: square windows of ``kernel``, moved by ``stride``, without padding (floor size). What
    becomes of time is the matter of each of them."""

    kernel: int
    stride: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._integers("kernel", "stride")
        if self.kernel < 1 or self.stride < 1:
            self._fail(f"kernel and stride must be positive integers, not {self.kernel} and {self.stride}")
        self._check_stride()

    @property
    def windows(self) -> Windows:
        """The windows that it makes one value of each."""
        return Windows((self.kernel, self.kernel), self.stride)

    @abstractmethod
    def _signal(self, sources: Sequence[Signal], steps: int) -> Signal:
        """What its windows give."""

    def _pooled(self, source: Signal) -> tuple[int, int, int]:
        """The shape of the result."""
        self.windows.check(self.name, source.shape[1:])
        return (source.shape[0], *self.windows.places(source.shape[1:]))

    def _views(self, x: np.ndarray) -> np.ndarray:
        """The windows of ``x`` (..., H, W): (..., rows, columns, kernel, kernel)."""
        return sliding_window_view(x, (self.kernel, self.kernel), (-2, -1))[..., :: self.stride, :: self.stride, :, :]
