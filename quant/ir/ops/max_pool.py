"""The maximum over windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from ..bases.pooling import Pooling
from ..reach.branches import Branches
from ..reach.node import NodeReach, Place
from ..reach.window import taps, winners
from ..signal import Signal
from ..span import Span

__all__ = ["MaxPool"]


@dataclass(frozen=True, kw_only=True, eq=False)
class MaxPool(Pooling):
    """Values: the maximum of the window. Spikes: with N_t the running count of a neuron's spikes up to step t and
    M_t the maximum of N_t over the window, the output at t is M_t - M_(t-1) (count gate, Spiking ResNet).

    M_t changes by one at most, since a running count does, so there are as many output spikes as the busiest neuron of
    the window has: it is not linear, but the sum over time of its result is the maximum of the sums. Spikes of both
    signs must be ordered: N_t is the count of the neuron clipped to -(t + 1)..t + 1, so M_t is the largest count
    clipped, the result is ordered as well, and it is the maximum of the spikes in every step.

    Cells of the padding are values of 0, neurons without a spike: they are never above the others of their window where
    the source has nothing below 0, and another source is refused.
    """

    passes_sums: ClassVar = True

    @property
    def counts(self) -> bool:
        """Counts of spikes go through."""
        return True

    def _signal(self, sources: Sequence[Signal], steps: int) -> Signal:
        source = sources[0]
        shape = self._pooled(source)
        if source.kind == "spikes" and (source.low, source.high) != (0, 1) and not source.ordered:
            self._fail(
                f"MaxPool on spikes takes single spikes, 0 or 1, but {self.source} gives {source.low}..{source.high}; "
                "of both signs only lossless neurons give spikes that it takes"
            )
        if self.windows.padded and source.low < 0:
            self._fail(
                f"MaxPool with padding={self.padding} takes values of 0 and above, for its padding is 0, but "
                f"{self.source} gives {source.low}..{source.high}; leave the padding out, or let the layer before it "
                "give nothing below 0"
            )
        return replace(source, shape=shape)

    def reference(self, x: Sequence[np.ndarray], timed: Sequence[bool], steps: int) -> np.ndarray:
        """The maximum, of spikes the count gate."""
        if not timed[0]:
            return self.reference_step(x[0])
        most = self.windows.views(x[0].cumsum(1)).max((-2, -1))
        return np.diff(most, axis=1, prepend=0)

    def reference_step(self, x: np.ndarray) -> np.ndarray:
        """The maximum of the window."""
        return self.windows.views(x).max((-2, -1))

    def span(self, spans: Sequence[Span], sources: Sequence[Signal], steps: int) -> Span:
        """That of the source; of the count gate of spikes, a running maximum, which rises in any step once a neuron of
        the window can have had a spike."""
        low, high = spans[0].low, spans[0].high
        if not sources[0].timed or sources[0].ordered:
            return Span(low, high)
        return Span(low * (np.arange(len(low)) == 0)[:, None], np.maximum.accumulate(high))

    def reach(self, place: Place) -> NodeReach:
        """Every place of the window with the maximum."""
        return _MaxPoolReach(self, place)


class _MaxPoolReach(NodeReach):
    """Branches ``winners`` (Ky * Kx, C): whether a place of the window had the maximum alone."""

    def __init__(self, node: MaxPool, place: Place) -> None:
        super().__init__(place, valued=True)
        self._windows = node.windows
        low, high = place.span.low, place.span.high
        can = np.any(high > low, axis=0) if node.area > 1 else np.zeros(high.shape[1], bool)
        cells = np.broadcast_to(can[:, None, None], place.sources[0].shape)
        self.branches["winners"] = Branches.of(taps(node.windows, cells))

    def observe(self, inputs: Sequence[np.ndarray], result: np.ndarray) -> None:
        if self.branches["winners"].done:
            return
        source = inputs[0]
        if source.ndim == 5:
            source = source.sum(1) if self.place.counted else source.cumsum(1)
        found = winners(self._windows, source if source.ndim == 5 else source[:, None])
        self.branches["winners"].seen |= found

    def texts(self, kind: str) -> list[str]:
        return [f"{self.branches[kind].part} channels have a place of the window that never had the maximum alone"]
