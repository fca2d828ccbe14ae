"""The identity shortcut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..node import Node, by_channel
from ..signal import Signal
from ..windows import Windows

__all__ = ["Gain"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Gain(Node):
    """An identity shortcut: I[c, y, x] = ``gain``[c] * s[c - offset, y*stride, x*stride], every time step; 0 where the
    source has no channel c - offset (the zero-padded shortcut of He et al., option A). ``gain`` has shape (Co,).
    It is linear.
    """

    passes_sums: ClassVar = True

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
        self._check_stride()
        if self.offset < 0:
            self._fail(f"offset must not be negative, not {self.offset}")

    @property
    def windows(self) -> Windows:
        """The pixels that it takes."""
        return Windows((1, 1), self.stride)

    def _signal(self, sources: Sequence[Signal], steps: int) -> Signal:
        source = sources[0]
        if self.offset + source.shape[0] > len(self.gain):
            self._fail(
                f"has {len(self.gain)} channels, too few for the {source.shape[0]} of {self.source} from channel "
                f"{self.offset} on"
            )
        gains = int(self.gain.min()), int(self.gain.max())
        ends = [0, *(gain * end for gain in gains for end in (source.low, source.high))]
        shape = (len(self.gain), *self.windows.places(source.shape[1:]))
        return Signal("currents", shape, source.timed, min(ends), max(ends))

    def reference_step(self, x: np.ndarray) -> np.ndarray:
        """The pixels kept, between channels of 0, times the gains."""
        kept = x[:, :, :: self.stride, :: self.stride]
        y = np.zeros((len(x), len(self.gain), *kept.shape[2:]), np.int64)
        y[:, self.offset : self.offset + kept.shape[1]] = kept
        return y * by_channel(self.gain)
