"""Stream words: the elements of several channels side by side, each with all its time steps.

A word carries ``lanes`` elements; an element carries ``steps`` integers of ``bits`` bits, the earliest time step in
the lowest bits. Lane 0 sits in the lowest bits of the word. In numpy a word is a row of 32-bit little-endian limbs,
the form in which all simulators take and give them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from amaranth import Module, Shape, Signal, Value, signed, unsigned

from ..bounds import reaches

__all__ = ["WordFormat", "bits_for", "resized", "shape_for"]


def bits_for(low: int, high: int) -> tuple[int, bool]:
    """Return (bits, signed) of the narrowest integer that holds ``low``..``high``."""
    if low > high:
        raise ValueError(f"Range must not be empty, not {low}..{high}")
    if low >= 0:
        return max(1, int(high).bit_length()), False
    return max(int(high).bit_length(), int(-low - 1).bit_length()) + 1, True


def shape_for(low: int, high: int) -> Shape:
    """Return the narrowest Amaranth shape that holds ``low``..``high``."""
    bits, is_signed = bits_for(low, high)
    return signed(bits) if is_signed else unsigned(bits)


def resized(m: Module, value: Value, low: int, high: int, name: str) -> Signal:
    """Return ``value``, which lies in ``low``..``high``, in the shape of that range."""
    result = Signal(shape_for(low, high), name=name)
    m.d.comb += result.eq(value)
    return result


@dataclass(frozen=True)
class WordFormat:
    """Layout of a stream word.

    Parameters: ``lanes``, elements in a word; ``steps``, time steps in an element; ``low`` and ``high``, the range of
    one step of an element, from which ``bits`` and ``signed`` are derived.
    """

    lanes: int
    steps: int
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.lanes < 1 or self.steps < 1:
            raise ValueError(f"Lanes and steps must be positive integers, not {self.lanes} and {self.steps}")
        bits_for(self.low, self.high)
        reaches("A range", max(abs(int(self.low)), abs(int(self.high))))

    @property
    def bits(self) -> int:
        """Bits of one step of an element."""
        return bits_for(self.low, self.high)[0]

    @property
    def signed(self) -> bool:
        """Whether the integers are two's complement."""
        return bits_for(self.low, self.high)[1]

    @property
    def element_bits(self) -> int:
        """Bits of an element: all its time steps."""
        return self.steps * self.bits

    @property
    def width(self) -> int:
        """Bits of a word."""
        return self.lanes * self.element_bits

    @property
    def summed(self) -> WordFormat:
        """The words of the sums over time of the elements of such words: of spikes, their counts in binary."""
        return WordFormat(self.lanes, 1, self.low * self.steps, self.high * self.steps)

    @property
    def limbs(self) -> int:
        """32-bit limbs of a word in numpy."""
        return -(-self.width // 32)

    def checked(self, elements: np.ndarray) -> np.ndarray:
        """Return ``elements``, of any shape, as int64. Raises TypeError where they are no integers, ValueError where
        one is out of range."""
        elements = np.asarray(elements)
        if elements.dtype.kind not in "iub":
            raise TypeError(f"Elements must be integers, not {elements.dtype}")
        if elements.size and (elements.min() < self.low or elements.max() > self.high):
            raise ValueError(f"Elements must be in {self.low}..{self.high}, found {elements.min()}..{elements.max()}")
        return elements.astype(np.int64)

    def pack(self, elements: np.ndarray) -> np.ndarray:
        """Pack integers of shape (n, lanes, steps) into words of shape (n, limbs), uint32.

        Raises ValueError where a value is out of range.
        """
        elements = np.asarray(elements)
        if elements.ndim != 3 or elements.shape[1:] != (self.lanes, self.steps):
            raise ValueError(f"Elements must have shape (n, {self.lanes}, {self.steps}), not {elements.shape}")
        flat = self.checked(elements).reshape(len(elements), -1, 1)
        bits = ((flat >> np.arange(self.bits)) & 1).astype(np.uint8).reshape(len(elements), self.width)
        bits = np.pad(bits, ((0, 0), (0, self.limbs * 32 - self.width)))
        return np.ascontiguousarray(np.packbits(bits, axis=1, bitorder="little")).view("<u4")

    def unpack(self, words: np.ndarray) -> np.ndarray:
        """Unpack words (n, limbs) into int64 (n, lanes, steps); the inverse of :meth:`pack`. Further fields above
        the elements are left out."""
        words = np.ascontiguousarray(words[:, : self.limbs], dtype="<u4")
        bits = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")[:, : self.width]
        bits = bits.reshape(len(words), self.lanes, self.steps, self.bits).astype(np.int64)
        weights = 1 << np.arange(self.bits, dtype=np.int64)
        if self.signed:
            weights[-1] = -weights[-1]
        return bits @ weights
