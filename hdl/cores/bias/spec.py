"""What adds the biases of a map read-out, and its numpy model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...bounds import largest, reaches, whole
from ...cost.parts import Parts, bits_of
from ...memory.columns import AHEAD, count_columns
from ...streams.words import WordFormat
from ..protocol import CoreSpec

if TYPE_CHECKING:
    from .core import Bias

__all__ = ["BiasSpec"]


@dataclass(frozen=True, kw_only=True, eq=False)
class BiasSpec(CoreSpec):
    """The biases of a map (``quant.ir.ops.MapReadout``), where the accumulators do not begin with them: sum = current +
    bias.

    Parameters: ``bias``, (Co,) integers; ``i_format``, the words of currents summed over time; ``ranges``, (Co, 2),
    their ranges.
    """

    NAME: ClassVar[str] = "bias"

    bias: np.ndarray
    i_format: WordFormat
    ranges: np.ndarray

    def __post_init__(self) -> None:
        whole("bias", self.bias, 1)
        whole("ranges", self.ranges, 2)
        reaches("A sum", largest(self.ranges) + largest(self.bias))
        if self.i_format.steps != 1:
            raise ValueError(f"A map takes currents summed over time, not {self.i_format.steps} time steps")
        if self.bias.shape[0] % self.outputs:
            raise ValueError(f"outputs={self.outputs} does not divide the {self.bias.shape[0]} channels")

    @property
    def outputs(self) -> int:
        """Channels computed at once."""
        return self.i_format.lanes

    @property
    def groups(self) -> int:
        """Groups of channels, one after the other."""
        return self.bias.shape[0] // self.outputs

    @property
    def ahead(self) -> bool:
        """Whether biases are looked up while the group before theirs is there."""
        return self.groups > AHEAD

    @property
    def biases(self) -> list[list[int]]:
        """What each lane adds, group by group."""
        return self.bias.reshape(self.groups, self.outputs).T.tolist()

    @cached_property
    def sums(self) -> np.ndarray:
        """Range (Co, 2) of current + bias."""
        return self.ranges + self.bias[:, None]

    @property
    def o_format(self) -> WordFormat:
        """The words of sums that leave."""
        return WordFormat(self.outputs, 1, int(self.sums[:, 0].min()), int(self.sums[:, 1].max()))

    @property
    def latency(self) -> int:
        """Cycles from a current word to its sums."""
        return 1

    def compute(self, currents: np.ndarray) -> np.ndarray:
        """Model: currents (n, outputs, 1) to sums (n, outputs, 1)."""
        x = self.i_format.checked(currents).reshape(-1, self.groups * self.outputs) + self.bias
        return x.reshape(-1, self.outputs, 1)

    def parts(self) -> Parts:
        """What it is made of: an adder a lane, and the constants."""
        parts = Parts()
        parts.counter(self.groups)
        each = self.sums.reshape(self.groups, self.outputs, 2)
        bits = bits_of(each[..., 0].min(0), each[..., 1].max(0))
        parts.registers(int(bits.sum()) + 1)
        parts.adders(bits, "read-out adder")
        parts.table(self.groups, int(bits.sum()))
        if self.ahead:
            parts.registers(count_columns(self.biases))
        return parts

    def core(self) -> Bias:
        """The hardware."""
        from .core import Bias

        return Bias(self)
