"""The quantiser with a threshold for every step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from ..node import IMPLICIT, Node, Tested, by_channel, multiplied
from ..reach.node import NodeReach, Place
from ..reach.stairs import StaircaseReach
from ..signal import Signal
from ..span import Span

__all__ = ["LARGEST_VALUE", "MOST_THRESHOLDS", "Staircase"]

MOST_THRESHOLDS = 255
"""The most steps of a staircase: levels of eight bits."""

LARGEST_VALUE = 255
"""The largest magnitude of a value."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Staircase(Node):
    """y[c] = values[c, k], k the number of thresholds of c with a[c] >= threshold[c, .].

    ``threshold`` has shape (C, K), K in 1..255, ascending in every channel; equal ones make a step of more than one.
    ``values``, (C, K + 1) or one list for all channels, (K + 1,), are any integers in -255..255; without them they are
    low..low + K. Values that are such a row are kept as ``low``, and equal rows as one list.
    """

    takes: ClassVar = ("currents",)
    activation: ClassVar = True

    threshold: np.ndarray
    low: int = 0
    values: np.ndarray | None = field(default=None, metadata=IMPLICIT)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._arrays("threshold")
        self._integers("low")
        shape = self.threshold.shape
        if len(shape) != 2 or not shape[0] or not 1 <= shape[1] <= MOST_THRESHOLDS:
            self._fail(f"threshold must have 1..{MOST_THRESHOLDS} values a channel, (C, K), not shape {shape}")
        if (bad := np.flatnonzero((np.diff(self.threshold, axis=1) < 0).any(1))).size:
            self._fail(f"thresholds of channel {bad[0]} do not ascend: {self.threshold[bad[0]].tolist()}; sort them")
        if self.values is not None:
            self._check_values(*shape)
        if self.values is None and not self.low <= 0 < self.high:
            self._fail(
                f"values must be {-shape[1] + 1}..1 to 0..{shape[1]}, so that 0 is one of them, not "
                f"{self.low}..{self.high}; choose another low"
            )

    def _check_values(self, channels: int, steps: int) -> None:
        """Refuse ``values`` that do not fit; keep what a shorter form says in that form."""
        self._arrays("values")
        values = self.values
        assert values is not None
        if values.shape not in ((steps + 1,), (channels, steps + 1)):
            self._fail(
                f"values must be one more than the {steps} thresholds, ({steps + 1},) or ({channels}, {steps + 1}), "
                f"not shape {values.shape}"
            )
        if (worst := int(values.flat[np.abs(values).argmax()])) not in range(-LARGEST_VALUE, LARGEST_VALUE + 1):
            self._fail(f"values must be in -{LARGEST_VALUE}..{LARGEST_VALUE}, found {worst}; use coarser levels")
        if not values.any():
            self._fail("all values are 0, so that nothing comes through; give others, or leave the layer out")
        if self.low:
            self._fail(f"has low = {self.low} and values, which say it themselves; leave low out")
        rows = np.atleast_2d(values)
        if (rows == rows[0]).all():
            first = int(rows[0, 0])
            plain = first <= 0 < first + steps and (np.diff(rows[0]) == 1).all()
            object.__setattr__(self, "low", first if plain else 0)
            object.__setattr__(self, "values", None if plain else rows[0])

    @property
    def levels(self) -> np.ndarray:
        """The values (C, K + 1)."""
        channels, steps = self.threshold.shape
        values = self.low + np.arange(steps + 1) if self.values is None else self.values
        return np.broadcast_to(values, (channels, steps + 1))

    @property
    def lowest(self) -> int:
        """The lowest value, or 0."""
        return self.low if self.values is None else min(0, int(self.values.min()))

    @property
    def high(self) -> int:
        """The highest value, or 0."""
        return self.low + self.threshold.shape[1] if self.values is None else max(0, int(self.values.max()))

    def _signal(self, sources: Sequence[Signal], steps: int) -> Signal:
        source = sources[0]
        self._check_channels(self.threshold, source)
        if source.timed or steps != 1:
            self._fail(
                f"Staircase works on values with T = 1, but here the currents of {self.source} meet T = {steps}; use "
                "IF neurons, or a network with steps = 1"
            )
        return Signal("values", source.shape, False, self.lowest, self.high)

    def reference_step(self, x: np.ndarray) -> np.ndarray:
        """The value of the steps that were climbed."""
        climbed, levels = self.climbed(np.moveaxis(x, 1, -1)), self.levels
        return levels[np.arange(len(levels)), climbed].transpose(0, 3, 1, 2)

    def climbed(self, currents: np.ndarray) -> np.ndarray:
        """How many thresholds ``currents`` (..., C) reach."""
        found = np.zeros(currents.shape, np.int64)
        for row in self.threshold.T:
            found += currents >= row
        return found

    def span(self, spans: Sequence[Span], sources: Sequence[Signal], steps: int) -> Span:
        """The least and the most of the values between those of the ends."""
        first, last = (self.climbed(end)[..., None] for end in spans[0][:2])
        k, levels = np.arange(self.threshold.shape[1] + 1), self.levels
        here = (first <= k) & (k <= last)
        return Span(
            np.where(here, levels, LARGEST_VALUE).min(-1),
            np.where(here, levels, -LARGEST_VALUE).max(-1),
        )

    def tested(self, current: np.ndarray, result: np.ndarray, steps: int) -> Tested:
        """Its currents, in steps of mean height, such that the first threshold is its first level above ``low``."""
        first, last = self.threshold[:, 0], self.threshold[:, -1]
        unit = np.maximum((last - first) // max(1, self.threshold.shape[1] - 1), 1)
        x = current.astype(np.int64) - by_channel(first - (self.low + 1) * unit)
        return Tested(x[:, None], unit, "before the staircase, in steps of mean height",
                      self.low + self.threshold.shape[1], "beyond its steps")  # fmt: skip

    def scalable(self, factor: np.ndarray) -> np.ndarray:
        """Factors (C,) up to ``factor`` by which its currents may be multiplied: any."""
        return factor

    def scaled(self, factor: np.ndarray) -> Staircase:
        """The node behind currents that are ``factor`` (C,) times what they were, rounded."""
        return replace(self, threshold=multiplied(self.threshold, factor))

    def reach(self, place: Place) -> NodeReach:
        """Both ways of every test, and every threshold moved by one."""
        return StaircaseReach(self.threshold, self.levels, place)

    @classmethod
    def array_shape(
        cls, field: str, shape: tuple[int, ...], entry: Mapping[str, Any], source: tuple[int, int, int]
    ) -> tuple[bool, str]:
        """Up to :data:`MOST_THRESHOLDS` thresholds a channel, and values for one list of them or one a channel."""
        if field == "values":
            fits = len(shape) in (1, 2) and shape[:-1] in ((), source[:1]) and 2 <= shape[-1] <= MOST_THRESHOLDS + 1
            return fits, f"(2..{MOST_THRESHOLDS + 1},) or ({source[0]}, 2..{MOST_THRESHOLDS + 1})"
        fits = len(shape) == 2 and shape[0] == source[0] and 1 <= shape[1] <= MOST_THRESHOLDS
        return fits, f"({source[0]}, 1..{MOST_THRESHOLDS})"
