"""What all circuits of a staircase have in common: parameters, words, the numpy model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...bounds import whole
from ...streams.words import WordFormat
from ..protocol import CoreSpec

__all__ = ["Stairs"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Stairs(CoreSpec):
    """Staircase of a layer (``quant.ir.ops.staircase.Staircase``): y = values[k], k the number of thresholds that a
    reaches.

    Parameters: ``threshold``, (Co, K) integers that ascend in every row; ``values``, (Co, K + 1) integers, or None for
    low..low + K with ``low``; ``i_format``, the current words (one step); ``ranges``, (Co, 2), range of each channel's
    current.
    """

    threshold: np.ndarray
    low: int
    i_format: WordFormat
    ranges: np.ndarray
    values: np.ndarray | None = None

    def __post_init__(self) -> None:
        whole("threshold", self.threshold, 2)
        whole("ranges", self.ranges, 2)
        if (np.diff(self.threshold, axis=1) < 0).any():
            raise ValueError("The thresholds of a channel must ascend")
        if self.i_format.steps != 1:
            raise ValueError(f"A staircase takes one current a channel, not {self.i_format.steps} time steps")
        if len(self.threshold) % self.outputs:
            raise ValueError(f"outputs={self.outputs} does not divide the {len(self.threshold)} output channels")
        if self.values is not None:
            whole("values", self.values, 2)
            if self.values.shape != (want := (len(self.threshold), self.steps + 1)):
                raise ValueError(f"values must have shape {want}, one more than thresholds, not {self.values.shape}")

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
        """The words of values that leave; 0 is in their range."""
        if self.values is None:
            return WordFormat(self.outputs, 1, self.low, self.low + self.steps)
        return WordFormat(self.outputs, 1, min(0, int(self.values.min())), max(0, int(self.values.max())))

    @property
    def count_bits(self) -> int:
        """Bits of the number of thresholds reached."""
        return self.steps.bit_length()

    @cached_property
    def tests(self) -> np.ndarray:
        """The thresholds (groups, outputs, K), no lower than the lowest current, which all reach, and no higher than
        one above the highest, which none does."""
        low, high = self.ranges[:, :1], self.ranges[:, 1:]
        return np.clip(self.threshold, low, high + 1).reshape(self.groups, self.outputs, self.steps)

    @cached_property
    def levels(self) -> np.ndarray | None:
        """``values`` (groups, outputs, K + 1)."""
        return None if self.values is None else self.values.reshape(self.groups, self.outputs, self.steps + 1)

    def compute(self, currents: np.ndarray) -> np.ndarray:
        """Model: currents (n, lanes, 1) to values (m, outputs, 1)."""
        x = self.i_format.checked(currents).reshape(-1, len(self.threshold))
        y = np.stack([np.searchsorted(row, x[:, c], side="right") for c, row in enumerate(self.threshold)], 1)
        y = y + self.low if self.values is None else np.take_along_axis(self.values, y.T, 1).T
        return y.reshape(-1, self.outputs, 1)
