"""Proofs about the ports of AXI: the output of an AXI4-Stream keeps its rules through soft resets, an AXI4-Lite port
answers every access once (``docs/formal.md``)."""

from pathlib import Path

import pytest
from amaranth.hdl import Cat, Const, Module, Mux, Signal
from prove import Bench, prove, proven
from stream_benches import sink, source, taken_word

from spikeloom.hdl.host.axi_lite import OKAY, SLVERR, AxiLite
from spikeloom.hdl.host.axi_stream import PacketEnd
from spikeloom.hdl.host.frames import CUT_WORD

WIDTH = 4
"""Bits of the counters of beats and accesses: more than those of any proof."""


def packet_end_bench(core: PacketEnd) -> Bench:
    """Every beat in its place; a cut packet has one more, and no other beat comes from nowhere."""
    bench = Bench()
    m = bench.m
    m.submodules.core = core
    width = len(Cat(core.i.payload))
    valid, word, cut = bench.free(1, "i_valid"), bench.free(width, "i_payload"), bench.free(1, "cut")
    taken_i, open_ = Signal(name="i_taken"), Signal(name="open")
    m.d.comb += [core.i.valid.eq(valid), Cat(core.i.payload).eq(word), core.cut.eq(cut)]
    m.d.comb += taken_i.eq(valid & core.i.ready)
    # A source that a cut stops at once, whatever it offers.
    waits, same = bench.past(valid & ~core.i.ready, "i_waits"), word == bench.past(word, "i_payload")
    bench.assume(~cut | ~valid)
    bench.assume(~waits | cut | bench.past(cut, "cut") | (valid & same))
    taken_o, out = sink(bench, core.o)
    ends = Signal(name="ends")  # a packet is cut: its last beat is to come
    m.d.comb += ends.eq(cut & open_)
    m.d.sync += open_.eq(Mux(taken_i, ~word[-1], open_ & ~cut))
    went, came = Signal(WIDTH, name="went"), bench.count(taken_o, WIDTH, "came")
    m.d.sync += went.eq(went + (taken_i | ends))
    marked = bench.constant(WIDTH, "marked")
    last = Cat(Const(0, width - 1), Const(3, 2)) if core.of_map else Cat(Const(CUT_WORD, 32), Const(1, 1))
    beat = Mux(ends, last, word)
    kept = taken_word(bench, marked, taken_i | ends, went, beat, "marked_beat")
    level = Signal(WIDTH, name="level")
    m.d.comb += level.eq(went - came)
    bench.rule("neither over- nor underflow", level <= 2)
    bench.rule("no beat from nowhere", ~core.o.valid | (level != 0))
    bench.rule("the beat in its place", ~core.o.valid | (came != marked) | (out == kept))
    waited = bench.past(level != 0, "waited")
    bench.rule("a beat comes in the next cycle", core.o.valid | (level == 0) | ~waited | bench.past(taken_o, "left"))
    bench.rule("the last beat of a cut packet comes within two cycles", core.o.valid | (level == 0)
               | ~bench.past(waited & (level != 0) & ~core.o.valid, "idle"))  # fmt: skip
    bench.rule("busy", core.busy == ((level != 0) | open_))
    bench.goal("a packet after a cut one", taken_o & (came == 3) & (out == last))
    return bench


@pytest.mark.parametrize("width", [None, 8], ids=["results", "map"])
def test_packet_end(width: int | None, tmp_path: Path) -> None:
    proven(prove(packet_end_bench(PacketEnd(width)), tmp_path, depth=12), "o", folder=tmp_path)


@pytest.mark.slow
def test_packet_end_for_longer(tmp_path: Path) -> None:
    proven(prove(packet_end_bench(PacketEnd()), tmp_path, depth=15), folder=tmp_path)


