"""Rule ``lossless``, which needs only the sum of the currents: the count reaches k where sum >= test_k with
test_k = k*threshold - v0 - T*bias, for k in low+1..T; the spikes come first, s_t = sign(count) * [t < |count|].

A strict test is the same one with test_k + 1, for all numbers are integers. So s_t = 1 where test t+1 holds, and -1
where test -t fails. Bit b of the count, in two's complement with a lower end, says that it is in k..k + 2^b - 1 for
some odd multiple k of 2^b: that test k holds and test k + 2^b fails. For T = 4 that is a LUT for each of two bits, and
the test 4 for the third; the sign is that test 0 fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from amaranth import *

from ...cost.parts import Parts
from ...memory.columns import count_columns
from .builder import Builder, Travel
from .rule import Rule, neuron_rule

__all__ = ["Lossless"]


@neuron_rule("lossless")
class Lossless(Rule):
    """As many spikes as thresholds fit into the sum."""

    adds_up = True
    counts = True
    falls = True

    @property
    def lowest(self) -> int:
        """Negative ones with a lower end."""
        return -1 if self.spec.low else 0

    @property
    def latency(self) -> int:
        """One cycle."""
        return 1

    @cached_property
    def tests(self) -> np.ndarray:
        """test_k (T - low, Co)."""
        spec = self.spec
        count = np.arange(spec.low + 1, spec.time_steps + 1)[:, None]
        tests = count * spec.threshold - spec.v0 - spec.time_steps * spec.bias + int(spec.strict)
        return -(-tests // spec.time_steps) if spec.constant else tests  # T * I >= test, without the product

    def spikes(self, currents: np.ndarray) -> np.ndarray:
        """Model: all tests of one number."""
        count = self.spec.low + (currents[:, :, :1] >= self.tests.T).sum(-1, keepdims=True)
        return np.sign(count) * (np.arange(self.spec.time_steps) < np.abs(count))

    def parts(self) -> Parts:
        """The tests, which groups choose, and the bits of the count."""
        spec, parts = self.spec, Parts()
        parts.counter(spec.groups)
        if spec.counts:  # a bit out of every 2^b-th test
            parts.registers(spec.o_format.width + 1)
            tests = (spec.time_steps >> np.arange(spec.o_format.bits)) - (spec.low >> np.arange(spec.o_format.bits))
            parts.logic["bit of count"] += spec.outputs * int((-(-(tests - 1) // 3)).sum())
        else:  # the sign bit of a step that has no negative spike is 0
            parts.registers(spec.outputs * (spec.time_steps - spec.low) + 1)
        if spec.low and not spec.counts:
            parts.logic["bit of count"] -= spec.outputs * spec.low
        bits = np.full((spec.time_steps - spec.low, spec.outputs), spec.i_format.bits)
        parts.adders(bits, "test" if spec.groups == 1 else "chosen test")
        grouped = self.tests.reshape(-1, spec.groups, spec.outputs)
        parts.table(spec.groups, int(bits[grouped.min(1) != grouped.max(1)].sum()))
        if self.ahead:
            lanes = grouped.transpose(0, 2, 1).reshape(-1, spec.groups)
            parts.registers(count_columns(lanes))
        return parts

    def circuit(self, build: Builder, travel: Travel, currents: list[list[Value]]) -> None:
        """One register, behind all tests at once."""
        spec = self.spec
        constant = build.constants(travel)
        tests = [
            [c[0] >= constant(own.tolist(), f"test_{k}_{t}") for t, own in enumerate(self.tests[:, k :: spec.outputs])]
            for k, c in enumerate(currents)
        ]
        parts = _count if spec.counts else _train
        spikes = [bit for passed in tests for bit in parts(passed, spec.low, spec.o_format.bits)]
        build.m.d.sync += [build.o.valid.eq(travel.valid), build.o.payload.eq(Cat(spikes))]


def _train(passed: Sequence[Value], low: int, bits: int) -> list[Value]:
    """The spikes, of ``bits`` bits each, where the tests of the counts from ``low`` + 1 on were ``passed``."""
    rising = passed[-low:]
    if bits == 1:
        return list(rising)
    falling = [*(~p for p in reversed(passed[:-low])), *[Const(0, 1)] * (len(rising) + low)]
    return [bit for up, down in zip(rising, falling, strict=True) for bit in (up | down, down)]


def _count(passed: Sequence[Value], low: int, bits: int) -> list[Value]:
    """The bits of the count."""
    high, found = low + len(passed), list[Value]()
    for b in range(bits):
        odd = [k for k in range(low >> b, (high >> b) + 1) if k & 1]  # it is k * 2^b..(k + 1) * 2^b - 1 then
        ends = [(k << b, (k + 1) << b) for k in odd]
        starts = [passed[k - low - 1] if k > low else Const(1, 1) for k, _ in ends]
        stops = [~passed[k - low - 1] if k <= high else Const(1, 1) for _, k in ends]
        found.append(Cat(s & e for s, e in zip(starts, stops, strict=True)).any())
    return found
