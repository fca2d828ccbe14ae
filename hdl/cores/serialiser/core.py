"""Hands out a word of currents in parts, so that a few neuron units serve many outputs.

An accumulation takes many cycles, and its neurons would work in only one of them. The currents stay in their registers
until the next ones come, so choosing a part of them costs a multiplexer and no register.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from amaranth import *

from ...streams.counter import counter
from ...streams.pipe import Pipe
from ...streams.words import WordFormat

__all__ = ["Serialiser", "SerialiserSpec"]


@dataclass(frozen=True)
class SerialiserSpec:
    """Parts of ``lanes`` lanes out of words of ``i_format``, one a cycle, the lowest lanes first.

    ``lanes`` divides those of ``i_format``; the words must lie at least ``parts`` cycles apart.
    """

    i_format: WordFormat
    lanes: int

    def __post_init__(self) -> None:
        if self.lanes < 1 or self.i_format.lanes % self.lanes:
            raise ValueError(f"lanes={self.lanes} does not divide the {self.i_format.lanes} lanes of a word")

    @property
    def parts(self) -> int:
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
        """Model: words (n, lanes, T) to parts (n * parts, lanes / parts, T)."""
        return words.reshape(-1, self.lanes, words.shape[-1])


class Serialiser(Pipe):
    """The hardware of a :class:`SerialiserSpec`. Never stalls.

    Members: ``i``: In(stream of words, always ready), whose payload must stay for ``parts`` cycles;
    ``o``: Out(stream of parts, always ready).
    """

    def __init__(self, spec: SerialiserSpec) -> None:
        self.spec = spec
        super().__init__(spec.i_format.width, spec.o_format.width)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        running = Signal()
        moves = Signal()
        m.d.comb += moves.eq(self.i.valid | running)
        part, at_end = counter(m, self.spec.parts, moves, "part")
        m.d.sync += [running.eq(moves & ~at_end), self.o.valid.eq(moves)]
        m.d.sync += self.o.payload.eq(self.i.payload.word_select(part, self.spec.o_format.width))
        return m
