"""Rules whose steps follow each other: v += I_t + bias, a test, v -= spike * threshold.

With u_t = v_t - v0 - (t+1)*bias no bias is added: a_t = u_(t-1) + I_t; the spike of step t follows from a_t and the
tests of the rule, into which v0 and the biases so far are moved; u_t = a_t - spike * threshold.
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
    def tested(self) -> list[np.ndarray]:
        """The levels (T, Co) that a_t is compared with."""
        return [self.tests]

    @abstractmethod
    def outcomes(self, t: int, low: np.ndarray, high: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, int]]:
        """The parts of the range ``low``..``high`` (Co,) of a_t, (low, high, spike) each; where a part is empty, so is
        its range."""

    @abstractmethod
    def fired(self, t: int, a: np.ndarray, earlier: np.ndarray) -> np.ndarray:
        """Model: the spikes (n, Co) of step t, from a_t (n, Co) and the ``earlier`` spikes (n, Co, t)."""

    def levels(self, build: Builder, t: int, lane: int, travel: Travel) -> list[Value]:
        """What :meth:`fire` compares and adds in stage t of the pipeline, out of tables and one cycle later: the test
        for a spike, and what a spike adds."""
        thresholds, place = self.spec.threshold[lane :: self.spec.outputs], f"{lane}_{t}"
        test = build.read(build.level(self.tests, t, lane, travel, f"test_{place}"), f"test_{place}")
        reset = build.read(build.chosen((-thresholds).tolist(), travel, f"reset_{place}"), f"reset_{place}")
        return [test, reset]

    @abstractmethod
    def fire(self, build: Builder, charge: Charge) -> Fired:
        """Add the circuit of the test of a step, and of the membrane after it."""

    @abstractmethod
    def step_parts(self, parts: Parts, t: int, bits: np.ndarray) -> None:
        """Add to ``parts`` what stage t takes besides the membranes, of ``bits`` (outputs,), and the tests."""

    def spike_parts(self, parts: Parts, t: int) -> None:
        """Add the spikes of the steps so far, in both registers of stage t."""
        parts.registers(self.spec.outputs * (2 * t + 1) * (1 if self.spec.counts else self.spec.o_format.bits))

    @cached_property
    def membranes(self) -> tuple[np.ndarray, np.ndarray]:
        """Ranges (T, Co, 2) of a_t and u_t, by interval arithmetic."""
        spec = self.spec
        low, high = np.zeros((2, spec.threshold.shape[0]), np.int64) if spec.initial is None else spec.initial.T
        before, after = [], []
        for t in range(spec.time_steps):
            low, high = low + spec.ranges[:, 0], high + spec.ranges[:, 1]
            before.append(np.stack([low, high], 1))
            parts = self.outcomes(t, low, high)
            lows = [np.where(a <= b, a - spike * spec.threshold, _FAR) for a, b, spike in parts]
            highs = [np.where(a <= b, b - spike * spec.threshold, -_FAR) for a, b, spike in parts]
            low, high = np.minimum.reduce(lows), np.maximum.reduce(highs)
            after.append(np.stack([low, high], 1))
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
