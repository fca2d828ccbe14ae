"""Proofs about maps at the ports of a design: words with whole bytes, frames that have not left, parts on the link
(``docs/formal.md``)."""

from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Cat, Module, Mux, Signal, Value
from prove import Bench, prove, proven
from stream_benches import hits, sink, source, taken_word, word_from
from test_formal_replies import TURNED

from spikeloom.hdl.host import map_parts
from spikeloom.hdl.host.map_parts import HEAD, MapParts
from spikeloom.hdl.host.maps import MapForm, MapPort
from spikeloom.hdl.streams.words import WordFormat

WIDTH = 4


def map_port_bench(core: MapPort) -> Bench:
    """Every word in the cycle in which it comes, its numbers sign-extended; a count of the frames under way."""
    bench = Bench()
    m, form, bits = bench.m, core.form.form, core.form.bits
    m.submodules.core = core
    taken_i, word = source(bench, core.i)
    taken_o, out = sink(bench, core.o)
    number, _ = hits(bench, taken_i, core.form.words, "number")
    closes, last = bench.free(1, "closes"), number == core.form.words - 1
    m.d.comb += [core.closes.eq(closes), core.last.eq(last)]
    inside = Signal(4, name="frames_inside", init=1)  # one more: a map may end a frame before its pixels do
    m.d.sync += inside.eq(inside + closes - (taken_i & last))
    bench.assume(~closes | core.admits)
    bench.assume((inside != 0) | ~core.i.valid)
    numbers = [word[k * form.bits :][: form.bits] for k in range(form.lanes)]
    sign = [each[-1] if form.signed else 0 for each in numbers]
    wide = Cat(Cat(each, *[s] * (bits - form.bits)) for each, s in zip(numbers, sign, strict=True))
    bench.rule("a word is offered where there is one", core.o.valid == core.i.valid)
    bench.rule("a word is taken with its beat", taken_i == taken_o)
    bench.rule("the numbers, and the end", ~core.o.valid | (out == Cat(wide, last)))
    bench.rule("frames under way, no more than there may be", inside <= core.depth + 1)
    bench.rule("a frame is admitted where there is room", core.admits == (inside != core.depth + 1))
    bench.rule("busy", core.busy == (inside != 1))
    bits_inside = (core.depth + 1).bit_length() + 1 if core.depth > 1 else 2
    bench.rule("the count", bench.probe(bits_inside, "core.inside").as_signed() == inside - 1)
    bench.goal("as many frames as there may be", inside == core.depth + 1)
    bench.goal("a map that ends early", inside == 0)
    return bench


PORTS = {
    "signed": (MapForm(WordFormat(2, 1, -4, 3), 3), 2),
    "without a sign": (MapForm(WordFormat(1, 1, 0, 255), 1), 1),
}


@pytest.mark.parametrize("form", PORTS)
def test_map_port(form: str, tmp_path: Path) -> None:
    proof = prove(map_port_bench(MapPort(*PORTS[form])), tmp_path, depth=6, induction=True)
    proven(proof, "o", folder=tmp_path)


