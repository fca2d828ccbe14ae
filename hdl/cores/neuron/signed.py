"""Rule ``signed``: a spike as with ``causal``; else a negative one where v < 0 and there were more spikes than negative
ones: [a_t < dip_t], dip_t = -v0 - (t+1)*bias. What it spiked is taken off the membrane, or given back to it."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from amaranth import *

from ...cost.parts import Parts
from .builder import Builder, Travel
from .parts import chosen
from .pipeline import Charge, Fired
from .rule import neuron_rule
from .stepwise import Stepwise

__all__ = ["Signed"]


@neuron_rule("signed")
class Signed(Stepwise):
    """Spikes of both signs, as many as are right in the end."""

    @property
    def lowest(self) -> int:
        """A spike can be taken back."""
        return -1

    @property
    def counting(self) -> bool:
        """What the test for a negative spike looks at."""
        return True

    @cached_property
    def tests(self) -> np.ndarray:
        """The tests for a spike."""
        return self.spec.threshold + self.dips + int(self.spec.strict)

    @cached_property
    def dips(self) -> np.ndarray:
        """The tests (T, Co) for a negative spike: where the sum is below this value."""
        return -self.spec.v0 - np.arange(1, self.spec.time_steps + 1)[:, None] * self.spec.bias

    @property
    def tested(self) -> list[np.ndarray]:
        """Both."""
        return [self.tests, self.dips]

    def outcomes(self, t: int, low: np.ndarray, high: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, int]]:
        """No spike, a spike, from the second step on a negative one."""
        test, dip = self.tests[t], self.dips[t]
        found = [(low, np.minimum(high, test - 1), 0), (np.maximum(low, test), high, 1)]
        return [*found, (low, np.minimum(high, dip - 1), -1)] if t > 0 else found

    def fired(self, t: int, a: np.ndarray, earlier: np.ndarray) -> np.ndarray:
        """1, 0 or -1."""
        return (a >= self.tests[t]).astype(np.int64) - ((a < self.dips[t]) & (earlier.sum(-1) > 0))

    def levels(self, build: Builder, t: int, lane: int, travel: Travel) -> list[Value]:
        """The test, what a spike adds, the test for a negative one, what that adds."""
        thresholds, place = self.spec.threshold[lane :: self.spec.outputs], f"{lane}_{t}"
        found = super().levels(build, t, lane, travel)
        dip = build.read(build.level(self.dips, t, lane, travel, f"dip_level_{place}"), f"dip_level_{place}")
        undo = build.read(build.chosen(thresholds.tolist(), travel, f"undo_{place}"), f"undo_{place}")
        return [*found, dip, undo]

    def fire(self, build: Builder, charge: Charge) -> Fired:
        """Two tests, of which the second one looks at the count, and a choice of what is added."""
        test, reset, dip_level, undo = charge.levels
        a, count = charge.a, charge.neuron.count
        fire = charge.reaches(build, test)
        dip = Signal(name=f"dip_{charge.place}")
        build.m.d.comb += dip.eq((a - dip_level)[-1] & (count != 0))
        return Fired(Cat(fire | dip, dip), a + Mux(dip, undo, Mux(fire, reset, 0)), count + fire - dip)

    def step_parts(self, parts: Parts, t: int, bits: np.ndarray) -> None:
        """What is added, the addition, the count of the spikes."""
        spec = self.spec
        carried = t < spec.stages - 1 or spec.scans > 1
        if carried:
            chosen(spec, parts, spec.threshold[None], 2)
            parts.adders(bits, "neuron adder")
            parts.logic["undo"] += int(bits.sum())
        if t or spec.scans > 1:
            count = spec.time_steps.bit_length()
            parts.logic["spike count"] += spec.outputs * count
            parts.registers(spec.outputs * count * (2 if carried else 1))
