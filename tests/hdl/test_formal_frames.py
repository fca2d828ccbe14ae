"""Proofs about what stands around a design: frames out of packets of any length, packets of results, the ends of
packets that a soft reset cuts, registers behind AXI4-Lite (``docs/formal.md``)."""

from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from prove import Bench, prove, proven
from stream_benches import hits, sink, source, taken_word, word_from

from spikeloom.hdl.cores.readout.spec import ReadoutSpec
from spikeloom.hdl.host.frames import GOOD, LONG, SHORT, Framer, Results
from spikeloom.hdl.streams.words import WordFormat

WIDTH = 4


def framer_bench(core: Framer, data: bool) -> Bench:
    """Beat k of a packet is beat k of its frame, in the cycle in which it comes; what a packet lacks is zero, what it
    has too much leaves nothing. One status a frame, in their order."""
    bench = Bench()
    m, form, beats, depth = bench.m, core.form, core.beats, core.depth
    m.submodules.core = core
    taken_i, word = source(bench, core.i)
    taken_o, out = sink(bench, core.o)
    taken_s, status = sink(bench, core.status, "status")
    last = word[-1]
    # Beats of the packet that came, at most those of a frame; beats of the frame that left; packets ahead of frames.
    at_i, at_o = Signal(range(beats + 1), name="at_i"), Signal(range(beats), name="at_o")
    ahead = Signal(signed(3), name="ahead")
    ends_i, ends_o = taken_i & last, taken_o & (at_o == beats - 1)
    with m.If(taken_i):
        m.d.sync += at_i.eq(Mux(last, 0, Mux(at_i == beats, beats, at_i + 1)))
    with m.If(taken_o):
        m.d.sync += at_o.eq(Mux(at_o == beats - 1, 0, at_o + 1))
    m.d.sync += ahead.eq(ahead + ends_i - ends_o)
    level, room = Signal(range(depth + 2), name="level"), Signal(name="room")
    m.d.sync += level.eq(level + ends_o - taken_s)
    admits = bench.free(1, "admits") if core.guarded else Const(1)
    m.d.comb += room.eq((at_o != beats - 1) | ((level != depth) & admits))
    if core.guarded:  # by a count of frames, which none leaves but at its end
        m.d.comb += core.admits.eq(admits)
        bench.assume(admits | ~bench.past(admits & ~ends_o, "admits"))
        bench.rule("a frame closes with its last beat", core.closes == ends_o)
    short, long = (ahead == 1) & (at_i == 0) & (at_o != 0), (ahead == -1) & (at_i == beats) & (at_o == 0)
    bench.rule("a packet and its frame", (at_o < beats) & (((ahead == 0) & (at_i == at_o)) | short | long))
    filling, dropping = bench.probe(1, "core.filling"), bench.probe(1, "core.dropping")
    bench.rule("filling", filling == (ahead == 1))
    bench.rule("dropping", dropping == (ahead == -1))
    if beats > 1:
        bench.rule("beat", bench.probe((beats - 1).bit_length(), "core.beat") == at_o)
    bench.rule("a beat is offered where there is one",
               core.o.valid == (room & ((ahead == 1) | ((ahead == 0) & core.i.valid))))  # fmt: skip
    bench.rule("a beat is taken where it goes on or is too much",
               core.i.ready == ((ahead == -1) | ((ahead == 0) & room & core.o.ready)))  # fmt: skip
    pixels = [word[8 * k : 8 * k + 8] for k in range(form.lanes)]
    clamped = Cat(Mux(p > form.high, form.high, p)[: form.bits] for p in pixels)
    bench.rule("the beat, or zero", ~core.o.valid | (out == Mux(ahead == 1, 0, clamped)))
    bench.rule("a status is offered where there is one", core.status.valid == (level != 0))
    bench.rule("statuses neither over- nor underflow", level <= depth)
    bench.rule("busy", core.busy == ((ahead != 0) | (at_o != 0)))
    if depth > 1:
        ends = [bench.probe((depth - 1).bit_length(), f"core.statuses.{name}_at") for name in ("write", "read")]
        bench.rule("level", bench.probe(depth.bit_length(), "core.statuses.level") == level)
        bench.rule("addresses", ends[0] == (ends[1] + level) % depth)
    if data:
        marked = bench.constant(WIDTH, "marked")
        closed, told = bench.count(ends_o, WIDTH, "closed"), bench.count(taken_s, WIDTH, "told")
        of_frame = Mux(ahead == 1, SHORT, Mux(last, GOOD, LONG))[:2]
        kept = taken_word(bench, marked, ends_o, closed, of_frame, "marked_status")
        bench.rule("the status of its frame", ~core.status.valid | (told != marked) | (status == kept))
    for kind, name in ((SHORT, "short"), (GOOD, "good"), (LONG, "long"))[0 if beats > 1 else 1 :]:
        bench.goal(name, taken_s & (status == kind))
    return bench


FRAMERS = {
    "3 beats": (WordFormat(1, 1, 0, 3), 3, 2),
    "1 beat, 2 lanes": (WordFormat(2, 1, 0, 4), 1, 2),
    "2 beats, bytes, one status": (WordFormat(1, 1, 0, 255), 2, 1),
}