class TakenBack(PacketEnd):
    """Takes back the beat that waits when its source is cut."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        with m.If(self.cut):
            m.d.sync += self.o.valid.eq(0)
        return m


def test_a_beat_that_a_cut_takes_back_is_found(tmp_path: Path) -> None:
    assert "o holds" in prove(packet_end_bench(TakenBack()), tmp_path, depth=8).broken


def axi_lite_bench(core: AxiLite) -> Bench:
    """One response an access, of the kind that its address says; one strobe a write that is done; reads are the word
    that was there when the address was taken."""
    bench = Bench()
    m = bench.m
    m.submodules.core = core
    taken_aw, aw = source(bench, core.aw, "aw")
    taken_w, w = source(bench, core.w, "w")
    taken_ar, ar = source(bench, core.ar, "ar")
    taken_b, b = sink(bench, core.b, "b")
    taken_r, r = sink(bench, core.r, "r")
    values = bench.free(32 * len(core.readable), "values")
    m.d.comb += Cat(core.values).eq(values)
    marked = bench.constant(WIDTH, "marked")

    # Writes: addresses and data come in any order, number n of one belongs to number n of the other.
    aws, ws = bench.count(taken_aw, WIDTH, "aws"), bench.count(taken_w, WIDTH, "ws")
    bs = bench.count(taken_b, WIDTH, "bs")
    address = taken_word(bench, marked, taken_aw, aws, aw[2:], "marked_address")
    written = taken_word(bench, marked, taken_w, ws, w, "marked_data")
    whole = Signal(name="whole")  # an access has both, and no answer was taken
    m.d.comb += whole.eq((aws != bs) & (ws != bs))
    known = Cat(address == a >> 2 for a in core.writable)
    bench.rule("a response only to a whole access", ~core.b.valid | whole)
    bench.rule("a response comes in the next cycle", core.b.valid | ~bench.past(whole, "whole")
               | bench.past(taken_b, "answered"))  # fmt: skip
    bench.rule("addresses and data neither over- nor underflow", (aws - bs <= 2) & (ws - bs <= 2))
    bench.rule("the response of its address", ~core.b.valid | (bs != marked) | (b == Mux(known.any(), OKAY, SLVERR)))
    strobed = Signal(2, name="strobed")  # strobes of the marked access
    fires = core.strobes.any()
    with m.If(fires & (bs == marked)):
        m.d.sync += strobed.eq(Mux(strobed.all(), strobed, strobed + 1))
    bench.rule("a strobe belongs to a whole access without response", ~fires | (whole & ~core.b.valid))
    bench.rule("the strobe of its address, its data and bytes", ~fires | (bs != marked)
               | ((core.strobes == known) & (Cat(core.data, core.enable) == written)))  # fmt: skip
    bench.rule("one strobe a write that is done", ~core.b.valid | (bs != marked) | (strobed == known.any()))

    # Reads.
    ars, rs = bench.count(taken_ar, WIDTH, "ars"), bench.count(taken_r, WIDTH, "rs")
    bench.rule("a word for every address, one at a time", core.r.valid == (ars != rs))
    bench.rule("an address is taken where none waits", core.ar.ready == (ars == rs))
    found = Signal(34, name="found")
    m.d.comb += found.eq(Cat(Const(0, 32), Const(SLVERR, 2)))
    with m.Switch(ar[2:]):
        for k, a in enumerate(core.readable):
            with m.Case(a >> 2):
                m.d.comb += found.eq(Cat(values[32 * k :][:32], Const(OKAY, 2)))
    kept = taken_word(bench, marked, taken_ar, ars, found, "marked_word")
    bench.rule("the word of its address", ~core.r.valid | (rs != marked) | (r == kept))
    bench.goal("one write refused, the third done", taken_b & (bs == 2) & (b == OKAY) & (marked == 0) & ~known.any())
    bench.goal("two reads", taken_r & (rs == 1) & (r[32:] == OKAY))
    return bench


def lite() -> AxiLite:
    return AxiLite(4, readable=[0, 4], writable=[4, 12])


def test_axi_lite(tmp_path: Path) -> None:
    proven(prove(axi_lite_bench(lite()), tmp_path, depth=11), "b", "r", folder=tmp_path)


@pytest.mark.slow
def test_axi_lite_for_longer(tmp_path: Path) -> None:
    proven(prove(axi_lite_bench(lite()), tmp_path, depth=15), folder=tmp_path)


class Eager(AxiLite):
    """Answers a write when its address is there, whether its data are or not."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        with m.If(self.aw.valid & self.aw.ready):
            m.d.sync += self.b.valid.eq(1)
        return m


def test_a_response_without_data_is_found(tmp_path: Path) -> None:
    proof = prove(axi_lite_bench(Eager(4, [0, 4], [4, 12])), tmp_path, depth=8)
    assert "a response only to a whole access" in proof.broken
