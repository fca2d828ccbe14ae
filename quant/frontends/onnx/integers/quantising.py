"""What a quantiser of activations becomes: nothing, where all values stay what they are, else a staircase."""

from __future__ import annotations

import math

import numpy as np

from ....ir.ops import Flatten
from ..step import Step
from .building import Building
from .numbers import Numbers, Part
from .quantisers import Quantiser
from .thresholds import stairs

__all__ = ["Quantising"]

MOST_SAME = 1 << 10
"""Up to so many values are compared one by one with what a quantiser makes of them."""


class Quantising:
    """Adds the staircases of quantisers to a ``building``."""

    def __init__(self, building: Building) -> None:
        self.building = building

    def levels(self, step: Step, name: str, numbers: Numbers, quantiser: Quantiser) -> tuple[str, np.ndarray]:
        """The node whose values, with a number for each channel added, (C,) or (1,), are the levels of ``quantiser``,
        with scales (C, 1); ``name`` is that of a new one."""
        if (more := self._same(numbers, quantiser)) is not None:
            return numbers.node, more
        none, mapped = np.zeros(1), self._mapped(numbers, quantiser) if numbers.part == Part() else None
        if mapped is None:
            return self._stepped(step, name, numbers, quantiser), none
        node = self._stepped(step, name, *mapped)
        return self.building.add(Flatten(name=f"{name} as a vector", source=node)), none

    def _same(self, numbers: Numbers, quantiser: Quantiser) -> np.ndarray | None:
        """What is added to values that a quantiser keeps, all of them; None where there are others."""
        signal = self.building.signals[numbers.node]
        if signal.kind != "values" or signal.high - signal.low > MOST_SAME:
            return None
        n = np.arange(signal.low, signal.high + 1)[None].repeat(len(numbers.unit), 0)
        more = quantiser.levels(numbers.floats(n)) - n
        return None if (more != more[:, :1]).any() else more[:, 0]

    def _mapped(self, numbers: Numbers, quantiser: Quantiser) -> tuple[Numbers, Quantiser] | None:
        """The same before a Flatten, where all pixels of a channel meet the same thresholds: fewer of them."""
        node = self.building.nodes[numbers.node]
        if not isinstance(node, Flatten):
            return None
        shape = (numbers.shape[0], *self.building.signals[node.source].shape)
        size = math.prod(shape[2:])
        before, found = numbers.unflattened(node.source, shape), quantiser.unflattened(size)
        return None if before is None or found is None else (before, found)

    def _stepped(self, step: Step, name: str, numbers: Numbers, quantiser: Quantiser) -> str:
        """The staircase of ``quantiser``."""
        node = numbers.node
        if self.building.values(node):
            node = self.building.weighted(step, numbers, np.ones(len(numbers.unit), np.int64))
        ends = np.array([[-numbers.reach, numbers.reach]]).repeat(len(numbers.unit), 0)
        if not np.isfinite(numbers.floats(ends)).all():
            step.refuse("of numbers that are not finite", "constants that are, and variances above 0")
        signal = self.building.signals[node]
        found = stairs(numbers, quantiser, (signal.low, signal.high))
        if numbers.fused is not None and numbers.fused.ordered and found.unsure:
            count, sums = found.unsure // len(numbers.unit), signal.high - signal.low + 1
            self.building.inexact(step, f"behind an average whose sums ({count:,} of {sums:,} of them) lie so near the "
                                  "middle of two levels that the order of floats decides: these get another level, by "
                                  "1 at most", "a pool over the whole map, or other scales")  # fmt: skip
        self.building.turn(step, node, found.turned)
        return self.building.staircase(step, name, node, found)
