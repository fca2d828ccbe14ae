"""The parts of a word of currents that a serialiser hands out, and its numpy model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...streams.words import WordFormat

__all__ = ["SerialiserSpec"]


@dataclass(frozen=True)
class SerialiserSpec:
    """Parts of ``lanes`` lanes out of words of ``i_format``, one a cycle, the lowest lanes first.

    ``lanes`` divides those of ``i_format``; the words must lie at least ``ratio`` cycles apart.
    """

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
