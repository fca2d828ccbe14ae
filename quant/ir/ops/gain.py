"""The identity shortcut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ..node import Node, by_channel, multiplied
from ..signal import Signal
from ..span import Span
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
        self._check_steps("stride")
        if self.offset < 0:
            self._fail(f"offset must not be negative, not {self.offset}")

    @property
    def windows(self) -> Windows:
        """The pixels that it takes."""
        return Windows((1, 1), (self.stride, self.stride))

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

    def fan_out(self, shape: tuple[int, int, int]) -> np.ndarray:
        """Synapses (C, H, W) that each element of a source of ``shape`` reaches: one where its pixel is kept."""
        return np.broadcast_to(self.windows.times_read(shape[1:]), shape)

    def scaled(self, factor: np.ndarray) -> Gain:
        """The node with gains that are ``factor`` (Co,) times these, rounded."""
        return replace(self, gain=multiplied(self.gain, factor))

    def span(self, spans: Sequence[Span], sources: Sequence[Signal], steps: int) -> Span:
        """The gains times the ends; 0 where the source has no channel."""
        low, high = np.zeros((2, len(self.gain)), np.int64)
        inside = slice(self.offset, self.offset + spans[0].low.shape[1])
        ends = np.stack(spans[0].always) * self.gain[inside]
        low[inside], high[inside] = ends.min(0), ends.max(0)
        return Span(low[None], high[None], np.abs(self.gain))

    @classmethod
    def array_shape(
        cls, field: str, shape: tuple[int, ...], entry: Mapping[str, Any], source: tuple[int, int, int]
    ) -> tuple[bool, str]:
        """(Co,), with as many channels as the source or more."""
        return len(shape) == 1 and shape[0] >= source[0], f"(Co,), Co at least {source[0]}"
