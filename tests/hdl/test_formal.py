"""Proofs about every core: streams hold, no word is lost or comes twice, FIFOs neither over- nor underflow, and all of
it after a reset in any state (``docs/formal.md``)."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Cat, Const, DomainRenamer, Module, Mux, Signal, Value, signed
from prove import Bench, prove, proven, waits_for_ready
from stream_benches import Reference, lanes_of, pipe_bench, sink, source, taken_word, word_from

from spikeloom.hdl.flow import Fifo, Gearbox, GearboxSpec
from spikeloom.hdl.fork import Decimator, DecimatorSpec, Fork
from spikeloom.hdl.initial import InitialMembranes, InitialSpec
from spikeloom.hdl.library import Target
from spikeloom.hdl.merge import Merge, MergeSpec
from spikeloom.hdl.neuron import NeuronArray
from spikeloom.hdl.neuron_spec import NeuronSpec
from spikeloom.hdl.pool import PoolArray, PoolSpec
from spikeloom.hdl.readout import Readout, ReadoutSpec
from spikeloom.hdl.requant import Requantiser, RequantSpec
from spikeloom.hdl.serial import Serialiser, SerialiserSpec
from spikeloom.hdl.synapse import SynapseArray, SynapseSpec
from spikeloom.hdl.words import WordFormat

WIDTH = 6
"""Bits of the counters of words: more than the words of any proof."""


def fifo_bench(fifo: Fifo, width: int, depth: int, data: bool) -> Bench:
    """In order, each word once; the level is what went in and did not come out, at most ``depth``."""
    bench = Bench()
    bench.m.submodules.core = fifo
    taken_i, word = source(bench, fifo.i)
    taken_o, out = sink(bench, fifo.o)
    went, came = (Signal(WIDTH, name=name) for name in ("went", "came"))
    bench.m.d.sync += [went.eq(went + taken_i), came.eq(came + taken_o)]
    level = Signal(WIDTH, name="level")
    bench.m.d.comb += level.eq(went - came)
    bench.rule("never more than its depth", level <= depth)
    bench.rule("a word is offered where there is one", fifo.o.valid == (level != 0))
    bench.rule("a word is taken where there is room", fifo.i.ready == (level != depth))
    if depth > 1:
        at = (depth - 1).bit_length()
        inner, write_at, read_at = (
            bench.probe(n, f"core.{name}")
            for name, n in (("level", depth.bit_length()), ("write_at", at), ("read_at", at))
        )
        ahead = Signal(range(2 * depth), name="ahead")
        bench.m.d.comb += ahead.eq(read_at + level)
        bench.rule("level", inner == level)
        bench.rule("addresses", (write_at < depth) & (read_at < depth)
                   & (write_at == Mux(ahead >= depth, ahead - depth, ahead)))  # fmt: skip
    if data:
        at = bench.constant(WIDTH, "marked")
        bench.rule("the word in its place", ~fifo.o.valid | (came != at)
                   | (out == taken_word(bench, at, taken_i, went, word, "marked_word")))  # fmt: skip
    bench.goal("full, then empty", (came == depth) & (went == depth) if depth > 1 else came == 1)
    return bench


@pytest.mark.parametrize("target", ["fpga", "asic"])
@pytest.mark.parametrize("depth", [1, 2, *(pytest.param(n, marks=pytest.mark.slow) for n in (3, 4))])
def test_fifo(depth: int, target, tmp_path: Path) -> None:
    bench = fifo_bench(Fifo(2, depth), 2, depth, data=False)
    proven(prove(bench, tmp_path, depth=2 * depth + 3, induction=True, target=target), "o", folder=tmp_path)
    bench = fifo_bench(Fifo(2, depth), 2, depth, data=True)
    proven(prove(bench, tmp_path, depth=3 * depth + 4, target=target), folder=tmp_path)


class Overflowing(Fifo):
    """A FIFO that forgets that it is full."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.d.comb += self.i.ready.eq(1)
        return m


