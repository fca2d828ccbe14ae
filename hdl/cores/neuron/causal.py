"""Rule ``causal``: s_t = [a_t >= test_t]; u_t = a_t - s_t * threshold; test_t = threshold - v0 - (t+1)*bias.

In the circuit s_t = [d_t < 0] (``hdl.cores.neuron.stepwise``). A strict test is the same one with test_t + 1, for all
numbers are integers. Up to four spikes are counted at the end; of more steps the count is carried along instead of the
spikes.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ...cost.parts import Parts
from .builder import Builder
from .either import either
from .pipeline import Charge, Fired
from .rule import neuron_rule
from .stepwise import Stepwise

__all__ = ["Causal"]


@neuron_rule("causal")
class Causal(Stepwise):
    """A spike in every step in which the membrane reaches the threshold."""

    counts = True

    @property
    def count_leaves(self) -> bool:
        """Up to four spikes are one LUT for each bit of their count."""
        return self.spec.counts and (self.spec.scans > 1 or self.spec.time_steps > 4)

    @cached_property
    def tests(self) -> np.ndarray:
        """test_t."""
        spec = self.spec
        step = np.arange(1, spec.time_steps + 1)[:, None]
        return spec.threshold - spec.v0 - step * spec.bias + int(spec.strict)

    def outcomes(self, t: int, low: np.ndarray, high: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, int]]:
        """No spike, a spike."""
        return [(np.maximum(low, 0), high, 0), (low, np.minimum(high, -1), 1)]

    def fired(self, t: int, a: np.ndarray, earlier: np.ndarray) -> np.ndarray:
        """A spike where a_t reaches its test."""
        return (a >= self.tests[t]).astype(np.int64)

    def fire(self, build: Builder, charge: Charge, *, moves: bool) -> Fired:
        """The spike chooses what is added."""
        fire, w = charge.fire, charge.d
        if moves:
            rest, spent = (charge.constant(v, name) for v, name in zip(self.moves, ("rest", "spent"), strict=True))
            w = either(build.m, build.platform, charge.d, fire, (rest, spent), charge.shape, f"moved_{charge.place}")
        return Fired(fire, w, charge.neuron.count + fire)

    def step_parts(self, parts: Parts, t: int, bits: np.ndarray, *, moves: bool) -> None:
        """What is added."""
        if moves:
            parts.logic["chain"] += int((bits + bits % 2).sum())

    def spike_parts(self, parts: Parts, t: int) -> None:
        """The spikes, or their count before step t and behind it."""
        spec = self.spec
        if not self.count_leaves:
            super().spike_parts(parts, t)
            return
        most = spec.o_format.bits
        before, after = (most, most) if spec.scans > 1 else (t.bit_length(), (t + 1).bit_length())
        parts.registers(spec.outputs * (before + after))
        if t == spec.stages - 1 and spec.scans > 1:
            parts.registers(spec.outputs * most)
        parts.logic["spike counter"] += spec.outputs * after if before else 0
