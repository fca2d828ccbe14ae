"""The identity shortcut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..node import Node

__all__ = ["Gain"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Gain(Node):
    """An identity shortcut: I[c, y, x] = ``gain``[c] * s[c - offset, y*stride, x*stride], every time step; 0 where the
    source has no channel c - offset (the zero-padded shortcut of He et al., option A). ``gain`` has shape (Co,).
    """

    gain: np.ndarray
    stride: int = 1
    offset: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._arrays("gain")
        self._integers("stride", "offset")
        if self.gain.ndim != 1 or not self.gain.size:
            self._fail(f"gain must have one value a channel, not shape {self.gain.shape}")
        if np.abs(self.gain).max() >= 1 << 16:
            self._fail(f"gains must be in -65535..65535, found {self.gain.min()}..{self.gain.max()}")
        self._move()
        if self.offset < 0:
            self._fail(f"offset must not be negative, not {self.offset}")
