"""What a neuron array computes: its tests, the ranges of its membranes, its numpy model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from ...bounds import largest, reaches, whole
from ...cost.parts import Parts
from ...streams.words import WordFormat
from ..protocol import CoreSpec
from .parts import neuron_parts

if TYPE_CHECKING:
    from .core import NeuronArray

__all__ = ["NeuronSpec"]

MOST_STEPS = 64

_FAR = np.int64(1) << 60


@dataclass(frozen=True, kw_only=True, eq=False)
class NeuronSpec(CoreSpec):
    """Integrate-and-fire neurons of a layer (``quant.ir.ops.IF``).

    Parameters:
        threshold, bias, v0: (Co,) integers, threshold > 0.
        rule, strict: "causal", "signed" or "lossless", and the spike test.
        time_steps: T.
        i_format: the current words; ``lanes`` output channels at once; ``steps`` of them: T, a divisor of T (several
            words a neuron, not for ``lossless``), or 1 (for ``lossless`` the sum over time, or where ``constant``).
        ranges: (Co, 2), range of the current of each channel.
        constant: the current is the same in every time step and comes once; or in every step but the first, and comes
            behind that one.
        initial: (Co, 2), range of what the current of the first step has in addition (``hdl.cores.initial.spec``).
        counts: the words have the number of spikes of each neuron in binary, not the spikes; not for ``signed``.
    """

    NAME: ClassVar[str] = "neuronarray"

    threshold: np.ndarray
    bias: np.ndarray
    v0: np.ndarray
    rule: Literal["causal", "signed", "lossless"]
    strict: bool
    time_steps: int
    i_format: WordFormat
    ranges: np.ndarray
    constant: bool
    initial: np.ndarray | None = None
    counts: bool = False

    def __post_init__(self) -> None:
        for what in ("threshold", "bias", "v0"):
            whole(what, getattr(self, what), 1)
        whole("ranges", self.ranges, 2)
        if self.initial is not None:
            whole("initial", self.initial, 2)
        if not 1 <= self.time_steps <= MOST_STEPS or self.rule not in ("causal", "signed", "lossless"):
            raise ValueError(f"Neurons take 1..{MOST_STEPS} steps and a rule, not {self.time_steps} and {self.rule!r}")
        if not isinstance(self.strict, bool):
            raise TypeError(f"strict must be True or False, not {self.strict!r}")
        # A sum over time comes as one current.
        times = 1 if self.lossless and not self.constant else self.time_steps
        currents = times * largest(self.ranges) + (0 if self.initial is None else largest(self.initial))
        reaches("A membrane", largest(self.v0) + currents + self.time_steps * largest(self.threshold))
        reaches("A membrane", largest(self.v0) + currents + self.time_steps * largest(self.bias))
        if self.threshold.min() <= 0:
            raise ValueError(f"Threshold must be positive, not {self.threshold.min()}")
        if self.threshold.shape[0] % self.outputs:
            raise ValueError(f"outputs={self.outputs} does not divide the {self.threshold.shape[0]} output channels")
        if self.counts and self.rule == "signed":
            raise ValueError("The rule signed does not count its spikes")

    @property
    def lossless(self) -> bool:
        """Whether the rule needs only the sum of the currents."""
        return self.rule == "lossless"

    @property
    def outputs(self) -> int:
        """Neurons computed at once."""
        return self.i_format.lanes

    @property
    def groups(self) -> int:
        """Groups of neurons, one after the other."""
        return self.threshold.shape[0] // self.outputs

    @property
    def scans(self) -> int:
        """Current words of one group of neurons."""
        return 1 if self.lossless or self.constant else self.time_steps // self.i_format.steps

    @property
    def counter(self) -> bool:
        """Whether causal neurons count step by step: up to four spikes are one LUT for each bit of their count."""
        return self.counts and not self.lossless and (self.scans > 1 or self.time_steps > 4)

    @property
    def stages(self) -> int:
        """Time steps computed in the pipeline."""
        return self.time_steps // self.scans

    @property
    def o_format(self) -> WordFormat:
        """The spike words: ``outputs`` lanes, all time steps, or their number."""
        spikes = WordFormat(self.outputs, self.time_steps, -1 if self.rule == "signed" else 0, 1)
        return spikes.summed if self.counts else spikes

    @property
    def latency(self) -> int:
        """Cycles from the last current word of a group to its spikes: two a time step, one for ``lossless``."""
        return 1 if self.lossless else 2 * self.stages

    @property
    def turnaround(self) -> int:
        """Cycles that must lie between the current words of one group of neurons."""
        return 1 if self.scans == 1 else self.latency

    @cached_property
    def tests(self) -> np.ndarray:
        """The spike tests (T, Co): spike where the sum reaches this value."""
        step = np.arange(1, self.time_steps + 1)[:, None]
        if not self.lossless:
            return self.threshold - self.v0 - step * self.bias + int(self.strict)
        tests = step * self.threshold - self.v0 - self.time_steps * self.bias + int(self.strict)
        return -(-tests // self.time_steps) if self.constant else tests  # T * I >= test, without the product

    @cached_property
    def dips(self) -> np.ndarray:
        """The tests (T, Co) for a negative spike: where the sum is below this value."""
        return -self.v0 - np.arange(1, self.time_steps + 1)[:, None] * self.bias

    @cached_property
    def membranes(self) -> tuple[np.ndarray, np.ndarray]:
        """Ranges (T, Co, 2) of a_t and u_t for ``causal`` and ``signed``, by interval arithmetic."""
        low, high = np.zeros((2, self.threshold.shape[0]), np.int64) if self.initial is None else self.initial.T
        before, after = [], []
        for t, test in enumerate(self.tests):
            low, high = low + self.ranges[:, 0], high + self.ranges[:, 1]
            before.append(np.stack([low, high], 1))
            # The parts of the range: no spike, a spike, a negative one. Where a part is empty, so is its range.
            parts = [(low, np.minimum(high, test - 1), 0), (np.maximum(low, test), high, -1)]
            if self.rule == "signed" and t > 0:
                parts.append((low, np.minimum(high, self.dips[t] - 1), 1))
            lows = [np.where(a <= b, a + move * self.threshold, _FAR) for a, b, move in parts]
            highs = [np.where(a <= b, b + move * self.threshold, -_FAR) for a, b, move in parts]
            low, high = np.minimum.reduce(lows), np.maximum.reduce(highs)
            after.append(np.stack([low, high], 1))
        return np.stack(before), np.stack(after)

    def compute(self, currents: np.ndarray) -> np.ndarray:
        """Model: currents (n, outputs, steps) to spikes (n / scans, outputs, T), or counts (n / scans, outputs, 1)."""
        x = self.i_format.checked(currents).reshape(-1, self.groups, self.scans, self.outputs, self.i_format.steps)
        x = x.transpose(0, 1, 3, 2, 4).reshape(len(x), self.groups * self.outputs, -1)
        if self.lossless:
            spikes = x[:, :, :1] >= self.tests.T
        else:
            u, spikes = np.zeros(x.shape[:2], np.int64), np.zeros((*x.shape[:2], self.time_steps), np.int64)
            for t, test in enumerate(self.tests):
                u = u + x[:, :, min(t, self.i_format.steps - 1) if self.constant else t]
                spikes[:, :, t] = u >= test
                if self.rule == "signed":
                    spikes[:, :, t] -= (u < self.dips[t]) & (spikes[:, :, :t].sum(-1) > 0)
                u = u - spikes[:, :, t] * self.threshold
        spikes = spikes.astype(np.int64).reshape(-1, self.outputs, self.time_steps)
        return spikes.sum(-1, keepdims=True) if self.counts else spikes

    def parts(self) -> Parts:
        """What it is made of."""
        return neuron_parts(self)

    def core(self) -> NeuronArray:
        """The hardware."""
        from .core import NeuronArray

        return NeuronArray(self)
