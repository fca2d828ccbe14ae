"""What initial membranes of single neurons add to the currents, and its numpy model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...bounds import largest, reaches, whole
from ...cost.parts import Parts, bits_of
from ...memory.style import rom_style
from ...streams.words import WordFormat
from ..protocol import CoreSpec

if TYPE_CHECKING:
    from .core import InitialMembranes

__all__ = ["InitialSpec"]


@dataclass(frozen=True, kw_only=True, eq=False)
class InitialSpec(CoreSpec):
    """What is added to the currents of the first time step.

    Parameters:
        offset: (positions, Co) integers, not negative, position by position in the order of the frame.
        i_format: the current words, Co / lanes of them a position, each ``scans`` times.
        ranges: (Co, 2), range of each channel's current.
        scans: current words of a neuron, each with a group of its time steps; the first one has the first step.
        times: the current counts so many times (a constant current of rule ``lossless``, which needs the sum over
            time).
        repeated: the current comes once and stands for all time steps, of which there are several: the first one and
            the others leave as two steps.
    """

    NAME: ClassVar[str] = "initialmembranes"

    offset: np.ndarray
    i_format: WordFormat
    ranges: np.ndarray
    scans: int = 1
    times: int = 1
    repeated: bool = False

    def __post_init__(self) -> None:
        whole("offset", self.offset, 2)
        whole("ranges", self.ranges, 2)
        reaches("A sum", largest(self.ranges) * self.times + largest(self.offset))
        if self.offset.ndim != 2 or self.offset.shape[1] % self.i_format.lanes:
            raise ValueError(
                f"offset must have shape (positions, a multiple of {self.i_format.lanes}), not {self.offset.shape}"
            )
        if self.offset.min() < 0:
            raise ValueError(f"Offsets must not be negative, found {self.offset.min()}")
        if (self.repeated or self.times > 1) and (self.i_format.steps > 1 or self.scans > 1):
            raise ValueError("A constant current comes once, not in several steps")

    @property
    def rows(self) -> np.ndarray:
        """The offsets in the order of the words, (words of a frame, lanes)."""
        return self.offset.reshape(-1, self.i_format.lanes)

    @property
    def o_ranges(self) -> np.ndarray:
        """Range (Co, 2) of each channel's current in the steps after the first."""
        return self.ranges * self.times

    @cached_property
    def initial(self) -> np.ndarray:
        """Range (Co, 2) of what is added in the first step."""
        return np.stack([self.offset.min(0), self.offset.max(0)], axis=1)

    @cached_property
    def o_format(self) -> WordFormat:
        """The current words that leave."""
        later = self.repeated or self.i_format.steps * self.scans > 1
        firsts = self.o_ranges + self.initial
        low, high = firsts[:, 0].min(), firsts[:, 1].max()
        if later:
            low, high = min(low, self.o_ranges[:, 0].min()), max(high, self.o_ranges[:, 1].max())
        return WordFormat(self.i_format.lanes, 2 if self.repeated else self.i_format.steps, int(low), int(high))

    @property
    def latency(self) -> int:
        """Cycles from a current word to its sum: the offsets wait in a register."""
        return 1

    def compute(self, currents: np.ndarray) -> np.ndarray:
        """Model: currents (n, lanes, steps) to sums (n, lanes, steps of ``o_format``)."""
        currents = self.i_format.checked(currents)
        x = np.repeat(currents, 2, axis=2) if self.repeated else currents
        x = (x * self.times).reshape(-1, len(self.rows), self.scans, *x.shape[1:])
        x[:, :, 0, :, 0] += self.rows
        return x.reshape(-1, *x.shape[3:])

    def parts(self) -> Parts:
        """What it is made of: the memory of offsets and its register, shifted additions, the sums."""
        parts = Parts()
        parts.counter(self.scans)
        rows, lanes = self.rows, self.i_format.lanes
        width = int(bits_of(np.zeros(lanes, np.int64), rows.max(0)).sum())
        parts.registers(self.o_format.width + 1)
        if len(rows) > 1:
            parts.memory(len(rows), width, rom_style(len(rows), width), written=False)
            parts.registers(width + 2)
            parts.counter(len(rows))
        out = np.full(lanes, self.o_format.bits)
        parts.adders(out, "initial adder", self.times.bit_count())
        parts.logic["initial gate"] += width if self.scans > 1 else 0
        return parts

    def core(self) -> InitialMembranes:
        """The hardware."""
        from .core import InitialMembranes

        return InitialMembranes(self)
