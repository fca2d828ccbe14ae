"""Proofs about the cores around synapses and neurons that never stall (``docs/formal.md``)."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Cat, Const, Mux, Signal, Value, signed
from prove import Bench, prove, proven
from stream_benches import lanes_of, per_group, pipe_bench, word_from

from spikeloom.hdl.cores.pool.core import PoolArray
from spikeloom.hdl.cores.pool.spec import PoolSpec
from spikeloom.hdl.cores.readout.core import Readout
from spikeloom.hdl.cores.readout.spec import ReadoutSpec
from spikeloom.hdl.cores.requant.core import Requantiser
from spikeloom.hdl.cores.requant.spec import RequantSpec
from spikeloom.hdl.cores.staircase.core import StaircaseArray
from spikeloom.hdl.cores.staircase.search import SearchSpec
from spikeloom.hdl.cores.staircase.serial import SerialSpec
from spikeloom.hdl.cores.staircase.spec import StaircaseSpec
from spikeloom.hdl.cores.staircase.stairs import Stairs
from spikeloom.hdl.streams.words import WordFormat


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


@pytest.mark.parametrize("groups", [1, 2])
def test_staircase(groups: int, tmp_path: Path) -> None:
    form = WordFormat(1, 1, -16, 15)
    threshold = np.array([[-40, -9, -9, 0, 3], [-16, 2, 4, 15, 16]])[:groups]
    spec = StaircaseSpec(threshold=threshold, low=-2, i_format=form, ranges=np.array([[-16, 15]] * groups))

    def reference(bench: Bench, word: Value, valid: Value) -> tuple[Value, Value]:
        group, results = per_group(bench, groups, valid), []
        for row in threshold.tolist():
            value = Signal(signed(3), name=f"value_{len(results)}")
            bench.m.d.comb += value.eq(sum((word.as_signed() >= t for t in row), Const(-2, signed(3))))
            results.append(value)
        return valid, word_from(bench.m, results, group, "expected")

    bench = pipe_bench(StaircaseArray(spec), form, spec.latency, reference)
    proven(prove(bench, tmp_path, depth=spec.latency + 2 * groups + 3, induction=groups == 1), folder=tmp_path)


def searched(kind: type[Stairs], groups: int, valued: bool, width: int = 1, **more: int) -> tuple[Stairs, Any]:
    """A staircase of six thresholds a channel, some of which the range decides, with its reference."""
    form = WordFormat(width, 1, -16, 15)
    threshold = np.array([[-40, -9, -9, 0, 3, 11], [-16, 2, 4, 7, 15, 16]])[: groups * width]
    values = np.array([[-5, 3, 3, 0, 7, -8, 1], [2, 2, -1, 6, 0, 4, -7]])[: groups * width] if valued else None
    spec = kind(threshold=threshold, low=0 if valued else -2, values=values, i_format=form,
                ranges=np.array([[-16, 15]] * len(threshold)), **more)  # fmt: skip

    def value(bench: Bench, current: Value, c: int) -> Value:
        result = Signal(signed(4), name=f"value_{c}")
        levels = range(-2, 5) if values is None else values[c].tolist()
        for k, level in enumerate(levels):  # the last one that it reaches
            with bench.m.If(current.as_signed() >= int(threshold[c, k - 1]) if k else Const(1)):
                bench.m.d.comb += result.eq(level)
        return result[: spec.o_format.bits]

    return spec, value


@pytest.mark.parametrize("valued", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
def test_search(groups: int, valued: bool, tmp_path: Path) -> None:
    spec, value = searched(SearchSpec, groups, valued)

    def reference(bench: Bench, word: Value, valid: Value) -> tuple[Value, Value]:
        group = per_group(bench, groups, valid)
        return valid, word_from(bench.m, [value(bench, word, c) for c in range(groups)], group, "expected")

    bench = pipe_bench(spec.core(), spec.i_format, spec.latency, reference)
    proven(prove(bench, tmp_path, depth=spec.latency + 2 * groups + 3, induction=groups == 1), folder=tmp_path)


@pytest.mark.parametrize(("lanes", "valued"), [(1, False), (1, True), (2, False)])
def test_search_with_one_comparator(lanes: int, valued: bool, tmp_path: Path) -> None:
    """Words as far apart as they must be, of one and of two parts."""
    spec, value = searched(SerialSpec, 1, valued, lanes, lanes=1)
    assert isinstance(spec, SerialSpec)
    bits, since, stays = spec.i_format.bits, spec.turnaround, (spec.ratio - 1) * spec.cycles

    def reference(bench: Bench, word: Value, valid: Value) -> tuple[Value, Value]:
        part = Signal(range(since + 1), name="cycle_of_word")  # counted from 1 on, 0 where none is there
        bench.m.d.sync += part.eq(Mux(valid, 1, Mux((part == 0) | (part == since), 0, part + 1)))
        bench.assume(valid | (part == 0) | (part > stays) | (word == bench.past(word, "word")))
        parts = [value(bench, word[c * bits : (c + 1) * bits], c) for c in range(lanes)]
        which = Signal(range(2), name="part")
        bench.m.d.comb += which.eq(Mux(valid, 0, part))
        return valid | ((part > 0) & (part < lanes)), word_from(bench.m, parts, which, "expected")

    bench = pipe_bench(spec.core(), spec.i_format, spec.latency, reference, spacing=since)
    proven(prove(bench, tmp_path, depth=spec.latency + since + lanes + 4), folder=tmp_path)


VALUES, TRAIN, SIGNS = WordFormat(1, 1, -4, 3), WordFormat(1, 2, 0, 1), WordFormat(1, 2, -1, 1)


@pytest.mark.parametrize(("kind", "form"), [("sum", VALUES), ("max", VALUES), ("max", SIGNS), ("max_spikes", TRAIN)])
def test_pool_array(kind: Any, form: WordFormat, tmp_path: Path) -> None:
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
            return done, Cat(most([w[t] for w in words], f"most_{t}")[: form.bits] for t in range(form.steps))
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
