"""The quantiser with a threshold for every step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ..node import Node, Tested, by_channel, multiplied
from ..reach.branches import Branches
from ..reach.node import NodeReach, Place
from ..signal import Signal
from ..span import Span

__all__ = ["MOST_THRESHOLDS", "Staircase"]

MOST_THRESHOLDS = 15
"""The most steps of a staircase: values of four bits."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Staircase(Node):
    """y[c] = low + (the number of k with a[c] >= threshold[c, k]).

    ``threshold`` has shape (C, K), K in 1..15, ascending in every channel; equal ones make a step of more than one.
    The values are low..low + K.
    """

    takes: ClassVar = ("currents",)
    activation: ClassVar = True

    threshold: np.ndarray
    low: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._arrays("threshold")
        self._integers("low")
        shape = self.threshold.shape
        if len(shape) != 2 or not shape[0] or not 1 <= shape[1] <= MOST_THRESHOLDS:
            self._fail(f"threshold must have 1..{MOST_THRESHOLDS} values a channel, (C, K), not shape {shape}")
        if (bad := np.flatnonzero((np.diff(self.threshold, axis=1) < 0).any(1))).size:
            self._fail(f"thresholds of channel {bad[0]} do not ascend: {self.threshold[bad[0]].tolist()}; sort them")
        if not self.low <= 0 < self.high:
            self._fail(
                f"values must be {-shape[1] + 1}..1 to 0..{shape[1]}, so that 0 is one of them, not "
                f"{self.low}..{self.high}; choose another low"
            )

    @property
    def high(self) -> int:
        """The highest value."""
        return self.low + self.threshold.shape[1]

    def _signal(self, sources: Sequence[Signal], steps: int) -> Signal:
        source = sources[0]
        self._check_channels(self.threshold, source)
        if source.timed or steps != 1:
            self._fail(
                f"Staircase works on values with T = 1, but here the currents of {self.source} meet T = {steps}; use "
                "IF neurons, or a network with steps = 1"
            )
        return Signal("values", source.shape, False, self.low, self.high)

    def reference_step(self, x: np.ndarray) -> np.ndarray:
        """The steps that were climbed."""
        return self.climbed(np.moveaxis(x, 1, -1)).transpose(0, 3, 1, 2)

    def climbed(self, currents: np.ndarray) -> np.ndarray:
        """The values of ``currents`` (..., C)."""
        return self.low + (currents[..., None] >= self.threshold).sum(-1)

    def span(self, spans: Sequence[Span], sources: Sequence[Signal], steps: int) -> Span:
        """Those of the ends."""
        return Span(self.climbed(spans[0].low), self.climbed(spans[0].high))

    def tested(self, current: np.ndarray, result: np.ndarray, steps: int) -> Tested:
        """Its currents, in steps of mean height, such that the first threshold is its first level above ``low``."""
        first, last = self.threshold[:, 0], self.threshold[:, -1]
        unit = np.maximum((last - first) // max(1, self.threshold.shape[1] - 1), 1)
        x = current.astype(np.int64) - by_channel(first - (self.low + 1) * unit)
        return Tested(x[:, None], unit, "before the staircase, in steps of mean height", self.high, "beyond its steps")

    def scalable(self, factor: np.ndarray) -> np.ndarray:
        """Factors (C,) up to ``factor`` by which its currents may be multiplied: any."""
        return factor

    def scaled(self, factor: np.ndarray) -> Staircase:
        """The node behind currents that are ``factor`` (C,) times what they were, rounded."""
        return replace(self, threshold=multiplied(self.threshold, factor))

    def reach(self, place: Place) -> NodeReach:
        """Both ways of every test, and every threshold moved by one."""
        return _StaircaseReach(self, place)

    @classmethod
    def array_shape(
        cls, field: str, shape: tuple[int, ...], entry: Mapping[str, Any], source: tuple[int, int, int]
    ) -> tuple[bool, str]:
        """Up to :data:`MOST_THRESHOLDS` numbers a channel."""
        fits = len(shape) == 2 and shape[0] == source[0] and 1 <= shape[1] <= MOST_THRESHOLDS
        return fits, f"({source[0]}, 1..{MOST_THRESHOLDS})"


class _StaircaseReach(NodeReach):
    """Branches ``tests`` (2, K, C): a test fails, and holds. Constants ``thresholds`` (2, K, C): whether one higher,
    and lower, by one changes a value."""

    def __init__(self, node: Staircase, place: Place) -> None:
        super().__init__(place, valued=True)
        self._test = test = node.threshold.T
        low, high, step = place.spans[0].low[0], place.spans[0].high[0], place.spans[0].step
        assert step is not None
        self.branches["tests"] = Branches.of(np.stack([low < test, high >= test]))
        # The current that a moved threshold puts on the other side of its test.
        between = [(low <= x) & (x <= high) & ((x - low) % np.maximum(step, 1) == 0) for x in (test, test - 1)]
        self.branches["thresholds"] = Branches.of(np.stack(between), "moved")

    def observe(self, inputs: Sequence[np.ndarray], result: np.ndarray) -> None:
        tests, moved = self.branches["tests"], self.branches["thresholds"]
        if tests.done and moved.done:
            return
        for k, test in enumerate(self._test):
            above = inputs[0].astype(np.int64) - test[:, None, None]
            for way, found in enumerate((above < 0, above >= 0)):
                tests.seen[way, k] |= found.any((0, 2, 3))
            for way, found in enumerate((above == 0, above == -1)):
                moved.seen[way, k] |= found.any((0, 2, 3))

    def texts(self, kind: str) -> list[str]:
        part = self.branches[kind].part
        if kind == "thresholds":
            return [f"in {part} channels there is a threshold that, moved by one, would change no word"]
        if kind == "tests":
            return [f"{part} channels have a threshold that currents were on one side of only"]
        return super().texts(kind)
