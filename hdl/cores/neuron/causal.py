"""Rule ``causal``: s_t = [a_t >= test_t]; u_t = a_t - s_t * threshold; test_t = threshold - v0 - (t+1)*bias.

A strict test is the same one with test_t + 1, for all numbers are integers. Up to four spikes are counted at the end;
of more steps the count is carried along instead of the spikes.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from amaranth import *

from ...cost.parts import Parts
from ..synapse.gated import Addition, add
from ..synapse.parts import chained
from .builder import Builder
from .parts import chosen
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
        test = self.tests[t]
        return [(low, np.minimum(high, test - 1), 0), (np.maximum(low, test), high, 1)]

    def fired(self, t: int, a: np.ndarray, earlier: np.ndarray) -> np.ndarray:
        """A spike where a_t reaches its test."""
        return (a >= self.tests[t]).astype(np.int64)

    def fire(self, build: Builder, charge: Charge) -> Fired:
        """Test and gated subtraction."""
        test, reset = charge.levels
        fire = charge.reaches(build, test)
        moved = _gated_sum(build, charge, reset, fire)
        return Fired(fire, moved, charge.neuron.count + fire)

    def step_parts(self, parts: Parts, t: int, bits: np.ndarray) -> None:
        """The threshold, its subtraction."""
        if t < self.spec.stages - 1 or self.spec.scans > 1:
            chosen(self.spec, parts, self.spec.threshold[None])
            chained(parts, bits)

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


def _gated_sum(build: Builder, charge: Charge, b: Value, gate: Value) -> Value:
    """The membrane + (b & gate), which fits the shape of u; what is above is not computed."""
    shape, width = charge.shape, charge.shape.width
    a, b = (Cat(v, v[-1:].replicate(width if v.shape().signed else 0))[:width] for v in (charge.a, b))
    addition = Addition(a, b, width, bx=gate, carry=False)
    total = add(build.m, build.platform, [addition], f"moved_{charge.place}")[0]
    return total.as_signed() if shape.signed else total
