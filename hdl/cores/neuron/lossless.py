"""Rule ``lossless``, which needs only the sum of the currents: s_t = [sum >= test_t] with
test_t = (t+1)*threshold - v0 - T*bias, so the spikes come first, s_t = [t < count].

A strict test is the same one with test_t + 1, for all numbers are integers. Bit b of the count says that it is in
k..k + 2^b - 1 for some odd multiple k of 2^b, which is s_(k-1) and not s_(k+2^b-1): for T = 4 a LUT for each of two
bits, and the spike s_3 for the third.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import zip_longest

import numpy as np
from amaranth import *

from ...cost.parts import Parts
from .builder import Builder, Travel
from .rule import Rule, neuron_rule

__all__ = ["Lossless"]


@neuron_rule("lossless")
class Lossless(Rule):
    """As many spikes as thresholds fit into the sum."""

    adds_up = True
    counts = True

    @property
    def latency(self) -> int:
        """One cycle."""
        return 1

    @cached_property
    def tests(self) -> np.ndarray:
        """test_t."""
        spec = self.spec
        step = np.arange(1, spec.time_steps + 1)[:, None]
        tests = step * spec.threshold - spec.v0 - spec.time_steps * spec.bias + int(spec.strict)
        return -(-tests // spec.time_steps) if spec.constant else tests  # T * I >= test, without the product

    def spikes(self, currents: np.ndarray) -> np.ndarray:
        """Model: all tests of one number."""
        return (currents[:, :, :1] >= self.tests.T).astype(np.int64)

    def parts(self) -> Parts:
        """The tests, which groups choose, and the bits of the count."""
        spec, parts = self.spec, Parts()
        parts.counter(spec.groups)
        parts.registers(spec.o_format.width + 1)
        if spec.counts:  # a bit out of every 2^b-th spike
            spikes = spec.time_steps >> np.arange(spec.o_format.bits)
            parts.logic["bit of count"] += spec.outputs * int((-(-(spikes - 1) // 3)).sum())
        bits = np.full((spec.time_steps, spec.outputs), spec.i_format.bits)
        parts.adders(bits, "test" if spec.groups == 1 else "chosen test")
        grouped = self.tests.reshape(-1, spec.groups, spec.outputs)
        parts.table(spec.groups, int(bits[grouped.min(1) != grouped.max(1)].sum()))
        return parts

    def circuit(self, build: Builder, travel: Travel, currents: list[list[Value]]) -> None:
        """One register, behind all tests at once."""
        spec = self.spec
        spikes: list[Value] = [
            c[0] >= build.level(self.tests, t, k, travel, f"test_{k}_{t}")
            for k, c in enumerate(currents)
            for t in range(spec.time_steps)
        ]
        if spec.counts:
            lanes = [spikes[k * spec.time_steps :][: spec.time_steps] for k in range(spec.outputs)]
            spikes = [_bit(lane, 1 << b) for lane in lanes for b in range(spec.o_format.bits)]
        build.m.d.sync += [build.o.valid.eq(travel.valid), build.o.payload.eq(Cat(spikes))]


def _bit(spikes: Sequence[Value], unit: int) -> Value:
    """The bit of value ``unit`` of the count of ``spikes``, none of which follows a step without one."""
    starts, ends = spikes[unit - 1 :: 2 * unit], [~s for s in spikes[2 * unit - 1 :: 2 * unit]]
    return Cat(s & e for s, e in zip_longest(starts, ends, fillvalue=Const(1, 1))).any()
