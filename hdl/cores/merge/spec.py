"""What a residual merge computes: gains, the words that each result takes, its numpy model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...bounds import largest, reaches, whole
from ...streams.words import WordFormat, bits_for
from ..synapse.trees import levels

__all__ = ["MergeSpec"]


@dataclass(frozen=True, kw_only=True, eq=False)
class MergeSpec:
    """A merge: current of channel c += gain[c] * shortcut[c - first], in every time step.

    Parameters:
        gain: (Co,) integers, 0 where the shortcut has no channel.
        first: first channel that the shortcut has; a multiple of the lanes.
        channels: channels of the shortcut; a multiple of the lanes.
        skip_format: the shortcut's words; as many lanes as ``i_format``. One step: the same in every time step.
        i_format: the current words.
        scans: current words of a neuron, each with a group of its time steps.
        result_words: current words of a result (where neurons are shared).
        ranges: (Co, 2), range of each channel's current.
        depth: words that the FIFO holds.
    """

    gain: np.ndarray
    first: int
    channels: int
    skip_format: WordFormat
    i_format: WordFormat
    scans: int
    result_words: int
    ranges: np.ndarray
    depth: int

    def __post_init__(self) -> None:
        whole("gain", self.gain, 1)
        whole("ranges", self.ranges, 2)
        reaches("A sum", largest(self.ranges) + largest(self.gain) * max(map(abs, self.element)))
        lanes = self.i_format.lanes
        if self.skip_format.lanes != lanes:
            raise ValueError(f"Shortcut words must have {lanes} lanes, not {self.skip_format.lanes}")
        if self.first % lanes or self.channels % lanes:
            raise ValueError(f"lanes={lanes} must divide the {self.channels} channels of the shortcut and {self.first}")
        if self.depth < max(self.needs):
            raise ValueError(f"The FIFO must hold the {max(self.needs)} words of a result, not {self.depth}")

    @property
    def groups(self) -> int:
        """Groups of channels, one after the other."""
        return len(self.gain) // self.i_format.lanes

    @property
    def words(self) -> int:
        """Shortcut words of a pixel."""
        return self.channels // self.i_format.lanes

    @property
    def takes(self) -> list[bool]:
        """Whether each group takes a word of the shortcut."""
        lanes = self.i_format.lanes
        return [self.first <= g * lanes < self.first + self.channels for g in range(self.groups)]

    @property
    def needs(self) -> list[int]:
        """Words that each result of a pixel takes."""
        each = self.result_words
        return [sum(self.takes[k : k + each]) for k in range(0, self.groups, each)]

    @property
    def sums(self) -> bool:
        """Whether the time steps of the shortcut are added up, as those of the currents were."""
        return self.scans == 1 and self.i_format.steps == 1 and self.skip_format.steps > 1

    @property
    def element(self) -> tuple[int, int]:
        """Range of one multiplicand: a time step of the shortcut, or the sum of its time steps."""
        times = self.skip_format.steps if self.sums else 1
        return self.skip_format.low * times, self.skip_format.high * times

    @property
    def plain(self) -> bool:
        """Whether all gains are 1: shortcut words that are currents already."""
        return bool((self.gain == 1).all())

    @property
    def depth_of_products(self) -> int:
        """Registered levels that join the products of the bits of a multiplicand."""
        return 0 if self.plain else levels(bits_for(*self.element)[0])

    @property
    def latency(self) -> int:
        """Cycles from a current word to the sum: memory and its output register, the products, the sum."""
        return 3 + self.depth_of_products

    @cached_property
    def o_ranges(self) -> np.ndarray:
        """Range (Co, 2) of each channel's sum."""
        return self.ranges + np.sort(self.gain[:, None] * np.array(self.element), axis=1)

    @cached_property
    def o_format(self) -> WordFormat:
        """The words of sums that leave."""
        form = self.i_format
        return WordFormat(form.lanes, form.steps, int(self.o_ranges[:, 0].min()), int(self.o_ranges[:, 1].max()))

    def compute(self, currents: np.ndarray, skip: np.ndarray) -> np.ndarray:
        """Model: currents (n, lanes, steps) and shortcut words (k, lanes, T) to sums (n, lanes, steps)."""
        lanes, steps = self.i_format.lanes, self.i_format.steps
        x = self.i_format.checked(currents).reshape(-1, self.groups, self.scans, lanes, steps)
        s = self.skip_format.checked(skip).reshape(len(x), self.channels, -1)
        s = np.pad(s, ((0, 0), (self.first, len(self.gain) - self.first - self.channels), (0, 0)))
        s = (s * self.gain[:, None]).reshape(len(x), self.groups, 1, lanes, -1)
        if self.sums:
            s = s.sum(-1, keepdims=True)
        elif self.skip_format.steps > 1:  # scan k looks at the k-th group of steps
            s = s.reshape(len(x), self.groups, lanes, self.scans, steps).transpose(0, 1, 3, 2, 4)
        return (x + s).reshape(currents.shape)
