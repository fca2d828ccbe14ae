"""Proofs about synapses and neurons, against their equations in plain integers (``docs/formal.md``)."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Cat, Const, Mux, Signal, Value, signed
from prove import Bench, prove, proven
from stream_benches import Reference, lanes_of, pipe_bench, word_from

from spikeloom.hdl.cores.neuron.core import NeuronArray
from spikeloom.hdl.cores.neuron.spec import NeuronSpec
from spikeloom.hdl.cores.synapse.core import SynapseArray
from spikeloom.hdl.cores.synapse.spec import SynapseSpec
from spikeloom.hdl.streams.words import WordFormat
from spikeloom.hdl.verilog.library import Target


def synapse(scans: int, groups: int, signed: bool = False, addressed: bool = False) -> SynapseSpec:
    """Two words of two inputs, two time steps computed together or one after the other."""
    rng = np.random.default_rng(3)
    weight = rng.integers(-4, 4, (2 * groups, 2, 2))
    form = WordFormat(2, 2, -1 if signed else 0, 1)
    start = np.zeros(2 * groups, np.int64)
    return SynapseSpec(weight=weight, weight_bits=3, i_format=form, outputs=2, steps=2 // scans, sum_time=False,
                       start=start, addressed=addressed)  # fmt: skip


def synapse_reference(spec: SynapseSpec) -> Reference:
    """current[o][t] = sum over the words of weight * input, in plain integers."""

    def reference(bench: Bench, word: Value, valid: Value) -> tuple[Value, Value]:
        m, form, steps = bench.m, spec.i_format, spec.terms
        row = Signal(range(spec.groups * spec.scans * spec.words + 1), name="row")
        rounds = spec.groups * spec.scans * spec.words
        with m.If(valid):
            m.d.sync += row.eq(Mux(row == rounds - 1, 0, row + 1))
        x = lanes_of(word, form.lanes * form.steps, form.bits, form.signed)
        done, results = Signal(name="done"), []
        for o in range(spec.outputs):
            for t in range(steps):
                sums = []
                for r in range(rounds):
                    group, scan, k = r // spec.words // spec.scans, r // spec.words % spec.scans, r % spec.words
                    weights = spec.weight[group * spec.outputs + o, k]
                    sums.append(sum((x[n * form.steps + scan * steps + t] * int(weights[n]) for n in range(form.lanes)),
                                    Const(0, signed(8))))  # fmt: skip
                part = Signal(signed(10), name=f"part_{o}_{t}")
                with m.Switch(row):
                    for r, value in enumerate(sums):
                        with m.Case(r):
                            m.d.comb += part.eq(value)
                total, now = Signal(signed(10), name=f"total_{o}_{t}"), Signal(signed(10), name=f"now_{o}_{t}")
                last = row % spec.words == spec.words - 1 if spec.words > 1 else Const(1)
                m.d.comb += [now.eq(total + part), done.eq(valid & last)]
                with m.If(valid):
                    m.d.sync += total.eq(Mux(last, 0, now))
                results.append(now[: spec.o_format.bits])
        return done, Cat(results)

    return reference


LONG = [pytest.param(*form, marks=pytest.mark.slow) for form in ((1, 2, False), (1, 1, True))]
SYNAPSES = [(1, 1, False), (2, 1, False), *LONG]


@pytest.mark.parametrize("target", ["fpga", "asic"])
@pytest.mark.parametrize(("scans", "groups", "signed_inputs"), SYNAPSES)
def test_synapse_array(scans: int, groups: int, signed_inputs: bool, target: Target, tmp_path: Path) -> None:
    spec = synapse(scans, groups, signed_inputs)
    bench = pipe_bench(SynapseArray(spec), spec.i_format, spec.latency, synapse_reference(spec), last_of=spec.words)
    depth = spec.latency + spec.words * spec.scans * spec.groups + 3
    proven(prove(bench, tmp_path, depth=depth, target=target), folder=tmp_path)


def neuron(rule: str, steps: int, groups: int = 1, counts: bool = False, constant: bool = False,
           low_end: int = 0) -> NeuronSpec:  # fmt: skip
    """Neurons of two time steps, of currents from -4 to 3."""
    time_steps = 2
    low, high = (-4, 3) if rule != "lossless" or constant else (-8, 6)
    form = WordFormat(1, 1 if rule == "lossless" or constant else steps, low, high)
    level = {"threshold": [3, 4], "bias": [1, -1], "v0": [1, 2]}
    return NeuronSpec(**{name: np.array(v[:groups]) for name, v in level.items()}, rule=rule, strict=False,
                      time_steps=time_steps, i_format=form, ranges=np.array([[low, high]] * groups),
                      constant=constant, counts=counts, low=low_end)  # fmt: skip


def neuron_reference(spec: NeuronSpec) -> Reference:
    """v += I + bias; s = [v >= threshold]; v -= s * threshold, step by step (``docs/network.md``)."""

    def reference(bench: Bench, word: Value, valid: Value) -> tuple[Value, Value]:
        m, form = bench.m, spec.i_format
        currents = lanes_of(word, form.steps, form.bits, form.signed)
        place = Signal(range(spec.groups * spec.scans + 1), name="place")
        with m.If(valid):
            m.d.sync += place.eq(Mux(place == spec.groups * spec.scans - 1, 0, place + 1))
        group = place // spec.scans
        levels = {
            name: word_from(m, [Const(int(v), 8) for v in getattr(spec, name)], group, name).as_signed()
            for name in ("threshold", "bias", "v0")
        }
        first = place % spec.scans == 0
        kept, count_kept = Signal(signed(10), name="v_kept"), Signal(4, name="count_kept")
        spikes_kept = Signal(2 * spec.time_steps, name="spikes_kept")
        v: Value = Mux(first, levels["v0"], kept)
        spikes, count = [], Mux(first, 0, count_kept)
        if spec.by_rule.adds_up:  # as many as fit into the sum, from the first step on
            total = currents[0] * (spec.time_steps if spec.constant else 1)
            v = levels["v0"] + total + levels["bias"] * spec.time_steps
            up = [(v >= levels["threshold"] * (t + 1))[0] for t in range(spec.time_steps)]
            down = [(v < levels["threshold"] * -t)[0] if t < -spec.low else Const(0, 1) for t in range(spec.time_steps)]
            count = sum(up, Const(0, 1)) - sum(down, Const(0, 1))
            spikes = [bit for u, d in zip(up, down, strict=True) for bit in (u | d, d)] if spec.low else up
        else:
            for t in range(spec.stages):
                a = Signal(signed(10), name=f"v_{t}")
                m.d.comb += a.eq(v + currents[t if len(currents) > 1 else 0] + levels["bias"])
                fire = a >= levels["threshold"]
                dip = (a < 0) & (count != 0) if spec.rule == "signed" else Const(0)
                v = a - Mux(fire, levels["threshold"], Mux(dip, -levels["threshold"], 0))
                count = count + fire - dip
                spikes += [(fire | dip)[0], dip[0]] if spec.rule == "signed" else [fire[0]]
        with m.If(valid):
            m.d.sync += [kept.eq(v), count_kept.eq(count)]
        done = valid & (place % spec.scans == spec.scans - 1)
        bits = 2 if spec.rule == "signed" or spec.low else 1
        earlier = spec.time_steps - len(spikes) // bits
        with m.If(valid):
            m.d.sync += spikes_kept.eq(Cat(spikes))
        word_out = Cat(spikes_kept[: earlier * bits], *spikes)
        return done, Value.cast(count)[: spec.o_format.bits] if spec.counts else word_out

    return reference


NEURONS = {
    "causal": neuron("causal", 2),
    "causal, groups": neuron("causal", 2, groups=2),
    "causal, a step at a time": neuron("causal", 1, groups=2),
    "causal, counts": neuron("causal", 2, counts=True),
    "causal, counts a step at a time": neuron("causal", 1, counts=True),
    "causal, constant current": neuron("causal", 1, constant=True),
    "signed": neuron("signed", 2, groups=2),
    "signed, a step at a time": neuron("signed", 1),
    "lossless": neuron("lossless", 1, groups=2),
    "lossless, counts": neuron("lossless", 1, counts=True),
    "lossless, constant current": neuron("lossless", 1, constant=True),
    "lossless with a lower end": neuron("lossless", 1, groups=2, low_end=-1),
    "lossless with a lower end, counts": neuron("lossless", 1, counts=True, low_end=-2),
}


@pytest.mark.parametrize("form", NEURONS)
def test_neuron_array(form: str, tmp_path: Path) -> None:
    spec = NEURONS[form]
    bench = pipe_bench(NeuronArray(spec), spec.i_format, spec.latency, neuron_reference(spec),
                       spacing=spec.turnaround)  # fmt: skip
    depth = spec.latency + 2 * spec.scans * spec.groups * spec.turnaround + 3
    proven(prove(bench, tmp_path, depth=depth), folder=tmp_path)


def test_a_neuron_with_another_threshold_is_found(tmp_path: Path) -> None:
    spec = neuron("causal", 2)
    other = replace(spec, threshold=spec.threshold + 1)
    proof = prove(
        pipe_bench(NeuronArray(other), spec.i_format, spec.latency, neuron_reference(spec)), tmp_path, depth=9
    )
    assert proof.broken == ["the result of the reference"]