class Uncounted(MapPort):
    """Counts a frame as left with each of its words."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        with m.If(~self.last & self.o.valid & self.o.ready):
            m.d.comb += self.busy.eq(0)
        return m


def test_a_count_that_forgets_a_map_is_found(tmp_path: Path) -> None:
    proof = prove(map_port_bench(Uncounted(*PORTS["signed"])), tmp_path, depth=6)
    assert proof.broken == ["busy"]


PART = 4


def parts_bench(core: MapParts, *, whole: bool = False) -> Bench:
    """Frames whose heads are right, in which every byte of every map is once, in its place; none is ever stuck."""
    bench = Bench()
    m = bench.m
    m.submodules.core = core
    sequence = bench.constant(8, "sequence")
    m.d.comb += core.sequence.eq(sequence)
    marked = bench.constant(WIDTH, "marked")
    went, kept, done = [], [], []
    for k, each in enumerate(core.maps):
        taken, word = source(bench, each, f"map_{k}")
        ended = Signal(name=f"map_{k}_ended")
        m.d.sync += ended.eq(ended | (taken & word[-1]))
        bench.assume(~ended | ~each.valid)  # of one image
        went.append(bench.count(taken, WIDTH, f"went_{k}"))
        kept.append(taken_word(bench, marked, taken, went[k], word[:8], f"kept_{k}"))
        done.append(ended)
    taken_o, out = sink(bench, core.o)
    byte, last = out[:8], out[8]
    # Where we are in a frame, how many bytes of numbers it says that it has, and of which map.
    at, size, of_map = Signal(4, name="at"), Signal(4, name="size"), Signal(name="of_map")
    parts = bench.count(taken_o & last, WIDTH, "parts")
    numbers, ends = Signal(name="numbers"), Signal(name="ends")
    m.d.comb += [numbers.eq((at >= HEAD) & (at < HEAD + size)), ends.eq((at >= HEAD) & (at == HEAD + size + 1))]
    came = [bench.count(taken_o & numbers & (of_map == k), WIDTH, f"came_{k}") for k in range(2)]
    crc = Signal(16, name="expected_crc")
    with m.If(taken_o):
        m.d.sync += at.eq(Mux(ends, 0, at + 1))
        with m.If(at == 2):
            m.d.sync += size.eq(byte - 4)
        with m.If(at == 6):
            m.d.sync += of_map.eq(byte[0])
        with m.If((at < HEAD) | numbers):
            m.d.sync += crc.eq(Cat(Mux(at == 0, 0xFF, crc[8:]) ^ byte, Mux(at == 0, 0xFF, crc[:8])))
    left = word_from(m, [went[k] - came[k] for k in range(2)], byte[0], "left")  # bytes of the map that have not come
    short = (size == left) & Mux(byte[0], done[1], done[0])
    head = [byte == 0x85, byte == sequence, (byte > 4) & (byte <= 4 + PART), byte == 0, byte == parts, byte == 0,
            (byte < 2) & ((size == PART) | short), byte == 0]  # fmt: skip
    bench.rule("the head of a part", ~core.o.valid | (at >= HEAD) | word_from(m, head, at[:3], "head_is_right"))
    bench.rule("a part ends with its CRC", ~core.o.valid | (last == ends))
    bench.rule("the CRC", ~core.o.valid | (at < HEAD) | numbers | (byte == Mux(ends, crc[:8], crc[8:])))
    for k in range(2):
        bench.rule(f"no byte of map {k} from nowhere", came[k] <= went[k])
        here = core.o.valid & numbers & (of_map == k) & (came[k] == marked)
        bench.rule(f"the byte of map {k} in its place", ~here | (byte == kept[k]))
    bench.rule("ended where all maps have", ~core.ended | (done[0] & done[1]))
    bench.rule("busy while a part is sent", core.busy | ((at == 0) & ~core.o.valid))
    bench.goal("a number", taken_o & numbers)
    if whole:
        bench.assume(core.o.ready)
        for each, end in zip(core.maps, done, strict=True):
            bench.assume(each.valid | end)
        bench.goal("a whole part", taken_o & ends & (size == PART))
    return bench


def parts_core(monkeypatch: pytest.MonkeyPatch, of: type[MapParts] = MapParts) -> MapParts:
    monkeypatch.setattr(map_parts, "CRC16_IBM_3740", TURNED)
    return of((1, 1), PART)


def test_map_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proven(prove(parts_bench(parts_core(monkeypatch)), tmp_path, depth=13, restart=True), "o", folder=tmp_path)


@pytest.mark.slow
def test_map_parts_for_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole first part, and the begin of the next one, where nobody pauses."""
    bench = parts_bench(parts_core(monkeypatch), whole=True)
    proven(prove(bench, tmp_path, depth=32, restart=True), folder=tmp_path)


class WrongHalf(MapParts):
    """Sends the half of a buffer that is being filled."""

    def _send(self, m: Module, read: Any, sending: Signal, offers: Signal, next_size: Signal, half: Value,
              sent: Signal) -> None:
        super()._send(m, read, sending, offers, next_size, ~half, sent)


def test_a_part_out_of_the_wrong_half_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proof = prove(parts_bench(parts_core(monkeypatch, WrongHalf)), tmp_path, depth=14, restart=True)
    assert any("in its place" in name for name in proof.broken)
