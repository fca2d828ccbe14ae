"""What frames reached at a node: which values appeared, and which of its branches were taken.

A kind of node that has branches, such as a clamp or a test, has a :class:`NodeReach` of its own in its file, which
``Node.reach`` makes: which branches there are and can be taken, how one is seen in the results of the golden model, and
how a missed one is said in words. ``quant.analysis.reach`` goes through a network with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..signal import Signal
from ..span import Span
from .branches import Branches, Near

__all__ = ["NodeReach", "Place"]

VALUES = 1024
"""Ranges of at most so many values are looked at value by value."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where a node stands in a network, and what can flow there.

    Attributes: ``sources``, what flows in, and ``spans``, what that can be; ``signal``, what flows out, and ``span``,
    what that can be; ``counted``, whether of its spikes only the sum over time is compared, of which ``span`` is then;
    ``steps``, T.
    """

    sources: tuple[Signal, ...]
    spans: tuple[Span, ...]
    signal: Signal
    span: Span
    counted: bool
    steps: int


class NodeReach:
    """What was reached at a node.

    Attributes: ``branches`` by kind (``docs/regression.md``); ``low`` and ``high`` (C,), the values that appeared, and
    ``span`` (2, C), what can; ``active`` (C, H, W), where results were other than 0; ``near``, of neurons; ``windows``,
    of synapses: all-zero ones, and all.
    """

    def __init__(self, place: Place, *, valued: bool = False) -> None:
        """With ``valued`` the values are looked at one by one, where there are few."""
        self.place = place
        self.span = np.stack(place.span.always)
        self.low, self.high = self.span[1].copy(), self.span[0].copy()
        self.active = np.zeros(place.signal.shape, bool)
        self.branches: dict[str, Branches] = {}
        self.near: Near | None = None
        self.windows = (0, 0)
        low, high = place.span.low, place.span.high
        if valued and (size := int(high.max() - low.min()) + 1) <= VALUES:
            values = low.min() + np.arange(size)[:, None, None]
            self.branches["values"] = Branches.of((values >= low) & (values <= high), "noted")

    def observe(self, inputs: Sequence[np.ndarray], result: np.ndarray) -> None:
        """Note the branches that some frames took: ``inputs``, the results of the sources, and ``result``, that of the
        node, by the golden model, (N, C, H, W) or (N, T, C, H, W)."""

    def meet(self, active: Sequence[np.ndarray]) -> None:
        """Note what follows from where the results of the sources were ever other than 0, (C, H, W) each."""

    def texts(self, kind: str) -> list[str]:
        """What was missed of the branches of ``kind``, in words; each begins behind the name of the node."""
        return [f"{self.branches[kind].part} channels have {kind} that were missed"]

    def moved(self, kind: str, what: str) -> list[str]:
        """The words of branches (2, C) of ``kind``: whether ``what``, a constant, higher and lower by one shows."""
        branches = self.branches[kind]
        both = int(branches.missed.all(0).sum())
        ways = f" ({both} of them neither higher nor lower)" if both else ""
        return [f"in {branches.part} channels a {what} moved by one would change no word{ways}"]

    def add(self, inputs: Sequence[np.ndarray], result: np.ndarray) -> None:
        """Take in what ``observe`` is given: the branches, the range, the values."""
        self.observe(inputs, result)
        if self.place.counted:
            result = result.sum(1)
        low, high = self._range(result)
        if "values" in self.branches:
            self._values(result, low, high)

    def merge(self, other: NodeReach) -> None:
        """Take in what ``other`` of the same node has of other frames."""
        for kind, branches in self.branches.items():
            branches.seen |= other.branches[kind].seen
        np.minimum(self.low, other.low, out=self.low)
        np.maximum(self.high, other.high, out=self.high)
        self.active |= other.active
        if self.near is not None and other.near is not None:
            self.near.take(other.near.above, other.near.below)
        self.windows = self.windows[0] + other.windows[0], self.windows[1] + other.windows[1]

    def _range(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest over the frames, by neuron."""
        low, high = x.min(0), x.max(0)
        ends = low, high
        if low.ndim > 1:  # logits (C,) are nowhere
            active = (low != 0) | (high != 0)
            self.active |= active if active.ndim == 3 else active.any(0)
            ends = low if low.ndim == 3 else low.min(0), high if high.ndim == 3 else high.max(0)
            ends = ends[0].min((1, 2)), ends[1].max((1, 2))
        np.minimum(self.low, ends[0], out=self.low)
        np.maximum(self.high, ends[1], out=self.high)
        return low, high

    def _values(self, x: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        """Note the values of ``x``, (N, C, H, W) or (N, T, C, H, W), with its extremes over the frames."""
        values = self.branches["values"]
        if values.done:
            return
        size, first = len(values.seen), int(self.span[0].min())
        if x.ndim == 4:
            x, low, high = x[:, None], low[None], high[None]
        if size <= 2:
            for k in range(size):
                values.seen[k] |= ((low == first + k) | (high == first + k)).any((2, 3))
            return
        steps, channels = values.seen.shape[1:]
        rows = np.arange(steps * channels).reshape(steps, channels, 1, 1) * size - first
        counts = np.bincount((x + rows).reshape(-1), minlength=size * steps * channels)
        values.seen |= (counts.reshape(steps, channels, size) > 0).transpose(2, 0, 1)
