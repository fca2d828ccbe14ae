"""The parts of a word of currents that a serialiser hands out, and its numpy model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...cost.parts import Parts
from ...streams.words import WordFormat
from ..protocol import CoreSpec

if TYPE_CHECKING:
    from .core import Serialiser

__all__ = ["SerialiserSpec"]


@dataclass(frozen=True)
class SerialiserSpec(CoreSpec):
    """Parts of ``lanes`` lanes out of words of ``i_format``, one a cycle, the lowest lanes first.

    ``lanes`` divides those of ``i_format``; the words must lie at least ``ratio`` cycles apart.
    """

    NAME: ClassVar[str] = "serialiser"

    i_format: WordFormat
    lanes: int

    def __post_init__(self) -> None:
        if self.lanes < 1 or self.i_format.lanes % self.lanes:
            raise ValueError(f"lanes={self.lanes} does not divide the {self.i_format.lanes} lanes of a word")

    @property
    def ratio(self) -> int:
        """Parts of a word."""
        return self.i_format.lanes // self.lanes

    @property
    def o_format(self) -> WordFormat:
        """The parts."""
        form = self.i_format
        return WordFormat(self.lanes, form.steps, form.low, form.high)

    @property
    def latency(self) -> int:
        """Cycles from a word to its first part."""
        return 1

    def compute(self, words: np.ndarray) -> np.ndarray:
        """Model: words (n, lanes, T) to parts (n * ratio, lanes / ratio, T)."""
        return words.reshape(-1, self.lanes, words.shape[-1])

    def parts(self) -> Parts:
        """What it is made of: one multiplexer."""
        parts = Parts()
        parts.registers(self.o_format.width + 2)
        parts.counter(self.ratio)
        parts.mux(self.ratio, self.o_format.width)
        return parts

    def unread(self, behind: int) -> int:
        """The same bits of every part."""
        return behind * self.ratio

    def spared(self, unread: int) -> Parts:
        """Their multiplexer and register."""
        parts = Parts()
        if unread:
            parts.registers(-unread)
            parts.mux(self.ratio, -unread)
        return parts

    def core(self) -> Serialiser:
        """The hardware."""
        from .core import Serialiser

        return Serialiser(self)
