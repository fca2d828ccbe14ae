"""Rule ``signed``: a spike as with ``causal``; else a negative one where v < 0 and there were more spikes than negative
ones: [a_t < dip_t], dip_t = -v0 - (t+1)*bias. What it spiked is taken off the membrane, or given back to it.

In the circuit v < 0 is d_t > threshold - 1, one more where the test for a spike is strict."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from amaranth import *

from ...cost.parts import Parts
from .builder import Builder
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
    def moves(self) -> list[np.ndarray]:
        """With a negative spike, too."""
        return [*super().moves, -self.spec.threshold - self.spec.bias]

    @property
    def compared(self) -> list[np.ndarray]:
        """d_t of a membrane of 0, above which it is negative."""
        return [self.spec.threshold - 1 + int(self.spec.strict)]

    def outcomes(self, t: int, low: np.ndarray, high: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, int]]:
        """No spike, a spike, from the second step on a negative one."""
        found = [(np.maximum(low, 0), high, 0), (low, np.minimum(high, -1), 1)]
        return [*found, (np.maximum(low, self.compared[0] + 1), high, -1)] if t > 0 else found

    def fired(self, t: int, a: np.ndarray, earlier: np.ndarray) -> np.ndarray:
        """1, 0 or -1."""
        return (a >= self.tests[t]).astype(np.int64) - ((a < self.dips[t]) & (earlier.sum(-1) > 0))

    def fire(self, build: Builder, charge: Charge, *, moves: bool) -> Fired:
        """The sign, a test that looks at the count, and a choice of what is added."""
        d, count, fire = charge.d, charge.neuron.count, charge.fire
        dip, w = Signal(name=f"dip_{charge.place}"), charge.d
        if len(count):
            level = charge.constant(self.compared[0], "zero")
            build.m.d.comb += dip.eq((level - d)[-1] & (count != 0))
        if moves:
            rest, spent, undone = (
                charge.constant(v, name) for v, name in zip(self.moves, ("rest", "spent", "undone"), strict=True)
            )
            w = d + Mux(dip, undone, Mux(fire, spent, rest))
        return Fired(Cat(fire | dip, dip), w, count + fire - dip)

    def step_parts(self, parts: Parts, t: int, bits: np.ndarray, *, moves: bool) -> None:
        """What is added, the test, the count of the spikes."""
        spec = self.spec
        if moves:
            parts.adders(bits, "neuron adder")
            parts.logic["undo"] += int(bits.sum())
        if t or spec.scans > 1:
            count = spec.time_steps.bit_length()
            parts.logic["spike count"] += spec.outputs * count
            parts.registers(spec.outputs * count * (2 if moves else 1))
