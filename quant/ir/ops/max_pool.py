"""The maximum over windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..signal import Signal
from .pool import Pool

__all__ = ["MaxPool"]


@dataclass(frozen=True, kw_only=True, eq=False)
class MaxPool(Pool):
    """Values: the maximum of the window. Spikes: with N_t the running count of a neuron's spikes up to step t and
    M_t the maximum of N_t over the window, the output spikes at t when M_t > M_(t-1) (count gate, Spiking ResNet)."""

    def _signal(self, sources: Sequence[Signal], steps: int) -> Signal:
        source = sources[0]
        shape = self._pooled(source)
        if source.kind == "spikes" and (source.low, source.high) != (0, 1):
            self._fail(
                f"MaxPool on spikes takes single spikes, 0 or 1, but {self.source} gives {source.low}..{source.high}"
            )
        return replace(source, shape=shape)
