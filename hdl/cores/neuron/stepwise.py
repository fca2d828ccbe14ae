"""Rules whose steps follow each other: v += I_t + bias, a test, v -= spike * threshold.

The pipeline keeps what a neuron is short of its threshold, of which the sign is the spike: d_t = threshold - 1 - v with
the current and bias of the step in v, one more where the test is strict, so that v reaches the threshold where d_t < 0.
With w_0 = test_0 - 1, d_t = w_t - I_t and w_(t+1) = d_t + spike * threshold - bias: two additions a step, and no test.
The model adds no bias: a_t = u_(t-1) + I_t is compared with test_t, into which v0 and the biases so far are moved;
u_t = a_t - spike * threshold.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property

import numpy as np
from amaranth import Value

from ...cost.parts import Parts
from .builder import Builder, Travel
from .parts import pipeline_parts
from .pipeline import Charge, Fired, pipeline
from .rule import Rule

__all__ = ["Stepwise"]

_FAR = np.int64(1) << 60


class Stepwise(Rule):
    """A rule that needs nothing but the steps so far, for the pipeline of ``hdl.cores.neuron.pipeline``."""

    @property
    def latency(self) -> int:
        """Two cycles a time step."""
        return 2 * self.spec.stages

    @property
    def counting(self) -> bool:
        """Whether the pipeline carries the count of the spikes along."""
        return self.count_leaves

    @property
    def count_leaves(self) -> bool:
        """Whether that count is what leaves, so that the spikes need no registers."""
        return False

    @property
    def starts(self) -> np.ndarray:
        """w_0 (Co,)."""
        return self.tests[0] - 1

    @property
    def moves(self) -> list[np.ndarray]:
        """What a step adds to d, (Co,) each: without a spike, with one."""
        return [-self.spec.bias, self.spec.threshold - self.spec.bias]

    @property
    def compared(self) -> list[np.ndarray]:
        """Further constants (Co,) that :meth:`fire` takes from the second step on."""
        return []

    @abstractmethod
    def outcomes(self, t: int, low: np.ndarray, high: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, int]]:
        """The parts of the range ``low``..``high`` (Co,) of d_t, (low, high, spike) each; where a part is empty, so is
        its range."""

    @abstractmethod
    def fired(self, t: int, a: np.ndarray, earlier: np.ndarray) -> np.ndarray:
        """Model: the spikes (n, Co) of step t, from a_t (n, Co) and the ``earlier`` spikes (n, Co, t)."""

    @abstractmethod
    def fire(self, build: Builder, charge: Charge, *, moves: bool) -> Fired:
        """Add the circuit of the spike of a step and, where it ``moves``, of w after it."""

    @abstractmethod
    def step_parts(self, parts: Parts, t: int, bits: np.ndarray, *, moves: bool) -> None:
        """Add to ``parts`` what is between the registers of stage t, of which w, where it ``moves``, has ``bits``
        (outputs,)."""

    def spike_parts(self, parts: Parts, t: int) -> None:
        """Add the spikes of the steps so far, in both registers of stage t."""
        parts.registers(self.spec.outputs * (2 * t + 1) * (1 if self.spec.counts else self.spec.o_format.bits))

    @cached_property
    def membranes(self) -> tuple[np.ndarray, np.ndarray]:
        """Ranges (T, Co, 2) of d_t and w_(t+1), by interval arithmetic. w_T, which is never read, needs no register, or
        where w waits for the next word the one that it had before."""
        spec = self.spec
        low, high = self.starts, self.starts
        if spec.initial is not None:
            low, high = low - spec.initial[:, 1], high - spec.initial[:, 0]
        before, after = [], []
        for t in range(spec.time_steps):
            low, high = low - spec.ranges[:, 1], high - spec.ranges[:, 0]
            before.append(np.stack([low, high], 1))
            parts = self.outcomes(t, low, high)
            lows = [np.where(a <= b, a + spike * spec.threshold, _FAR) for a, b, spike in parts]
            highs = [np.where(a <= b, b + spike * spec.threshold, -_FAR) for a, b, spike in parts]
            low, high = np.minimum.reduce(lows) - spec.bias, np.maximum.reduce(highs) - spec.bias
            after.append(np.stack([low, high], 1))
        if spec.scans > 1:
            after[-1] = after[-1 - spec.stages]
        return np.stack(before), np.stack(after)

    def spikes(self, currents: np.ndarray) -> np.ndarray:
        """Model: step by step."""
        spec = self.spec
        u = np.zeros(currents.shape[:2], np.int64)
        spikes = np.zeros((*currents.shape[:2], spec.time_steps), np.int64)
        for t in range(spec.time_steps):
            u = u + currents[:, :, min(t, spec.i_format.steps - 1) if spec.constant else t]
            spikes[:, :, t] = self.fired(t, u, spikes[:, :, :t])
            u = u - spikes[:, :, t] * spec.threshold
        return spikes

    def parts(self) -> Parts:
        """The registers of every step."""
        return pipeline_parts(self)

    def circuit(self, build: Builder, travel: Travel, currents: list[list[Value]]) -> None:
        """Two registers a time step."""
        pipeline(build, self, travel, currents)
