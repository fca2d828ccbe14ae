"""What a core is made of, counted before synthesis: flip-flops and memories exactly, logic in kinds of parts.

A part is what Yosys maps in one way: bits of adders, of multiplexers, of tables. How many LUT4 a part of each kind
takes is measured (``gen.cost.coefficients``); how many parts there are follows from the structure of the core.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from ..memory.style import DEEPEST
from .memory import Style, mapped, side_by_side

__all__ = ["Parts", "bits_of", "bits_of_positive", "index_bits"]


_BYTES = np.arange(256, dtype=np.uint8).view(np.int8).tolist()
_HIGH = np.array([abs(value).bit_length() for value in _BYTES], np.int32)
_LOW = np.array([max(-value - 1, 0).bit_length() for value in _BYTES], np.int32)
"""Bits of integers of 8 bits as the high and as the low end of a range, by their byte."""


def bits_of(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Bits of the narrowest integers that hold ``low``..``high``, elementwise (``hdl.streams.words.bits_for``)."""
    if low.dtype == high.dtype == np.int8:
        length, negative = _HIGH[high.view(np.uint8)], _LOW[low.view(np.uint8)]
    else:
        length = np.frexp(np.abs(high).astype(float))[1]
        negative = np.frexp(np.maximum(-low - 1, 0).astype(float))[1]
    return np.where(low < 0, np.maximum(length, negative) + 1, np.maximum(length, 1))


def bits_of_positive(high: np.ndarray) -> np.ndarray:
    """Bits of the narrowest integers that hold 0..``high``, elementwise: :func:`bits_of` for ``low`` 0."""
    return np.maximum(np.frexp(high.astype(float))[1], 1)


def index_bits(count: int) -> int:
    """Bits of an index of ``count`` values."""
    return (count - 1).bit_length()


class Parts:
    """Counts of a core or a stage. Attributes: ``ff``, ``ebr``, ``lut_ram``, ``dsp`` (multipliers); ``logic``, parts by
    kind."""

    def __init__(self) -> None:
        self.ff = self.ebr = self.lut_ram = self.dsp = 0
        self.logic: defaultdict[str, float] = defaultdict(float)

    def add(self, other: Parts) -> None:
        """Add the counts of ``other``."""
        self.ff, self.ebr, self.lut_ram = self.ff + other.ff, self.ebr + other.ebr, self.lut_ram + other.lut_ram
        self.dsp += other.dsp
        for kind, count in other.logic.items():
            self.logic[kind] += count

    def registers(self, bits: int) -> None:
        """Flip-flops."""
        self.ff += int(bits)

    def adders(self, bits: np.ndarray, kind: str, times: int = 1) -> None:
        """``times`` adders, subtractions or comparisons of ``bits`` each: carry cells of two bits from 5 bits on, else
        LUTs."""
        for width, count in enumerate(np.bincount(bits.ravel()).tolist()):
            if count:
                self.logic[kind if width > 4 else "short adder"] += times * count * (width + width % 2 * (width > 4))

    def mux(self, ways: int, bits: int) -> None:
        """Choice of ``bits`` bits among ``ways`` values."""
        if ways == 2:
            self.logic["mux of two"] += bits
        elif ways > 2:
            self.logic["mux"] += ways * bits

    def table(self, entries: int, bits: int) -> None:
        """``bits`` functions of an index of ``entries`` values: a LUT each for every 16 values."""
        if entries > 1:
            self.logic["table"] += bits * -(-entries // 16)

    def counter(self, count: int) -> None:
        """A counter of ``count`` states."""
        if count > 1:
            self.registers(index_bits(count))
            self.logic["counter"] += 1
            self.logic["counter bit"] += index_bits(count)

    def rom(self, depth: int, width: int, cycles: int = 2) -> None:
        """A read-only memory in block RAM, with the register behind it, as ``hdl.memory.rom`` makes it: read in so many
        ``cycles``."""
        if depth <= DEEPEST and cycles == 2:
            unit = 36 if depth <= 512 else 18 if depth <= 1024 else 9
            self.ebr += -(-width // unit)
            return
        self.memory(depth, width, "block", written=False)
        banks = mapped(depth, width, "block", written=False).banks
        if cycles == 2:
            self.registers(width)
        else:
            self.registers(index_bits(depth) if banks == 1 else 2 * index_bits(banks) + width)

    def block_ram(self, depth: int, width: int) -> None:
        """A memory in block RAM, with the register behind it, as ``block_ram.v`` instantiates it."""
        self.ebr += side_by_side(depth, width)

    def memory(self, depth: int, width: int, style: Style, *, written: bool = True, registered: bool = True) -> None:
        """A memory with one read port; the data register of a LUT RAM is of flip-flops, and so is the bank of several
        block RAMs."""
        cells = mapped(depth, width, style, written=written, registered=registered)
        self.ebr += cells.ebr
        self.lut_ram += cells.lut_ram
        if cells.banks > 1:
            self.mux(cells.banks, width)
            self.logic["bank"] += cells.banks if written else 0
            self.registers(index_bits(cells.banks) if cells.ebr and written else 0)  # which one the word is in
        if cells.bits and written:
            self.registers(cells.bits)
            self.mux(depth, width)
            self.logic["bank"] += depth
        elif cells.bits:
            self.table(depth, width)
        if registered and not cells.ebr:
            self.registers(width)
