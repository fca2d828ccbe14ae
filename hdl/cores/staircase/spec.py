"""What a staircase computes, and its numpy model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...bounds import whole
from ...cost.parts import Parts
from ...streams.words import WordFormat
from ..protocol import CoreSpec

if TYPE_CHECKING:
    from .core import StaircaseArray

__all__ = ["StaircaseSpec"]


@dataclass(frozen=True, kw_only=True, eq=False)
class StaircaseSpec(CoreSpec):
    """Staircase of a layer (``quant.ir.ops.staircase.Staircase``): y = low + the number of thresholds that a reaches.

    Parameters: ``threshold``, (Co, K) integers that ascend in every row; ``low``; ``i_format``, the current words (one
    step); ``ranges``, (Co, 2), range of each channel's current.
    """

    NAME: ClassVar[str] = "staircase"

    threshold: np.ndarray
    low: int
    i_format: WordFormat
    ranges: np.ndarray

    def __post_init__(self) -> None:
        whole("threshold", self.threshold, 2)
        whole("ranges", self.ranges, 2)
        if (np.diff(self.threshold, axis=1) < 0).any():
            raise ValueError("The thresholds of a channel must ascend")
        if self.i_format.steps != 1:
            raise ValueError(f"A staircase takes one current a channel, not {self.i_format.steps} time steps")
        if len(self.threshold) % self.outputs:
            raise ValueError(f"outputs={self.outputs} does not divide the {len(self.threshold)} output channels")

    @property
    def outputs(self) -> int:
        """Channels computed at once."""
        return self.i_format.lanes

    @property
    def groups(self) -> int:
        """Groups of channels, one after the other."""
        return len(self.threshold) // self.outputs

    @property
    def steps(self) -> int:
        """K."""
        return self.threshold.shape[1]

    @property
    def o_format(self) -> WordFormat:
        """The words of values that leave."""
        return WordFormat(self.outputs, 1, self.low, self.low + self.steps)

    @property
    def count_bits(self) -> int:
        """Bits of the number of thresholds reached."""
        return self.steps.bit_length()

    @property
    def latency(self) -> int:
        """Cycles from a current word to its values: one for the comparisons, one for their number."""
        return 2

    @cached_property
    def tests(self) -> np.ndarray:
        """The thresholds (groups, outputs, K), no lower than the lowest current, which all reach, and no higher than
        one above the highest, which none does."""
        low, high = self.ranges[:, :1], self.ranges[:, 1:]
        return np.clip(self.threshold, low, high + 1).reshape(self.groups, self.outputs, self.steps)

    @cached_property
    def decided(self) -> np.ndarray:
        """(outputs, K): 0 or 1 where no current or every current of a lane reaches a threshold in all groups, else
        -1."""
        ends = self.ranges.reshape(self.groups, self.outputs, 2)
        always, never = ((self.tests == ends[..., k, None] + k).all(0) for k in (0, 1))
        return np.where(always, 1, np.where(never, 0, -1))

    def compute(self, currents: np.ndarray) -> np.ndarray:
        """Model: currents (n, outputs, 1) to values (n, outputs, 1)."""
        x = self.i_format.checked(currents).reshape(-1, len(self.threshold))
        y = [np.searchsorted(row, x[:, c], side="right") for c, row in enumerate(self.threshold)]
        return np.stack(y, 1).reshape(-1, self.outputs, 1) + self.low

    def parts(self) -> Parts:
        """What it is made of: the comparisons and what groups choose for them, the bits of the number, ``low``."""
        parts, open_ = Parts(), self.decided < 0
        parts.counter(self.groups)
        parts.registers(int(open_.sum()) + 1 + self.o_format.width + 1)
        parts.adders(np.full(int(open_.sum()), self.i_format.bits), "test" if self.groups == 1 else "chosen test")
        differ = open_ & (self.tests.min(0) != self.tests.max(0))
        parts.table(self.groups, int(differ.sum()) * self.i_format.bits)
        reached = self.steps >> np.arange(self.count_bits)  # a bit out of every 2^b-th test
        parts.logic["bit of count"] += self.outputs * int((-(-(reached - 1) // 3)).sum())
        if self.low:
            parts.adders(np.full(self.outputs, self.o_format.bits), "short adder")
        return parts

    def core(self) -> StaircaseArray:
        """The hardware."""
        from .core import StaircaseArray

        return StaircaseArray(self)
