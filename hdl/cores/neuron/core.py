"""The neuron array: integrate and fire, with all time steps of a neuron inside one word.

The membrane lives in the pipeline registers while the time steps of its word are computed, so there is no membrane
memory. The bias is not added but moved into the spike test: with u_t = v_t - v0 - (t+1)*bias the neuron is
    a_t = u_(t-1) + I_t;   s_t = [a_t >= test_t];   u_t = a_t - s_t * threshold;   test_t = threshold - v0 - (t+1)*bias
which saves an adder a step; the rule ``signed`` tests for v < 0 in the same way, [a_t < dip_t] with dip_t = test_t -
threshold. The rule ``lossless`` needs only the sum of the currents: s_t = [sum >= test_t] with
test_t = (t+1)*threshold - v0 - T*bias. A strict test is the same one with test_t + 1, for all numbers are integers.

Where ``counts``, a word has the number of spikes in binary. Up to four of ``causal`` are counted at the end, of more
steps the count is carried along instead of the spikes. Those of ``lossless`` come first, s_t = [t < count], so bit b of
the count says that it is in k..k + 2^b - 1 for some odd multiple k of 2^b, which is s_(k-1) and not s_(k+2^b-1): for
T = 4 a LUT for each of two bits, and the spike s_3 for the third.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
from amaranth import *

from ...memory.rom import selected
from ...streams.counter import counter
from ...streams.pipe import Pipe
from ...streams.words import shape_for
from ..synapse.gated import Addition, add
from .spec import NeuronSpec

__all__ = ["NeuronArray"]


class NeuronArray(Pipe):
    """The neurons of a :class:`NeuronSpec`. Takes a current word in any cycle, never stalls.

    Members: ``i``: In(stream of current words, always ready); ``o``: Out(stream of spike words, always ready).
    """

    def __init__(self, spec: NeuronSpec) -> None:
        self.spec = spec
        super().__init__(spec.i_format.width, spec.o_format.width)

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
                c[0] >= self._level(m, spec.tests, t, k, group, Const(0), f"test_{k}_{t}")
                for k, c in enumerate(currents)
                for t in range(spec.time_steps)
            ]
            if spec.counts:
                lanes = [spikes[k * spec.time_steps :][: spec.time_steps] for k in range(spec.outputs)]
                spikes = [self._bit(lane, 1 << b) for lane in lanes for b in range(spec.o_format.bits)]
            m.d.sync += [self.o.valid.eq(self.i.valid), self.o.payload.eq(Cat(spikes))]
            return m
        self._pipeline(m, platform, currents, travel)
        return m

    @staticmethod
    def _bit(spikes: Sequence[Value], unit: int) -> Value:
        """The bit of value ``unit`` of the count of ``spikes``, none of which follows a step without one."""
        starts, ends = spikes[unit - 1 :: 2 * unit], [~s for s in spikes[2 * unit - 1 :: 2 * unit]]
        return Cat(s & e for s, e in zip_longest(starts, ends, fillvalue=Const(1, 1))).any()

    def _level(
        self, m: Module, levels: np.ndarray, stage: int, lane: int, group: Value, scan: Value, name: str
    ) -> Value:
        """The one of ``levels`` (T, Co) for this lane and stage in the given group and scan, one cycle later unless
        the rule is ``lossless``."""
        spec = self.spec
        steps = levels.reshape(spec.scans, spec.stages, spec.groups, spec.outputs)[:, stage, :, lane]
        if spec.scans == 1:
            return self._chosen(m, group, steps[0].tolist(), name)
        padded = np.zeros((spec.scans, 1 << max(1, (spec.groups - 1).bit_length())), np.int64)
        padded[:, : spec.groups] = steps
        index = Cat(group, Const(0, 1) if spec.groups == 1 else Const(0, 0), scan)
        return self._chosen(m, index, padded.reshape(-1).tolist(), name)

    def _chosen(self, m: Module, index: Value, values: list[int], name: str) -> Value:
        """The one of ``values``, registered where there are registers in the pipeline and it is not a constant."""
        value = selected(m, index, values, name)
        return value if self.spec.lossless or isinstance(value, Const) else self._later(m, value, f"{name}_r")

    @staticmethod
    def _gated_sum(m: Module, platform: object, a: Value, b: Value, gate: Value, shape: Shape, name: str) -> Value:
        """a + (b & gate), which fits ``shape``; what is above is not computed."""
        width = shape.width
        a, b = (Cat(v, v[-1:].replicate(width if v.shape().signed else 0))[:width] for v in (a, b))
        total = add(m, platform, [Addition(a, b, width, ax=Const(1, 1), bx=gate)], name)
        return total[0][:width].as_signed() if shape.signed else total[0][:width]

    def _pipeline(self, m: Module, platform: object, currents: list[list[Value]], travel: Value) -> None:
        """Two registers a time step: first a = u + I, and the levels of its tests out of their tables; then the spike
        and its subtraction."""
        spec, signed_spikes = self.spec, self.spec.rule == "signed"
        counting = signed_spikes or spec.counter
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
        # The running count of the spikes, for ``signed`` and for words of counts.
        kept = [Signal(range(spec.time_steps + 1), name=f"n_carried_{k}") for k in range(spec.outputs)]
        count: list[Value] = list(kept) if scans > 1 else [Const(0, 0)] * spec.outputs
        spikes: list[list[Value]] = [[] for _ in range(spec.outputs)]
        for t in range(stages):
            later = Signal.like(travel, name=f"travel_{t}_a")
            m.d.sync += later.eq(travel)
            group = travel[2 : 2 + (spec.groups - 1).bit_length()]
            scan = travel[2 + len(group) :]
            sums, tests, dips, resets, undos = [], [], [], [], []
            for k in range(spec.outputs):
                thresholds = spec.threshold[k :: spec.outputs]
                tests.append(self._level(m, spec.tests, t, k, group, scan, f"test_{k}_{t}"))
                resets.append(self._chosen(m, group, (-thresholds).tolist(), f"reset_{k}_{t}"))
                if signed_spikes:
                    dips.append(self._level(m, spec.dips, t, k, group, scan, f"dip_level_{k}_{t}"))
                    undos.append(self._chosen(m, group, thresholds.tolist(), f"undo_{k}_{t}"))
                a = Signal(shape(before, t, k), name=f"a_{k}_{t}")
                m.d.sync += a.eq(u[k] + currents[k][0])
                sums.append(a)
                currents[k] = [
                    self._later(m, c, f"i_{k}_{t}_a{n}")
                    for n, c in enumerate(currents[k] if spec.constant and len(currents[k]) == 1 else currents[k][1:])
                ]
                spikes[k] = [self._later(m, s, f"s_{k}_{t}_a{n}") for n, s in enumerate(spikes[k])]
                if counting and t + scans > 1:
                    count[k] = self._later(m, count[k], f"n_{k}_{t}_a")
            travel, later = later, Signal.like(travel, name=f"travel_{t}_b")
            for k, a in enumerate(sums):
                # The sign of a difference: a carry chain from which nothing but its last sum is taken.
                fire, u_shape = Signal(name=f"fire_{k}_{t}"), shape(after, t, k)
                m.d.comb += fire.eq(~(a - tests[k])[-1])
                spike: Value = fire
                if signed_spikes:
                    dip = Signal(name=f"dip_{k}_{t}")
                    m.d.comb += dip.eq((a - dips[k])[-1] & (count[k] != 0))
                    moved = a + Mux(dip, undos[k], Mux(fire, resets[k], 0))
                    spike = Cat(fire | dip, dip)
                else:
                    moved = self._gated_sum(m, platform, a, resets[k], fire, u_shape, f"moved_{k}_{t}")
                state: list[tuple[list[Value], Sequence[Value], Value, Shape, str]] = [
                    (u, carried, moved, u_shape, "u")
                ]
                leaving: list[Value] = [*spikes[k], spike]
                if counting:
                    total = count[k] + fire - dip if signed_spikes else count[k] + fire
                    n_shape = unsigned((t + 1).bit_length()) if spec.counter and scans == 1 else kept[k].shape()
                    state.append((count, kept, total, n_shape, "n"))
                    leaving = leaving if signed_spikes else [total] if t == stages - 1 else []
                if spec.counts and t == stages - 1:
                    leaving = [sum(leaving, Const(0))[: spec.o_format.bits]]
                for values, last_values, value, shape_of, name in state:
                    if t < stages - 1:
                        values[k] = Signal(shape_of, name=f"{name}_{k}_{t}")
                        m.d.sync += values[k].eq(value)
                    elif scans > 1:  # keep it for the next scan, or start the next neuron
                        with m.If(travel[0]):
                            m.d.sync += last_values[k].eq(value)
                        with m.If(travel[1]):
                            m.d.sync += last_values[k].eq(0)
                spikes[k] = [self._later(m, s, f"s_{k}_{t}_b{n}") for n, s in enumerate(leaving)]
                currents[k] = [self._later(m, c, f"i_{k}_{t}_b{n}") for n, c in enumerate(currents[k])]
            m.d.sync += later.eq(travel)
            travel = later
        if scans == 1 or spec.counts:
            m.d.comb += [self.o.valid.eq(travel[1]), self.o.payload.eq(Cat(s for lane in spikes for s in lane))]
            return
        # Collect the groups of steps: the earlier ones wait in a register, the last comes straight from the pipeline.
        words = []
        for k, lane in enumerate(spikes):
            bits = spec.o_format.bits
            earlier = Signal((spec.time_steps - stages) * bits, name=f"earlier_{k}")
            word = Cat(earlier, lane)
            with m.If(travel[0]):
                m.d.sync += earlier.eq(word[stages * bits :])
            words.append(word)
        m.d.comb += [self.o.valid.eq(travel[1]), self.o.payload.eq(Cat(words))]

    @staticmethod
    def _later(m: Module, value: Value, name: str) -> Signal:
        later = Signal(value.shape(), name=name)
        m.d.sync += later.eq(value)
        return later
