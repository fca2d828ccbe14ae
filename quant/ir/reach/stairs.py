"""What frames reached of a staircase: both sides of its thresholds, and thresholds that show when moved by one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .branches import Branches
from .node import NodeReach, Place

__all__ = ["StaircaseReach"]


class StaircaseReach(NodeReach):
    """Branches ``tests`` (2, K, C): a test fails, and holds. Constants ``thresholds`` (2, K, C): whether one higher,
    and lower, by one changes a value.

    ``threshold`` (C, K), and ``levels`` (C, K + 1), the values. Of equal thresholds each may be the one that moves, so
    a current on them climbs one step less, and one below them one step more; it shows where the value is another.
    """

    def __init__(self, threshold: np.ndarray, levels: np.ndarray, place: Place) -> None:
        super().__init__(place, valued=True)
        self._test = test = np.ascontiguousarray(threshold.T)
        low, high, step = place.spans[0].low[0], place.spans[0].high[0], place.spans[0].step
        assert step is not None
        self.branches["tests"] = Branches.of(np.stack([low < test, high >= test]))
        # The current that a moved threshold puts on the other side of its test.
        between = [(low <= x) & (x <= high) & ((x - low) % np.maximum(step, 1) == 0) for x in (test, test - 1)]
        self._shows = np.stack([_differs(row, level) for row, level in zip(threshold, levels, strict=True)], -1)
        self.branches["thresholds"] = Branches.of(np.stack(between) & self._shows, "moved")

    def observe(self, inputs: Sequence[np.ndarray], result: np.ndarray) -> None:
        """Note on which sides of the thresholds currents were, and which met one exactly."""
        tests, moved = self.branches["tests"], self.branches["thresholds"]
        if tests.done and moved.done:
            return
        x = inputs[0]
        for c in range(x.shape[1]):
            if not (tests.missed[..., c].any() or moved.missed[..., c].any()):
                continue
            met, test = np.unique(x[:, c]).astype(np.int64), self._test[:, c]
            tests.seen[:, :, c] |= np.stack([met[0] < test, met[-1] >= test])
            for way, crossing in enumerate((test, test - 1)):
                moved.seen[way, :, c] |= np.isin(crossing, met) & self._shows[way, :, c]

    def texts(self, kind: str) -> list[str]:
        """What was missed, in words."""
        part = self.branches[kind].part
        if kind == "thresholds":
            return [f"in {part} channels there is a threshold that, moved by one, would change no word"]
        if kind == "tests":
            return [f"{part} channels have a threshold that currents were on one side of only"]
        return super().texts(kind)


def _differs(row: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Whether a threshold of ``row`` (K,) higher, and lower, by one leads to another one of ``levels``, (2, K)."""
    at, below = np.searchsorted(row, row, side="right"), np.searchsorted(row, row, side="left")
    return np.stack([levels[at] != levels[at - 1], levels[below] != levels[below + 1]])
