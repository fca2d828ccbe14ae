"""The neuron array: integrate and fire, with all time steps of a neuron inside one word.

The membrane lives in the pipeline registers while the time steps of its word are computed, so there is no membrane
memory. The bias is not added but moved into the spike test: with u_t = v_t - v0 - (t+1)*bias the neuron is
    a_t = u_(t-1) + I_t;   s_t = [a_t >= test_t];   u_t = a_t - s_t * threshold;   test_t = threshold - v0 - (t+1)*bias
which saves an adder a step. The rule ``lossless`` needs only the sum of the currents: s_t = [sum >= test_t] with
test_t = (t+1)*threshold - v0 - T*bias. A strict test is the same one with test_t + 1, for all numbers are integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .counter import counter
from .rom import selected
from .words import WordFormat, shape_for

__all__ = ["NeuronArray", "NeuronSpec"]


@dataclass(frozen=True, kw_only=True, eq=False)
class NeuronSpec:
    """Integrate-and-fire neurons of a layer (``quant.nodes.IF``).

    Parameters:
        threshold, bias, v0: (Co,) integers, threshold > 0.
        lossless, strict: the rule and the spike test.
        time_steps: T.
        i_format: the current words; ``lanes`` output channels at once; ``steps`` of them: T, a divisor of T (several
            words a neuron, for ``causal``), or 1 (for ``lossless`` the sum over time, or where ``constant``).
        ranges: (Co, 2), range of the current of each channel.
        constant: the current is the same in every time step and comes once.
    """

    threshold: np.ndarray
    bias: np.ndarray
    v0: np.ndarray
    lossless: bool
    strict: bool
    time_steps: int
    i_format: WordFormat
    ranges: np.ndarray
    constant: bool

    def __post_init__(self) -> None:
        if self.threshold.min() <= 0:
            raise ValueError(f"Threshold must be positive, not {self.threshold.min()}")
        if self.threshold.shape[0] % self.outputs:
            raise ValueError(f"outputs={self.outputs} does not divide the {self.threshold.shape[0]} output channels")

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
    def stages(self) -> int:
        """Time steps computed in the pipeline."""
        return self.time_steps // self.scans

    @property
    def o_format(self) -> WordFormat:
        """The spike words: ``outputs`` lanes, all time steps."""
        return WordFormat(self.outputs, self.time_steps, 0, 1)

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
    def membranes(self) -> tuple[np.ndarray, np.ndarray]:
        """Ranges (T, Co, 2) of a_t and u_t for ``causal``, by interval arithmetic."""
        low = high = np.zeros(self.threshold.shape[0], dtype=np.int64)
        before, after = [], []
        for test in self.tests:
            low, high = low + self.ranges[:, 0], high + self.ranges[:, 1]
            before.append(np.stack([low, high], 1))
            silent, fires = low < test, high >= test  # whether there are such membranes
            fired = np.maximum(low, test) - self.threshold
            low, high = (
                np.where(silent & fires, np.minimum(low, fired), np.where(silent, low, fired)),
                np.where(
                    silent & fires,
                    np.maximum(np.minimum(high, test - 1), high - self.threshold),
                    np.where(silent, high, high - self.threshold),
                ),
            )
            after.append(np.stack([low, high], 1))
        return np.stack(before), np.stack(after)

    def compute(self, currents: np.ndarray) -> np.ndarray:
        """Model: currents (n, outputs, steps) to spikes (n / scans, outputs, T)."""
        x = currents.reshape(-1, self.groups, self.scans, self.outputs, self.i_format.steps)
        x = x.transpose(0, 1, 3, 2, 4).reshape(len(x), self.groups * self.outputs, -1)
        if self.lossless:
            spikes = x[:, :, :1] >= self.tests.T
        else:
            u, spikes = np.zeros(x.shape[:2], np.int64), np.zeros((*x.shape[:2], self.time_steps), bool)
            for t, test in enumerate(self.tests):
                u = u + x[:, :, 0 if self.constant else t]
                spikes[:, :, t] = u >= test
                u = u - spikes[:, :, t] * self.threshold
        return spikes.astype(np.int64).reshape(-1, self.outputs, self.time_steps)


class NeuronArray(wiring.Component):
    """The neurons of a :class:`NeuronSpec`. Takes a current word in any cycle, never stalls.

    Members: ``i``: In(stream of current words, always ready); ``o``: Out(stream of spike words, always ready).
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, spec: NeuronSpec) -> None:
        self.spec = spec
        super().__init__(
            {
                "i": In(stream.Signature(spec.i_format.width, always_ready=True)),
                "o": Out(stream.Signature(spec.o_format.width, always_ready=True)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec, form = self.spec, self.spec.i_format
        scan, last_scan = counter(m, spec.scans, self.i.valid, "scan")
        group, _ = counter(m, spec.groups, self.i.valid & last_scan, "group")
        # What travels with the word: whether it completes the neurons, its group and its scan.
        travel = Cat(self.i.valid, self.i.valid & last_scan, group, scan)
        lanes = [self.i.payload[k * form.element_bits :][: form.element_bits] for k in range(spec.outputs)]
        currents = [
            [c.as_signed() if form.signed else c for c in (lane.word_select(t, form.bits) for t in range(form.steps))]
            for lane in lanes
        ]
        if spec.lossless:
            spikes = [
                self._compare(m, c[0], t, k, group, Const(0))
                for k, c in enumerate(currents)
                for t in range(spec.time_steps)
            ]
            m.d.sync += [self.o.valid.eq(self.i.valid), self.o.payload.eq(Cat(spikes))]
            return m
        self._pipeline(m, currents, travel)
        return m

    def _compare(self, m: Module, value: Value, stage: int, lane: int, group: Value, scan: Value) -> Value:
        """[value >= test] for the test of this lane and stage in the given group and scan."""
        spec = self.spec
        steps = spec.tests.reshape(spec.scans, spec.stages, spec.groups, spec.outputs)[:, stage, :, lane]
        if spec.scans == 1:
            return value >= selected(m, group, steps[0], f"test_{lane}_{stage}")
        padded = np.zeros((spec.scans, 1 << max(1, (spec.groups - 1).bit_length())), np.int64)
        padded[:, : spec.groups] = steps
        index = Cat(group, Const(0, 1) if spec.groups == 1 else Const(0, 0), scan)
        return value >= selected(m, index, padded.reshape(-1).tolist(), f"test_{lane}_{stage}")

    def _pipeline(self, m: Module, currents: list[list[Value]], travel: Value) -> None:
        """Rule ``causal``: two registers a time step, first a = u + I, then the spike and its subtraction."""
        spec = self.spec
        before, after = spec.membranes
        scans, stages = spec.scans, spec.stages

        def shape(bounds: np.ndarray, stage: int, lane: int) -> Shape:
            mine = bounds[stage::stages, lane :: spec.outputs]
            return shape_for(min(0, int(mine[..., 0].min())), max(0, int(mine[..., 1].max())))

        carried = [
            Signal(shape(after, stages - 1, k), name=f"u_carried_{k}") if scans > 1 else Const(0)
            for k in range(spec.outputs)
        ]
        u: list[Value] = list(carried)
        spikes: list[list[Value]] = [[] for _ in range(spec.outputs)]
        for t in range(stages):
            later = Signal.like(travel, name=f"travel_{t}_a")
            m.d.sync += later.eq(travel)
            sums = []
            for k in range(spec.outputs):
                a = Signal(shape(before, t, k), name=f"a_{k}_{t}")
                m.d.sync += a.eq(u[k] + currents[k][0])
                sums.append(a)
                currents[k] = [
                    self._later(m, c, f"i_{k}_{t}_a{n}")
                    for n, c in enumerate(currents[k] if spec.constant else currents[k][1:])
                ]
                spikes[k] = [self._later(m, s, f"s_{k}_{t}_a{n}") for n, s in enumerate(spikes[k])]
            travel, later = later, Signal.like(travel, name=f"travel_{t}_b")
            group = travel[2 : 2 + (spec.groups - 1).bit_length()]
            scan = travel[2 + len(group) :]
            for k, a in enumerate(sums):
                fire = Signal(name=f"fire_{k}_{t}")
                m.d.comb += fire.eq(self._compare(m, a, t, k, group, scan))
                threshold = selected(m, group, spec.threshold[k :: spec.outputs].tolist(), f"threshold_{k}_{t}")
                if t < stages - 1 or scans > 1:
                    u[k] = Signal(shape(after, t, k), name=f"u_{k}_{t}") if t < stages - 1 else carried[k]
                    value = a - Mux(fire, threshold, 0)
                    if t < stages - 1:
                        m.d.sync += u[k].eq(value)
                    else:  # keep the membrane for the next scan, or start the next neuron
                        with m.If(travel[0]):
                            m.d.sync += u[k].eq(value)
                        with m.If(travel[1]):
                            m.d.sync += u[k].eq(0)
                spikes[k] = [self._later(m, s, f"s_{k}_{t}_b{n}") for n, s in enumerate([*spikes[k], fire])]
                currents[k] = [self._later(m, c, f"i_{k}_{t}_b{n}") for n, c in enumerate(currents[k])]
            m.d.sync += later.eq(travel)
            travel = later
        if scans == 1:
            m.d.comb += [self.o.valid.eq(travel[1]), self.o.payload.eq(Cat(s for lane in spikes for s in lane))]
            return
        # Collect the groups of steps: the earlier ones wait in a register, the last comes straight from the pipeline.
        words = []
        for k, lane in enumerate(spikes):
            earlier = Signal(spec.time_steps - stages, name=f"earlier_{k}")
            word = Cat(earlier, lane)
            with m.If(travel[0]):
                m.d.sync += earlier.eq(word[stages:])
            words.append(word)
        m.d.comb += [self.o.valid.eq(travel[1]), self.o.payload.eq(Cat(words))]

    @staticmethod
    def _later(m: Module, value: Value, name: str) -> Signal:
        later = Signal(value.shape(), name=name)
        m.d.sync += later.eq(value)
        return later
