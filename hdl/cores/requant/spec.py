"""What a quantiser computes, and its numpy model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...bounds import reaches, whole
from ...cost.parts import Parts, bits_of
from ...memory.columns import AHEAD, count_columns
from ...streams.words import WordFormat
from ..protocol import CoreSpec

if TYPE_CHECKING:
    from .core import Requantiser

__all__ = ["RequantSpec", "split"]


def split(value: int) -> tuple[int, int]:
    """The least k with ``value`` <= 2^k, and 2^k - ``value``: a comparison with it is a test of the bits from k on and,
    where they are different, a comparison of those below."""
    bits = max(0, value - 1).bit_length()
    return bits, (1 << bits) - value


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

    @property
    def ahead(self) -> bool:
        """Whether constants are looked up while the group before theirs is there."""
        return self.groups > AHEAD

    @property
    def biases(self) -> list[list[int]]:
        """What each lane subtracts, group by group."""
        return self.bias.reshape(self.groups, self.outputs).T.tolist()

    def ways(self, lane: int) -> tuple[list[int], list[int]]:
        """The shifts of a lane, each once, and which of them it is, group by group."""
        shifts, which = np.unique(self.shift[lane :: self.outputs], return_inverse=True)
        return shifts.tolist(), which.tolist()

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
            parts.registers((bits - dropped).sum() + 1)
            parts.adders(bits, "quantiser adder")
            parts.table(self.groups, int(bits.sum()))
            if self.ahead:
                parts.registers(count_columns(self.biases))
        if self.bias.any() or self.ahead:
            parts.registers(count_columns(self.ways(lane)[1] for lane in range(self.outputs)))
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
        self._test(parts, shifted[high > self.hi], self.hi + 1)
        if self.lo:
            self._test(parts, shifted[low < self.lo], -self.lo)
        parts.logic["clamp"] += int(((low < self.lo) | (high > self.hi)).sum()) * self.o_format.bits
        return parts

    @staticmethod
    def _test(parts: Parts, bits: np.ndarray, bound: int) -> None:
        """A test of shifted values of so many ``bits`` against ``bound``."""
        if bound < 0:
            parts.adders(bits, "clamp test")
            return
        low, rest = split(bound)
        parts.logic["clamp of bits"] += int((-(-(bits - low) // 3)).sum())
        if rest:
            parts.adders(np.full_like(bits, low), "clamp test")

    def unread(self, behind: int) -> int:
        """Without a subtraction, the low bits of the currents that every channel of a lane shifts out."""
        if self.bias.any():
            return 0
        return int(np.clip(self.shift.reshape(-1, self.outputs).min(0), 0, self.i_format.bits - 1).sum())

    def core(self) -> Requantiser:
        """The hardware."""
        from .core import Requantiser

        return Requantiser(self)
