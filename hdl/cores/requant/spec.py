"""What a quantiser computes, and its numpy model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...bounds import reaches, whole
from ...cost.parts import Parts, bits_of, index_bits
from ...streams.words import WordFormat
from ..protocol import CoreSpec

if TYPE_CHECKING:
    from .core import Requantiser

__all__ = ["RequantSpec", "exponent"]


def exponent(value: int) -> int | None:
    """k of a ``value`` 2^k, 0 of zero, None of any other: bounds of ranges that bits can be tested for."""
    return None if value < 0 or value & (value - 1) else max(0, value.bit_length() - 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class RequantSpec(CoreSpec):
    """Quantiser of a layer (``quant.ir.ops.Requant``): y = clamp((a - bias) >> shift, lo, hi), floor.

    Parameters: ``bias`` and ``shift``, (Co,) integers, a negative shift to the left; ``lo`` and ``hi``; ``i_format``,
    the current words (one step); ``ranges``, (Co, 2), range of each channel's current.
    """

    NAME: ClassVar[str] = "requantiser"

    bias: np.ndarray
    shift: np.ndarray
    lo: int
    hi: int
    i_format: WordFormat
    ranges: np.ndarray

    def __post_init__(self) -> None:
        whole("bias", self.bias, 1)
        whole("shift", self.shift, 1)
        whole("ranges", self.ranges, 2)
        if self.shift.min() < -8 or self.shift.max() > 30:
            raise ValueError(f"Shifts must be in -8..30, found {self.shift.min()}..{self.shift.max()}")
        shifted = np.abs(self.ranges).max(1) + np.abs(self.bias) << np.maximum(-self.shift, 0)  # below 2^62
        reaches("A shifted value", int(shifted.max()))
        if self.i_format.steps != 1:
            raise ValueError(f"A quantiser takes one current a channel, not {self.i_format.steps} time steps")
        if self.bias.shape[0] % self.outputs:
            raise ValueError(f"outputs={self.outputs} does not divide the {self.bias.shape[0]} output channels")

    @property
    def outputs(self) -> int:
        """Channels computed at once."""
        return self.i_format.lanes

    @property
    def groups(self) -> int:
        """Groups of channels, one after the other."""
        return self.bias.shape[0] // self.outputs

    @property
    def o_format(self) -> WordFormat:
        """The words of values that leave."""
        return WordFormat(self.outputs, 1, self.lo, self.hi)

    @property
    def latency(self) -> int:
        """Cycles from a current word to its values: one for the subtraction, if there is one, one for the rest."""
        return 2 if self.bias.any() else 1

    @cached_property
    def differences(self) -> np.ndarray:
        """Range (Co, 2) of a - bias."""
        return self.ranges - self.bias[:, None]

    def compute(self, currents: np.ndarray) -> np.ndarray:
        """Model: currents (n, outputs, 1) to values (n, outputs, 1)."""
        x = self.i_format.checked(currents).reshape(-1, self.groups * self.outputs) - self.bias
        x = np.where(self.shift >= 0, x >> np.maximum(self.shift, 0), x << np.maximum(-self.shift, 0))
        return np.clip(x, self.lo, self.hi).reshape(-1, self.outputs, 1)

    def parts(self) -> Parts:
        """What it is made of: subtraction, shift, two tests and the choice of the result."""
        parts = Parts()
        parts.counter(self.groups)
        grouped = self.differences.reshape(self.groups, self.outputs, 2)
        low, high = grouped[..., 0].min(0), grouped[..., 1].max(0)
        bits = bits_of(low, high)
        if self.bias.any():
            # Bits that nothing reads.
            dropped = np.clip(self.shift.reshape(self.groups, self.outputs).min(0), 0, bits - 1)
            several = (self.shift.reshape(self.groups, self.outputs) != self.shift[: self.outputs]).any()
            parts.registers((bits - dropped).sum() + 1 + (index_bits(self.groups) if several else 0))
            parts.adders(bits, "quantiser adder")
            parts.table(self.groups, int(bits.sum()))
        shifts = self.shift.reshape(self.groups, self.outputs)
        least = shifts.min(0)
        low, high = (
            np.where(least >= 0, low >> np.maximum(least, 0), low << np.maximum(-least, 0)),
            np.where(least >= 0, high >> np.maximum(least, 0), high << np.maximum(-least, 0)),
        )
        shifted = bits_of(low, high)
        # Without negative results the bits above those of the shifted value are zero, its sign too.
        most = np.minimum(shifted - (low < 0), self.o_format.bits)
        parts.registers(1 + (self.o_format.width if self.lo else most.sum()))
        for lane in range(self.outputs):
            ways = len(np.unique(shifts[:, lane]))
            parts.mux(ways, int(shifted[lane]))
        self._test(parts, shifted[high > self.hi], exponent(self.hi + 1))
        if self.lo:
            self._test(parts, shifted[low < self.lo], exponent(-self.lo))
        parts.logic["clamp"] += int(((low < self.lo) | (high > self.hi)).sum()) * self.o_format.bits
        return parts

    @staticmethod
    def _test(parts: Parts, bits: np.ndarray, power: int | None) -> None:
        """A test of shifted values of so many ``bits`` against a bound: of bits from ``power`` on, or a comparison."""
        if power is None:
            parts.adders(bits, "clamp test")
        else:
            parts.logic["clamp of bits"] += int((-(-(bits - power) // 3)).sum())

    def unread(self, behind: int) -> int:
        """Without a subtraction, the low bits of the currents that every channel of a lane shifts out."""
        if self.bias.any():
            return 0
        return int(np.clip(self.shift.reshape(-1, self.outputs).min(0), 0, self.i_format.bits - 1).sum())

    def core(self) -> Requantiser:
        """The hardware."""
        from .core import Requantiser

        return Requantiser(self)
