"""Rule ``lossless``: as many spikes as the sum of all currents is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..node import by_channel
from ..reach.branches import Branches
from ..reach.neuron import Watch
from ..reach.node import NodeReach
from ..rule import Firing, Rule
from ..span import Span

if TYPE_CHECKING:
    from ..ops.integrate_and_fire import IF

__all__ = ["Lossless"]


class Lossless(Rule):
    """u = v0 + sum_t (I_t + bias); the count is the largest k in low..T with k = low or u >= k * threshold, and
    s_t = sign(count) * [t < |count|]: the spikes come first. It equals the quantised ANN exactly."""

    name: ClassVar = "lossless"
    adds_up: ClassVar = True
    counts: ClassVar = True
    falls: ClassVar = True

    def reference(self, node: IF, currents: np.ndarray) -> np.ndarray:
        """The count is the last k in low + 1..T with u >= k * threshold (or >), or low: u does not change with k."""
        steps = currents.shape[1]
        u = node.v0.reshape(-1, *(node.v0.shape[1:] or (1, 1))) + (currents + by_channel(node.bias)).sum(1)
        test = np.greater if node.strict else np.greater_equal
        count = np.full_like(u, node.low)
        for k in range(node.low + 1, steps + 1):
            count = np.where(test(u, k * by_channel(node.threshold)), k, count)
        return np.stack([np.sign(count) * (t < np.abs(count)) for t in range(steps)], 1)

    def tests(self, node: IF, steps: int) -> int:
        """One for every count above the lowest."""
        return steps - node.low

    def membranes(self, node: IF, currents: np.ndarray, spikes: np.ndarray) -> np.ndarray:
        """u, once for all steps: (N, 1, C, H, W)."""
        found = (currents + by_channel(node.bias)).sum(1, keepdims=True)
        return found + node.v0.reshape(-1, *(node.v0.shape[1:] or (1, 1)))

    def possible(self, node: IF, current: Span, steps: int, timed: bool) -> Firing:
        """By the span of the sum over time."""
        v = node.v0.reshape(len(node.v0), -1)
        low, high = ((end * steps + steps * node.bias - node.strict) for end in (current.low[0], current.high[0]))
        assert current.step is not None
        step = np.where(v.min(1) == v.max(1), current.step * (1 if timed else steps), 1)
        low, high = low + v.min(1), high + v.max(1)
        k = np.arange(node.low + 1, steps + 1)[:, None]
        test = k * node.threshold
        # A threshold that moves by d moves the test by k * d: what lies between the two changes sides.
        hits = [_meets(low, high, step, np.minimum(test, to), np.maximum(test, to) - 1) for to in (test + k, test - k)]
        moves = np.any(np.stack(hits), axis=1)
        moves[1] &= node.threshold > 1
        fails, holds = low < test, high >= test
        least, most = ((node.low + x.sum(0))[None] for x in (~fails, holds))
        t = np.arange(steps)[:, None]
        return Firing(
            Span(*(np.sign(count) * (t < np.abs(count)) for count in (least, most))),
            Span(least, most),
            {"tests": Branches.of(np.stack([fails, holds])), "thresholds": Branches.of(moves, "moved")},
        )

    def observe(self, node: IF, current: np.ndarray, spikes: np.ndarray, found: NodeReach) -> None:
        """The test of count k, u >= k * threshold, is as one after k - 1 spikes; for k < 0, as one after -k - 1 of a
        threshold that moves the other way."""
        watch, steps = Watch(node, current, spikes, found), spikes.shape[1]
        total = current.sum(1, dtype=watch.dtype) if current.ndim == 5 else current.astype(watch.dtype) * steps
        g = watch.start + total + steps * watch.bias - node.low * watch.threshold
        for t, k in enumerate(range(node.low + 1, steps + 1)):
            g -= watch.threshold
            watch.number[:] = max(abs(k) - 1, 0)
            watch.test(g, t, (k > 0) - (k < 0))
        watch.close()


def _meets(low: np.ndarray, high: np.ndarray, step: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Whether one of low, low + step, ..., high is in start..end."""
    step = np.maximum(step, 1)
    first = low + -(-np.maximum(start - low, 0) // step) * step
    return first <= np.minimum(high, end)