@pytest.mark.parametrize("form", FRAMERS)
def test_framer(form: str, tmp_path: Path) -> None:
    bench = framer_bench(Framer(*FRAMERS[form]), data=False)
    proof = prove(bench, tmp_path / "rules", depth=9, induction=True)
    proven(proof, "o", "status", folder=tmp_path / "rules")
    proven(prove(framer_bench(Framer(*FRAMERS[form]), data=True), tmp_path, depth=12), folder=tmp_path)


def test_a_framer_that_waits_to_be_admitted(tmp_path: Path) -> None:
    bench = framer_bench(Framer(*FRAMERS["3 beats"], guarded=True), data=False)
    proven(prove(bench, tmp_path, depth=9, induction=True), "o", "status", folder=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("form", FRAMERS)
def test_framer_for_longer(form: str, tmp_path: Path) -> None:
    proven(prove(framer_bench(Framer(*FRAMERS[form]), data=True), tmp_path, depth=14), folder=tmp_path)


class Hasty(Framer):
    """A framer that takes the beat after one of the packet's end while it fills the frame."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.d.comb += self.i.ready.eq(self.o.ready)
        return m


def test_a_framer_that_takes_beats_while_it_fills_is_found(tmp_path: Path) -> None:
    proof = prove(framer_bench(Hasty(*FRAMERS["3 beats"]), data=True), tmp_path, depth=8)
    assert "a beat is taken where it goes on or is too much" in proof.broken


def results_bench(core: Results) -> Bench:
    """The class of a frame, its status and then its logits, sign-extended and in their order, once each."""
    bench = Bench()
    m, spec = bench.m, core.spec
    m.submodules.core = core
    taken_i, word = source(bench, core.i)
    taken_s, status = source(bench, core.status, "status")
    taken_o, out = sink(bench, core.o)
    groups, form, beats = spec.groups, spec.o_format, core.beats
    number_i, frames_i = hits(bench, taken_i, groups, "number_i")
    at, frames_o = hits(bench, taken_o, beats, "at")
    bench.rule("its packet ends with its last logit", ~core.o.valid | (out[-1] == (at == beats - 1)))
    bench.rule("its status is taken with the last beat", taken_s == (taken_o & (at == beats - 1)))
    held = Signal(4, name="held")  # words inside
    leaves = taken_o & (at != 0) & ((at - 1) % spec.outputs == spec.outputs - 1)
    m.d.sync += held.eq(held + taken_i - leaves)
    if groups == 1:
        bench.rule("a word is taken with its last logit", taken_i == leaves)
    else:
        bench.rule("words neither over- nor underflow", held <= groups)
        bench.rule("a word is taken where there is room", core.i.ready == (held != groups))
    whole = core.i.valid if groups == 1 else frames_i != frames_o
    bench.rule("a beat is offered where there is one", core.o.valid == ((at != 0) | (whole & core.status.valid)))
    # All words of the marked frame; one that waits at the input shows its logits there.
    marked = bench.constant(len(frames_i), "marked")
    kept: list[Value] = []
    for k in range(groups):
        here, register = (frames_i == marked) & (number_i == k), Signal(len(word), name=f"kept_{k}")
        with m.If(taken_i & here):
            m.d.sync += register.eq(word)
        kept.append(word if groups == 1 else register)
    logits = [w[: form.width][k * form.bits :][: form.bits] for w in kept for k in range(spec.outputs)]
    wide = [x.as_signed() if form.signed else x for x in logits]
    head = Cat(kept[-1][form.width :], Const(0, 24 - (len(word) - form.width)), status)
    expected = word_from(m, [head, *(Cat(x, *[x[-1]] * (32 - form.bits)) for x in wide)], at, "expected")
    bench.rule("the beat in its place", ~core.o.valid | (frames_o != marked) | (out[:32] == expected))
    bench.goal("a packet, and the next", taken_o & (frames_o == 1))
    return bench


def readout(outputs: int) -> ReadoutSpec:
    return ReadoutSpec(bias=np.array([1, -1, 0, 2]), i_format=WordFormat(outputs, 1, -4, 3),
                       ranges=np.array([[-4, 3]] * 4))  # fmt: skip


@pytest.mark.parametrize("outputs", [1, 2, 4])
def test_results(outputs: int, tmp_path: Path) -> None:
    proof = prove(results_bench(Results(readout(outputs))), tmp_path, depth=12)
    proven(proof, "o", folder=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("outputs", [1, 2, 4])
def test_results_for_longer(outputs: int, tmp_path: Path) -> None:
    proven(prove(results_bench(Results(readout(outputs))), tmp_path, depth=14), folder=tmp_path)


class Forgetful(Results):
    """Takes the status with the class, so that the next frame's class may go out with it."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.d.comb += self.status.ready.eq(self.o.valid & self.o.ready)
        return m


def test_results_that_take_a_status_too_early_are_found(tmp_path: Path) -> None:
    proof = prove(results_bench(Forgetful(readout(4))), tmp_path, depth=8)
    assert "its status is taken with the last beat" in proof.broken
