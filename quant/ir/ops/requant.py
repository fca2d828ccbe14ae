"""The quantiser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from ..bounds import within
from ..node import Node, multiplied
from ..signal import Signal
from ..span import Span

__all__ = ["Requant"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Requant(Node):
    """Shift-based batch norm and quantiser (IntegerNet): y[c] = clamp((a[c] - bias[c]) >> shift[c], lo, hi).

    ``>>`` is the arithmetic shift (floor); a negative shift is a shift to the left. Arrays have shape (C,).
    """

    takes: ClassVar = ("currents",)

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

    def _signal(self, sources: Sequence[Signal], steps: int) -> Signal:
        source = sources[0]
        self._check_channels(self.bias, source)
        if source.timed or steps != 1:
            self._fail(
                f"Requant works on values with T = 1, but here the currents of {self.source} meet T = {steps}; use IF "
                "neurons, or a network with steps = 1"
            )
        return Signal("values", source.shape, False, self.lo, self.hi)

    def _check_inside(self, source: Signal, steps: int) -> None:
        # In 64 bits: a network's numbers are up to 2^48, and a shift to the left has at most 8 places.
        current = max(-source.low, source.high)
        reach = (current + np.abs(self.bias)) << np.maximum(-self.shift, 0)
        worst = int(reach.argmax())
        within(self.name, f"what it shifts to the left, |I| + |bias|, in channel {worst}", 0, int(reach[worst]))

    def reference_step(self, x: np.ndarray) -> np.ndarray:
        """Shifted and clamped."""
        return np.moveaxis(np.clip(self.shifted(np.moveaxis(x, 1, -1)), self.lo, self.hi), -1, 1)

    def shifted(self, currents: np.ndarray) -> np.ndarray:
        """(I - bias) >> shift of ``currents`` (..., C)."""
        x = currents - self.bias
        return (x << np.maximum(-self.shift, 0)) >> np.maximum(self.shift, 0)

    def span(self, spans: Sequence[Span], sources: Sequence[Signal], steps: int) -> Span:
        """The ends, shifted and clamped."""
        low, high = (np.clip(self.shifted(end), self.lo, self.hi) for end in spans[0][:2])
        return Span(low, high)

    def scalable(self, factor: np.ndarray) -> np.ndarray:
        """Factors (C,) up to ``factor`` by which its currents may be multiplied: powers of two, for it shifts."""
        return np.exp2(np.floor(np.log2(factor)))

    def scaled(self, factor: np.ndarray) -> Requant:
        """The node behind currents that are ``factor`` (C,) times what they were, rounded."""
        shift = self.shift + np.rint(np.log2(factor)).astype(self.shift.dtype)
        return replace(self, bias=multiplied(self.bias, factor), shift=shift)
