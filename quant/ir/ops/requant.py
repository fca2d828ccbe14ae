"""The quantiser."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..node import Node

__all__ = ["Requant"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Requant(Node):
    """Shift-based batch norm and quantiser (IntegerNet): y[c] = clamp((a[c] - bias[c]) >> shift[c], lo, hi).

    ``>>`` is the arithmetic shift (floor); a negative shift is a shift to the left. Arrays have shape (C,).
    """

    bias: np.ndarray
    shift: np.ndarray
    lo: int
    hi: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._arrays("bias", "shift")
        self._integers("lo", "hi")
        if self.bias.shape != self.shift.shape or self.bias.ndim != 1 or not self.bias.size:
            self._fail(
                f"bias and shift must have one value a channel, not shapes {self.bias.shape}, {self.shift.shape}"
            )
        if (bad := np.flatnonzero((self.shift < -8) | (self.shift > 30))).size:
            self._fail(f"shift of channel {bad[0]} is {self.shift[bad[0]]}; supported: -8..30")
        if not (-128 <= self.lo <= 0 < self.hi <= 255 and (self.lo == 0 or self.hi <= 127)):
            self._fail(
                f"output range must be 0..hi with hi <= 255, or lo..hi within -128..127, not {self.lo}..{self.hi}"
            )
