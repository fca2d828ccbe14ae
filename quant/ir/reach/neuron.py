"""What frames reached of neurons: both ways of every spike test, how near membranes came to it, and whether a threshold
moved by one would have changed a spike.

Let g = v - threshold (one less for ``strict``) be the distance of a membrane from its test, which holds where g >= 0,
and n the spikes of the neuron so far, each of which took a threshold off. With a threshold higher by d and the same
spikes so far, the membrane is n * d lower, and the test becomes g >= (n + 1) * d. So the first spike that a threshold
changes is the first one with 0 <= g <= n for d = 1, with -(n + 1) <= g < 0 for d = -1; where there is none, none
changes. What a rule has beside that test is in its file (``quant/ir/rules``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .branches import FAR
from .node import NodeReach

if TYPE_CHECKING:
    from ..ops.integrate_and_fire import IF

__all__ = ["Watch"]


class Watch:
    """The spike tests of some frames.

    Attributes: ``threshold``, ``bias`` and ``start``, the membranes at the start, of the type ``dtype`` and to meet
    (N, C, H, W); ``number`` (N, C, H, W), the spikes so far, and ``moved`` (2, N, C, H, W), where a threshold higher,
    and lower, by one would have changed a spike, both to be gone on with.
    """

    def __init__(self, node: IF, current: np.ndarray, spikes: np.ndarray, found: NodeReach) -> None:
        """``current`` (N, T, C, H, W), or (N, C, H, W) where it does not change; ``spikes`` (N, T, C, H, W); what they
        reach goes into ``found``."""
        shape, steps = spikes.shape[:1] + spikes.shape[2:], spikes.shape[1]
        self.dtype = _dtype(node, current, steps)
        self.threshold, self.bias = (x[:, None, None].astype(self.dtype) for x in (node.threshold, node.bias))
        self.start = (node.v0 if node.v0.ndim == 3 else node.v0[:, None, None]).astype(self.dtype) - node.strict
        self.number, self.moved = np.zeros(shape, self.dtype), np.zeros((2, *shape), bool)
        self._node, self._found = node, found
        self._look = np.any(found.branches["thresholds"].missed, axis=1)

    def test(self, g: np.ndarray, t: int, way: int = 1) -> None:
        """Note the distances ``g`` (N, C, H, W) from test ``t``, that of step t of most rules. With ``way`` -1 it falls
        where the threshold rises, with 0 it does not depend on it. As unsigned numbers the distances below the test
        come after all others, in their order: one minimum and one maximum give the nearest on both sides."""
        tests, near, moved = self._found.branches["tests"], self._found.near, self.moved
        assert near is not None
        unsigned = g.view(np.uint32 if g.dtype == np.int32 else np.uint64)
        channels, top = g.shape[1], np.iinfo(g.dtype).max
        least = unsigned.min(0).reshape(channels, -1).min(1)
        most = unsigned.max(0).reshape(channels, -1).max(1)
        holds, fails = least <= top, most > top
        tests.seen[0, t] |= fails
        tests.seen[1, t] |= holds
        below = -most.view(g.dtype).astype(np.int64)
        near.above[t] = np.minimum(near.above[t], np.where(holds, least.astype(np.int64), FAR))
        near.below[t] = np.minimum(near.below[t], np.where(fails, below, FAR))
        spent = self.number.view(unsigned.dtype)
        if not way:
            return
        up, down = (0, 1)[::way]
        if self._look[up]:
            moved[up] |= unsigned <= spent
        if self._look[down]:
            moved[down] |= ~unsigned <= spent

    def close(self) -> None:
        """Note in which channels a threshold moved by one would have shown."""
        seen = self._found.branches["thresholds"].seen
        seen |= self.moved.any((1, 3, 4))
        seen[1] &= self._node.threshold > 1  # no network has a threshold of 0


def _dtype(node: IF, current: np.ndarray, steps: int) -> type[np.signedinteger]:
    """32 bits where no distance can leave them."""
    most = max(int(current.max(initial=0)), -int(current.min(initial=0)))
    rest = (int(np.abs(x).max()) for x in (node.bias, node.threshold))
    bound = int(np.abs(node.v0).max()) + (steps + 1) * (most + sum(rest)) + 1
    return np.int32 if bound < 1 << 30 else np.int64