@pytest.mark.parametrize(
    "rule", ["never more than its depth", "a word is taken where there is room", "the word in its place"]
)
def test_a_fifo_without_its_full_check_is_found(rule: str, tmp_path: Path) -> None:
    bench = fifo_bench(Overflowing(2, 2), 2, 2, data=True)
    bench.rules = {rule: bench.rules[rule]}  # each of them finds it alone
    proof = prove(bench, tmp_path, depth=10)
    assert not proof and proof.broken == [rule]
    assert proof.waves is not None and proof.waves.stat().st_size > 1000
    lines = {line.split()[0]: line.split()[1:] for line in proof.table.splitlines()}
    assert {"i_valid", "i_payload", "o_ready", "o_valid", "level"} <= set(lines)
    if rule.startswith("never"):
        assert int(lines["level"][-1], 16) == 3


def test_a_fifo_that_is_not_reset_is_found(tmp_path: Path) -> None:
    bench = fifo_bench(DomainRenamer("start")(Fifo(2, 2)), 2, 2, data=False)
    assert prove(bench, tmp_path, depth=6).broken


class Waiting(Fork):
    """A fork whose readers see a word only when the other one is ready."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.d.comb += self.outs[0].valid.eq(self.i.valid & self.outs[1].ready)
        return m


def test_a_valid_that_waits_for_ready_is_found(tmp_path: Path) -> None:
    bench = fork_bench(Waiting(2, 2))
    proof = prove(bench, tmp_path, depth=5)
    assert {"o0 holds", "reader 0 is shown a word once"} & set(proof.broken)
    assert waits_for_ready(tmp_path, ["o0", "o1"]) == ["o0_valid"]


@pytest.mark.parametrize(("lanes_in", "lanes_out"), [(1, 2), (1, 3), (2, 4), (2, 1), (3, 1), (4, 2)])
def test_gearbox(lanes_in: int, lanes_out: int, tmp_path: Path) -> None:
    spec = GearboxSpec(WordFormat(lanes_in, 1, 0, 1), lanes_out)
    bench = Bench()
    bench.m.submodules.core = core = Gearbox(spec)
    taken_i, word = source(bench, core.i)
    taken_o, out = sink(bench, core.o)
    # Narrow words that came in and went out; the parts of the wide word that is under way.
    narrow, wide = sorted((lanes_in, lanes_out))
    ratio, low = wide // narrow, Signal(range(wide // narrow), name="low")
    moved = taken_i if spec.widens else taken_o
    with bench.m.If(moved):
        bench.m.d.sync += low.eq(Mux(low == ratio - 1, 0, low + 1))
    went, came, marked = Signal(WIDTH, name="went"), Signal(WIDTH, name="came"), bench.constant(WIDTH, "marked")
    bench.m.d.sync += [went.eq(went + taken_i), came.eq(came + taken_o)]
    whole = Signal(name="whole")  # a wide word is complete, or there
    if spec.widens:
        bench.m.d.sync += whole.eq(Mux(taken_i & (low == ratio - 1), 1, whole & ~taken_o))
        bench.rule("part", bench.probe(len(low), "core.part") == low)
        parts = [taken_word(bench, marked * ratio + k, taken_i, went, word, f"part_{k}") for k in range(ratio)]
        expected = Cat(parts)
    else:
        bench.m.d.sync += whole.eq(Mux(taken_i, 1, whole & ~(taken_o & (low == ratio - 1))))
        bench.rule("part", bench.probe(len(low), "core.part") == low)
        kept = Signal(len(word), name="kept")  # the wide word taken last
        with bench.m.If(taken_i):
            bench.m.d.sync += kept.eq(word)
        expected = word_from(bench.m, [kept[k * len(out) :][: len(out)] for k in range(ratio)], low, "expected")
    bench.rule("a word is offered where there is one", core.o.valid == whole)
    room = ~whole | core.o.ready if spec.widens else ~whole | (core.o.ready & (low == ratio - 1))
    bench.rule("a word is taken where there is room", core.i.ready == room)
    if not spec.widens:
        bench.rule("the part in its place", ~core.o.valid | (out == expected))
        bench.rule("the word", ~core.o.valid | (bench.probe(len(word), "core.word")[: len(out)] == expected))
    bench.goal("three words", came == 3)
    proven(prove(bench, tmp_path, depth=3 * ratio + 4, induction=spec.widens), "o", folder=tmp_path)
    if spec.widens:  # which parts are in a word: bounded
        bench = Bench()
        bench.m.submodules.core = core = Gearbox(spec)
        taken_i, word = source(bench, core.i)
        taken_o, out = sink(bench, core.o)
        marked = bench.constant(WIDTH, "marked")
        went, came = bench.count(taken_i, WIDTH, "went"), bench.count(taken_o, WIDTH, "came")
        parts = [taken_word(bench, marked * ratio + k, taken_i, went, word, f"part_{k}") for k in range(ratio)]
        bench.rule("the parts in their places", ~core.o.valid | (came != marked) | (out == Cat(parts)))
        proven(prove(bench, tmp_path, depth=4 * ratio + 3), folder=tmp_path)


def fork_bench(core: Fork) -> Bench:
    """Every reader is shown every word once, and it is taken when all had it."""
    bench = Bench()
    bench.m.submodules.core = core
    taken_i, word = source(bench, core.i)
    had = []
    for k, o in enumerate(core.outs):
        taken_o, out = sink(bench, o, f"o{k}")
        had.append(Signal(name=f"had_{k}"))  # this reader took the word that waits at the input
        bench.m.d.sync += had[k].eq((had[k] | taken_o) & ~taken_i)
        bench.rule(f"reader {k} is shown a word once", o.valid == (core.i.valid & ~had[k]))
        bench.rule(f"reader {k} sees the word", ~o.valid | (out == word))
        bench.rule(f"done {k}", bench.probe(1, f"core.done_{k}") == had[k])
    every = Cat(h | o.ready for h, o in zip(had, core.outs, strict=True)).all()
    bench.rule("taken when all have it", taken_i == (core.i.valid & every))
    bench.goal("one after the other", Cat(had[:-1]).all() & taken_i)
    return bench


@pytest.mark.parametrize("branches", [2, 3])
def test_fork(branches: int, tmp_path: Path) -> None:
    bench = fork_bench(Fork(2, branches))
    outputs = [f"o{k}" for k in range(branches)]
    proven(prove(bench, tmp_path, depth=5, induction=True), *outputs, folder=tmp_path)


@pytest.mark.parametrize(("size", "stride", "words"), [((2, 3), 2, 1), ((4, 2), 3, 1), ((2, 2), 2, 2)])
def test_decimator(size: tuple[int, int], stride: int, words: int, tmp_path: Path) -> None:
    spec = DecimatorSpec(WordFormat(2, 1, 0, 1), words, *size, stride)
    bench = Bench()
    bench.m.submodules.core = core = Decimator(spec)
    taken_i, word = source(bench, core.i)
    _, out = sink(bench, core.o)
    kept = spec.kept().tolist()
    place = Signal(range(len(kept)), name="place")
    with bench.m.If(taken_i):
        bench.m.d.sync += place.eq(Mux(place == len(kept) - 1, 0, place + 1))
    keeps = word_from(bench.m, [Value.cast(int(k)) for k in kept], place, "keeps")
    bench.rule("a word is offered where it is kept", core.o.valid == (core.i.valid & keeps))
    bench.rule("it is that word", ~core.o.valid | (out == word))
    bench.rule("others are taken at once", core.i.ready == (~keeps | core.o.ready))
    bench.rule("place", place < len(kept))
    height, width = size
    places = np.arange(len(kept))
    for name, count, values in (
        ("word", words, places % words),
        ("x", width, places // words % width),
        ("y", height, places // words // width),
    ):
        wires = [(name, count, values)] if count > 1 else []
        if name != "word" and count > 1 and stride & (stride - 1):
            wires.append((f"{name}_phase", stride, values % stride))
        for wire, states, expected in wires:
            inner = bench.probe((states - 1).bit_length(), f"core.{wire}")
            bench.rule(
                wire, inner == word_from(bench.m, [Const(int(v), 4) for v in expected], place, f"{wire}_expected")
            )
    bench.goal("not kept", taken_i & ~keeps)
    proven(prove(bench, tmp_path, depth=5, induction=True), "o", folder=tmp_path)


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


def neuron(rule: str, steps: int, groups: int = 1, counts: bool = False, constant: bool = False) -> NeuronSpec:
    """Neurons of three time steps, of currents from -4 to 3."""
    time_steps = 2
    low, high = (-4, 3) if rule != "lossless" or constant else (-8, 6)
    form = WordFormat(1, 1 if rule == "lossless" or constant else steps, low, high)
    level = {"threshold": [3, 4], "bias": [1, -1], "v0": [1, 2]}
    return NeuronSpec(**{name: np.array(v[:groups]) for name, v in level.items()}, rule=rule, strict=False,
                      time_steps=time_steps, i_format=form, ranges=np.array([[low, high]] * groups),
                      constant=constant, counts=counts)  # fmt: skip


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
        if spec.lossless:  # as many as fit into the sum, from the first step on
            total = currents[0] * (spec.time_steps if spec.constant else 1)
            v = levels["v0"] + total + levels["bias"] * spec.time_steps
            spikes = [(v >= levels["threshold"] * (t + 1))[0] for t in range(spec.time_steps)]
            count = sum(spikes, Const(0, 1))
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
        bits = 2 if spec.rule == "signed" else 1
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


def per_group(bench: Bench, groups: int, valid: Value) -> Signal:
    """Which group of channels a word is for."""
    group = Signal(range(groups), name="group_of_word")
    with bench.m.If(valid):
        bench.m.d.sync += group.eq(Mux(group == groups - 1, 0, group + 1))
    return group


@pytest.mark.parametrize("groups", [1, 2])
def test_requantiser(groups: int, tmp_path: Path) -> None:
    form = WordFormat(1, 1, -32, 31)
    spec = RequantSpec(bias=np.array([3, -2][:groups]), shift=np.array([2, -1][:groups]), lo=-4, hi=7, i_format=form,
                       ranges=np.array([[-32, 31]] * groups))  # fmt: skip

    def reference(bench: Bench, word: Value, valid: Value) -> tuple[Value, Value]:
        group, results = per_group(bench, groups, valid), []
        for bias, shift in zip(spec.bias, spec.shift, strict=True):
            x = word.as_signed() - int(bias)
            x = x >> int(shift) if shift >= 0 else x << -int(shift)
            clamped = Signal(signed(10), name=f"clamped_{len(results)}")
            bench.m.d.comb += clamped.eq(Mux(x < spec.lo, spec.lo, Mux(x > spec.hi, spec.hi, x)))
            results.append(clamped[: spec.o_format.bits])
        return valid, word_from(bench.m, results, group, "expected")

    bench = pipe_bench(Requantiser(spec), form, spec.latency, reference)
    proven(prove(bench, tmp_path, depth=spec.latency + 2 * groups + 3, induction=groups == 1), folder=tmp_path)


@pytest.mark.parametrize("kind", ["sum", "max", "max_spikes"])
def test_pool_array(kind: str, tmp_path: Path) -> None:
    form = WordFormat(1, 2, 0, 1) if kind == "max_spikes" else WordFormat(1, 1, -4, 3)
    spec = PoolSpec(kind=kind, words=3, i_format=form)

    def reference(bench: Bench, word: Value, valid: Value) -> tuple[Value, Value]:
        m, place = bench.m, per_group(bench, 3, valid)
        before = [Signal(form.width, name=f"word_{k}") for k in range(2)]
        with m.If(valid):
            m.d.sync += [before[0].eq(word), before[1].eq(before[0])]
        words = [lanes_of(w, form.steps, form.bits, form.signed) for w in (word, *before)]

        def most(values: list[Value], name: str) -> Value:
            found: Value = values[0]
            for k, value in enumerate(values[1:]):
                larger = Signal(signed(6), name=f"{name}_{k}")
                m.d.comb += larger.eq(Mux(value > found, value, found))
                found = larger
            return found

        done = valid & (place == 2)
        if kind == "sum":
            return done, sum((w[0] for w in words), Const(0, signed(2)))[: spec.o_format.bits]
        if kind == "max":
            return done, most([w[0] for w in words], "most")[: spec.o_format.bits]
        counts = [most([sum(w[: t + 1], Const(0)) for w in words], f"most_{t}") for t in range(2)]
        return done, Cat(counts[0] > 0, counts[1] > counts[0])

    bench = pipe_bench(PoolArray(spec), form, spec.latency, reference, last_of=3)
    proven(prove(bench, tmp_path, depth=spec.latency + 9), folder=tmp_path)


@pytest.mark.parametrize("outputs", [1, 2, 4])
def test_readout(outputs: int, tmp_path: Path) -> None:
    form = WordFormat(outputs, 1, -4, 3)
    bias = np.array([1, -1, 0, 2])
    spec = ReadoutSpec(bias=bias, i_format=form, ranges=np.array([[-4, 3]] * 4))
    bits = spec.o_format.bits

    def reference(bench: Bench, word: Value, valid: Value) -> tuple[Value, Value]:
        m, group = bench.m, per_group(bench, spec.groups, valid)
        best, index = Signal(signed(8), name="best_logit"), Signal(2, name="best_class")
        found, at, logits = Mux(group == 0, -128, best), Mux(group == 0, 0, index), []
        for k, x in enumerate(lanes_of(word, outputs, form.bits, True)):
            offsets = [Const(int(b), 4) for b in bias[k::outputs]]
            logit, larger, where = (
                Signal(signed(8), name=f"logit_{k}"),
                Signal(signed(8), name=f"larger_{k}"),
                Signal(2, name=f"where_{k}"),
            )
            m.d.comb += logit.eq(x + word_from(m, offsets, group, f"bias_{k}").as_signed())
            m.d.comb += [
                larger.eq(Mux(logit > found, logit, found)),
                where.eq(Mux(logit > found, group * outputs + k, at)),
            ]
            found, at = larger, where
            logits.append(logit[:bits])
        with m.If(valid):
            m.d.sync += [best.eq(found), index.eq(at)]
        return valid, Cat(*logits, at)

    bench = pipe_bench(Readout(spec), form, spec.latency, reference)
    proven(prove(bench, tmp_path, depth=spec.latency + 2 * spec.groups + 2), folder=tmp_path)


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_serialiser(parts: int, tmp_path: Path) -> None:
    """Every part once; a word stays until its last part is out."""
    spec = SerialiserSpec(WordFormat(parts, 1, 0, 3), 1)
    bench = Bench()
    m = bench.m
    m.submodules.core = core = Serialiser(spec)
    valid, word = bench.free(1, "i_valid"), bench.free(2 * parts, "i_payload")
    m.d.comb += [core.i.valid.eq(valid), core.i.payload.eq(word)]
    part = Signal(range(parts + 1), name="part")
    busy = Signal(name="busy")
    m.d.comb += busy.eq(valid | (part != 0))
    with m.If(busy):
        m.d.sync += part.eq(Mux(part == parts - 1, 0, part + 1))
    bench.assume((part == 0) | (~valid & (word == bench.past(word, "word"))))
    expected = word_from(m, [word[2 * k : 2 * k + 2] for k in range(parts)], part, "expected")
    bench.rule("parts in their cycles", core.o.valid == bench.past(busy, "busy"))
    bench.rule("the part", ~core.o.valid | (core.o.payload == bench.past(expected, "part_word")))
    bench.goal("a word", core.o.valid & (part == 0))
    proven(prove(bench, tmp_path, depth=3 * parts + 6, induction=parts == 1), folder=tmp_path)


@pytest.mark.parametrize("target", ["fpga", "asic"])
def test_initial_membranes(target: Target, tmp_path: Path) -> None:
    offset = np.array([[1], [3], [0]])
    spec = InitialSpec(offset=offset, i_format=WordFormat(1, 1, -4, 3), ranges=np.array([[-4, 3]]), scans=2)

    def reference(bench: Bench, word: Value, valid: Value) -> tuple[Value, Value]:
        place = per_group(bench, 6, valid)
        since = bench.count(Const(1), 2, "since_reset")
        bench.assume(~valid | (since >= 2))
        added = word_from(
            bench.m, [Const(int(offset[k // 2, 0]) if k % 2 == 0 else 0, 3) for k in range(6)], place, "added"
        )
        total = Signal(signed(6), name="total")
        bench.m.d.comb += total.eq(word.as_signed() + added)
        return valid, total[: spec.o_format.bits]

    bench = pipe_bench(InitialMembranes(spec), spec.i_format, spec.latency, reference)
    proven(prove(bench, tmp_path, depth=14, target=target), folder=tmp_path)


@pytest.mark.parametrize("target", ["fpga", "asic"])
@pytest.mark.parametrize("parts", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_merge(parts: int, target: Target, tmp_path: Path) -> None:
    """Word k of the shortcut goes to current k; none is fetched that is not there, none is lost."""
    form, skip_form, depth = WordFormat(1, 1, -4, 3), WordFormat(1, 1, 0, 1), 3
    gain = np.array([2, -1])
    spec = MergeSpec(gain=gain, first=0, channels=2, skip_format=skip_form, i_format=form, scans=1, parts=parts,
                     ranges=np.array([[-4, 3]] * 2), depth=depth)  # fmt: skip
    bench = Bench()
    m = bench.m
    m.submodules.core = core = Merge(spec)
    taken, skip = source(bench, core.skip, "skip")
    valid, word = bench.free(1, "i_valid"), bench.free(3, "i_payload")
    scanned = bench.free(1, "scanned")
    m.d.comb += [core.i.valid.eq(valid), core.i.payload.eq(word), core.scanned.eq(scanned)]
    # The window ends a scan only where the merge does not hold it; its results come later, ``parts`` words each.
    bench.assume(~scanned | ~core.hold)
    due, went, fetched = Signal(5, name="due"), Signal(5, name="went"), Signal(5, name="fetched")
    bench.assume(~valid | (due != 0))
    m.d.sync += [due.eq(due + Mux(scanned, parts, 0) - valid), went.eq(went + taken), fetched.eq(fetched + valid)]
    bench.assume((due < 8) & (went < 16))
    level = Signal(5, name="level")
    m.d.comb += level.eq(went - fetched)
    bench.rule("no underflow", ~valid | (level != 0))
    bench.rule("no overflow", level <= depth)
    bench.rule("a word is taken where there is room", core.skip.ready == (level != depth))
    bench.rule("promised words are there", level >= due)
    marked = bench.constant(5, "marked")
    kept = taken_word(bench, marked, taken, went, skip, "marked_word")
    total = Signal(signed(6), name="total")
    m.d.comb += total.eq(word.as_signed() + Mux(kept, Mux(fetched[0], int(gain[1]), int(gain[0])), 0))
    expected: Value = Cat(valid, fetched == marked, total)
    for k in range(spec.latency):
        expected = bench.past(expected, f"expected_{k}")
    bench.rule("a sum in its cycle", core.o.valid == expected[0])
    bench.rule(
        "the marked sum", ~expected[1] | ~core.o.valid | (core.o.payload == expected[2 : 2 + spec.o_format.bits])
    )
    bench.goal("a sum after a full FIFO", core.o.valid & (went == depth))
    proven(prove(bench, tmp_path, depth=spec.latency + 9, target=target), folder=tmp_path)
