"""Proofs about the cores that stall and pass words on: streams hold, no word is lost or comes twice, FIFOs neither
over- nor underflow, and all of it after a reset in any state (``docs/formal.md``)."""

from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Cat, Const, DomainRenamer, Module, Mux, Signal, Value
from prove import Bench, prove, proven, waits_for_ready
from stream_benches import sink, source, taken_word, word_from

from spikeloom.hdl.streams.decimator import Decimator, DecimatorSpec
from spikeloom.hdl.streams.fifo import Fifo, FifoSpec
from spikeloom.hdl.streams.fork import Fork, ForkSpec
from spikeloom.hdl.streams.gearbox import Gearbox, GearboxSpec
from spikeloom.hdl.streams.words import WordFormat

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
    bench = fifo_bench(Fifo(FifoSpec(2, depth)), 2, depth, data=False)
    proven(prove(bench, tmp_path, depth=2 * depth + 3, induction=True, target=target), "o", folder=tmp_path)
    bench = fifo_bench(Fifo(FifoSpec(2, depth)), 2, depth, data=True)
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
    bench = fifo_bench(Overflowing(FifoSpec(2, 2)), 2, 2, data=True)
    bench.rules = {rule: bench.rules[rule]}  # each of them finds it alone
    proof = prove(bench, tmp_path, depth=10)
    assert not proof and proof.broken == [rule]
    assert proof.waves is not None and proof.waves.stat().st_size > 1000
    lines = {line.split()[0]: line.split()[1:] for line in proof.table.splitlines()}
    assert {"i_valid", "i_payload", "o_ready", "o_valid", "level"} <= set(lines)
    if rule.startswith("never"):
        assert int(lines["level"][-1], 16) == 3


def test_a_fifo_that_is_not_reset_is_found(tmp_path: Path) -> None:
    bench = fifo_bench(DomainRenamer("start")(Fifo(FifoSpec(2, 2))), 2, 2, data=False)
    assert prove(bench, tmp_path, depth=6).broken


class Waiting(Fork):
    """A fork whose readers see a word only when the other one is ready."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.d.comb += self.outs[0].valid.eq(self.i.valid & self.outs[1].ready)
        return m


def test_a_valid_that_waits_for_ready_is_found(tmp_path: Path) -> None:
    bench = fork_bench(Waiting(ForkSpec(WordFormat(2, 1, 0, 1), 2)))
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


def pixel_bench(core: Gearbox) -> Bench:
    """Every word of a pixel has its channels in their places, and zeros in front of the first one."""
    spec = core.spec
    each, skipped = spec.channels // spec.i_format.lanes, spec.idle // spec.i_format.lanes
    bench = Bench()
    bench.m.submodules.core = core
    taken_i, word = source(bench, core.i)
    taken_o, out = sink(bench, core.o)
    at, shown = Signal(range(each), name="at"), Signal(range(spec.words), name="shown")
    whole = Signal(name="whole")
    places = [Signal(len(word), name=f"place_{k}") for k in range(each)]
    ends = [k for k in range(each) if (k + skipped) % spec.ratio == spec.ratio - 1]
    complete = Cat(at == k for k in ends).any()
    with bench.m.If(taken_i):
        bench.m.d.sync += at.eq(Mux(at == each - 1, 0, at + 1))
        for k in range(each):
            with bench.m.If(at == k):
                bench.m.d.sync += [places[k].eq(word), shown.eq((k + skipped) // spec.ratio)]
    bench.m.d.sync += whole.eq(Mux(taken_i & complete, 1, whole & ~taken_o))
    pixel = [Const(0, len(word))] * skipped + places
    words = [Cat(pixel[k * spec.ratio : (k + 1) * spec.ratio]) for k in range(spec.words)]
    bench.rule("a word is offered where there is one", core.o.valid == whole)
    bench.rule("a word is taken where there is room", core.i.ready == (~whole | core.o.ready))
    bench.rule("the channels in their places", ~core.o.valid | (out == word_from(bench.m, words, shown, "expected")))
    bench.goal("two pixels", whole & (shown == spec.words - 1) & (at == 0))
    return bench


@pytest.mark.parametrize(("lanes_in", "lanes_out", "channels"), [(1, 2, 5), (1, 3, 4), (2, 6, 10)])
def test_gearbox_of_pixels(lanes_in: int, lanes_out: int, channels: int, tmp_path: Path) -> None:
    bench = pixel_bench(Gearbox(GearboxSpec(WordFormat(lanes_in, 1, 0, 1), lanes_out, channels)))
    proven(prove(bench, tmp_path, depth=2 * channels // lanes_in + 4), "o", folder=tmp_path)


class Forgetful(Gearbox):
    """A gearbox that leaves in idle lanes what was there."""

    def _parts_of_pixel(self, m: Module, moves: Value) -> tuple[Value, Value]:
        return super()._parts_of_pixel(m, moves)[0], Const(0, 1)


def test_an_idle_lane_that_is_not_zero_is_found(tmp_path: Path) -> None:
    bench = pixel_bench(Forgetful(GearboxSpec(WordFormat(1, 1, 0, 1), 3, 4)))
    assert "the channels in their places" in prove(bench, tmp_path, depth=14).broken


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
    bench = fork_bench(Fork(ForkSpec(WordFormat(2, 1, 0, 1), branches)))
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
