"""Rule ``lossless``: as many spikes as the sum of all currents is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..node import by_channel
from ..rule import Rule

if TYPE_CHECKING:
    from ..ops.integrate_and_fire import IF

__all__ = ["Lossless"]


class Lossless(Rule):
    """u = v0 + sum_t (I_t + bias); the count is the largest k in 0..T with k = 0 or u >= k * threshold, and
    s_t = [t < count]: the spikes come first. It equals the quantised ANN exactly."""

    name: ClassVar = "lossless"
    adds_up: ClassVar = True
    counts: ClassVar = True

    def reference(self, node: IF, currents: np.ndarray) -> np.ndarray:
        """The count is the number of k in 1..T with u >= k * threshold (or >), for u does not change with k."""
        steps = currents.shape[1]
        u = node.v0.reshape(-1, *(node.v0.shape[1:] or (1, 1))) + (currents + by_channel(node.bias)).sum(1)
        test = np.greater if node.strict else np.greater_equal
        count = np.zeros_like(u)
        for k in range(1, steps + 1):
            count += test(u, k * by_channel(node.threshold))
        return np.stack([(t < count).astype(np.int64) for t in range(steps)], 1)
